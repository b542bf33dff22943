"""Search by meaning and words at once in a knowledge base, and its thresholds."""

import pytest
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from langchain_graft.errors import KnowledgeBaseError
from langchain_graft.retrievers import Query, Weakness


@pytest.fixture
def filled(kb):
    kb.ingest_documents(
        Document(text, metadata={"source": text, "language": language})
        for text, language in [("apple pie", "en"), ("apple cake", "en"), ("苹果", "zh")]
    )
    return kb


def test_both_indexes_are_fused(filled):
    found = filled.retriever("hybrid", k=2).invoke("apple cake")
    assert found[0].page_content == "apple cake"
    assert {one["retriever"] for one in found[0].metadata["contributions"]} == {"vector", "bm25"}


def test_settings_of_the_fusion(filled):
    rewriter = RunnableLambda(lambda _: [Query("苹果")])
    retriever = filled.retriever("hybrid", k=3, rewriter=rewriter, original_weight=0.1)
    assert retriever.invoke("pie")[0].page_content == "苹果"
    assert filled.retriever("hybrid", filter={"language": "en"}, rewriter=rewriter).invoke("pie")
    for document in filled.retriever("hybrid", filter={"language": "en"}).invoke("苹果"):
        assert document.metadata["language"] == "en"


def test_before_anything_is_published_nothing_is_found(kb):
    assert kb.retriever("hybrid").invoke("apple") == []


@pytest.mark.parametrize(("kind", "settings"), [("words", {}), ("vector", {"fetch_k": 9})])
def test_kinds_and_settings_that_are_none(kb, kind, settings):
    with pytest.raises(ValueError, match="No retriever"):
        kb.retriever(kind, **settings)


def test_thresholds_are_kept(kb):
    assert kb.weakness is None
    kb.keep_weakness(Weakness(top_score=0.5, overlap=None))
    assert kb.weakness == Weakness(top_score=0.5, overlap=None)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"overlap": "high"}', "null"])
def test_damaged_thresholds_say_so(kb, text):
    (kb.folder / "thresholds.json").write_text(text, encoding="utf-8")
    with pytest.raises(KnowledgeBaseError, match=r"thresholds\.json"):
        _ = kb.weakness
