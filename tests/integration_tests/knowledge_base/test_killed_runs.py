"""An ingestion that is killed at any point: the next run leaves what an undisturbed one does."""

import json
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PHASES = ("reading", "embedding", "building", "publishing")
KILLS = 30


def corpus(folder):
    """Before: seven documents. After: one unchanged, some changed, some gone, some new."""
    before, after = folder / "before", folder / "after"
    before.mkdir(parents=True)
    for number in range(7):
        lines = [f"Line {line} of text number {number} on the garage." for line in range(9)]
        head = "---\nlang: en\ndate: 1984-01-24\n---\n"
        text = f"{head}# Text {number}\n\n" + "\n\n".join(lines)
        (before / f"{number}.md").write_text(text, encoding="utf-8")
    shutil.copytree(before, after)
    for number in (1, 2):
        path = after / f"{number}.md"
        path.write_text(path.read_text("utf-8").replace("garage", "apple"), encoding="utf-8")
    for number in (3, 4):
        (after / f"{number}.md").unlink()
    (after / "新.txt").write_text("他们的第一台电脑是在车库里做的。" * 12, encoding="utf-8")
    shutil.copy(after / "0.md", after / "copy of 0.md")
    return folder


def runs(tmp_path, points):
    (tmp_path / "work").mkdir()
    script = Path(__file__).with_name("killed_runs.py")
    told = subprocess.run(
        [sys.executable, str(script), str(corpus(tmp_path / "documents")), str(tmp_path / "work")],
        input=json.dumps(points),
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def test_kill_9_at_30_points_in_all_phases(tmp_path):
    """Half of them at a call of ours, half of them some milliseconds behind it, in any code."""
    chance = random.Random(7)  # noqa: S311
    points = [
        (PHASES[n % 4], chance.random(), chance.choice([0, chance.random() / 50]), signal.SIGKILL)
        for n in range(KILLS)
    ]
    told = runs(tmp_path, points)
    assert set(told["calls"]) == set(PHASES)
    assert min(told["calls"].values()) > 20
    assert [run["ended"] for run in told["runs"]] == [-signal.SIGKILL] * KILLS
    assert len(told["whole"]["chunks"]) > 20
    assert told["whole"]["journal"] == {"indexed": len(told["whole"]["chunks"])}
    for point, run in zip(points, told["runs"], strict=True):
        assert run["left"] == told["whole"], point


@pytest.mark.parametrize(("name", "ended"), [("SIGINT", 130), ("SIGTERM", -signal.SIGTERM)])
def test_stopped_politely(tmp_path, name, ended):
    points = [(phase, 0.5, 0, getattr(signal, name)) for phase in PHASES]
    told = runs(tmp_path, points)
    assert [run["ended"] for run in told["runs"]] == [ended] * 4
    assert [run["left"] == told["whole"] for run in told["runs"]] == [True] * 4
