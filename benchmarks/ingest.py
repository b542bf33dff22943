"""Ingestion of a corpus: ours against LangChain's own parts, same weights, in one run.

Theirs: a loader, RecursiveCharacterTextSplitter, HuggingFaceEmbeddings with its defaults, and
Chroma.from_documents. Ours: `KnowledgeBase.ingest_beir`, which also writes the journal and the word
index. Both cut into chunks of the embedder's window; theirs overlap by a twentieth, as LangChain's
defaults (200 of 4000) do, ours repeat the title: the embedded tokens are equal within 5 %. Each
runs in a process of its own. Then nDCG@10 of both, and of an exact search over our vectors.

    GRAFT_BENCH_DATA=... python benchmarks/ingest.py [--limit N] [--rounds N]
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from report import data_folder, finish, print_table

from langchain_graft.evaluation.bootstrap import mean_interval
from langchain_graft.evaluation.datasets import load_beir, load_beir_corpus
from langchain_graft.evaluation.ranking import distinct, ranking_metrics

CHUNK_TOKENS = 254
DEPTH = 50


def ours(folder: Path, out: Path) -> dict[str, object]:
    from langchain_graft.knowledge_base import IngestSettings, KnowledgeBase  # noqa: PLC0415
    from langchain_graft.models import load_embeddings  # noqa: PLC0415

    embeddings = load_embeddings("minilm")
    started = time.perf_counter()
    kb = KnowledgeBase.create(
        out, embeddings=embeddings, settings=IngestSettings(chunk_tokens=CHUNK_TOKENS)
    )
    report = kb.ingest_beir(folder)
    seconds = time.perf_counter() - started
    queries, judged = load_beir(folder)
    found = kb.retriever(k=DEPTH).search_many(list(queries.values()))
    rankings = {
        query: distinct([d.metadata["source_id"] for d in documents])
        for query, documents in zip(queries, found, strict=True)
    }
    return {
        "seconds": seconds,
        "parts": report.seconds,
        "chunks": report.chunks,
        "tokens": _tokens(kb, embeddings),
        "ndcg": _ndcg(rankings, judged),
        "exact_ndcg": _ndcg(_exact(kb, embeddings, queries), judged),
    }


def theirs(folder: Path, out: Path) -> dict[str, object]:
    from langchain_chroma import Chroma  # noqa: PLC0415
    from langchain_core.documents import Document  # noqa: PLC0415
    from langchain_huggingface import HuggingFaceEmbeddings  # noqa: PLC0415
    from langchain_text_splitters import RecursiveCharacterTextSplitter  # noqa: PLC0415
    from transformers import AutoTokenizer  # noqa: PLC0415

    from langchain_graft.models import pull_model  # noqa: PLC0415

    model = str(pull_model("minilm"))
    embeddings = HuggingFaceEmbeddings(model_name=model)
    tokenizer = AutoTokenizer.from_pretrained(model)
    started = time.perf_counter()
    documents = [
        Document(page_content=f"{title} {text}", metadata={"source_id": id_, "title": title})
        for id_, title, text in load_beir_corpus(folder)
    ]
    splitter = RecursiveCharacterTextSplitter.from_huggingface_tokenizer(
        tokenizer, chunk_size=CHUNK_TOKENS, chunk_overlap=CHUNK_TOKENS // 20
    )
    chunks = splitter.split_documents(documents)
    store = Chroma.from_documents(chunks, embeddings, persist_directory=str(out))
    seconds = time.perf_counter() - started
    queries, judged = load_beir(folder)
    rankings = {
        query: distinct([d.metadata["source_id"] for d in store.similarity_search(text, k=DEPTH)])
        for query, text in queries.items()
    }
    texts = [chunk.page_content for chunk in chunks]
    return {
        "seconds": seconds,
        "chunks": len(chunks),
        "tokens": sum(map(len, tokenizer(texts, add_special_tokens=False)["input_ids"])),
        "ndcg": _ndcg(rankings, judged),
    }


def _ndcg(rankings: dict[str, list[str]], judged: dict[str, dict[str, int]]) -> float:
    return mean_interval(list(ranking_metrics(rankings, judged)["ndcg@10"].values())).mean


def _chunks(kb: Any) -> list[tuple[str, str]]:
    import sqlite3  # noqa: PLC0415

    database = sqlite3.connect(kb.folder / "journal.sqlite")
    return list(database.execute("SELECT source_id, embedded_text FROM chunks ORDER BY rowid"))


def _tokens(kb: Any, embeddings: Any) -> int:
    return sum(embeddings.token_counter()([text for _, text in _chunks(kb)]))


def _exact(kb: Any, embeddings: Any, queries: dict[str, str]) -> dict[str, list[str]]:
    """Rankings by comparing every query with every vector of the index."""
    from langchain_graft.knowledge_base.indexes import Indexes  # noqa: PLC0415
    from langchain_graft.knowledge_base.manifest import (  # noqa: PLC0415
        generation_folder,
        read_manifest,
    )

    folder = generation_folder(kb.folder, read_manifest(kb.folder).generation)
    collection = Indexes(folder, embeddings, base=folder).vector._collection  # noqa: SLF001
    stored = collection.get(include=["embeddings", "metadatas"])
    vectors = np.array(stored["embeddings"])
    sources = [str(metadata["source_id"]) for metadata in stored["metadatas"] or ()]
    scores = np.array(embeddings.embed_queries(list(queries.values()))) @ vectors.T
    best = np.argsort(-scores, axis=1)[:, :DEPTH]
    return {
        query: distinct([sources[n] for n in row]) for query, row in zip(queries, best, strict=True)
    }


def run(side: str, folder: Path) -> dict[str, object]:
    """One side in a process of its own; its peak memory too."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, __file__, "--side", side, "--folder", folder, "--out", out]
        done = subprocess.run(  # noqa: S603
            [str(part) for part in command], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def limited(folder: Path, limit: int, out: Path) -> Path:
    """The first documents of a corpus with the queries that ask for them."""
    rows = list(load_beir_corpus(folder))[:limit]
    lines = [json.dumps({"_id": i, "title": t, "text": x}) for i, t, x in rows]
    (out / "corpus.jsonl").write_text("\n".join(lines), encoding="utf-8")
    queries, judged = load_beir(folder)
    kept = {id_ for id_, _, _ in rows}
    asked = {q: d for q, d in judged.items() if set(d) <= kept}
    lines = [json.dumps({"_id": q, "text": queries[q]}) for q in asked]
    (out / "queries.jsonl").write_text("\n".join(lines), encoding="utf-8")
    lines = [f"{q}\t{d}\t{r}" for q, of in asked.items() for d, r in of.items()]
    (out / "qrels.test.tsv").write_text("\n".join(["q\td\tr", *lines]), encoding="utf-8")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, help="the first N documents only")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        figures = {"ours": ours, "theirs": theirs}[arguments.side](arguments.folder, arguments.out)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**figures, "peak_mb": peak}))
        return
    folder = data_folder("scifact")
    with tempfile.TemporaryDirectory() as part:
        if arguments.limit:
            folder = limited(folder, arguments.limit, Path(part))
        rounds = [(run("ours", folder), run("theirs", folder)) for _ in range(arguments.rounds)]
    ratios = [float(a["seconds"]) / float(b["seconds"]) for a, b in rounds]  # type: ignore[arg-type]
    mine, peer = rounds[-1]
    rows = [
        (name, side["seconds"], side["chunks"], side["tokens"], side["ndcg"], side["peak_mb"])
        for name, side in (("ours", mine), ("LangChain's parts", peer))
    ]
    names = ("system", "seconds", "chunks", "embedded tokens", "nDCG@10", "peak MB")
    print_table("Ingestion of scifact, minilm", names, rows)
    print(f"ours / theirs: {[round(ratio, 3) for ratio in ratios]}")
    print(f"exact search over our vectors: nDCG@10 {mine['exact_ndcg']:.4f}")
    print(f"our parts: {mine['parts']}")
    finish(
        "ingest",
        {"ours": mine, "theirs": peer, "ratios": ratios},
        packages=("torch", "sentence-transformers", "chromadb", "langchain-chroma"),
    )


if __name__ == "__main__":
    main()
