"""Queries times retrievers: what is asked, what comes of it, and what happens when a part fails."""

import asyncio
import threading
import time

import pytest
from langchain_core.documents import Document
from langchain_core.documents.compressor import BaseDocumentCompressor
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_tests.integration_tests import RetrieversIntegrationTests

from langchain_graft.errors import RetrievalError
from langchain_graft.retrievers import FusionRetriever, Query, Weakness
from langchain_graft.retrievers.fusion_retriever import ORIGINAL_WEIGHT
from langchain_graft.retrievers.fusion_search import NO_REWRITE

DOCUMENTS = [
    Document(id=str(n), page_content=f"document {n}", metadata={"even": n % 2 == 0})
    for n in range(6)
]
FORWARD, BACKWARD = DOCUMENTS, DOCUMENTS[::-1]


class Index(BaseRetriever):
    """Gives the same ranking to every query, and remembers what it was asked."""

    ranking: list[Document]
    asked: list = []  # noqa: RUF012 (pydantic copies it)

    def search_many(self, queries, *, k, filter=None):  # noqa: A002
        self.asked.append(([query.text for query in queries], k, filter))
        return [self.ranking[:k] for _ in queries]

    def _get_relevant_documents(self, query, *, run_manager):
        raise AssertionError


class Plain(BaseRetriever):
    """A LangChain retriever of someone else."""

    ranking: list[Document]
    asked: list = []  # noqa: RUF012

    def _get_relevant_documents(self, query, *, run_manager, k=None):
        self.asked.append((query, k))
        return self.ranking[:k]


def rewriter(*texts):
    return RunnableLambda(lambda _: [Query(text) for text in texts])


def failing(error):
    def fail(_):
        raise error

    return RunnableLambda(fail)


async def search(how, retriever, question="question", **asked):
    if how == "sync":
        return await asyncio.to_thread(retriever.invoke, question, **asked)
    return await retriever.ainvoke(question, **asked)


both = pytest.mark.parametrize("how", ["sync", "async"])


def ids(documents):
    return [document.id for document in documents]


@both
async def test_all_queries_go_to_a_retriever_of_ours_in_one_call(how):
    index = Index(ranking=FORWARD)
    fusion = FusionRetriever(retrievers=[index], rewriter=rewriter("one", "two"), k=2, fetch_k=5)
    assert ids(await search(how, fusion)) == ["0", "1"]
    assert index.asked == [(["question", "one", "two"], 5, {})]


@both
async def test_any_other_is_asked_query_by_query(how):
    plain = Plain(ranking=FORWARD)
    fusion = FusionRetriever(retrievers=[plain], rewriter=rewriter("one"), k=2, fetch_k=5)
    assert ids(await search(how, fusion)) == ["0", "1"]
    assert sorted(plain.asked) == [("one", 5), ("question", 5)]


class Deaf(BaseRetriever):
    """Takes something in a call, but not `k`."""

    ranking: list[Document]

    def _get_relevant_documents(self, query, *, run_manager, lenient=False):
        return self.ranking

    async def _aget_relevant_documents(self, query, *, run_manager):
        return self.ranking


@both
async def test_one_that_does_not_take_k_is_not_told(how):
    assert ids(await search(how, FusionRetriever(retrievers=[Deaf(ranking=FORWARD)], k=1))) == ["0"]


@both
async def test_the_question_counts_more_than_its_rewrites(how):
    rankings = {"question": FORWARD[:1], "one": BACKWARD[:1], "two": BACKWARD[:1]}
    asked = RunnableLambda(lambda query: rankings[query])
    fusion = FusionRetriever(retrievers=[asked], rewriter=rewriter("one", "two"), original_weight=3)
    found = await search(how, fusion)
    assert ids(found) == ["0", "5"]
    assert [one.metadata["score"] for one in found] == [
        pytest.approx(3 / 61),
        pytest.approx(2 / 61),
    ]


@both
async def test_weights_of_retrievers_at_construction_and_per_call(how):
    fusion = FusionRetriever(
        retrievers=[Index(ranking=FORWARD), Index(ranking=BACKWARD)], weights=[1.0, 2.0], k=1
    )
    assert ids(await search(how, fusion)) == ["5"]
    assert ids(await search(how, fusion, weights=[2.0, 1.0])) == ["0"]
    with pytest.raises(ValueError, match="2 weights are needed"):
        await search(how, fusion, weights=[1.0])


@both
async def test_filters_hold_in_every_retriever(how):
    ours, theirs = Index(ranking=FORWARD), Plain(ranking=FORWARD)
    fusion = FusionRetriever(retrievers=[ours, theirs], filter={"even": True}, k=6)
    assert {"1", "3", "5"}.isdisjoint(ids(await search(how, fusion)))
    assert ours.asked[-1][2] == {"even": True}
    assert await search(how, fusion, filter={"even": False}) == []


@both
async def test_one_that_raises_is_left_out_with_a_warning(how):
    fusion = FusionRetriever(retrievers=[failing(OSError("down")), Index(ranking=FORWARD)], k=1)
    (found,) = await search(how, fusion)
    assert found.id == "0"
    assert found.metadata["warnings"] == ["fail failed: OSError: down"]
    assert "warnings" not in FORWARD[0].metadata


@both
async def test_one_that_hangs_is_left_out_with_a_warning(how):
    released = threading.Event()
    hanging = RunnableLambda(lambda _: released.wait(20) and FORWARD)
    fusion = FusionRetriever(retrievers=[hanging, Index(ranking=FORWARD)], k=1, timeout_seconds=0.3)
    began = time.monotonic()
    (found,) = await search(how, fusion)
    released.set()
    assert time.monotonic() - began < 10
    assert "TimeoutError: no answer within 0.3 s" in found.metadata["warnings"][0]


@both
async def test_none_that_answers_is_an_error_that_says_why(how):
    fusion = FusionRetriever(retrievers=[failing(OSError("down")), failing(KeyError("x"))])
    with pytest.raises(RetrievalError, match="OSError: down") as caught:
        await search(how, fusion)
    assert len(caught.value.causes) == 2


@pytest.mark.parametrize("odd", [None, "text", [1], {}])
@both
async def test_what_is_no_list_of_documents_is_a_failure(how, odd):
    odd_one = RunnableLambda(lambda _: odd)
    fusion = FusionRetriever(retrievers=[odd_one, Index(ranking=FORWARD)], k=1)
    (found,) = await search(how, fusion)
    assert "not a list of documents" in found.metadata["warnings"][0]


@both
async def test_a_query_that_fails_alone_costs_only_itself(how):
    def ask(query):
        if query == "bad":
            raise ValueError(query)
        return FORWARD

    fusion = FusionRetriever(retrievers=[RunnableLambda(ask)], rewriter=rewriter("bad", "good"))
    found = await search(how, fusion)
    assert {c["query"] for c in found[0].metadata["contributions"]} == {"question", "good"}
    assert found[0].metadata["warnings"] == ["ask failed: ValueError: bad"]


@both
async def test_duplicates_and_missing_ids(how):
    texts = RunnableLambda(lambda _: [Document(page_content=t) for t in "abab"])
    fusion = FusionRetriever(retrievers=[texts, texts], k=4)
    found = await search(how, fusion)
    assert [document.page_content for document in found] == ["a", "b"]
    assert found[0].metadata["score"] == pytest.approx(2 * ORIGINAL_WEIGHT / 61)


@both
async def test_of_ten_thousand_documents_the_first_count(how):
    many = [Document(page_content=f"{n}") for n in range(10_000)]
    fusion = FusionRetriever(retrievers=[RunnableLambda(lambda _: many)], fetch_k=50, k=100)
    assert len(await search(how, fusion)) == 100
    assert len(await search(how, fusion, k=3)) == 3


@pytest.mark.parametrize("broken", [failing(OSError("model gone")), rewriter()])
@both
async def test_without_rewrites_the_question_is_searched_and_it_says_so(how, broken):
    fusion = FusionRetriever(retrievers=[Index(ranking=FORWARD)], rewriter=broken, k=1)
    (found,) = await search(how, fusion)
    (warning,) = found.metadata["warnings"]
    assert warning in {"the rewriter failed: OSError: model gone", NO_REWRITE}


@both
async def test_a_rewrite_that_is_the_question_takes_its_place(how):
    asked = []

    class Passages(Index):
        def search_many(self, queries, *, k, filter=None):  # noqa: A002
            asked.extend(queries)
            return super().search_many(queries, k=k, filter=filter)

    hyde = RunnableLambda(lambda question: [Query(question, passages=("perhaps",))])
    fusion = FusionRetriever(retrievers=[Passages(ranking=FORWARD)], rewriter=hyde)
    found = await search(how, fusion)
    assert asked == [Query("question", passages=("perhaps",))]
    assert "warnings" not in found[0].metadata


@both
async def test_only_weak_searches_are_rewritten(how):
    agreeing = [Index(ranking=FORWARD), Index(ranking=FORWARD)]
    differing = [Index(ranking=FORWARD[:2]), Index(ranking=BACKWARD[:2])]
    asked = []
    counted = RunnableLambda(lambda question: asked.append(question) or [Query("other")])
    settings = {"rewriter": counted, "weakness": Weakness(overlap=0.5)}
    await search(how, FusionRetriever(retrievers=agreeing, **settings), "easy")
    assert asked == []
    found = await search(how, FusionRetriever(retrievers=differing, **settings), "hard")
    assert asked == ["hard"]
    assert {c["query"] for c in found[0].metadata["contributions"]} == {"hard", "other"}
    assert [texts for texts, *_ in differing[0].asked] == [["hard"], ["other"]]


class Reversed(BaseDocumentCompressor):
    fails: bool = False

    def compress_documents(self, documents, query, callbacks=None):
        if self.fails:
            msg = "no"
            raise OSError(msg)
        return list(documents)[::-1]


@both
async def test_the_reranker_is_given_the_fused_documents(how):
    fusion = FusionRetriever(
        retrievers=[Index(ranking=FORWARD)], reranker=Reversed(), fetch_k=4, k=2
    )
    assert ids(await search(how, fusion)) == ["3", "2"]


@both
async def test_a_reranker_that_fails_leaves_the_order(how):
    fusion = FusionRetriever(
        retrievers=[Index(ranking=FORWARD)], reranker=Reversed(fails=True), k=2
    )
    found = await search(how, fusion)
    assert ids(found) == ["0", "1"]
    assert found[0].metadata["warnings"] == ["not reranked: OSError: no"]


@both
async def test_what_is_wanted_is_reranked(how):
    fusion = FusionRetriever(
        retrievers=[Index(ranking=FORWARD)], reranker=Reversed(), fetch_k=2, k=5
    )
    assert ids(await search(how, fusion)) == ["4", "3", "2", "1", "0"]


@pytest.mark.parametrize("odd", [None, "text", 5, [None], [5]])
@both
async def test_a_rewriter_that_gives_no_queries_is_told(how, odd):
    odd_one = RunnableLambda(lambda _: odd)
    fusion = FusionRetriever(retrievers=[Index(ranking=FORWARD)], rewriter=odd_one, k=1)
    (found,) = await search(how, fusion)
    assert found.metadata["warnings"][0].startswith("the rewriter failed: TypeError: ")


@both
async def test_a_rewriter_may_give_plain_texts(how):
    index = Index(ranking=FORWARD)
    texts = RunnableLambda(lambda _: ["one"])
    await search(how, FusionRetriever(retrievers=[index], rewriter=texts))
    assert index.asked[0][0] == ["question", "one"]


@both
async def test_a_rewriter_that_hangs_is_left_out_with_a_warning(how):
    released = threading.Event()
    hanging = RunnableLambda(lambda _: released.wait(20) and [])
    fusion = FusionRetriever(
        retrievers=[Index(ranking=FORWARD)], rewriter=hanging, rewriter_timeout_seconds=0.2, k=1
    )
    (found,) = await search(how, fusion)
    released.set()
    assert found.metadata["warnings"] == [
        "the rewriter failed: TimeoutError: no answer within 0.2 s"
    ]


@both
async def test_a_question_of_weight_nought_without_rewrites_counts(how):
    fusion = FusionRetriever(
        retrievers=[Index(ranking=FORWARD)], rewriter=rewriter(), original_weight=0, k=1
    )
    (found,) = await search(how, fusion)
    assert found.metadata["score"] == pytest.approx(1 / 61)
    assert found.metadata["warnings"] == [NO_REWRITE]


@both
async def test_no_retriever_left_is_no_search(how):
    fusion = FusionRetriever(retrievers=[Index(ranking=FORWARD)] * 2)
    with pytest.raises(ValueError, match="above 0"):
        await search(how, fusion, weights=[0, 0])
    with pytest.raises(ValueError, match="2 weights are needed"):
        await search(how, fusion, weights=[])


@both
async def test_a_search_that_finds_nothing_is_rewritten_and_one_that_fails_is_not(how):
    asked = []
    counted = RunnableLambda(lambda question: asked.append(question) or [Query("other")])
    settings = {"rewriter": counted, "weakness": Weakness(top_score=0.1, overlap=None)}
    by_other = RunnableLambda(lambda query: FORWARD if query == "other" else [])
    assert await search(how, FusionRetriever(retrievers=[by_other], **settings))
    assert asked == ["question"]
    with pytest.raises(RetrievalError):
        await search(how, FusionRetriever(retrievers=[failing(OSError("down"))], **settings))
    assert asked == ["question"]


def test_the_config_bounds_how_many_are_asked_at_once():
    lock, at_once = threading.Lock(), []

    def ask(_):
        assert lock.acquire(blocking=False)
        time.sleep(0.01)
        lock.release()
        at_once.append(1)
        return FORWARD

    fusion = FusionRetriever(
        retrievers=[RunnableLambda(ask)], rewriter=rewriter("one", "two"), timeout_seconds=20
    )
    (found,) = fusion.search_many(["question"], config={"max_concurrency": 1})
    (again,) = asyncio.run(fusion.asearch_many(["question"], config={"max_concurrency": 1}))
    assert len(at_once) == 6
    assert "warnings" not in found[0].metadata
    assert "warnings" not in again[0].metadata


def test_only_the_questions_that_a_failure_concerns_are_told():
    def ask(query):
        if query == "bad":
            raise ValueError(query)
        return FORWARD

    fusion = FusionRetriever(retrievers=[RunnableLambda(ask), Index(ranking=FORWARD)])
    bad, good = fusion.search_many(["bad", "good"])
    assert bad[0].metadata["warnings"] == ["ask failed: ValueError: bad"]
    assert "warnings" not in good[0].metadata


async def test_retrievers_that_hang_leave_threads_for_others():
    released = threading.Event()

    class Hanging(BaseRetriever):
        def _get_relevant_documents(self, query, *, run_manager):
            released.wait(20)
            return []

    class HangingIndex(Hanging):
        def search_many(self, queries, *, k, filter=None):  # noqa: A002
            released.wait(20)
            return [[]]

    fusion = FusionRetriever(
        retrievers=[Hanging(), HangingIndex(), Index(ranking=FORWARD)], timeout_seconds=0.05
    )
    try:
        for _ in range(40):
            assert await fusion.ainvoke("question")
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 10) == "free"
    finally:
        released.set()


def test_several_questions_cost_one_call():
    index = Index(ranking=FORWARD)
    fusion = FusionRetriever(retrievers=[index], rewriter=RunnableLambda(lambda q: [Query(q + q)]))
    assert len(fusion.search_many(["a", "b"], k=1)) == 2
    assert [texts for texts, *_ in index.asked] == [["a", "aa", "b", "bb"]]
    assert fusion.search_many([]) == []


def test_fusions_can_be_fused():
    inner = FusionRetriever(retrievers=[Index(ranking=FORWARD)], name="inner")
    outer = FusionRetriever(retrievers=[inner, Index(ranking=BACKWARD)], k=1)
    assert outer.invoke("question")[0].metadata["contributions"][0]["retriever"] == "inner"


async def test_cancelling_stops_the_retrievers():
    stopped = asyncio.Event()

    async def hang(_):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.set()
            raise

    fusion = FusionRetriever(retrievers=[RunnableLambda(lambda _: [], hang)])
    task = asyncio.create_task(fusion.ainvoke("question"))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(stopped.wait(), 5)


def test_retrievers_work_at_the_same_time():
    meet = threading.Barrier(2, timeout=20)
    waiting = RunnableLambda(lambda _: meet.wait() + 1 and FORWARD)
    assert FusionRetriever(retrievers=[waiting, waiting], k=1).invoke("q")[0].id == "0"


@pytest.mark.parametrize(
    "settings",
    [
        {"retrievers": []},
        {"weights": [1.0, 2.0]},
        {"weights": [-1.0]},
        {"weights": [0.0]},
        {"weakness": Weakness()},
        {"rewriter_timeout_seconds": 0},
        {"original_weight": -1},
        {"k": 0},
        {"fetch_k": 0},
        {"timeout_seconds": 0},
        {"filter": {"$near": 1}},
    ],
)
def test_settings_that_can_not_be(settings):
    with pytest.raises(ValueError, match=r"validation error"):
        FusionRetriever(**({"retrievers": [Index(ranking=[])]} | settings))


class TestStandard(RetrieversIntegrationTests):
    """LangChain's own suite."""

    @property
    def retriever_constructor(self):
        return FusionRetriever

    @property
    def retriever_constructor_params(self):
        return {"retrievers": [Index(ranking=FORWARD), Plain(ranking=BACKWARD)]}

    @property
    def retriever_query_example(self):
        return "question"
