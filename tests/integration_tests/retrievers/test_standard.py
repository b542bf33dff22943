"""LangChain's standard suite for the retriever over each index."""

import pytest
from langchain_core.documents import Document
from langchain_tests.integration_tests import RetrieversIntegrationTests

from langchain_graft.retrievers import (
    BM25Index,
    IndexRetriever,
    LlamaIndexRetriever,
    VectorIndex,
    create_llama_index_retriever,
)
from langchain_graft.testing import HashEmbeddings

DOCUMENTS = [Document(id=f"{n}", page_content=f"apple number {n}") for n in range(5)]


class OverIndex(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def filled(self, tmp_path):
        self.index = self.make(tmp_path)
        self.index.add(DOCUMENTS)
        yield
        self.index.close()

    @property
    def retriever_constructor(self):
        return IndexRetriever

    @property
    def retriever_constructor_params(self):
        return {"index": self.index}

    @property
    def retriever_query_example(self):
        return "apple"


class TestVectorRetriever(OverIndex):
    def make(self, folder):
        return VectorIndex(HashEmbeddings(), folder)


class TestBM25Retriever(OverIndex):
    def make(self, folder):
        return BM25Index(folder)


class TestLlamaIndexRetriever(OverIndex):
    """A retriever of LlamaIndex that has ours inside."""

    def make(self, folder):
        return BM25Index(folder)

    @property
    def retriever_constructor(self):
        return LlamaIndexRetriever

    @property
    def retriever_constructor_params(self):
        inside = IndexRetriever(index=self.index, k=5)
        return {"retriever": create_llama_index_retriever(inside)}


del OverIndex  # it is no suite of its own
