"""A LoRA on MiniLM is promoted while a knowledge base is searched."""

import json
import statistics
import threading
import time
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from langchain_core.documents import Document
from peft import LoraConfig, get_peft_model
from sentence_transformers import SentenceTransformer

from langchain_graft.cli.asking_threads import AskingThreads
from langchain_graft.errors import AdapterInUseError, GateFailedError
from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.knowledge_base.gate import GateSettings, create_gate
from langchain_graft.models import pull_model

MAKERS = "Apple Atari Commodore Sinclair Tandy Acorn IBM Olivetti Amstrad Osborne".split()
TEXTS = [f"{maker} sold computer number {n} in {1975 + n}." for maker in MAKERS for n in range(20)]


@pytest.fixture(scope="module")
def lora(tmp_path_factory):
    """Seeded, and large enough that vectors with it are far from those without."""
    return seeded(tmp_path_factory.mktemp("peft") / "seeded", alpha=8)


@pytest.fixture(scope="module")
def worse(tmp_path_factory):
    """So large that little is left of what the base knows."""
    return seeded(tmp_path_factory.mktemp("peft") / "worse", alpha=48)


def seeded(folder, *, alpha):
    model = SentenceTransformer(str(pull_model("minilm")), device="cpu")[0].model
    settings = LoraConfig(
        r=8,
        lora_alpha=alpha,
        target_modules=["query", "value"],
        init_lora_weights=False,
        task_type="FEATURE_EXTRACTION",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(5)
        get_peft_model(model, settings).save_pretrained(folder, save_embedding_layers=False)
    return folder


def rows(texts):
    return [Document(text, metadata={"source": text, "language": "en"}) for text in texts]


@contextmanager
def searched(kb, *numbers):
    """Texts are looked up in threads without end; what was found, and after how long."""
    retriever = kb.retriever(k=1)
    found, ended = [], threading.Event()

    def search(number):
        while not ended.is_set():
            started = time.perf_counter()
            [document] = retriever.invoke(TEXTS[number])
            seconds = time.perf_counter() - started
            is_it = document.page_content == TEXTS[number]
            found.append((is_it, document.metadata["score"], seconds))

    threads = [threading.Thread(target=search, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def check_vectors(kb):
    """All that is stored is of the release's embedder."""
    with kb._live.current("vector") as live:
        stored = live.vector._collection.get(include=["documents", "embeddings"])
        assert live.vector._collection.metadata["graft_embedder"] == kb.release.embeddings_digest
    expected = kb.embeddings.embed_documents(stored["documents"])
    assert len(expected) == len(TEXTS) + 1
    assert np.abs(np.asarray(stored["embeddings"]) - np.asarray(expected)).max() < 2e-2


@pytest.fixture
def kb(tmp_path):
    kb = KnowledgeBase.create(tmp_path / "kb", embeddings="minilm")
    kb.ingest_documents(rows(TEXTS))
    yield kb
    kb.close()


def test_promotion_under_load(kb, lora, record_property):
    ref = kb.import_adapter(lora, "makers", kind="embeddings")
    adapted = kb._embedders.by_name("minilm", str(ref))
    apart = np.dot(kb.embeddings.embed_query(TEXTS[0]), adapted.embed_query(TEXTS[0]))
    assert apart < 0.9

    reader = KnowledgeBase.open(kb.folder)
    with searched(reader, 3, 77) as found:
        started = time.perf_counter()
        kb.promote(ref)
        record_property("promotion_seconds", round(time.perf_counter() - started, 2))
        kb.ingest_documents(rows(["Xerox built the Alto in 1973."]))
        started = time.perf_counter()
        kb.rollback()
        record_property("rollback_seconds", round(time.perf_counter() - started, 2))
        kb.promote(str(ref))
    assert all(is_it and score > 0.995 for is_it, score, _ in found)
    assert len(found) > 20
    record_property("searches", len(found))
    record_property("median_seconds", round(statistics.median(one[2] for one in found), 3))
    record_property("longest_seconds", round(max(one[2] for one in found), 3))

    check_vectors(kb)
    with pytest.raises(AdapterInUseError):
        kb.adapters.remove(ref)
    reader.close()
    again = KnowledgeBase.open(kb.folder)
    assert again.retriever(k=1).invoke("Alto")[0].page_content.startswith("Xerox")
    again.close()


PATIENT = GateSettings(slack_seconds=60.0)


def test_the_gate_refuses_what_was_made_worse_while_4_threads_ask(kb, worse, tmp_path):
    ref = kb.import_adapter(worse, "worse", kind="embeddings")
    asked = {
        f"When did {text.split(' sold')[0]} sell its number {n % 20}?": text
        for n, text in enumerate(TEXTS)
    }
    target = tmp_path / "asked.jsonl"
    lines = (json.dumps({"question": q, "documents": [text]}) for q, text in asked.items())
    target.write_text("\n".join(lines), encoding="utf-8")
    found = []
    gate = create_gate(kb, target=[target], settings=PATIENT, on_finding=found.append)

    reader = KnowledgeBase.open(kb.folder)
    asking = AskingThreads(reader, list(asked)[::10])
    before = asking.rankings()
    with asking:
        with pytest.raises(GateFailedError, match="not better"):
            kb.promote(ref, gate=gate)
        assert kb.release.number == 0
        release = kb.promote(ref, gate=gate, force=True)
        goal = len(asking.answers) + 8
        while len(asking.answers) < goal:
            assert asking.wait()
    assert found[0].after < found[0].before
    assert release.forced
    assert release.checked.startswith("failed: target asked: ndcg@10 0.")
    assert kb.releases()[0] == release
    told = asking.summary({0: before, release.number: asking.rankings()})
    reader.close()
    assert (told["failed"], told["mixed"]) == (0, 0)
    assert min(told["by_release"].values()) > 0
