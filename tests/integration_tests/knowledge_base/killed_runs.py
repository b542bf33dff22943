"""Ingestions that are killed, and the ones after them, each in a fork of this process.

`python killed_runs.py DOCUMENTS WORK` reads a JSON list of `[phase, part, delay, signal]` from its
stdin and writes one line of JSON: what an undisturbed run leaves, then for each point how the
killed run ended and what the next one leaves.
"""

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from langchain_graft.knowledge_base import IngestSettings, KnowledgeBase, indexes, publishing
from langchain_graft.knowledge_base.journal import Journal
from langchain_graft.testing import HashEmbeddings

PHASES = ("reading", "embedding", "building", "publishing")
QUERIES = ["garage computer", "apple", "他们的电脑", "text number 3"]

publishing.EMBED_BATCH = 8
indexes._BATCH = 16


class Calls:
    """Counts the calls that our code makes in each phase, and sends a signal at one of them."""

    def __init__(self, phase=None, number=0, delay=0.0, signal_number=signal.SIGKILL):
        self.counts = Counter()
        self.phase = PHASES[0]
        self.at = (phase, number)
        self.delay = delay
        self.signal = signal_number

    def __call__(self, frame, event, _):
        if "call" in event and "langchain_graft" in frame.f_code.co_filename:
            self.counts[self.phase] += 1
            if (self.phase, self.counts[self.phase]) == self.at:
                if self.delay:
                    threading.Thread(target=self._send_later, daemon=True).start()
                else:
                    os.kill(os.getpid(), self.signal)

    def _send_later(self):
        time.sleep(self.delay)
        os.kill(os.getpid(), self.signal)

    def on_progress(self, label, done, total):
        if label == "read" and done == total:
            self.phase = "embedding"
        elif label == "index":
            self.phase = "publishing" if done == total else "building"


def in_fork(work):
    """Exit status of a child that did the work: minus the signal, or its exit code."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except KeyboardInterrupt:
            os._exit(130)
        except BaseException as error:  # noqa: BLE001
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(folder, documents, calls, note):
    kb = KnowledgeBase.open(folder, embeddings=HashEmbeddings())
    sys.setprofile(calls)
    kb.ingest(documents, on_progress=calls.on_progress)
    sys.setprofile(None)
    note.write_text(json.dumps(calls.counts), encoding="utf-8")
    if calls.at[0]:  # the end came first
        time.sleep(calls.delay)
        os.kill(os.getpid(), calls.signal)


def leave(folder, documents, note):
    """Ingest to the end, and note everything that can be found then."""
    kb = KnowledgeBase.open(folder, embeddings=HashEmbeddings())
    report = kb.ingest(documents)
    assert not report.failed
    with kb._live.current() as live:
        found = live.vector._collection.get(include=["documents", "metadatas", "embeddings"])
        columns = [found[name] for name in ("ids", "documents", "metadatas")]
        vectors = [[round(float(value), 6) for value in vector] for vector in found["embeddings"]]
        chunks = sorted(zip(*columns, vectors, strict=True), key=lambda row: row[0])
        assert live.bm25.ids() == set(found["ids"])
    words = kb.retriever("bm25", k=len(chunks)).search_many(QUERIES)
    scores = [[(round(d.metadata["score"], 4), d.id) for d in ranking] for ranking in words]
    ranked = [sorted(ranking, reverse=True) for ranking in scores]  # equal scores in any order
    journal = Journal(folder / "journal.sqlite", mode="ro")
    sources = {name: [s.state, s.digest] for name, s in journal.sources().items()}
    kept = {
        "chunks": chunks,
        "words": ranked,
        "sources": sources,
        "journal": journal.counts(),
        "generation": kb.status().generation,
        "writer": kb.status().writer,
        "folders": sorted(path.name for path in (folder / "generations").iterdir()),
    }
    note.write_text(json.dumps(kept), encoding="utf-8")


def main(documents, work):
    base = work / "base"

    def make_base():
        settings = IngestSettings(chunk_tokens=32)
        kb = KnowledgeBase.create(base, embeddings=HashEmbeddings(), settings=settings)
        kb.ingest(documents / "before")

    def copied(name):
        return Path(shutil.copytree(base, work / name))

    assert in_fork(make_base) == 0
    (documents / "before").rename(documents / "old")
    (documents / "after").rename(documents / "before")  # the same folder, in its next state
    source = documents / "before"
    whole, note = copied("whole"), work / "note.json"
    assert in_fork(lambda: run(whole, source, Calls(), note)) == 0
    calls = json.loads(note.read_text("utf-8"))
    assert in_fork(lambda: leave(whole, source, note)) == 0
    answer = {"calls": calls, "whole": json.loads(note.read_text("utf-8")), "runs": []}
    for n, (phase, part, delay, number) in enumerate(json.load(sys.stdin)):
        folder = copied(f"point{n}")
        point = Calls(phase, 1 + int(part * (calls[phase] - 1)), delay, number)
        ended = in_fork(lambda: run(folder, source, point, note))  # noqa: B023
        note.unlink(missing_ok=True)
        again = in_fork(lambda: leave(folder, source, note))  # noqa: B023
        left = json.loads(note.read_text("utf-8")) if again == 0 else None
        answer["runs"].append({"ended": ended, "left": left})
        shutil.rmtree(folder)
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
