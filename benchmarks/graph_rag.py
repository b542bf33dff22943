"""What finds all passages of a question with several hops: recall@5.

MuSiQue and HotpotQA, the training questions that HippoRAG chose its prompts on: 100 each, over all
passages of theirs. Meaning, words, both fused; the graph alone; the graph fused with meaning, and
with both. The graph over all passages is made without a model (`cooccurrence_graph`: names that
stand together). With --model, a seeded sample of questions, their gold passages and as many others
is read by a chat model as well (`create_extraction_chain`), and both graphs are compared on that
smaller world, which is easier: its figures are for the comparison within it only. Replies are kept,
so that a run that was stopped goes on.

    GRAFT_BENCH_DATA=... python benchmarks/graph_rag.py [--model qwen2.5-coder-1.5b] [--sample 6]
"""

import argparse
import random
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.documents import Document
from langchain_core.retrievers import RetrieverLike
from langchain_core.runnables import RunnableLambda
from report import data_folder, finish, print_table

from langchain_graft import KnowledgeBase, load_chat_model
from langchain_graft.chains.graph_rag import fused_with_graph
from langchain_graft.errors import GraftError
from langchain_graft.evaluation import ReplyCache, with_reply_cache
from langchain_graft.evaluation.bootstrap import paired_bootstrap
from langchain_graft.evaluation.datasets import load_beir, load_beir_corpus
from langchain_graft.graph import GraphDocument, GraphRetriever, create_extraction_chain
from langchain_graft.graph.cooccurrence import cooccurrence_graph
from langchain_graft.graph.embedded_store import EmbeddedGraphStore
from langchain_graft.models.pull import models_folder
from langchain_graft.retrievers import FusionRetriever
from langchain_graft.retrievers.many import search_one

TASKS = ("musique_train100", "hotpotqa_hipporag100")
K = 5
DEPTH = 50
WIDE = 1000
EMBEDDINGS = "minilm"


@dataclass(frozen=True, kw_only=True)
class World:
    """Passages, and questions with the passages that they need."""

    name: str
    passages: list[Document]
    questions: dict[str, str]
    gold: dict[str, set[str]]


def load(name: str) -> World:
    questions, judged = load_beir(data_folder(name))
    passages = [
        Document(id=id_, page_content=text, metadata={"source_id": id_, "title": title})
        for id_, title, text in load_beir_corpus(data_folder(name))
    ]
    gold = {id_: {doc for doc, grade in of.items() if grade > 0} for id_, of in judged.items()}
    return World(name=name, passages=passages, questions=questions, gold=gold)


def sampled(world: World, size: int) -> World:
    """Some questions, the passages that they need, and as many others."""
    draw = random.Random(0)  # noqa: S311 (not for secrets)
    ids = draw.sample(sorted(world.questions), size)
    needed = set().union(*(world.gold[id_] for id_ in ids))
    others = [one for one in world.passages if one.id not in needed]
    kept = needed | {one.id for one in draw.sample(others, len(needed))}
    return World(
        name=world.name,
        passages=[one for one in world.passages if one.id in kept],
        questions={id_: world.questions[id_] for id_ in ids},
        gold={id_: world.gold[id_] for id_ in ids},
    )


def opened(name: str) -> KnowledgeBase:
    """All passages, embedded once and kept."""
    folder = models_folder().parent / "bench" / f"{name}-{EMBEDDINGS}"
    kb = KnowledgeBase.create(folder, embeddings=EMBEDDINGS, exist_ok=True)
    kb.ingest_beir(data_folder(name))
    return kb


def retrievers_over(world: World, kb: KnowledgeBase) -> dict[str, Any]:
    """Meaning and words, over the world's passages alone."""
    kept = {str(one.id) for one in world.passages}

    def over(kind: Literal["vector", "bm25"]) -> RetrieverLike:
        every = kb.retriever(kind, k=WIDE)
        return RunnableLambda(lambda question: passages(every.invoke(question), kept), name=kind)

    vector, bm25 = over("vector"), over("bm25")
    fusion = FusionRetriever(retrievers=[vector, bm25], k=DEPTH, timeout_seconds=None)
    return {"vector": vector, "bm25": bm25, "fusion": fusion}


def passages(found: Sequence[Document], kept: Container[str]) -> list[Document]:
    """One document per passage, under the passage's own id."""
    first: dict[str, Document] = {}
    for one in found:
        first.setdefault(one.metadata["source_id"], one)
    return [one.model_copy(update={"id": id_}) for id_, one in first.items() if id_ in kept][:DEPTH]


def over_graph(graph_documents: Sequence[GraphDocument], plain: dict[str, Any]) -> dict[str, Any]:
    """The graph alone, fused with meaning, and with meaning and words."""
    store = EmbeddedGraphStore(None)
    store.add(graph_documents)
    graph = GraphRetriever(store=store, k=DEPTH)
    fused = plain["fusion"]
    return {
        "graph": graph,
        "graph + vector": FusionRetriever(
            retrievers=[graph, plain["vector"]], k=DEPTH, timeout_seconds=None
        ),
        "graph + fusion": fused_with_graph(graph, fused),
    }


def recall(world: World, retriever: RetrieverLike) -> tuple[list[float], float]:
    """Of each question, the share of its passages among the first five; and seconds a question."""
    started = time.perf_counter()
    shares = []
    for id_, question in world.questions.items():
        found = [one.id for one in search_one(retriever, question, asked={"k": DEPTH})]
        gold = world.gold[id_]
        shares.append(len(gold & set(found[:K])) / len(gold))
    return shares, (time.perf_counter() - started) / len(world.questions)


def measured(title: str, world: World, asked: dict[str, Any]) -> dict[str, Any]:
    shares = {name: recall(world, retriever) for name, retriever in asked.items()}
    base, _ = max((shares["vector"], shares["bm25"]), key=lambda one: sum(one[0]))
    rows = {}
    for name, (of, seconds) in shares.items():
        difference = paired_bootstrap(of, base)
        rows[name] = {
            "recall@5": sum(of) / len(of),
            "difference": difference.mean,
            "low": difference.low,
            "high": difference.high,
            "ms": 1000 * seconds,
        }
    print_table(
        f"{title}: {len(world.questions)} questions, {len(world.passages)} passages",
        ("search", "recall@5", "to the best single", "95 % interval", "ms a question"),
        [
            (
                name,
                f"{of['recall@5']:.3f}",
                f"{of['difference']:+.3f}",
                f"{of['low']:+.3f} to {of['high']:+.3f}",
                f"{of['ms']:.0f}",
            )
            for name, of in rows.items()
        ],
    )
    return rows


def extracted(world: World, spec: str) -> tuple[list[GraphDocument], float]:
    """What a model reads out of each passage; one that fails is left out."""
    cache = ReplyCache(models_folder().parent / "replies.sqlite")
    model = with_reply_cache(load_chat_model(spec, max_tokens=400), cache)
    chain = create_extraction_chain(model)
    started = time.perf_counter()
    read = []
    for number, passage in enumerate(world.passages, 1):
        print(f"\r{number} of {len(world.passages)} read ", end="", flush=True)
        try:
            read.append(chain.invoke(passage))
        except GraftError as error:
            print(f"{passage.id}: {error}")
    return read, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", metavar="SPEC", help="reads the sample's passages as well")
    parser.add_argument("--sample", type=int, default=6, help="questions of that")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    for name in TASKS:
        world, kb = load(name), opened(name)
        plain = retrievers_over(world, kb)
        started = time.perf_counter()
        graph = cooccurrence_graph(world.passages)
        made = time.perf_counter() - started
        whole = measured(
            f"{name}, names that stand together", world, plain | over_graph(graph, plain)
        )
        figures[name] = {"whole": whole, "graph_seconds": made}
        if not arguments.model:
            continue
        part = sampled(world, arguments.sample)
        plain = retrievers_over(part, kb)
        asked = plain | over_graph(cooccurrence_graph(part.passages), plain)
        by_names = measured(f"{name}, a sample, names that stand together", part, asked)
        read, seconds = extracted(part, arguments.model)
        asked = plain | over_graph(read, plain)
        by_model = measured(f"{name}, a sample, read by {arguments.model}", part, asked)
        figures[name] |= {
            "sample": len(part.questions),
            "sample_passages": len(part.passages),
            "sample_by_names": by_names,
            "sample_by_model": by_model,
            "extraction_seconds": seconds,
        }
    finish("graph_rag", figures, packages=["igraph", "tantivy", "sentence-transformers"])


if __name__ == "__main__":
    main()
