"""What an adapter would find, before it serves."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from langchain_core.documents import Document

from langchain_graft.finetune_bridge.adapters.ref import AdapterRef
from langchain_graft.knowledge_base.trial import trial_of

_spec = spec_from_file_location("fake_adapters", Path(__file__).with_name("fake_adapters.py"))
fakes = module_from_spec(_spec)
_spec.loader.exec_module(fakes)

WORDS = [f"w{n:02}x" for n in range(12)]


@pytest.fixture
def kb(kb, monkeypatch):
    fakes.patch(fakes.FakeStore(), monkeypatch.setattr)
    kb.ingest_documents([Document(word, metadata={"source": word}) for word in WORDS])
    return kb


def everything(folder):
    return {path: path.read_bytes() for path in folder.rglob("*.json*")}


def score(kb, kind="vector"):
    [found] = kb.retriever(kind, k=1).invoke(WORDS[3])
    return found.page_content, found.metadata["score"]


@pytest.mark.parametrize("kind", ["vector", "bm25", "hybrid"])
def test_passages_are_embedded_in_a_folder_that_is_thrown_away(kb, kind):
    before, told = everything(kb.folder), []
    plain = score(kb)
    with trial_of(kb, AdapterRef("near", 1), on_progress=lambda *of: told.append(of)) as trial:
        assert score(trial, kind)[0] == WORDS[3]
        place = trial._live._indexes._folder
        assert place.exists()
        assert score(kb) == plain
    assert told == [("embed", 12, 12)]
    assert not place.exists()
    assert everything(kb.folder) == before
    assert kb.release.number == 0
    fakes.check(kb)


def test_vectors_of_passages_that_stay_are_not_made_again(kb):
    told = []
    with trial_of(kb, AdapterRef("ask", 1), on_progress=lambda *of: told.append(of)) as trial:
        assert score(trial)[0] != WORDS[3]  # the question is turned, the passages are not
    assert told == []
    fakes.check(kb)
