"""The journal: which documents there are, their chunks, and how far each has come. SQLite."""

from __future__ import annotations

import json
import os
import sqlite3
from array import array
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from langchain_graft.errors import KnowledgeBaseError
from langchain_graft.knowledge_base import graph_journal
from langchain_graft.knowledge_base.lock import writes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sources(
    source_id TEXT PRIMARY KEY,
    origin TEXT NOT NULL,           -- where it was read: an absolute path, or a loader's name
    root TEXT NOT NULL,             -- what was asked to be ingested; '' when it was named alone
    digest TEXT NOT NULL,           -- of the content; '' when it was never read
    state TEXT NOT NULL,            -- 'ready', 'failed', 'duplicate'
    detail TEXT NOT NULL DEFAULT '' -- why it, or a part, was not read; or what it doubles
);
CREATE TABLE IF NOT EXISTS chunks(
    id TEXT PRIMARY KEY,
    source_id TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    text TEXT NOT NULL,
    embedded_text TEXT NOT NULL,
    metadata TEXT NOT NULL,         -- JSON
    state TEXT NOT NULL,            -- 'pending', 'embedded', 'indexed', 'removed'
    vector BLOB,                    -- float32, kept from 'embedded' to 'indexed'
    generation INTEGER NOT NULL DEFAULT 0 -- the first that has it
);
CREATE INDEX IF NOT EXISTS chunks_of_source ON chunks(source_id);
CREATE INDEX IF NOT EXISTS chunks_in_work ON chunks(state) WHERE state <> 'indexed';
"""
_COLUMNS = "id, source_id, ordinal, text, embedded_text, metadata, vector"
# SQLite uses `chunks_in_work` where a query says its condition in the same words.
_COUNT = "SELECT count(*) FROM chunks WHERE state <> 'indexed' AND state = ?"
_SINCE = "(state IN ('pending', 'embedded') OR (state = 'indexed' AND generation > ?))"
_DELETE_REMOVED = "DELETE FROM chunks WHERE state <> 'indexed' AND state = 'removed'"
_ADD_GENERATION = "ALTER TABLE chunks ADD COLUMN generation INTEGER NOT NULL DEFAULT 0"
_TIMEOUT_SECONDS = 30.0

_PASSING = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    )
)
_ON_THEIR_WAY = ("pending", "embedded", "indexed")

SourceState = Literal["ready", "failed", "duplicate"]


@dataclass(frozen=True, kw_only=True)
class SourceRecord:
    """What the journal knows of one document."""

    source_id: str
    origin: str
    root: str
    digest: str
    state: SourceState
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class ChunkRecord:
    """A chunk as the journal keeps it."""

    id: str
    source_id: str
    ordinal: int
    text: str
    embedded_text: str
    metadata: dict[str, Any] = field(default_factory=dict)
    vector: Sequence[float] | None = None


class Journal:
    """The record of a knowledge base; every change is one transaction.

    A chunk goes from `pending` (read) to `embedded` (its vector is here) to `indexed` (a published
    generation has it, the vector is dropped); `removed` ones leave with the next generation. One
    process writes, any number read; an object is used by one thread at a time.

    Args:
        path: The file.
        mode: "ro" to read, "rw" to write, "rwc" to make the file if there is none.

    Raises:
        KnowledgeBaseError: It is gone, no database, busy, or not ours to open.
    """

    def __init__(self, path: Path, *, mode: Literal["ro", "rw", "rwc"] = "rw") -> None:
        self._path = path
        try:
            self._database = _connect(path, mode)
        except sqlite3.DatabaseError as error:
            raise KnowledgeBaseError(_why(path, error)) from error
        self.graph = graph_journal.GraphJournal(self._database, self.transaction)
        """What it keeps of the graph."""

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes inside, or none of them."""
        with writes(self._path.parent, sqlite3.OperationalError):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # a full disk has ended it already
                    self._database.execute("ROLLBACK")
                raise

    def generation(self) -> int:
        """The generation whose content the `indexed` chunks are."""
        found = self._one("SELECT value FROM meta WHERE key = 'generation'")
        return int(found[0]) if found else 0

    def sources(self) -> dict[str, SourceRecord]:
        """All documents by id."""
        rows = self._database.execute(
            "SELECT source_id, origin, root, digest, state, detail FROM sources ORDER BY source_id"
        )
        names = ("source_id", "origin", "root", "digest", "state", "detail")
        return {row[0]: SourceRecord(**dict(zip(names, row, strict=True))) for row in rows}

    def record(self, source: SourceRecord, chunks: Iterable[ChunkRecord] | None = None) -> None:
        """Keep what became of a document; with `chunks`, they replace the ones it had.

        A chunk that it had already, in the same words and with the same metadata, is not touched.
        """
        with self.transaction():
            self._put_source(source)
            if chunks is not None:
                self._replace(source.source_id, list(chunks))

    def forget(self, source_ids: Iterable[str]) -> None:
        """Take documents out; their chunks leave with the next generation."""
        with self.transaction():
            for source_id in source_ids:
                self._replace(source_id, [])
                self._database.execute("DELETE FROM sources WHERE source_id = ?", (source_id,))

    def counts(self) -> dict[str, int]:
        """Number of chunks by state."""
        return dict(self._database.execute("SELECT state, count(*) FROM chunks GROUP BY state"))

    def count(self, state: Literal["pending", "embedded", "removed"]) -> int:
        """Number of chunks in a state in which only few are; quick however many are indexed."""
        found = self._one(_COUNT, state)
        return int(found[0]) if found else 0

    def pending(self, limit: int) -> list[ChunkRecord]:
        """The next chunks that have no vector yet."""
        return self._chunks(
            "state <> 'indexed' AND state = 'pending' ORDER BY rowid LIMIT ?", limit
        )

    def set_vectors(self, vectors: Mapping[str, Sequence[float]]) -> None:
        """Keep the vectors of chunks, which makes them `embedded`."""
        with self.transaction():
            self._database.executemany(
                "UPDATE chunks SET state = 'embedded', vector = ? WHERE id = ?",
                ((array("f", vector).tobytes(), id_) for id_, vector in vectors.items()),
            )

    def embedded(self, after: tuple[str, int], limit: int) -> list[ChunkRecord]:
        """Chunks with their vectors, in the order of source and place; those behind `after`."""
        return self._chunks(
            "state <> 'indexed' AND state = 'embedded' AND (source_id, ordinal) > (?, ?) "
            "ORDER BY source_id, ordinal LIMIT ?",
            *after,
            limit,
        )

    def indexed(self) -> Iterator[ChunkRecord]:
        """All chunks that the published generation has, in the order of source and place."""
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM chunks WHERE state = 'indexed' ORDER BY source_id, ordinal"  # noqa: S608
        )
        return map(_chunk, rows)

    def ids(self, *states: str) -> set[str]:
        """Ids of all chunks in these states."""
        marks = ", ".join("?" * len(states))
        query = f"SELECT id FROM chunks WHERE state IN ({marks})"  # noqa: S608
        return {row[0] for row in self._database.execute(query, states)}

    def kept_ids(self, generation: int) -> set[str]:
        """Ids of all chunks that have not changed since a generation was the current one."""
        query = "SELECT id FROM chunks WHERE state = 'indexed' AND generation <= ?"
        return {row[0] for row in self._database.execute(query, (generation,))}

    def since(self, generation: int) -> Iterator[ChunkRecord]:
        """All chunks that came later than a generation, or are on their way; -1: all there are.

        In the order of source and place.
        """
        query = f"SELECT {_COLUMNS} FROM chunks WHERE {_SINCE} ORDER BY source_id, ordinal"  # noqa: S608
        return map(_chunk, self._database.execute(query, (generation,)))

    def count_since(self, generation: int) -> int:
        """Number of chunks that `since` gives."""
        found = self._one(f"SELECT count(*) FROM chunks WHERE {_SINCE}", generation)  # noqa: S608
        return int(found[0]) if found else 0

    def finish(self, generation: int, *, also_pending: bool = False) -> None:
        """A generation was published: `embedded` chunks are in it, `removed` ones are not.

        Args:
            generation: Its number.
            also_pending: `pending` chunks are in it too.
        """
        came = "state <> 'indexed'" + ("" if also_pending else " AND state = 'embedded'")
        with self.transaction():
            self._database.execute(_DELETE_REMOVED)
            self._database.execute(
                "UPDATE chunks SET state = 'indexed', vector = NULL, generation = ? "  # noqa: S608
                f"WHERE {came}",
                (generation,),
            )
            self._database.execute(
                "INSERT OR REPLACE INTO meta VALUES ('generation', ?)", (str(generation),)
            )

    def start_over(self) -> None:
        """Nothing is indexed: every chunk has to be embedded again."""
        with self.transaction():
            self._database.execute(_DELETE_REMOVED)
            self._database.execute("UPDATE chunks SET state = 'pending' WHERE state = 'indexed'")

    def _put_source(self, source: SourceRecord) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?, ?, ?)",
            (
                source.source_id,
                source.origin,
                source.root,
                source.digest,
                source.state,
                source.detail,
            ),
        )

    def _replace(self, source_id: str, chunks: Sequence[ChunkRecord]) -> None:
        rows = self._database.execute(
            "SELECT id, embedded_text, metadata, state FROM chunks WHERE source_id = ?",
            (source_id,),
        )
        known = {row[0]: row[1:] for row in rows}
        for chunk in chunks:
            metadata = json.dumps(chunk.metadata, ensure_ascii=False, sort_keys=True)
            had = known.pop(chunk.id, None)
            if had in [(chunk.embedded_text, metadata, state) for state in _ON_THEIR_WAY]:
                self._database.execute(
                    "UPDATE chunks SET ordinal = ? WHERE id = ?", (chunk.ordinal, chunk.id)
                )
                continue
            self._database.execute(
                "INSERT OR REPLACE INTO chunks (id, source_id, ordinal, text, embedded_text, "
                "metadata, state) VALUES (?, ?, ?, ?, ?, ?, 'pending')",
                (
                    chunk.id,
                    source_id,
                    chunk.ordinal,
                    chunk.text,
                    chunk.embedded_text,
                    metadata,
                ),
            )
        self._database.executemany(
            "UPDATE chunks SET state = 'removed', vector = NULL WHERE id = ?",
            ((id_,) for id_ in known),
        )

    def _chunks(self, where: str, *values: object) -> list[ChunkRecord]:
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM chunks WHERE {where}",  # noqa: S608
            values,
        )
        return [_chunk(row) for row in rows]

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._database.execute(query, values).fetchone()
        return found


def _chunk(row: Sequence[Any]) -> ChunkRecord:
    return ChunkRecord(
        id=row[0],
        source_id=row[1],
        ordinal=row[2],
        text=row[3],
        embedded_text=row[4],
        metadata=json.loads(row[5]),
        vector=None if row[6] is None else array("f", row[6]),
    )


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode={mode}"
    if mode == "ro" and _lies_still(path):
        address += "&immutable=1"
    database = sqlite3.connect(
        address, uri=True, timeout=_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        if mode == "ro":
            database.execute("SELECT count(*) FROM sources")
        else:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.executescript(_SCHEMA + graph_journal.SCHEMA)
            columns = {row[1] for row in database.execute("PRAGMA table_info(chunks)")}
            if "generation" not in columns:  # of a time without releases
                database.execute(_ADD_GENERATION)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _lies_still(path: Path) -> bool:
    """Whether it is whole and can not be written here, which SQLite would do to read it."""
    log = path.with_name(f"{path.name}-wal")
    is_whole = not log.exists() or log.stat().st_size == 0
    return is_whole and not os.access(path.parent, os.W_OK)


def _why(path: Path, error: sqlite3.DatabaseError) -> str:
    """What is wrong with a database that can not be opened, and what to do."""
    if path.exists() and getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING:
        return (
            f"Can not open {str(path)!r} now: {error}. It may be busy, or its folder read-only, "
            "full or another user's. Mend that and do it again; nothing is lost"
        )
    return (
        f"{str(path)!r} is gone or damaged ({error}). Restore it from a backup, or remove the "
        "folder and ingest again"
    )
