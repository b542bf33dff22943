"""Embedders trained on one's own rows, and what that does to a search. nDCG@10.

Each part trains with `train_embeddings`, serves what came out with `AdapterEmbeddings`, and
compares it with the untuned base over the same questions (paired bootstrap, 95 %): on questions
that were not learned from, on those of them whose documents were not either, and on others
(NQ-Open), where nothing should get lost.

- `medquad`: LoRA on MiniLM, 3,847 questions with their answers; all 5,588 answers are searched.
- `medquad-keep`: the same, longer, with the vectors of random words held to the base's.
- `medquad-queries`: the first for queries only: answers stay as they are.
- `scifact`: LoRA on MiniLM for queries only, hard negatives mined with MiniLM.
- `zh`: a query map over e5's vectors, Chinese questions to physicians.
- `generated`: no labels; questions to passages of MedQuAD, written by a small local model and kept
  if they find their passage again; learned for queries only.

Vectors, runs, replies and finished parts are kept below the models' folder: a run that was stopped
goes on, and parts may be made one by one.

    GRAFT_BENCH_DATA=... python benchmarks/train_embeddings.py [--data medquad] [--seed 0] [--again]
"""

import argparse
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from report import data_folder, finish, print_table

from langchain_graft import KnowledgeBase, load_chat_model
from langchain_graft.evaluation.bootstrap import paired_bootstrap
from langchain_graft.evaluation.datasets import load_beir, load_beir_corpus
from langchain_graft.evaluation.ranking import ranking_metrics
from langchain_graft.finetune_bridge import (
    AdapterEmbeddings,
    AdapterRef,
    AdapterStore,
    EmbeddingRow,
    EmbeddingSettings,
    TrainedAdapter,
    train_embeddings,
)
from langchain_graft.finetune_bridge.training.rows import distinct_rows
from langchain_graft.knowledge_base.training_data import generate_rows, mine_negatives
from langchain_graft.models import load_embeddings
from langchain_graft.models.digest import embeddings_digest
from langchain_graft.models.pull import models_folder

WORK = models_folder().parent / "bench" / "train_embeddings"
GUARD = "nq_open_oracle"
BARS = {"medquad_relative": 0.20, "guard_relative": -0.01}
ASKED_ABOUT = 1000
WRITER = "hf:qwen2.5-coder-0.5b"
CHUNK = 256


@dataclass(frozen=True, kw_only=True)
class Part:
    """What is trained, and on which questions it is judged."""

    data: str
    base: str
    split: str
    """Whose questions are asked."""
    rows: Callable[["Part"], list[EmbeddingRow]]
    settings: Mapping[str, Any]


# Rows


def corpus_of(data: str) -> dict[str, str]:
    """Texts by id, with their titles; those of the Chinese ones are departments."""
    return {
        id_: text if data == "zh_medical_dialogue" else f"{title}\n{text}".strip()
        for id_, title, text in load_beir_corpus(data_folder(data))
        if text.strip()
    }


def labelled_rows(part: Part) -> list[EmbeddingRow]:
    """Each judged query of the training split with each of its documents."""
    corpus = corpus_of(part.data)
    queries, judged = load_beir(data_folder(part.data), split="train")
    return distinct_rows(
        EmbeddingRow(queries[query], corpus[document], group=group_of(part.data, document))
        for query, documents in judged.items()
        for document in documents
        if document in corpus
    )


def group_of(data: str, document: str) -> str:
    """MedQuAD's answers are sections of pages."""
    return document.rsplit("-", 1)[0] if data == "medquad_faq" else document


def rows_with_negatives(part: Part) -> list[EmbeddingRow]:
    """The base's best hits that are not judged, and score below 0.95 of the right document."""
    rows = labelled_rows(part)
    base, corpus = load_embeddings(part.base), corpus_of(part.data)
    right: dict[str, set[str]] = {}
    for row in rows:
        right.setdefault(row.query, set()).add(row.positive)
    texts = list(corpus.values())
    documents = vectors_of(base, texts, what=part.data)
    queries = vectors_of(base, [row.query for row in rows], what="queries")
    place = {text: n for n, text in enumerate(texts)}
    made = []
    for row, scores in zip(rows, queries @ documents.T, strict=True):
        limit = 0.95 * scores[place[row.positive]]
        order = [texts[n] for n in np.argsort(-scores)[:50] if scores[n] < limit]
        negatives = [text for text in order if text not in right[row.query]]
        made.append(EmbeddingRow(row.query, row.positive, tuple(negatives[:4]), row.group))
    return made


def rows_without_labels(part: Part) -> list[EmbeddingRow]:
    """Questions that a chat model asks of passages of the knowledge base, and wrong passages."""

    def tell(label: str, done: int, total: int | None) -> None:
        if label != "embed" or done % 256 == 0:
            print(f"{label} {done} of {total}", flush=True)

    folder = WORK.parent / f"{part.data}-{part.base}-fifth"
    kb = KnowledgeBase.create(folder, embeddings=part.base, exist_ok=True)
    kb.ingest_documents(fifth_of(part.data), root=part.data, on_progress=tell)
    model = load_chat_model(WRITER, max_tokens=32, temperature=0)
    made = generate_rows(kb, model, most=ASKED_ABOUT, on_progress=tell)
    mined = mine_negatives(kb, made.rows)
    kb.close()
    print(json.dumps({"rows": len(made.rows), **made.dropped, **mined.dropped}))
    return list(mined.rows)


def fifth_of(data: str) -> list[Document]:
    """The documents of a fifth of the pages: embedding all takes longer than asking about some."""
    return [
        Document(text, id=id_, metadata={"source": id_})
        for id_, text in corpus_of(data).items()
        if hashlib.sha256(group_of(data, id_).encode()).digest()[0] % 5 == 0
    ]


PARTS = {
    "medquad": Part(
        data="medquad_faq",
        base="minilm",
        split="dev",
        rows=labelled_rows,
        settings={
            "lora": {"r": 32, "alpha": 64},
            "max_tokens": 128,
            "eval_share": 0.05,
            "group_rows": 8,
            "strength": 1.0,
        },
    ),
    "medquad-keep": Part(
        data="medquad_faq",
        base="minilm",
        split="dev",
        rows=labelled_rows,
        settings={
            "lora": {"r": 32, "alpha": 64},
            "max_tokens": 192,
            "eval_share": 0.05,
            "group_rows": 8,
            "keep": 10.0,
            "strength": 1.0,
        },
    ),
    "medquad-queries": Part(
        data="medquad_faq",
        base="minilm",
        split="dev",
        rows=labelled_rows,
        settings={
            "lora": {"r": 32, "alpha": 64},
            "side": "query",
            "scale": 50.0,
            "epochs": 4,
            "checkpoint_every": 57,
            "eval_share": 0.05,
            "strength": 0.75,
        },
    ),
    "scifact": Part(
        data="scifact",
        base="minilm",
        split="test",
        rows=rows_with_negatives,
        settings={"lora": {"r": 32, "alpha": 64}, "side": "query"},
    ),
    "zh": Part(
        data="zh_medical_dialogue",
        base="e5-multilingual",
        split="dev",
        rows=labelled_rows,
        settings={"method": "query-map", "lora": {"r": 32}},
    ),
    "generated": Part(
        data="medquad_faq",
        base="minilm",
        split="dev",
        rows=rows_without_labels,
        settings={
            "lora": {"r": 16, "alpha": 32},
            "side": "query",
            "eval_share": 0.2,
            "negatives": 0,
        },
    ),
}


# Measuring


def vectors_of(embedder: Embeddings, texts: Sequence[str], *, what: str) -> np.ndarray:
    """Vectors of documents, or of `queries`; chunks that were embedded before are read."""
    told = "\n".join([embeddings_digest(embedder), what, *texts])
    if what == "queries":
        told += getattr(embedder, "query_digest", "")
    folder = WORK / "vectors" / hashlib.sha256(told.encode()).hexdigest()[:24]
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for start in range(0, len(texts), CHUNK):
        path = folder / f"{start}.npy"
        if not path.exists():
            part = list(texts[start : start + CHUNK])
            embed: Any = (
                embedder.embed_queries  # type: ignore[attr-defined]  # all of ours have it
                if what == "queries"
                else embedder.embed_documents
            )
            unfinished = path.with_suffix(f".{os.getpid()}.npy")
            np.save(unfinished, np.asarray(embed(part), dtype=np.float32))
            unfinished.rename(path)
            print(f"{what}: {start + len(part)} of {len(texts)}", flush=True)
        found.append(np.load(path))
    vectors = np.concatenate(found)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def scores_of(embedder: Embeddings, data: str, split: str) -> dict[str, float]:
    """Query id to nDCG@10, each document embedded as one text."""
    corpus = corpus_of(data)
    queries, judged = load_beir(data_folder(data), split=split)
    ids = list(corpus)
    documents = vectors_of(embedder, list(corpus.values()), what=data)
    asked = vectors_of(embedder, list(queries.values()), what="queries")
    best = np.argsort(-(asked @ documents.T), axis=1, kind="stable")[:, :10]
    rankings = {query: [ids[n] for n in row] for query, row in zip(queries, best, strict=True)}
    return ranking_metrics(rankings, judged)["ndcg@10"]


def compared(
    base: Embeddings, tuned: Embeddings, data: str, split: str, learned: Collection[str] = ()
) -> dict[str, Any]:
    """All questions, and those of which no document was learned from."""
    after, before = (scores_of(one, data, split) for one in (tuned, base))
    corpus, (_, judged) = corpus_of(data), load_beir(data_folder(data), split=split)
    texts = {id_: {corpus.get(one, "") for one in of} for id_, of in judged.items()}
    unseen = [id_ for id_ in before if texts[id_].isdisjoint(learned)]
    found = figures_of(list(before), before, after)
    if len(unseen) < len(before):
        found["of_unseen_documents"] = figures_of(unseen, before, after)
    return found


def figures_of(
    ids: Sequence[str], before: Mapping[str, float], after: Mapping[str, float]
) -> dict[str, Any]:
    pairs = [after[id_] for id_ in ids], [before[id_] for id_ in ids]
    second, first = (float(np.mean(values)) for values in pairs)
    return {
        "questions": len(ids),
        "before": first,
        "after": second,
        "relative": second / first - 1,
        "difference": paired_bootstrap(*pairs)._asdict(),
    }


# A part


def trained(name: str, part: Part, rows: Sequence[EmbeddingRow], seed: int) -> TrainedAdapter:
    settings = EmbeddingSettings.from_json(
        {"base": part.base, "out": str(WORK / f"run-{name}-{seed}"), "seed": seed, **part.settings}
    )

    def tell(progress: Any) -> None:
        if progress.step % 10 == 0 or progress.evaluation is not None:
            print(
                f"{name}: step {progress.step} of {progress.steps}, loss {progress.loss:.3f}, "
                f"held out {progress.evaluation}, {progress.seconds_left:.0f} s left",
                flush=True,
            )

    known: dict[str, Any] = {}
    if settings.side == "query" or settings.method == "query-map":
        texts = list(corpus_of(part.data).values())
        vectors = vectors_of(load_embeddings(part.base), texts, what=part.data)
        known = dict(zip(texts, vectors.tolist(), strict=True))
    return train_embeddings(settings, rows, known=known, on_progress=tell)


def registered(store: AdapterStore, adapter: TrainedAdapter, name: str) -> AdapterRef:
    """In a store that is made anew: what a run made is the same each time."""
    return store.register(adapter.folder, name, manifest=adapter.manifest)


def made(name: str, part: Part, seed: int) -> dict[str, Any]:
    started = time.monotonic()
    rows = part.rows(part)
    adapter = trained(name, part, rows, seed)
    base = load_embeddings(part.base)
    shutil.rmtree(WORK / f"store-{name}-{seed}", ignore_errors=True)
    store = AdapterStore(WORK / f"store-{name}-{seed}")
    tuned = AdapterEmbeddings(base, store, adapter=str(registered(store, adapter, name)))
    return {
        "rows": len(rows),
        "settings": part.settings,
        "seed": seed,
        "report": asdict(adapter.report),
        "target": compared(base, tuned, part.data, part.split, {row.positive for row in rows}),
        "guard": compared(base, tuned, GUARD, "test"),
        "seconds": time.monotonic() - started,
    }


def kept(name: str, seed: int) -> dict[str, Any] | None:
    """What the part gave when it was made, if it was with these settings."""
    path = WORK / "parts" / f"{name}-{seed}.json"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found if found["settings"] == PARTS[name].settings else None


def keep(name: str, seed: int, found: dict[str, Any]) -> None:
    path = WORK / "parts" / f"{name}-{seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found), encoding="utf-8")


def show(found: Mapping[str, Mapping[str, Any]]) -> None:
    rows = []
    for name, one in found.items():
        target = one["target"]
        sets = {PARTS[name].data: target, f"guard: {GUARD}": one["guard"]}
        if "of_unseen_documents" in target:
            sets["the same, unseen documents"] = target["of_unseen_documents"]
        for label, figures in sets.items():
            low, high = figures["difference"]["low"], figures["difference"]["high"]
            rows.append(
                (
                    name,
                    label,
                    figures["questions"],
                    figures["before"],
                    figures["after"],
                    f"{figures['relative']:+.1%}",
                    f"{low:+.4f} to {high:+.4f}",
                )
            )
    names = ("part", "questions of", "n", "base", "trained", "relative", "95 % of the difference")
    print_table("nDCG@10", names, rows)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", choices=(*PARTS, "all"), default="all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="do not read what was kept")
    arguments = parser.parse_args()
    seed = arguments.seed
    for name in PARTS if arguments.data == "all" else [arguments.data]:
        if arguments.again or kept(name, seed) is None:
            keep(name, seed, made(name, PARTS[name], seed))
    found = {name: part for name in PARTS if (part := kept(name, seed)) is not None}
    show(found)
    finish(
        "train_embeddings",
        {"parts": found, "bars": BARS, "writer": WRITER},
        packages=["peft", "sentence-transformers", "torch"],
    )


if __name__ == "__main__":
    main()
