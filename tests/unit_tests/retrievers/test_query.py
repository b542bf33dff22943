"""Queries as vectors, whatever the embedder offers."""

import math
import re

import pytest

from langchain_graft.retrievers import Query
from langchain_graft.retrievers.query import as_query, embed_queries
from langchain_graft.testing import HashEmbeddings


class PrefixedEmbeddings(HashEmbeddings):
    """Queries and passages are embedded differently; no batch of queries."""

    def embed_query(self, text):
        return [1.0, float(len(text))]

    def embed_documents(self, texts):
        return [[0.0, float(len(text))] for text in texts]


def test_a_question_is_a_query():
    assert as_query("who?") == Query("who?", weight=1.0, passages=())
    query = Query("who?", weight=0.5)
    assert as_query(query) is query


@pytest.mark.parametrize("text", ["caf\udce9", "\ud83d half a pair", "whole \U0001f389"])
def test_what_is_no_text_in_a_query_is_replaced(text):
    """A bad byte among a command's arguments comes as half a surrogate pair."""
    query = as_query(Query(text, passages=(text,)))
    for clean in (query.text, *query.passages, as_query(text).text):
        assert clean == re.sub("[\ud800-\udfff]", "?", text)


def test_queries_are_embedded_as_queries_and_passages_as_documents():
    queries = [Query("aa"), Query("bbbb", passages=("cc", "dddddd")), Query("e", passages=("fff",))]
    vectors = embed_queries(PrefixedEmbeddings(), queries)
    assert vectors == [[1.0, 2.0], [1 / 3, (4 + 2 + 6) / 3], [1 / 2, (1 + 3) / 2]]


def test_no_query():
    assert embed_queries(HashEmbeddings(), []) == []


@pytest.mark.parametrize("weight", [-1, math.nan, math.inf])
def test_a_weight_that_can_not_be(weight):
    with pytest.raises(ValueError, match="weight must be 0 or more"):
        Query("mouse", weight)


@pytest.mark.parametrize("text", [None, 5, ["mouse"]])
def test_a_query_is_a_text(text):
    with pytest.raises(TypeError, match="A query is a text"):
        as_query(text)
