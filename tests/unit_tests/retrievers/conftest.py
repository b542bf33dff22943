"""A shelf of five documents, in each of our indexes."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from chromadb.api import ClientAPI
from langchain_core.documents import Document

from langchain_graft.retrievers import BM25Index, VectorIndex, open_chroma
from langchain_graft.testing import HashEmbeddings

Index = VectorIndex | BM25Index
MakeIndex = Callable[..., Index]

_numbers = count(1)


@pytest.fixture(scope="session")
def client(tmp_path_factory) -> Iterator[ClientAPI]:
    """One embedded Chroma for all; every test takes a collection of its own."""
    client = open_chroma(tmp_path_factory.mktemp("chroma"))
    yield client
    client.close()


@pytest.fixture
def name() -> str:
    """The name of a collection that nobody has."""
    return f"shelf-{next(_numbers)}"


@pytest.fixture(scope="session")
def make_vector(client) -> MakeIndex:
    def make(documents: list[Document] = ()) -> VectorIndex:
        index = VectorIndex(HashEmbeddings(256), client, name=f"made-{next(_numbers)}")
        index.add(list(documents))
        return index

    return make


@pytest.fixture(scope="session")
def make_words() -> MakeIndex:
    def make(documents: list[Document] = ()) -> BM25Index:
        index = BM25Index()
        index.add(list(documents))
        return index

    return make


@pytest.fixture(params=["vector", "words"])
def make(request, make_vector, make_words) -> MakeIndex:
    """Makes an index of either kind out of documents."""
    return make_vector if request.param == "vector" else make_words


@pytest.fixture
def shelf() -> list[Document]:
    return [
        Document(id="mac", page_content="The Macintosh has a mouse", metadata={"year": 1984}),
        Document(id="apple", page_content="The Apple II has eight slots", metadata={"year": 1977}),
        Document(id="pc", page_content="The IBM PC has five slots", metadata={"year": 1981}),
        Document(id="zh", page_content="麦金塔有一个鼠标", metadata={"lang": "zh"}),
        Document(id="trs", page_content="The TRS-80 has a tape recorder", metadata={"year": 1977}),
    ]


@pytest.fixture
def index(make, shelf) -> Index:
    return make(shelf)
