"""RAG-Fusion's retrieval, one question and four rewrites: against LangChain and LlamaIndex.

The same rewrites, the same vectors in one Chroma collection, the same embedder, which all three
call through LangChain's interface; no chat model is asked. Questions are asked in turn by all
three, so that what else the machine does hits them alike.

    GRAFT_BENCH_DATA=... python benchmarks/fusion_speed.py
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from langchain_chroma import Chroma
from langchain_classic.retrievers.multi_query import MultiQueryRetriever
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import Runnable, RunnableLambda
from llama_index.core import VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.llms import CompletionResponse, MockLLM
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.retrievers.fusion_retriever import FUSION_MODES
from llama_index.vector_stores.chroma import ChromaVectorStore
from report import data_folder, finish, print_table

from langchain_graft.evaluation.datasets import load_beir, load_beir_corpus
from langchain_graft.models import load_embeddings
from langchain_graft.retrievers import FusionRetriever, Query, VectorIndex, open_chroma

EMBEDDERS = ("minilm",)
DOCUMENTS = 1000
QUESTIONS = 100
K = 10
ALIKE = 0.9  # a batch is rounded differently
BAR = 0.45
COLLECTION = "scifact"

Search = Callable[[str], list[str]]


def rewrites(question: str) -> list[str]:
    """Four other wordings, of the length that a model's have."""
    words = question.rstrip(".?").split()
    return [
        f"What is known about {' '.join(words)}?",
        " ".join(reversed(words)),
        f"Evidence from studies: {' '.join(words[: len(words) // 2])}",
        f"Evidence from studies: {' '.join(words[len(words) // 2 :])}",
    ]


def ours(folder: Path, embeddings: Embeddings, *, k: int) -> Search:
    rewriter: Runnable[str, list[Query]] = RunnableLambda(
        lambda question: [Query(text) for text in rewrites(question)]
    )
    index = VectorIndex(embeddings, folder, name=COLLECTION)
    fusion = FusionRetriever(retrievers=[index.as_retriever()], rewriter=rewriter, fetch_k=K, k=k)
    return lambda question: [str(document.id) for document in fusion.invoke(question)]


def langchain(folder: Path, embeddings: Embeddings) -> Search:
    store = Chroma(COLLECTION, embeddings, client=open_chroma(folder))
    fusion = MultiQueryRetriever(
        retriever=store.as_retriever(search_kwargs={"k": K}),
        llm_chain=RunnableLambda(lambda asked: rewrites(asked["question"])),
        include_original=True,
        verbose=False,
    )
    return lambda question: [str(document.id) for document in fusion.invoke(question)]


class LangChainEmbedding(BaseEmbedding):
    """LlamaIndex's interface over LangChain's."""

    embeddings: Embeddings

    def _get_query_embedding(self, query: str) -> list[float]:
        return self.embeddings.embed_query(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await self.embeddings.aembed_query(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self.embeddings.embed_documents([text])[0]


class Rewriting(MockLLM):
    """Says the rewrites of what it is asked."""

    def complete(self, prompt: str, *_: object, **__: object) -> CompletionResponse:  # noqa: D102
        return CompletionResponse(text="\n".join(rewrites(prompt)))


def llama_index(folder: Path, embeddings: Embeddings, *, use_async: bool) -> Search:
    collection = open_chroma(folder).get_collection(COLLECTION, embedding_function=None)
    index = VectorStoreIndex.from_vector_store(
        ChromaVectorStore(chroma_collection=collection),
        embed_model=LangChainEmbedding(embeddings=embeddings),
    )
    fusion = QueryFusionRetriever(
        [index.as_retriever(similarity_top_k=K)],
        llm=Rewriting(max_tokens=None),
        query_gen_prompt="{query}",
        mode=FUSION_MODES.RECIPROCAL_RANK,
        similarity_top_k=K,
        num_queries=5,
        use_async=use_async,
    )
    return lambda question: [found.node.node_id for found in fusion.retrieve(question)]


def index_corpus(folder: Path, embeddings: Embeddings) -> None:
    corpus = list(islice(load_beir_corpus(data_folder("scifact")), DOCUMENTS))
    index = VectorIndex(embeddings, folder, name=COLLECTION)
    documents = [Document(id=id_, page_content=text or title) for id_, title, text in corpus]
    index.add(documents)
    index.close()


def compare(embedder: str, questions: Sequence[str]) -> dict[str, float]:
    """Median milliseconds per question."""
    embeddings = load_embeddings(embedder)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        index_corpus(folder, embeddings)
        searches = {
            "ours": ours(folder, embeddings, k=K),
            "LangChain MultiQueryRetriever": langchain(folder, embeddings),
            "LlamaIndex QueryFusionRetriever": llama_index(folder, embeddings, use_async=False),
            "LlamaIndex, use_async": llama_index(folder, embeddings, use_async=True),
        }
        all_of_ours = ours(folder, embeddings, k=DOCUMENTS)
        for question in questions[:3]:  # it also warms up
            union = set(searches["LangChain MultiQueryRetriever"](question))
            assert len(union & set(all_of_ours(question))) > ALIKE * len(union)
            assert all(len(search(question)) >= K for search in searches.values())
        seconds: dict[str, list[float]] = {peer: [] for peer in searches}
        for question in questions:
            for peer, search in searches.items():
                started = time.perf_counter()
                search(question)
                seconds[peer].append(time.perf_counter() - started)
    return {peer: 1000 * statistics.median(times) for peer, times in seconds.items()}


def main() -> None:
    queries, _ = load_beir(data_folder("scifact"), split="test")
    questions = list(queries.values())[:QUESTIONS]
    figures = {embedder: compare(embedder, questions) for embedder in EMBEDDERS}
    for embedder, times in figures.items():
        rows = [(name, value, times["ours"] / value) for name, value in times.items()]
        names = ("retriever", "median ms", "ours / it")
        print_table(f"{embedder}: one question, four rewrites, {K} documents each", names, rows)
    peers = [name for name in figures[EMBEDDERS[0]] if name != "ours"]
    worst = max(times["ours"] / times[peer] for times in figures.values() for peer in peers)
    print(f"\nbar: at most {BAR} of each; the worst is {worst:.3f}")
    finish(
        "fusion_speed",
        {"median_ms": figures, "worst_ratio": worst, "bar": BAR, "questions": len(questions)},
        packages=[
            "chromadb",
            "langchain-chroma",
            "langchain-classic",
            "llama-index-core",
            "llama-index-vector-stores-chroma",
        ],
    )


if __name__ == "__main__":
    main()
