"""A graph whose building is killed again and again: in the end it is whole, little was redone."""

import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.testing import HashEmbeddings

CHUNKS = 40
AT_ONCE = 2


def relationships(kb):
    with closing(kb.graph) as store:
        found = store.find_entities(" ".join(f"Jobs{n}" for n in range(CHUNKS)), k=2 * CHUNKS)
        return {one.key for one in store.expand([f.node.id for f in found], depth=1).relationships}


def test_kill_9_loses_nothing_and_asks_little_twice(tmp_path):
    documents, calls = tmp_path / "documents", tmp_path / "calls"
    documents.mkdir()
    calls.touch()
    for n in range(CHUNKS):
        text = f"---\nlang: en\n---\n# {n}\n\nJobs{n} founded Apple{n}. This is text {n}."
        (documents / f"{n}.md").write_text(text, encoding="utf-8")
    kb = KnowledgeBase.create(tmp_path / "kb", embeddings=HashEmbeddings())
    kb.ingest(documents)
    script = Path(__file__).with_name("killed_graph.py")
    command = [sys.executable, str(script), str(kb.folder), str(calls)]
    kills = 0
    for part in (0.2, 0.5, 0.8):
        child = subprocess.Popen(command)
        while child.poll() is None and len(calls.read_text().split()) < part * CHUNKS:
            time.sleep(0.01)
        kills += child.poll() is None
        child.kill()
        child.wait()
    assert kills == 3
    assert subprocess.run(command, check=False).returncode == 0
    asked = Counter(calls.read_text().split())
    assert len(asked) == CHUNKS
    assert asked.total() <= CHUNKS + kills * AT_ONCE
    assert kb.status().graph == {"extracted": CHUNKS}
    assert len(relationships(kb)) == CHUNKS
    kb.close()
