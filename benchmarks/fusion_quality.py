"""What finds most: meaning, words, both fused, RAG-Fusion, adaptive, reranked. nDCG@10.

Two knowledge bases, English (SciFact) and Chinese (medical dialogues), made by `ingest_beir`. What
asks no model is measured on all queries; what does, on a seeded sample of them, with the same
rewrites for all. Intervals are of the difference to the better one of meaning and words, over the
same queries (paired bootstrap, 95 %). The thresholds of the adaptive search are chosen on one half
of the sample and measured on the other. What a question weighs beside its rewrites was chosen on
other queries, the training ones: `--choose` shows that. Knowledge bases and replies are kept, so
that a run that was stopped goes on.

    GRAFT_BENCH_DATA=... python benchmarks/fusion_quality.py [--sample 100] [--choose]
"""

import argparse
import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.language_models import BaseChatModel
from report import data_folder, finish, print_table

from langchain_graft import KnowledgeBase, load_chat_model
from langchain_graft.evaluation.bootstrap import paired_bootstrap
from langchain_graft.evaluation.datasets import load_beir
from langchain_graft.evaluation.ranking import distinct, ranking_metrics
from langchain_graft.evaluation.replies import ReplyCache, with_reply_cache
from langchain_graft.knowledge_base import Comparison, calibrate, compare_rewriting
from langchain_graft.models.pull import models_folder
from langchain_graft.retrievers import (
    FusionRetriever,
    IndexRetriever,
    ListwiseReranker,
    create_multi_query_rewriter,
)

MODEL = "qwen2.5-coder-1.5b"
K = 10
DEPTH = 50
RERANKED = 10
RERANKED_TOKENS = 40
ORIGINAL_WEIGHTS = (1.0, 2.0, 3.0, 5.0, 8.0)
VECTOR_WEIGHTS = ((1.0, 1.0), (1.0, 1.5), (1.0, 2.0), (1.5, 1.0), (2.0, 1.0))

Scores = dict[str, float]
"""Query id to nDCG@10."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One corpus with its queries."""

    name: str
    split: str
    other_split: str
    embeddings: str
    kb: Any = None
    queries: Any = None
    judged: Any = None


TASKS = (
    Task(name="scifact", split="test", other_split="train", embeddings="minilm"),
    Task(
        name="zh_medical_dialogue", split="dev", other_split="train", embeddings="e5-multilingual"
    ),
)


def opened(task: Task, *, split: str) -> Task:
    folder = models_folder().parent / "bench" / f"{task.name}-{task.embeddings}"
    kb = KnowledgeBase.create(folder, embeddings=task.embeddings, exist_ok=True)
    kb.ingest_beir(data_folder(task.name))
    queries, judged = load_beir(data_folder(task.name), split=split)
    return replace(task, kb=kb, queries=queries, judged=judged)


def sampled(task: Task, size: int) -> Task:
    ids = sorted(task.queries)
    chosen = random.Random(0).sample(ids, min(size, len(ids)))  # noqa: S311 (not for secrets)
    return replace(task, queries={id_: task.queries[id_] for id_ in sorted(chosen)})


def ndcg(task: Task, retriever: IndexRetriever | FusionRetriever) -> Scores:
    ids, texts = list(task.queries), list(task.queries.values())
    rankings: dict[str, list[str]] = {}
    for start in range(0, len(ids), 50):
        part = slice(start, start + 50)
        for id_, found in zip(ids[part], retriever.search_many(texts[part], k=DEPTH), strict=True):
            rankings[id_] = distinct([document.metadata["source_id"] for document in found])
    judged = {id_: task.judged[id_] for id_ in ids}
    return ranking_metrics(rankings, judged, k=K)[f"ndcg@{K}"]


def mean(scores: Mapping[str, float]) -> float:
    return math.fsum(scores.values()) / len(scores)


def compare(scores: Mapping[str, Scores]) -> dict[str, dict[str, float]]:
    """Each one's mean, and its difference to the better single retriever."""
    best = max((scores["vector"], scores["bm25"]), key=mean)
    rows = {}
    for name, of in scores.items():
        difference = paired_bootstrap([of[id_] for id_ in best], list(best.values()))
        rows[name] = {"ndcg@10": mean(of), **difference._asdict()}
        rows[name]["difference"] = rows[name].pop("mean")
    return rows


def show(title: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    names = ("search", "nDCG@10", "to the best single", "95 % interval", "model asked")
    print_table(
        title,
        names,
        [
            (
                name,
                f"{of['ndcg@10']:.4f}",
                f"{of['difference']:+.4f}",
                f"{of['low']:+.4f} to {of['high']:+.4f}",
                f"{of.get('asked', 0):.0%}",
            )
            for name, of in rows.items()
        ],
    )


def without_model(task: Task) -> dict[str, Scores]:
    return {name: ndcg(task, task.kb.retriever(name)) for name in ("vector", "bm25", "hybrid")}


def adaptive(task: Task, compared: Comparison) -> tuple[Scores, float]:
    """Each half searched with the thresholds of the other; and the share that was rewritten."""
    ids = list(task.queries)
    scores: Scores = {}
    rewritten = 0.0
    for first in (0, 1):
        weakness = calibrate(_part(compared, 1 - first))
        half = _part(compared, first)
        scores |= dict(zip(ids[first::2], half.adaptive(weakness), strict=True))
        rewritten += half.rewritten_share(weakness) * len(half.plain)
    return scores, rewritten / len(ids)


def _part(compared: Comparison, first: int) -> Comparison:
    return Comparison(
        signals=compared.signals[first::2],
        plain=compared.plain[first::2],
        rewritten=compared.rewritten[first::2],
    )


def with_model(task: Task, model: BaseChatModel) -> dict[str, dict[str, float]]:
    rewriter = create_multi_query_rewriter(model)
    fusion = task.kb.retriever("hybrid", rewriter=rewriter)
    scores = without_model(task)
    compared = compare_rewriting(fusion, task.queries, task.judged, on_progress=told)
    scores["rag-fusion"] = dict(zip(task.queries, compared.rewritten, strict=True))
    scores["adaptive"], asked = adaptive(task, compared)
    rows = compare(scores)
    return rows | {
        "rag-fusion": rows["rag-fusion"] | {"asked": 1.0},
        "adaptive": rows["adaptive"] | {"asked": asked},
    }


def reranked(task: Task, model: BaseChatModel) -> dict[str, dict[str, float]]:
    """The first ten of RAG-Fusion put in order by the listwise judge."""
    rewriter = create_multi_query_rewriter(model)
    judge = ListwiseReranker(
        model=model, window=RERANKED, max_windows=1, max_document_tokens=RERANKED_TOKENS
    )
    fusion = task.kb.retriever("hybrid", rewriter=rewriter)
    scores = without_model(task) | {
        "rag-fusion": ndcg(task, fusion),
        "rag-fusion + rerank": ndcg(task, fusion.model_copy(update={"reranker": judge})),
    }
    return compare(scores)


def told(_: str, done: int, total: int) -> None:
    print(f"\r{done} of {total} rewritten ", end="", flush=True)


def choose(task: Task, model: BaseChatModel, size: int) -> dict[str, float]:
    """nDCG@10 of other queries by what retrievers and the question weigh."""
    task = sampled(opened(task, split=task.other_split), size)
    rewriter = create_multi_query_rewriter(model)
    plain = {f"hybrid, weights {weights}": {"weights": list(weights)} for weights in VECTOR_WEIGHTS}
    fused = {
        f"rag-fusion, question {weight:g}": {"rewriter": rewriter, "original_weight": weight}
        for weight in ORIGINAL_WEIGHTS
    }
    settings: dict[str, dict[str, Any]] = plain | fused
    return {
        name: mean(ndcg(task, task.kb.retriever("hybrid", **of))) for name, of in settings.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=100)
    parser.add_argument("--rerank", type=int, default=100, metavar="N", help="of the sample")
    parser.add_argument("--choose", action="store_true")
    arguments = parser.parse_args()
    cache = ReplyCache()
    model = with_reply_cache(load_chat_model(MODEL, max_tokens=256), cache)
    figures: dict[str, Any] = {}
    for task in TASKS:
        if arguments.choose:
            chosen = choose(task, model, arguments.sample)
            print_table(
                f"{task.name}, {task.other_split}", ("search", "nDCG@10"), [*chosen.items()]
            )
            continue
        started = time.perf_counter()
        whole = opened(task, split=task.split)
        everything = compare(without_model(whole))
        show(f"{task.name}: all {len(whole.queries)} queries", everything)
        part = sampled(whole, arguments.sample)
        sample = with_model(part, model)
        show(f"{task.name}: {len(part.queries)} queries, rewritten by {MODEL}", sample)
        judged = sampled(part, arguments.rerank)
        rerank = reranked(judged, model) if judged.queries else {}
        show(f"{task.name}: {len(judged.queries)} queries, reranked by {MODEL}", rerank)
        figures[task.name] = {
            "queries": len(whole.queries),
            "all": everything,
            "sample": sample,
            "sampled": len(part.queries),
            "reranked": rerank,
            "reranked_queries": len(judged.queries),
            "seconds": time.perf_counter() - started,
        }
        whole.kb.close()
    if not arguments.choose:
        finish("fusion_quality", figures, packages=["chromadb", "tantivy", "xllamacpp"])


if __name__ == "__main__":
    main()
