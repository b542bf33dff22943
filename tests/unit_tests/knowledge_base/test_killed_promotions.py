"""A promotion that is killed anywhere: the old or the new release serves, and the next one ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

CHUNKS = 60
KILLS = int(os.environ.get("GRAFT_KILLS", "10"))


def test_the_old_or_the_new_release_serves_never_a_mix(tmp_path):
    """`GRAFT_KILLS=50` for more; the vectors are compared with the release's embedder's."""
    script = Path(__file__).with_name("killed_promotions.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path, str(KILLS), "7"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    points = json.loads(done.stdout)
    assert len(points) == KILLS
    for point in points:
        assert point["told"], (point, done.stderr)
        assert point["ended"] == -9, point
        told, before = point["told"], 2 * CHUNKS if point["back"] else CHUNKS
        assert told["served"] in ([0, before], [1, before]), point
        assert told["again"] == ["near@000002", before]
        assert told["ingested"] == told["back"] == before + 3
        assert told["pending"] == {"indexed": before + 3}
        assert len(told["left"]) <= 3
    released = {(point["back"], *point["told"]["served"]) for point in points}
    assert len(released) >= 2 or KILLS < 10
