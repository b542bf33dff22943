"""Pieces are searched, parents come back."""

import pytest
from langchain_core.documents import Document
from langchain_core.stores import InMemoryStore

from langchain_graft.retrievers.index import IndexRetriever
from langchain_graft.retrievers.parent import ParentRetriever


@pytest.fixture
def pieces():
    texts = {
        "p1": ("mac", "The Macintosh has a mouse"),
        "p2": ("mac", "The Macintosh has a screen"),
        "p3": ("pc", "The IBM PC has a keyboard and a mouse"),
        "p4": ("gone", "A mouse of nobody"),
        "p5": (None, "A mouse on its own"),
    }
    return [
        Document(
            text,
            id=id_,
            metadata={"tenant": "a", "start_index": 7} | ({"parent_id": of} if of else {}),
        )
        for id_, (of, text) in texts.items()
    ]


@pytest.fixture
def originals():
    return {
        "mac": Document("All about the Macintosh.", id="mac", metadata={"title": "Mac"}),
        "pc": Document("All about the PC.", id="pc", metadata={"tenant": "b"}),
    }


@pytest.fixture(params=["store", "function"])
def parents(request, originals):
    if request.param == "function":
        return lambda ids: [originals.get(id_) for id_ in ids]
    store = InMemoryStore()
    store.mset(list(originals.items()))
    return store


async def _sync(retriever, query, **asked):
    return retriever.invoke(query, **asked)


async def _async(retriever, query, **asked):
    return await retriever.ainvoke(query, **asked)


@pytest.fixture(params=[_sync, _async])
def find(request):
    return request.param


@pytest.fixture
def retriever(make_words, pieces, parents):
    return ParentRetriever(retriever=IndexRetriever(index=make_words(pieces)), parents=parents)


async def test_each_parent_once_at_its_best_piece(find, retriever):
    found = await find(retriever, "Macintosh screen mouse", k=2)
    assert found[0].page_content == "All about the Macintosh."
    told = found[0].metadata["pieces"]
    assert [piece["id"] for piece in told] == ["p2", "p1"]
    assert told[0]["start_index"] == 7
    assert found[0].metadata["score"] == told[0]["score"] >= told[1]["score"]
    assert found[0].metadata["title"] == "Mac"
    assert len(found) == 2


async def test_a_piece_whose_parent_is_missing_comes_itself(find, retriever):
    found = {document.id: document.metadata for document in await find(retriever, "mouse nobody")}
    assert found.keys() == {"mac", "pc", "p4", "p5"}
    assert found["p4"]["warnings"] == ["its parent 'gone' is not there"]
    assert "warnings" not in found["p5"]


async def test_a_filter_holds_for_pieces_and_parents(find, retriever):
    found = await find(retriever, "mouse", filter={"tenant": "a"})
    assert {document.id for document in found} == {"mac", "p4", "p5"}
    assert {document.metadata["tenant"] for document in found} == {"a"}
    assert await find(retriever, "mouse", filter={"$and": [{"tenant": "b"}]}) == []
    own = retriever.model_copy(update={"filter": {"tenant": "b"}})
    assert await find(own, "mouse", filter={"tenant": "a"}) == []


async def test_nothing_is_mutated(find, retriever, originals, pieces):
    before = [one.model_copy(deep=True) for one in (*originals.values(), *pieces)]
    await find(retriever, "mouse", filter={"tenant": "a"})
    assert [*originals.values(), *pieces] == before


def test_many_queries_are_one_call(retriever):
    found = retriever.search_many(["Macintosh screen", "IBM keyboard"], k=1)
    assert [[document.id for document in ranking] for ranking in found] == [["mac"], ["pc"]]


def test_what_a_retriever_raises_comes_out(retriever):
    def broken(_):
        msg = "gone"
        raise OSError(msg)

    with pytest.raises(OSError, match="gone"):
        ParentRetriever(retriever=retriever, parents=broken).invoke("mouse")
    with pytest.raises(ValueError, match="parents were asked for"):
        ParentRetriever(retriever=retriever.retriever, parents=lambda _: []).invoke("mouse")


@pytest.mark.parametrize("asked", [{"k": 0}, {"filter": {"$x": 1}}])
async def test_wrong_settings(find, retriever, asked):
    with pytest.raises(ValueError, match=r"k must|operator"):
        await find(retriever, "mouse", **asked)
