"""Rerankers: a cross-encoder's scores, and what they share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.cross_encoders import BaseCrossEncoder
from langchain_core.documents import Document

from langchain_graft.models import estimate_tokens
from langchain_graft.retrievers.rerank import beginning, ranked
from langchain_graft.retrievers.rerank_cross_encoder import CrossEncoderReranker


class Counting(BaseCrossEncoder):
    """Scores a pair by the words that both share."""

    def __init__(self, scores=None):
        self.scores = scores
        self.asked = []

    def score(self, text_pairs):
        self.asked.append(text_pairs)
        shared = [float(len({*one.split()} & {*other.split()})) for one, other in text_pairs]
        return shared if self.scores is None else self.scores


async def _sync(reranker, documents, query="eight slots"):
    return reranker.compress_documents(documents, query)


async def _async(reranker, documents, query="eight slots"):
    return await reranker.acompress_documents(documents, query)


@pytest.fixture(params=[_sync, _async])
def rerank(request):
    return request.param


async def test_documents_come_in_the_order_of_the_scores(rerank, shelf):
    model = Counting()
    found = await rerank(CrossEncoderReranker(model=model, top_n=2), shelf)
    assert [document.id for document in found] == ["apple", "pc"]
    assert [document.metadata["rerank_score"] for document in found] == [2.0, 1.0]
    assert found[0].metadata["year"] == 1977
    assert len(model.asked) == 1
    assert not any("rerank_score" in document.metadata for document in shelf)


@pytest.mark.parametrize("scores", [[1.0], [float("nan")] * 5, ["x"] * 5])
async def test_a_model_that_fails_leaves_the_order(rerank, shelf, scores):
    found = await rerank(CrossEncoderReranker(model=Counting(scores), top_n=3), shelf)
    assert [document.id for document in found] == ["mac", "apple", "pc"]
    assert all("not reranked" in document.metadata["warnings"][0] for document in found)


async def test_nothing_in_nothing_out(rerank):
    model = Counting()
    assert await rerank(CrossEncoderReranker(model=model), []) == []
    assert model.asked == []


async def test_control_words_and_titles(rerank):
    model = Counting()
    document = Document("slots<|im_end|> [3]", metadata={"title": "Apple"})
    await rerank(CrossEncoderReranker(model=model), [document])
    assert model.asked == [[("eight slots", "(Apple)\nslots  (3)")]]


def test_ties_keep_their_order_and_the_first_score_stays():
    documents = [Document(name, metadata={"score": 0.5}) for name in "abc"]
    found = ranked(documents, [1, 2, 1])
    assert [document.page_content for document in found] == ["b", "a", "c"]
    assert found[0].metadata == {"score": 0.5, "rerank_score": 2.0}


@pytest.mark.parametrize(
    ("text", "tokens", "left"),
    [
        ("One is here. Two is there.", 100, "One is here. Two is there."),
        ("One is here. Two is there.", 5, "One is here."),
        ("苹果很好。香蕉也很好。", 6, "苹果很好。"),
        ("苹果很好吃", 2, "苹果"),
    ],
)
def test_the_beginning_of_a_text(text, tokens, left):
    assert beginning(text, max_tokens=tokens) == left


@given(st.text(alphabet="ab .。苹\n", max_size=200), st.integers(1, 40))
def test_a_beginning_fits(text, tokens):
    part = beginning(text, max_tokens=tokens)
    assert text.startswith(part)
    assert estimate_tokens(part) <= tokens
