"""Questions with known documents, and how two embedders rank them: what a gate measures with."""

from __future__ import annotations

import heapq
from contextlib import closing
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_graft.errors import EvaluationDataError
from langchain_graft.evaluation.datasets import load_beir, load_beir_corpus, load_questions
from langchain_graft.evaluation.ranking import distinct
from langchain_graft.knowledge_base.journal import Journal
from langchain_graft.knowledge_base.manifest import JOURNAL
from langchain_graft.knowledge_base.sources import beir_root
from langchain_graft.models.digest import embeddings_digest
from langchain_graft.retrievers.query import Query, embed_queries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from langchain_core.embeddings import Embeddings

    from langchain_graft.retrievers.index import SearchIndex

SPLITS = ("test", "dev")
DEPTH = 50
_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class GateQuestions:
    """A set of questions, with the documents that answer them."""

    name: str
    queries: Mapping[str, str]
    judged: Mapping[str, Mapping[str, int]]
    corpus: Mapping[str, str] = field(default_factory=dict)
    """Its own documents; empty: they are the knowledge base's."""
    answers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Accepted short answers, where they are known."""


def load_gate_questions(path: Path | str, kb_folder: Path) -> GateQuestions:
    """Questions of a file as `graft eval` takes it, or of a BEIR folder.

    A folder's documents are searched in the knowledge base if they were ingested from there; else
    they are embedded for the comparison alone, each as one text. Of a folder's splits `test` is
    taken, or else `dev`.

    Raises:
        EvaluationDataError: It is neither, or its documents are nowhere.
    """
    path = Path(path)
    if not path.is_dir():
        asked = [one for one in load_questions(path) if one.documents or one.answers]
        found = GateQuestions(
            name=path.stem,
            queries={one.id: one.question for one in asked},
            judged={one.id: dict.fromkeys(one.documents, 1) for one in asked if one.documents},
            answers={one.id: one.answers for one in asked if one.answers},
        )
        _check_documents(found, kb_sources(kb_folder))
        return found
    queries, judged = _beir(path)
    ids = {document for documents in judged.values() for document in documents}
    roots = _roots(kb_folder)
    corpus = {}
    if any(roots.get(id_) != beir_root(path) for id_ in ids):
        corpus = {id_: f"{title}\n{text}".strip() for id_, title, text in load_beir_corpus(path)}
    found = GateQuestions(name=path.name, queries=queries, judged=judged, corpus=corpus)
    _check_documents(found, corpus.keys() or roots.keys())
    return found


def kb_sources(kb_folder: Path) -> set[str]:
    """The ids of the documents that a knowledge base has."""
    return set(_roots(kb_folder))


def rank_in_index(index: SearchIndex, queries: Mapping[str, str]) -> dict[str, list[str]]:
    """Query id to source ids, best first."""
    ids, texts = list(queries), [Query(text) for text in queries.values()]
    rankings = {}
    for start in range(0, len(ids), _BATCH):
        part = slice(start, start + _BATCH)
        for id_, found in zip(ids[part], index.search_many(texts[part], k=DEPTH), strict=True):
            rankings[id_] = distinct([document.metadata["source_id"] for document in found])
    return rankings


class OwnDocuments:
    """Documents of a set, embedded in memory; embedders that agree on them embed them once.

    Args:
        corpus: Their texts by id.
        on_progress: Told ("embed", done, total).
    """

    def __init__(
        self,
        corpus: Mapping[str, str],
        on_progress: Callable[[str, int, int], object] | None = None,
    ) -> None:
        self._corpus = corpus
        self._tell = on_progress
        self._vectors: dict[str, list[list[float]]] = {}

    def rank(self, embeddings: Embeddings, queries: Mapping[str, str]) -> dict[str, list[str]]:
        """Query id to document ids, best first."""
        import numpy as np

        documents = np.asarray(self._embedded(embeddings), dtype=np.float32)
        documents /= np.linalg.norm(documents, axis=1, keepdims=True) + 1e-12
        asked = [Query(text) for text in queries.values()]
        ids, rankings = list(self._corpus), {}
        for start in range(0, len(asked), _BATCH):
            part = asked[start : start + _BATCH]
            scores = np.asarray(embed_queries(embeddings, part), dtype=np.float32) @ documents.T
            for query, row in zip(list(queries)[start:], scores.tolist(), strict=False):
                best = heapq.nlargest(DEPTH, zip(row, ids, strict=True), key=itemgetter(0))
                rankings[query] = [id_ for _, id_ in best]
        return rankings

    def _embedded(self, embeddings: Embeddings) -> list[list[float]]:
        digest = embeddings_digest(embeddings)
        if digest not in self._vectors:
            texts, vectors = list(self._corpus.values()), []
            for start in range(0, len(texts), _BATCH):
                vectors += embeddings.embed_documents(texts[start : start + _BATCH])
                if self._tell:
                    self._tell("embed", len(vectors), len(texts))
            self._vectors[digest] = vectors
        return self._vectors[digest]


def _beir(folder: Path) -> tuple[dict[str, str], dict[str, dict[str, int]]]:
    for split in SPLITS[:-1]:
        try:
            return load_beir(folder, split=split)
        except EvaluationDataError:
            continue
    return load_beir(folder, split=SPLITS[-1])


def _roots(kb_folder: Path) -> dict[str, str]:
    """The knowledge base's documents, and from where each came."""
    with closing(Journal(kb_folder / JOURNAL, mode="ro")) as journal:
        return {id_: source.root for id_, source in journal.sources().items()}


def _check_documents(questions: GateQuestions, known: Iterable[str]) -> None:
    if not questions.queries:
        msg = f"{questions.name!r} has no questions with documents or answers to compare with"
        raise EvaluationDataError(msg)
    wanted = {id_ for of in questions.judged.values() for id_ in of}
    if wanted and wanted.isdisjoint(known):
        msg = (
            f"None of the {len(wanted)} documents of {questions.name!r} is in the knowledge base, "
            f"such as {min(wanted)!r}. Ingest them, or add a corpus.jsonl"
        )
        raise EvaluationDataError(msg)
