"""Dense search on an embedded Chroma, with embeddings that need no weights."""

import math
import socket

import pytest
from chromadb.errors import InvalidArgumentError
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_graft.errors import DigestMismatchError, GraftError
from langchain_graft.retrievers import Query, VectorIndex, open_chroma, vector
from langchain_graft.testing import HashEmbeddings


class BatchingEmbeddings(HashEmbeddings):
    """Embeds several queries at once, and counts its batches."""

    def __init__(self, dimension=256):
        super().__init__(dimension)
        self.batches = []

    def embed_queries(self, texts):
        self.batches.append(list(texts))
        return [self.embed_query(text) for text in texts]


class PlaneEmbeddings(Embeddings):
    """A text "x y" is its own vector."""

    digest = "plane"

    def embed_documents(self, texts):
        return [[float(number) for number in text.split()] for text in texts]

    def embed_query(self, text):
        return self.embed_documents([text])[0]


def points(*texts):
    return [Document(id=text, page_content=text) for text in texts]


def scores(index, *queries, k=4):
    return [
        {document.id: document.metadata["score"] for document in ranking}
        for ranking in index.search_many(queries, k=k)
    ]


def test_the_score_is_the_cosine(client, name):
    index = VectorIndex(PlaneEmbeddings(), client, name=name)
    index.add(points("1 0", "3 3", "0 2", "-5 0"))
    [found] = scores(index, Query("2 0"))
    assert list(found) == ["1 0", "3 3", "0 2", "-5 0"]
    assert list(found.values()) == pytest.approx([1, math.sqrt(0.5), 0, -1], abs=1e-6)


def test_the_vector_of_a_query_is_averaged_with_its_passages(client, name):
    index = VectorIndex(PlaneEmbeddings(), client, name=name)
    index.add(points("1 0", "0 1"))
    found = scores(index, Query("1 0"), Query("1 0", passages=("0 1", "0 1")))
    assert found[0] == pytest.approx({"1 0": 1, "0 1": 0}, abs=1e-6)
    mean = (1 / 3, 2 / 3)
    expected = {"1 0": mean[0] / math.hypot(*mean), "0 1": mean[1] / math.hypot(*mean)}
    assert found[1] == pytest.approx(expected, abs=1e-6)


def test_many_queries_cost_one_batch_and_one_call(client, name, shelf, monkeypatch):
    embeddings = BatchingEmbeddings()
    index = VectorIndex(embeddings, client, name=name)
    index.add(shelf)
    asked, ask = [], index._collection.query

    def count(**settings):
        asked.append(len(settings["query_embeddings"]))
        return ask(**settings)

    monkeypatch.setattr(index._collection, "query", count)
    rankings = index.search_many([Query("mouse"), Query("tape recorder"), Query("slots")], k=2)
    assert [len(ranking) for ranking in rankings] == [2, 2, 2]
    assert embeddings.batches == [["mouse", "tape recorder", "slots"]]
    assert asked == [3]


def test_vectors_that_are_given_are_not_made_again(client, name):
    index = VectorIndex(PlaneEmbeddings(), client, name=name)
    index.add([Document(id="1", page_content="no numbers")], vectors=[[0.0, 1.0]])
    assert scores(index, Query("0 9"), k=1) == [pytest.approx({"1": 1}, abs=1e-6)]


@pytest.mark.parametrize("vectors", [[[1.0, 0.0]], [[1.0, 0.0], [1.0]], [[1.0], [1.0]]])
def test_a_replacement_that_fails_loses_nothing(client, name, vectors):
    index = VectorIndex(PlaneEmbeddings(), client, name=name)
    index.add([Document(id="1", page_content="1 0", metadata={"old": True})])
    new = [Document(id="1", page_content="0 1"), Document(id="2", page_content="0 2")]
    with pytest.raises((ValueError, InvalidArgumentError)):
        index.add(new, vectors=vectors)
    [[kept]] = index.search_many([Query("1 0")])
    assert (kept.page_content, kept.metadata) == ("1 0", {"old": True, "score": 1.0})


def test_a_replacement_keeps_nothing_of_the_old_one(client, name):
    index = VectorIndex(PlaneEmbeddings(), client, name=name)
    old = {"here": 1, "gone": "x", "tags": ["a"]}
    index.add([Document(id="1", page_content="1 0", metadata=old)])
    for metadata in ({"here": 2}, {"other": True}, {}):
        index.add([Document(id="1", page_content="0 1", metadata=metadata)])
        [[found]] = index.search_many([Query("0 1")])
        assert found.metadata == {**metadata, "score": 1.0}
    assert index.search_many([Query("0 1")], filter={"here": {"$exists": True}}) == [[]]


@pytest.fixture
def silent():
    """An address that takes connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("listens", [True, False])
def test_a_server_that_does_not_answer_is_not_waited_for(silent, listens, monkeypatch):
    monkeypatch.setattr(vector, "CONNECT_TIMEOUT_SECONDS", 0.1)
    url = silent if listens else "http://127.0.0.1:1/"
    with pytest.raises(GraftError, match=r"No Chroma server answers at .*chroma run"):
        open_chroma(url)


def test_more_documents_than_chroma_takes_at_once(client, name, monkeypatch):
    monkeypatch.setattr(client, "get_max_batch_size", lambda: 3)
    index = VectorIndex(PlaneEmbeddings(), client, name=name)
    index.add(points(*(f"{n} 1" for n in range(8))))
    index.add(points(*(f"{n} 1" for n in range(4, 12))))
    assert index.ids() == {f"{n} 1" for n in range(12)}
    index.delete([f"{n} 1" for n in range(10)])
    assert index.ids() == {"10 1", "11 1"}


def test_documents_hidden_behind_equal_ones_are_found(client, name):
    """A graph of near neighbours has no way out of a crowd of equal points."""
    index = VectorIndex(PlaneEmbeddings(), client, name=name)
    crowd = [Document(id=f"n{n}", page_content="1 0", metadata={"n": n}) for n in range(300)]
    index.add([*crowd, Document(id="last", page_content="3 3")])
    where = {"n": {"$exists": False}}
    [[last]] = index.search_many([Query("1 0")], k=1, filter=where)
    assert last.id == "last"
    assert last.metadata == {"score": pytest.approx(math.sqrt(0.5), abs=1e-6)}


class TestDigest:
    """A collection belongs to the embedder that wrote it."""

    def test_the_same_embedder_opens_it_again(self, client, name, shelf):
        VectorIndex(HashEmbeddings(256), client, name=name).add(shelf)
        assert len(VectorIndex(HashEmbeddings(256), client, name=name)) == 5

    @pytest.mark.parametrize("adopt", [False, True])
    def test_another_embedder_is_refused(self, client, name, adopt):
        VectorIndex(HashEmbeddings(256), client, name=name)
        with pytest.raises(DigestMismatchError, match="hash-256") as refused:
            VectorIndex(HashEmbeddings(128), client, name=name, adopt=adopt)
        assert (refused.value.expected, refused.value.found) == ("hash-128", "hash-256")

    @pytest.mark.parametrize("metadata", [None, {"hnsw:space": "cosine", "owner": "me"}])
    def test_a_collection_made_elsewhere_is_taken_over_when_told(self, client, name, metadata):
        made = client.create_collection(name, embedding_function=None, metadata=metadata)
        made.add(ids=["1"], embeddings=[[1.0, 0.0]])
        with pytest.raises(DigestMismatchError, match="adopt=True") as refused:
            VectorIndex(PlaneEmbeddings(), client, name=name)
        assert refused.value.found is None
        index = VectorIndex(PlaneEmbeddings(), client, name=name, adopt=True)
        assert scores(index, Query("0.6 0.8"), k=1)[0] == pytest.approx({"1": 0.6}, abs=1e-6)
        VectorIndex(PlaneEmbeddings(), client, name=name)
        kept = client.get_collection(name).metadata
        assert kept.get("owner") == (metadata or {}).get("owner")
        with pytest.raises(DigestMismatchError):
            VectorIndex(HashEmbeddings(2), client, name=name, adopt=True)


def test_a_folder_is_opened_and_closed(tmp_path, shelf):
    for _ in range(2):
        index = VectorIndex(HashEmbeddings(), tmp_path / "chroma")
        index.add(shelf)
        index.close()
    again = VectorIndex(HashEmbeddings(), str(tmp_path / "chroma"))
    assert again.ids() == {document.id for document in shelf}
    again.close()


def test_a_client_that_is_given_stays_open(client, name):
    VectorIndex(HashEmbeddings(), client, name=name).close()
    assert client.count_collections() >= 1
