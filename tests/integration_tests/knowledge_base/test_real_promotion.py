"""A LoRA on MiniLM is promoted while a knowledge base is searched."""

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

from langchain_graft.errors import AdapterInUseError
from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.models import pull_model

MAKERS = "Apple Atari Commodore Sinclair Tandy Acorn IBM Olivetti Amstrad Osborne".split()
TEXTS = [f"{maker} sold computer number {n} in {1975 + n}." for maker in MAKERS for n in range(20)]


@pytest.fixture(scope="module")
def lora(tmp_path_factory):
    """Seeded, and large enough that vectors with it are far from those without."""
    folder = tmp_path_factory.mktemp("peft") / "seeded"
    model = SentenceTransformer(str(pull_model("minilm")), device="cpu")[0].model
    settings = LoraConfig(
        r=8,
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
