"""A ranking of numbered documents, and the ways in which a chat can be run."""

import pytest
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever


class RankingRetriever(BaseRetriever):
    """Gives the first `k` of its documents, whatever is asked."""

    documents: list[Document]
    asked: list[tuple[str, int]] = []  # noqa: RUF012 (pydantic copies it)

    def _get_relevant_documents(self, query, *, run_manager, k=4):
        self.asked.append((query, k))
        return self.documents[:k]


def numbered(count, text="Person {n} likes the number {n} more than any other."):
    return [Document(id=f"d{n}", page_content=text.format(n=n)) for n in range(1, count + 1)]


@pytest.fixture
def make_retriever():
    return lambda count=40, **settings: RankingRetriever(documents=numbered(count, **settings))


async def _invoke(chat, given, config=None):
    return chat.invoke(given, config)


async def _ainvoke(chat, given, config=None):
    return await chat.ainvoke(given, config)


@pytest.fixture(params=[_invoke, _ainvoke])
def run(request):
    return request.param
