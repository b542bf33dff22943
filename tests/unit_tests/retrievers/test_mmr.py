"""Maximal marginal relevance, written out and on documents."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_graft.retrievers.mmr import MMRReranker, maximal_marginal_relevance
from langchain_graft.testing import HashEmbeddings

HALF = math.sqrt(0.5)


class Broken(Embeddings):
    def embed_documents(self, texts):
        return [[math.nan] for _ in texts]

    def embed_query(self, text):
        return [1.0]


def test_the_formula():
    vectors = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    picked = maximal_marginal_relevance([1.0, 1.0], vectors, k=3, relevance_weight=0.6)
    assert [one.number for one in picked] == [0, 2, 1]
    expected = [0.6 * HALF, 0.6 * HALF - 0.4 * 0, 0.6 * HALF - 0.4 * 1]
    assert [one.score for one in picked] == pytest.approx(expected)


def test_relevance_alone_is_the_ranking():
    vectors = [[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]]
    picked = maximal_marginal_relevance([3.0, 0.0], vectors, k=2, relevance_weight=1.0)
    assert [one.number for one in picked] == [1, 2]


_VECTOR = st.lists(st.floats(-10, 10), min_size=3, max_size=3)


@given(_VECTOR, st.lists(_VECTOR, max_size=8), st.integers(1, 10), st.floats(0, 1))
def test_each_once_as_many_as_asked_and_never_rising(query, vectors, k, weight):
    picked = maximal_marginal_relevance(query, vectors, k=k, relevance_weight=weight)
    numbers = [one.number for one in picked]
    assert len(numbers) == len(set(numbers)) == min(k, len(vectors))
    scores = [one.score for one in picked]
    assert all(one >= other - 1e-9 for one, other in itertools.pairwise(scores))


@pytest.mark.parametrize(("k", "weight"), [(0, 0.5), (1, -0.1), (1, 1.1), (1, math.nan)])
def test_settings_out_of_range(k, weight):
    with pytest.raises(ValueError, match="must be"):
        maximal_marginal_relevance([1.0], [[1.0]], k=k, relevance_weight=weight)


async def _sync(reranker, documents):
    return reranker.compress_documents(documents, "apple slots")


async def _async(reranker, documents):
    return await reranker.acompress_documents(documents, "apple slots")


@pytest.fixture(params=[_sync, _async])
def rerank(request):
    return request.param


async def test_what_repeats_comes_behind(rerank):
    texts = ["apple slots", "apple slots", "apple mouse", "banana"]
    documents = [Document(text, metadata={"score": 1.0}) for text in texts]
    reranker = MMRReranker(embeddings=HashEmbeddings(256), top_n=2, relevance_weight=0.4)
    found = await rerank(reranker, documents)
    assert [document.page_content for document in found] != ["apple slots"] * 2
    assert found[0].page_content == "apple slots"
    assert found[0].metadata.keys() == {"score", "rerank_score"}
    assert await rerank(reranker, []) == []


async def test_an_embedder_that_fails_leaves_the_order(rerank, shelf):
    found = await rerank(MMRReranker(embeddings=Broken()), shelf)
    assert [document.id for document in found] == [document.id for document in shelf]
    assert "no finite number" in found[0].metadata["warnings"][0]


async def test_an_embedder_that_gives_too_few_vectors_costs_no_document(rerank, shelf):
    class Few(HashEmbeddings):
        def embed_documents(self, texts):
            return super().embed_documents(texts)[1:]

    found = await rerank(MMRReranker(embeddings=Few(8)), shelf)
    assert found == [
        one.model_copy(
            update={"metadata": {**one.metadata, "warnings": found[0].metadata["warnings"]}}
        )
        for one in shelf
    ]
    assert "4 vectors for 5 documents" in found[0].metadata["warnings"][0]


def test_of_many_vectors_all_are_chosen():
    vectors = [[1.0, n / 5000] for n in range(5000)]
    picked = maximal_marginal_relevance([1.0, 0.0], vectors, k=5000)
    assert sorted(one.number for one in picked) == list(range(5000))
