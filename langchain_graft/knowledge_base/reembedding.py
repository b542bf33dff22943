"""Chunks get the vectors of another embedder, beside those that serve. Resumable at every batch."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from array import array
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from langchain_graft.knowledge_base.lock import writes
from langchain_graft.knowledge_base.publishing import EMBED_BATCH
from langchain_graft.models.digest import embeddings_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from langchain_core.embeddings import Embeddings

    from langchain_graft.knowledge_base.journal import ChunkRecord
    from langchain_graft.models.pull import OnProgress

NAME = "reembedding.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors(
    digest TEXT NOT NULL,  -- the embedder's
    text BLOB NOT NULL,    -- sha256 of what was embedded, its first 16 bytes
    vector BLOB NOT NULL,  -- float32
    PRIMARY KEY (digest, text)
) WITHOUT ROWID;
"""
_MEASURED = 2  # batches
_GROUP = 500  # texts that are looked up at once


@dataclass(frozen=True, kw_only=True)
class ReembedEstimate:
    """What embedding a knowledge base with another embedder would take."""

    texts: int
    """Texts that are left to be embedded; equal ones count once."""
    embedded: int
    """Texts whose vectors are there: those that were measured, and those of an interrupted run."""
    seconds: float | None
    """For those that are left; None: nothing had to be embedded, nothing was measured."""
    measured: int = 0
    """Texts on which the speed was measured."""


class Reembedding:
    """The vectors of a new embedder, in a file beside the journal until a generation has them.

    A batch is kept as soon as it is embedded, under the embedder's digest and its text: what is
    interrupted loses no more than that. Vectors of yet another embedder are dropped.

    Args:
        folder: The knowledge base.
        embeddings: The new embedder.

    Raises:
        KnowledgeBaseError: The file can not be written.
    """

    def __init__(self, folder: Path, embeddings: Embeddings) -> None:
        self._path = folder / NAME
        self._embeddings = embeddings
        self._digest = embeddings_digest(embeddings)
        with writes(folder, sqlite3.OperationalError):
            try:
                self._database = self._opened()
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:  # it is no database: what it held is made again
                remove_vectors(folder)
                self._database = self._opened()

    def close(self) -> None:
        """Close the file; what it has stays."""
        self._database.close()

    def embed(
        self,
        chunks: Callable[[], Iterable[ChunkRecord]],
        *,
        on_estimate: Callable[[ReembedEstimate], None] | None,
        on_progress: OnProgress,
    ) -> None:
        """Embed what has no vector yet.

        Args:
            chunks: Gives them from the first one on, each time it is called.
            on_estimate: Told what is left, measured on two batches, before the others.
            on_progress: Told ("embed", done, total).
        """
        left = len({key for group in self._missing(chunks()) for key in group})
        on_progress("embed", 0, left)
        work = self._embed(self._batches(chunks()), left, on_progress)
        speeds = list(islice(work, _MEASURED))  # while the first one runs, the embedder is loaded
        if on_estimate:
            on_estimate(self._estimate(left, speeds))
        for _ in work:
            pass

    def with_vectors(self, chunks: Iterable[ChunkRecord]) -> Iterator[ChunkRecord]:
        """The chunks with the vectors of the new embedder; all have to be embedded."""
        left = iter(chunks)
        while group := list(islice(left, _GROUP)):
            keys = [_key(chunk.embedded_text) for chunk in group]
            vectors = self._vectors(keys)
            for key, chunk in zip(keys, group, strict=True):
                yield replace(chunk, vector=array("f", vectors[key]))

    def _embed(
        self, batches: Iterable[dict[bytes, str]], left: int, on_progress: OnProgress
    ) -> Iterator[tuple[int, float]]:
        """Embed batch by batch; the size of each, and the seconds it took."""
        done = 0
        for batch in batches:
            started = time.perf_counter()
            vectors = self._embeddings.embed_documents(list(batch.values()))
            self._put(list(batch), vectors)
            done += len(batch)
            on_progress("embed", done, left)
            yield len(batch), time.perf_counter() - started

    def _estimate(self, left: int, speeds: Sequence[tuple[int, float]]) -> ReembedEstimate:
        measured = sum(texts for texts, _ in speeds)
        query = "SELECT count(*) FROM vectors WHERE digest = ?"
        embedded = int(self._database.execute(query, (self._digest,)).fetchone()[0])
        texts, seconds = speeds[-1] if speeds else (1, None)
        return ReembedEstimate(
            texts=left - measured,
            embedded=embedded,
            seconds=None if seconds is None else seconds / texts * (left - measured),
            measured=measured,
        )

    def _batches(self, chunks: Iterable[ChunkRecord]) -> Iterator[dict[bytes, str]]:
        """Texts without a vector by their keys, `EMBED_BATCH` at a time, each once."""
        waiting: dict[bytes, str] = {}
        for group in self._missing(chunks):
            waiting |= group
            while len(waiting) >= EMBED_BATCH:
                batch = dict(islice(waiting.items(), EMBED_BATCH))
                waiting = dict(islice(waiting.items(), EMBED_BATCH, None))
                yield batch
        if waiting:
            yield waiting

    def _missing(self, chunks: Iterable[ChunkRecord]) -> Iterator[dict[bytes, str]]:
        left = iter(chunks)
        while group := list(islice(left, _GROUP)):
            texts = {_key(chunk.embedded_text): chunk.embedded_text for chunk in group}
            known = self._vectors(list(texts))
            yield {key: text for key, text in texts.items() if key not in known}

    def _vectors(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Those that are there, by their keys."""
        marks = ", ".join("?" * len(keys))
        query = f"SELECT text, vector FROM vectors WHERE digest = ? AND text IN ({marks})"  # noqa: S608
        return dict(self._database.execute(query, (self._digest, *keys)).fetchall())

    def _put(self, keys: Sequence[bytes], vectors: Sequence[Sequence[float]]) -> None:
        rows = [
            (self._digest, key, array("f", vector).tobytes())
            for key, vector in zip(keys, vectors, strict=True)
        ]
        with writes(self._path.parent, sqlite3.OperationalError), self._database:
            self._database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)

    def _opened(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.executescript(_SCHEMA)
            with database:
                database.execute("DELETE FROM vectors WHERE digest <> ?", (self._digest,))
        except sqlite3.Error:
            database.close()
            raise
        return database


def remove_vectors(folder: Path) -> None:
    """Remove the file: a generation has the vectors, or nobody wants them."""
    for suffix in ("", "-wal", "-shm"):
        (folder / (NAME + suffix)).unlink(missing_ok=True)


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]
