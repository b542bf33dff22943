"""Any retriever is asked what it takes."""

import asyncio

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import ConfigurableField, RunnableLambda

from langchain_graft.retrievers import BM25Index, FusionRetriever, IndexRetriever, Query
from langchain_graft.retrievers.many import asearch_many, asearch_one, search_many, search_one

WORLD = [
    Document(id=f"{tenant}{n}", page_content=f"apple {n}", metadata={"tenant": tenant})
    for tenant in "ab"
    for n in range(4)
]


class TakesK(BaseRetriever):
    """One with a sync method only: LangChain's async one knows no `k`."""

    def _get_relevant_documents(self, query, *, run_manager, k=1):
        return WORLD[:k]


class TakesNothing(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager):
        return WORLD


class TakesOther(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager, size=2):
        return WORLD[:size]


@pytest.fixture(params=["sync", "async"])
def one(request):
    if request.param == "sync":
        return search_one
    return lambda *args, **settings: asyncio.run(asearch_one(*args, **settings))


@pytest.fixture(params=["sync", "async"])
def many(request):
    if request.param == "sync":
        return search_many
    return lambda *args, **settings: asyncio.run(asearch_many(*args, **settings))


@pytest.fixture
def by_words():
    index = BM25Index()
    index.add(WORLD)
    return IndexRetriever(index=index, k=2)


def ids(documents):
    return {document.id for document in documents}


@pytest.mark.parametrize(
    ("retriever", "count"), [(TakesK(), 3), (TakesNothing(), 8), (TakesOther(), 2)]
)
def test_a_retriever_is_told_k_where_it_takes_it(one, retriever, count):
    asked = {"k": 3, "filter": {"tenant": "a"}, "weights": [1.0], "budget": 9}
    assert len(one(retriever, "apple", asked=asked)) == count


def test_a_runnable_is_told_nothing(one):
    assert one(RunnableLambda(lambda _: WORLD), "apple", asked={"k": 1}) == WORLD


def test_ours_takes_the_filter_and_one_that_fuses_the_weights(one, by_words):
    asked = {"k": 3, "filter": {"tenant": "b"}, "weights": [3.0]}
    assert ids(one(by_words, "apple", asked=asked)) < {"b0", "b1", "b2", "b3"}
    found = one(FusionRetriever(retrievers=[by_words], original_weight=2), "apple", asked=asked)
    assert len(found) == 3
    assert found[0].metadata["score"] == pytest.approx(2 * 3 / 61)


def test_settings_of_a_call_do_not_overwrite_what_is_bound(one, by_words):
    bound = by_words.bind(filter={"tenant": "a"}, k=8)
    assert ids(one(bound, "apple", asked={"filter": {"tenant": "b"}})) == {"a0", "a1", "a2", "a3"}


def test_many_queries_do_not_go_round_what_is_bound(many, by_words):
    field = ConfigurableField(id="tenant_filter")
    chosen = by_words.configurable_fields(filter=field, k=ConfigurableField(id="most"))
    for border in (
        by_words.bind(filter={"tenant": "a"}, k=8),
        chosen.with_config(configurable={"tenant_filter": {"tenant": "a"}, "most": 8}),
    ):
        rankings = many(border, [Query("apple"), Query("apple 1")], k=8)
        assert [ids(ranking) for ranking in rankings] == [{"a0", "a1", "a2", "a3"}] * 2


def test_a_retriever_in_a_retriever_is_traced(many):
    seen = []

    class Traced(BaseCallbackHandler):
        def on_retriever_start(self, serialized, query, **told):
            seen.append(query)

    inner = FusionRetriever(retrievers=[TakesK()])
    many(inner, [Query("apple"), Query("pear")], k=2, config={"callbacks": [Traced()]})
    assert sorted(seen) == ["apple", "pear"]
