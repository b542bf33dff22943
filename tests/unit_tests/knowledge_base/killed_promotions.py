"""Promotions and rollbacks that are killed, and the ones after them, each in a fork.

`python killed_promotions.py WORK KILLS SEED` writes one line of JSON: for each point where it was
killed, what served then and what the next promotion came to.
"""

import json
import os
import random
import shutil
import signal
import sys
import traceback
from collections import Counter
from pathlib import Path

import fake_adapters
from langchain_core.documents import Document

from langchain_graft.knowledge_base import KnowledgeBase, indexes, publishing, reembedding
from langchain_graft.testing import HashEmbeddings

PHASES = ("begin", "embed", "index", "flip")
CHUNKS = 60

publishing.EMBED_BATCH = reembedding.EMBED_BATCH = 8
indexes._BATCH = 16
fake_adapters.patch(fake_adapters.FakeStore(), setattr)


class Calls:
    """Counts the calls that our code makes in each phase, and kills this process at one of them."""

    def __init__(self, phase=None, number=0):
        self.counts = Counter()
        self.phase = PHASES[0]
        self.at = (phase, number)

    def __call__(self, frame, event, _):
        if "call" in event and "langchain_graft" in frame.f_code.co_filename:
            self.counts[self.phase] += 1
            if (self.phase, self.counts[self.phase]) == self.at:
                os.kill(os.getpid(), signal.SIGKILL)

    def on_progress(self, label, done, total):
        self.phase = "flip" if label == "index" and done == total else label


def in_fork(work):
    """Exit status of a child that did the work: minus the signal, or its exit code."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def opened(folder):
    return KnowledgeBase.open(folder, embeddings=HashEmbeddings())


def rows(first, last):
    texts = (f"text {n} apple" for n in range(first, last))
    return [Document(text, metadata={"source": text, "language": "en"}) for text in texts]


def make(folder, *, promoted):
    kb = KnowledgeBase.create(folder, embeddings=HashEmbeddings())
    kb.ingest_documents(rows(0, CHUNKS))
    if promoted:  # documents come meanwhile, so that the way back has work to do
        kb.promote("near@000001")
        kb.ingest_documents(rows(CHUNKS, 2 * CHUNKS))


def change(folder, calls, *, back):
    kb = opened(folder)
    sys.setprofile(calls)
    if back:
        kb.rollback(on_progress=calls.on_progress)
    else:
        kb.promote("near@000002", on_progress=calls.on_progress)
    sys.setprofile(None)


def whole(folder, calls, note, **how):
    change(folder, calls, **how)
    note.write_text(json.dumps(calls.counts))


def look(folder, note):
    """What serves after the kill, then after it was done again, and after an ingestion."""
    kb = opened(folder)
    found = [kb.release.number, len(fake_adapters.check(kb))]
    again = kb.promote("near@000002")
    told = {"served": found, "again": [again.embeddings_adapter]}
    told["again"].append(len(fake_adapters.check(kb)))
    kb.ingest_documents(rows(1000, 1003))
    told["ingested"] = len(fake_adapters.check(kb))
    told["pending"] = kb.status().chunks
    kb.rollback()
    told["back"] = len(fake_adapters.check(kb))
    told["left"] = sorted(path.name for path in (folder / "generations").iterdir())
    note.write_text(json.dumps(told))


def main(work, kills, seed):
    pick = random.Random(seed)  # noqa: S311 (no secret)
    note = work / "note.json"
    counts = {}
    for back in (False, True):
        base = work / f"base-{back}"
        assert in_fork(lambda: make(base, promoted=back)) == 0  # noqa: B023
        copy = shutil.copytree(base, work / "whole")
        assert in_fork(lambda: whole(copy, Calls(), note, back=back)) == 0  # noqa: B023
        counts[back] = json.loads(note.read_text())
        shutil.rmtree(copy)
    answer = []
    for number in range(kills):
        back = number % 3 == 2
        phase = PHASES[number % len(PHASES)]
        point = Calls(phase, pick.randint(1, counts[back][phase]))
        folder = Path(shutil.copytree(work / f"base-{back}", work / f"point{number}"))
        ended = in_fork(lambda: change(folder, point, back=back))  # noqa: B023
        note.unlink(missing_ok=True)
        looked = in_fork(lambda: look(folder, note))  # noqa: B023
        told = json.loads(note.read_text()) if looked == 0 else None
        answer.append({"back": back, "at": point.at, "ended": ended, "told": told})
        shutil.rmtree(folder)
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
