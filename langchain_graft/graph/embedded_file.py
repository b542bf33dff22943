"""The SQLite file of a graph: its tables, who reads and who writes, what goes wrong with it."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_graft.errors import GraphError

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT = 1
_TIMEOUT_SECONDS = 30.0
_TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE chunks(
    id TEXT PRIMARY KEY,
    source_id TEXT NOT NULL,
    chunk_index INTEGER,
    text TEXT NOT NULL,
    metadata TEXT NOT NULL          -- JSON
);
CREATE INDEX chunks_of_source ON chunks(source_id, chunk_index);
CREATE TABLE nodes(
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    label TEXT NOT NULL,
    name TEXT NOT NULL,
    properties TEXT NOT NULL,       -- JSON
    vector BLOB                     -- float32 of length 1
);
CREATE INDEX nodes_of_label ON nodes(label);
CREATE VIRTUAL TABLE node_words USING fts5(words, grams, tokenize = "unicode61");
CREATE TABLE relationships(
    key INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    type TEXT NOT NULL,
    target TEXT NOT NULL,
    properties TEXT NOT NULL,       -- JSON
    UNIQUE(source, type, target)
);
CREATE INDEX relationships_to ON relationships(target);
CREATE TABLE node_mentions(         -- "start" is -1 where the chunk does not say where
    node_id TEXT NOT NULL, chunk_id TEXT NOT NULL,
    start INTEGER NOT NULL, end INTEGER NOT NULL, quote TEXT NOT NULL,
    PRIMARY KEY(node_id, chunk_id, start, end)
) WITHOUT ROWID;
CREATE INDEX nodes_of_chunk ON node_mentions(chunk_id);
CREATE TABLE relationship_mentions(
    key INTEGER NOT NULL, chunk_id TEXT NOT NULL,
    start INTEGER NOT NULL, end INTEGER NOT NULL, quote TEXT NOT NULL,
    PRIMARY KEY(key, chunk_id, start, end)
) WITHOUT ROWID;
CREATE INDEX relationships_of_chunk ON relationship_mentions(chunk_id);
"""


class GraphFile:
    """The connections to one file: many readers, one writer; used by any number of threads.

    A reader sees one state of the graph from its first statement to its last.

    Args:
        path: The file, made when there is none; None: in memory, and gone when closed.
    """

    def __init__(self, path: Path | str | None) -> None:
        self._path = None if path is None else Path(path)
        self._lock = threading.RLock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        with self._errors():
            self._release(self._open())

    @property
    def name(self) -> str:
        """What messages call it."""
        return repr(str(self._path)) if self._path else "the graph in memory"

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the graph."""
        with self._errors(), self._connection() as database:
            database.execute("BEGIN")
            try:
                yield database
            finally:
                database.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are all made, or none of them."""
        with self._errors(), self._lock, self._connection() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:  # a full disk has ended it already
                    database.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file; what is being read is read to its end. The next use opens it again."""
        with self._lock:
            self._closed = True
            while self._idle:
                self._idle.pop().close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        if self._path is None:  # all threads share the one that there is
            with self._lock:
                database = self._taken()
                try:
                    yield database
                finally:
                    self._release(database)
            return
        database = self._taken()
        try:
            yield database
        finally:
            self._release(database)

    def _taken(self) -> sqlite3.Connection:
        with self._lock:
            if self._closed and self._path is None:
                msg = f"{self.name} was closed, and is gone with all that it held"
                raise GraphError(msg)
            self._closed = False
            if self._idle:
                return self._idle.pop()
        return self._open()

    def _release(self, database: sqlite3.Connection) -> None:
        with self._lock:
            if self._closed:
                database.close()
            else:
                self._idle.append(database)

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(
            self._address(),
            uri=True,
            timeout=_TIMEOUT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._prepare(database)
        except BaseException:
            database.close()
            raise
        return database

    def _address(self) -> str:
        if self._path is None:
            return ":memory:"
        address = self._path.absolute().as_uri()
        if self._path.exists() and not os.access(self._path.parent, os.W_OK):
            return f"{address}?mode=ro&immutable=1"  # SQLite writes beside it, even to read
        return f"{address}?mode=rwc"

    def _prepare(self, database: sqlite3.Connection) -> None:
        found = database.execute("PRAGMA user_version").fetchone()[0]
        if found > FORMAT:
            msg = (
                f"{self.name} has format {found}, this version reads up to {FORMAT}: install a "
                "newer langchain-graft"
            )
            raise GraphError(msg)
        if found == FORMAT:
            database.execute("PRAGMA synchronous = NORMAL")
            return
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("BEGIN IMMEDIATE")
        if database.execute("PRAGMA user_version").fetchone()[0] == 0:  # nobody was quicker
            for statement in _TABLES.split(";\n"):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {FORMAT}")
        database.execute("COMMIT")
        database.execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            msg = (
                f"{self.name} can not be used: {error}. If it is busy, full or not allowed, mend "
                "that and do it again: nothing is half-written. If it is damaged, remove it and "
                "build the graph again"
            )
            raise GraphError(msg) from error
