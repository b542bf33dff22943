"""What both indexes promise, and the LangChain retriever over them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.documents import Document
from pydantic import ValidationError

from langchain_graft.retrievers import IndexRetriever, Query

NESTED = {
    "tags": ["a", {"b": None}],
    "none": None,
    "big": 10**30,
    "near": 2**63 + 1,
    "flag": True,
    "rating": 0.1,
    "字": "值",
    "graft_json": "kept",
    "chroma:document": "kept",
    "": "no name",
    "$a.b#": [[]],
}


def found(documents):
    return [document.id for document in documents]


def only(index, text, **settings):
    [documents] = index.search_many([Query(text)], **settings)
    return documents


def test_the_document_that_says_it_comes_first(index):
    best = only(index, "Macintosh mouse", k=3)
    assert best[0].id == "mac"
    assert [d.metadata["score"] for d in best] == sorted(
        (d.metadata["score"] for d in best), reverse=True
    )


def test_every_query_has_its_own_ranking(index):
    queries = [Query("Macintosh mouse"), Query("tape recorder"), Query("鼠标")]
    assert [ranking[0].id for ranking in index.search_many(queries, k=2)] == ["mac", "trs", "zh"]


def test_no_query_no_ranking(index):
    assert index.search_many([]) == []


def test_an_empty_index_finds_nothing(make):
    index = make()
    assert index.search_many([Query("anything"), Query("else")]) == [[], []]
    assert len(index) == 0
    assert index.ids() == set()


def test_more_is_asked_than_there_is(index):
    assert len(only(index, "The slots", k=10**12)) <= 5


@pytest.mark.parametrize("k", [0, -1, "5", 2.5])
def test_k_is_a_number_from_one(index, k):
    with pytest.raises(ValueError, match="k must be a whole number, 1 or more"):
        index.search_many([Query("slots")], k=k)


def test_an_added_document_is_found(index):
    index.add([Document(id="lisa", page_content="The Lisa has a profile disk")])
    assert only(index, "Lisa profile", k=1)[0].id == "lisa"
    assert len(index) == 6


def test_a_replaced_document_leaves_nothing_behind(index):
    index.add([Document(id="mac", page_content="A tape of music", metadata={"kind": "tape"})])
    [document] = only(index, "music", k=1)
    assert document.page_content == "A tape of music"
    assert document.metadata == {"kind": "tape", "score": document.metadata["score"]}
    assert only(index, "mouse", filter={"year": 1984}) == []
    assert len(index) == 5


def test_a_deleted_document_is_gone(index):
    index.delete(["mac", "never there"])
    assert index.ids() == {"apple", "pc", "zh", "trs"}
    assert "mac" not in found(only(index, "Macintosh mouse", k=5))


def test_nothing_is_added_and_deleted(index):
    index.add([])
    index.delete([])
    assert len(index) == 5


@pytest.mark.parametrize("ids", [[None], [""], ["a", "a"]])
def test_each_document_needs_an_id_of_its_own(make, ids):
    index = make()
    with pytest.raises(ValueError, match="an id of its own"):
        index.add([Document(id=id_, page_content="text") for id_ in ids])
    assert len(index) == 0


def test_what_is_searched_may_be_another_text(make):
    index = make()
    index.add(
        [Document(id="1", page_content="It has a mouse")], texts=["Macintosh: It has a mouse"]
    )
    [document] = only(index, "Macintosh")
    assert document.page_content == "It has a mouse"


def test_a_text_is_missing(make):
    with pytest.raises(ValueError, match=r"zip|length|number"):
        make().add(
            [Document(id="1", page_content="a"), Document(id="2", page_content="b")], texts=["a"]
        )


def test_metadata_comes_back_as_it_was(make):
    index = make([Document(id="1", page_content="apple", metadata=NESTED)])
    [document] = only(index, "apple")
    score = document.metadata.pop("score")
    assert document.metadata == NESTED
    assert type(document.metadata["near"]) is int
    assert isinstance(score, float)


def test_documents_that_are_given_are_left_as_they_are(make, shelf):
    before = [document.model_copy(deep=True) for document in shelf]
    only(make(shelf), "mouse")
    assert shelf == before


def test_a_documents_own_score_can_be_filtered_by(make):
    index = make([Document(id="1", page_content="apple", metadata={"score": 5})])
    assert found(only(index, "apple", filter={"score": {"$gte": 3}})) == ["1"]


@pytest.mark.parametrize(
    "text", ["", "   ", "\0", "\ud800", '"', "a AND (", "*:*", "year:[* TO 1]", "🎉"]
)
def test_no_query_breaks_a_search(index, text):
    assert len(only(index, text, k=5)) <= 5


def test_threads_see_the_same(index):
    queries = [Query("Macintosh mouse"), Query("tape recorder")] * 8
    expected = [index.search_many([query], k=3) for query in queries]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda query: index.search_many([query], k=3), queries)) == expected


def test_threads_search_while_another_adds(index):
    def add(number):
        index.add([Document(id=f"new{number}", page_content=f"gadget {number}")])

    with ThreadPoolExecutor(4) as pool:
        adding = [pool.submit(add, number) for number in range(10)]
        seen = [pool.submit(only, index, "Macintosh mouse", k=1) for _ in range(20)]
        assert [found(search.result()) for search in seen] == [["mac"]] * 20
        assert [added.result() for added in adding] == [None] * 10
    assert len(index) == 15


class TestRetriever:
    """`IndexRetriever`, sync and async alike."""

    @pytest.fixture(params=["invoke", "ainvoke"])
    def ask(self, request):
        async def ask(retriever, question, **settings):
            if request.param == "ainvoke":
                return found(await retriever.ainvoke(question, **settings))
            return found(retriever.invoke(question, **settings))

        return ask

    async def test_k_and_filter_at_construction(self, index, ask):
        retriever = index.as_retriever(k=1, filter={"year": 1977})
        assert await ask(retriever, "eight slots") == ["apple"]

    async def test_k_and_filter_of_a_call(self, index, ask):
        retriever = index.as_retriever()
        assert await ask(retriever, "has slots", k=1, filter={"year": 1981}) == ["pc"]

    async def test_a_call_narrows_the_fixed_filter(self, index, ask):
        retriever = index.as_retriever(filter={"year": 1977})
        assert await ask(retriever, "tape recorder", filter={"year": {"$gt": 1900}}, k=1) == ["trs"]

    @pytest.mark.parametrize(
        "wider",
        [
            {},
            {"year": 1984},
            {"year": {"$exists": True}},
            {"$or": [{"year": 1977}, {"year": {"$ne": 1977}}]},
            {"$not": {"year": 1977}},
        ],
    )
    async def test_a_call_never_widens_the_fixed_filter(self, index, ask, wider):
        retriever = index.as_retriever(filter={"year": 1977})
        assert set(await ask(retriever, "Macintosh mouse", filter=wider, k=5)) <= {"apple", "trs"}

    @pytest.mark.parametrize("settings", [{"k": 0}, {"filter": {"year": {"$near": 1}}}])
    async def test_a_wrong_call_is_refused(self, index, ask, settings):
        with pytest.raises(ValueError, match=r"k must be|Unknown operator"):
            await ask(index.as_retriever(), "slots", **settings)

    @pytest.mark.parametrize("settings", [{"k": 0}, {"filter": {"$near": 1}}])
    def test_a_wrong_construction_is_refused(self, index, settings):
        with pytest.raises(ValidationError):
            IndexRetriever(index=index, **settings)

    async def test_batches(self, index):
        retriever = index.as_retriever()
        questions = ["Macintosh mouse", "tape recorder"]
        expected = [["mac"], ["trs"]]
        assert [found(batch) for batch in retriever.batch(questions, k=1)] == expected
        assert [found(batch) for batch in await retriever.abatch(questions, k=1)] == expected

    async def test_many_queries_in_one_call(self, index):
        retriever = index.as_retriever(k=1)
        queries = ["Macintosh mouse", Query("tape recorder")]
        rankings = retriever.search_many(queries)
        assert [found(ranking) for ranking in rankings] == [["mac"], ["trs"]]
        assert await retriever.asearch_many(queries) == rankings
