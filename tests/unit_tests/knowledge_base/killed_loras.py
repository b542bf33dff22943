"""Promotions of a chat model's LoRA that are killed, and the ones after them, each in a fork.

`python killed_loras.py KNOWLEDGE_BASE BASE KILLS SEED` writes one line of JSON: for each point
where it was killed, what served then and what the next promotion came to.
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

from transformers import AutoTokenizer, LlamaForCausalLM  # noqa: F401  # once, before the forks

import langchain_graft.finetune_bridge.serving.chat
import langchain_graft.knowledge_base.generators  # noqa: F401
from langchain_graft.finetune_bridge.adapters.ref import AdapterRef
from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.testing import HashEmbeddings

CPU = {"device": "cpu", "dtype": "float32", "threads": 1, "max_tokens": 2}
PHASES = ("load", "flip")
REF = AdapterRef("legal", 1)


class Calls:
    """Counts the calls of our code, and kills this process at one of them."""

    def __init__(self, phase=None, number=0):
        self.counts = Counter()
        self.phase = PHASES[0]
        self.at = (phase, number)

    def __call__(self, frame, event, _):
        if event == "call" and "langchain_graft" in frame.f_code.co_filename:
            if frame.f_code.co_qualname == "Promotion.promote":
                self.phase = "flip"
            self.counts[self.phase] += 1
            if (self.phase, self.counts[self.phase]) == self.at:
                os.kill(os.getpid(), signal.SIGKILL)


def in_fork(work, *given):
    """Exit status of a child that did the work: minus the signal, or its exit code."""
    pid = os.fork()
    if pid == 0:
        try:
            work(*given)
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def promote(folder, base, calls, note):
    kb = KnowledgeBase.open(folder, embeddings=HashEmbeddings())
    running = kb.chat_model(base, **CPU)  # the promotion takes this base
    sys.setprofile(calls)
    kb.promote(str(REF))
    sys.setprofile(None)
    note.write_text(json.dumps(calls.counts))
    del running


def answered(model):
    return model.invoke("The Lisa").response_metadata["adapter"]


def look(folder, base, note):
    """What serves after the kill, then after it was done again; then all of it is removed."""
    kb = KnowledgeBase.open(folder, embeddings=HashEmbeddings())
    model = kb.chat_model(base, **CPU)
    told = {"served": [kb.release.number, answered(model)]}
    again = kb.promote(str(REF))
    told["again"] = [again.generator_adapter, answered(model), str(kb.adapters.resolve("legal"))]
    while kb.release.number:
        kb.rollback()
    told["back"] = answered(model)
    kb.close()
    kb.adapters.remove(REF, drop_aliases=True)
    told["left"] = [str(entry.ref) for entry in kb.adapters.list()]
    note.write_text(json.dumps(told))


def main(knowledge_base, base, kills, seed):
    pick = random.Random(seed)  # noqa: S311 (no secret)
    note = knowledge_base.with_name("note.json")
    folder = shutil.copytree(knowledge_base, knowledge_base.with_name("whole"))
    assert in_fork(promote, folder, base, Calls(), note) == 0
    counts = json.loads(note.read_text())
    answer = []
    for number in range(kills):
        phase = PHASES[number % len(PHASES)]
        point = Calls(phase, pick.randint(1, counts[phase]))
        folder = shutil.copytree(knowledge_base, knowledge_base.with_name(f"point{number}"))
        ended = in_fork(promote, folder, base, point, note)
        note.unlink(missing_ok=True)
        looked = in_fork(look, folder, base, note)
        told = json.loads(note.read_text()) if looked == 0 else None
        answer.append({"at": point.at, "ended": ended, "told": told})
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
