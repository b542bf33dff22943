"""A world of three documents, and the ways in which a chain can be run."""

import pytest
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables.utils import AddableDict

from langchain_graft.chains import create_conversational_rag_chain, create_rag_chain
from langchain_graft.retrievers import BM25Index


class ListRetriever(BaseRetriever):
    """A retriever of somebody else's: gives all it has, knows neither `k` nor `filter`."""

    documents: list[Document]
    queries: list[str] = []  # noqa: RUF012 (pydantic copies it)

    def _get_relevant_documents(self, query, *, run_manager):
        self.queries.append(query)
        return self.documents


@pytest.fixture
def documents():
    return [
        Document(
            id="founders",
            page_content="Apple was founded by Steve Jobs and Steve Wozniak in April 1976.",
            metadata={"source_id": "apple.md", "lang": "en", "tenant": "a"},
        ),
        Document(
            id="price",
            page_content="The Apple I was sold at 666.66 dollars. It had no case.",
            metadata={"source_id": "price.md", "lang": "en", "tenant": "b"},
        ),
        Document(
            id="zh",
            page_content="苹果公司由史蒂夫·乔布斯等人于1976年创办。Apple",
            metadata={"source_id": "苹果.md", "lang": "zh", "tenant": "a"},
        ),
    ]


@pytest.fixture
def retriever(documents):
    return ListRetriever(documents=documents)


@pytest.fixture
def index(documents):
    index = BM25Index()
    index.add(documents)
    yield index
    index.close()


@pytest.fixture(params=[create_rag_chain, create_conversational_rag_chain])
def create_chain(request):
    return request.param


async def _invoke(chain, given, config=None):
    return chain.invoke(given, config)


async def _ainvoke(chain, given, config=None):
    return await chain.ainvoke(given, config)


async def _batch(chain, given, config=None):
    return chain.batch([given], config)[0]


async def _abatch(chain, given, config=None):
    return (await chain.abatch([given], config))[0]


async def _stream(chain, given, config=None):
    return dict(sum(chain.stream(given, config), AddableDict()))


async def _astream(chain, given, config=None):
    return dict(sum([chunk async for chunk in chain.astream(given, config)], AddableDict()))


@pytest.fixture(params=[_invoke, _ainvoke, _batch, _abatch, _stream, _astream])
def run(request):
    """`await run(chain, given, config)` gives the chain's output, each time in another way."""
    return request.param
