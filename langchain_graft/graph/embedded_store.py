"""A graph in one SQLite file: no server, nothing to start."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from langchain_graft.errors import DigestMismatchError
from langchain_graft.graph.embedded_file import GraphFile
from langchain_graft.graph.embedded_read import (
    best,
    chunks_by_id,
    expanded,
    found_by_name,
    said_by,
    schema_of,
)
from langchain_graft.graph.embedded_write import chunks_of, take_back, write_rows
from langchain_graft.graph.entity_vectors import nearest, vector_bytes
from langchain_graft.graph.graph_rows import graph_rows
from langchain_graft.graph.store import (
    DEFAULT_DEPTH,
    DEFAULT_LIMIT,
    check_expansion,
    check_search,
)
from langchain_graft.models.digest import embeddings_digest

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings

    from langchain_graft.graph.graph_rows import GraphRows
    from langchain_graft.graph.schema import Schema
    from langchain_graft.graph.types import FoundNode, GraphDocument, Subgraph

_KNOWN = "SELECT vector FROM nodes WHERE id = ? AND name = ? AND vector IS NOT NULL"


class EmbeddedGraphStore:
    """A `GraphStore` in an SQLite file.

    Every change is one transaction: a process that is killed leaves what was there before it. Any
    number of threads and processes read while one writes. Names are found by their words, Chinese
    ones by characters and pairs of them, and with small slips; with `embeddings` by their meaning
    too, and then the file holds vectors of that embedder alone.

    Example:
        >>> with_graph = EmbeddedGraphStore("graph.sqlite")
        >>> with_graph.add(graph_documents)
        >>> with_graph.expand([with_graph.find_entities("Steve Jobs")[0].node.id])

    Args:
        path: The file, made when there is none; None: in memory.
        embeddings: Embeds the names of entities as they are added; None: no vectors.

    Raises:
        GraphError: The file can not be opened, is no graph, or of a newer version.
        DigestMismatchError: Its vectors are another embedder's.
    """

    def __init__(self, path: Path | str | None, *, embeddings: Embeddings | None = None) -> None:
        self._file = GraphFile(path)
        self._embeddings = embeddings
        self._schema: tuple[object, Schema] | None = None
        self._lock = threading.Lock()
        self._digest = embeddings_digest(embeddings) if embeddings else None
        with self._file.reading() as database:
            self._check_digest(database)

    def schema(self, *, refresh: bool = False) -> Schema:
        """Labels, relationship types and properties, read again when the graph has changed."""
        with self._lock, self._file.reading() as database:
            state = database.execute("SELECT value FROM meta WHERE key = 'writes'").fetchone()
            if refresh or self._schema is None or self._schema[0] != state:
                self._schema = state, schema_of(database)
            return self._schema[1]

    def add(self, graph_documents: Sequence[GraphDocument]) -> None:
        """Put documents in, all or none; what their chunks said before is replaced.

        Raises:
            ValueError: A document can not be kept; nothing is.
            GraphError: A relationship's end is not there, or the file can not be written.
        """
        rows = graph_rows(graph_documents)
        if not rows.chunks:
            return
        vectors = self._vectors(rows)
        with self._file.writing() as database:
            if self._digest:
                self._check_digest(database)
                put = "INSERT OR IGNORE INTO meta VALUES ('digest', ?)"
                database.execute(put, (self._digest,))
            write_rows(database, rows, vectors=vectors)
            _count_write(database)

    def find_entities(
        self,
        text: str | None = None,
        *,
        vector: Sequence[float] | None = None,
        k: int = 10,
        label: str | None = None,
    ) -> list[FoundNode]:
        """Up to `k` nodes whose names (or aliases) fit the text, or whose vectors the vector.

        The score of a name is `name_score`, that of a vector its cosine; the higher one counts.

        Raises:
            ValueError: There is nothing to look for, or the store was made without embeddings.
        """
        check_search(text, vector, k=k, has_vectors=self._digest is not None)
        with self._file.reading() as database:
            by_name = found_by_name(database, text, k=k, label=label) if text else []
            if vector is None:
                return by_name
            scores = _cosines(database, vector, k, label)
            for one in by_name:
                scores[one.node.id] = max(one.score, scores.get(one.node.id, 0.0))
            return best(database, scores, k=k)

    def expand(
        self, ids: Sequence[str], *, depth: int = DEFAULT_DEPTH, limit: int = DEFAULT_LIMIT
    ) -> Subgraph:
        """The nodes, and what is at most `depth` steps away, nearest first.

        Relationships of equal distance come by source, type and target. All levels are read in one
        state of the graph, and no more of them than the limit, however many neighbours a node has.
        """
        check_expansion(depth, limit)
        with self._file.reading() as database:
            return expanded(database, ids, depth=depth, limit=limit)

    def chunks(self, ids: Sequence[str]) -> list[Document]:
        """The chunks with these ids, in this order; those that are not there are left out."""
        with self._file.reading() as database:
            return chunks_by_id(database, ids)

    def remove(self, source_ids: Iterable[str]) -> None:
        """Take documents out: their chunks, and what no other chunk says."""
        with self._file.writing() as database:
            if found := chunks_of(database, source_ids):
                take_back(database, found)
                _count_write(database)

    def chunk_ids(self, *, after: str = "", limit: int = 100) -> list[str]:
        """Ids of chunks in their order, those behind `after`."""
        query = "SELECT id FROM chunks WHERE id > ? ORDER BY id LIMIT ?"
        with self._file.reading() as database:
            return [row[0] for row in database.execute(query, (after, limit))]

    def graph_documents(self, chunk_ids: Sequence[str]) -> list[GraphDocument]:
        """What chunks say, as `add` took it; chunks that are not there are left out."""
        with self._file.reading() as database:
            return said_by(database, chunk_ids)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._file.close()

    async def aschema(self, *, refresh: bool = False) -> Schema:
        """Like `schema`, in a thread."""
        return await asyncio.to_thread(self.schema, refresh=refresh)

    async def aadd(self, graph_documents: Sequence[GraphDocument]) -> None:
        """Like `add`, in a thread."""
        await asyncio.to_thread(self.add, graph_documents)

    async def afind_entities(
        self,
        text: str | None = None,
        *,
        vector: Sequence[float] | None = None,
        k: int = 10,
        label: str | None = None,
    ) -> list[FoundNode]:
        """Like `find_entities`, in a thread."""
        return await asyncio.to_thread(self.find_entities, text, vector=vector, k=k, label=label)

    async def aexpand(
        self, ids: Sequence[str], *, depth: int = DEFAULT_DEPTH, limit: int = DEFAULT_LIMIT
    ) -> Subgraph:
        """Like `expand`, in a thread."""
        return await asyncio.to_thread(self.expand, ids, depth=depth, limit=limit)

    async def achunks(self, ids: Sequence[str]) -> list[Document]:
        """Like `chunks`, in a thread."""
        return await asyncio.to_thread(self.chunks, ids)

    async def aremove(self, source_ids: Iterable[str]) -> None:
        """Like `remove`, in a thread."""
        await asyncio.to_thread(self.remove, source_ids)

    def _vectors(self, rows: GraphRows) -> dict[str, bytes]:
        """Vectors of the names: those that the graph has, and the others embedded."""
        if not self._embeddings:
            return {}
        nodes = rows.nodes.values()
        with self._file.reading() as database:
            found = {
                one.id: database.execute(_KNOWN, (one.id, one.name)).fetchone() for one in nodes
            }
        known = {id_: bytes(row[0]) for id_, row in found.items() if row}
        new = [one for one in nodes if one.id not in known]
        embedded = self._embeddings.embed_documents([one.name for one in new]) if new else []
        pairs = zip(new, embedded, strict=True)
        return {**known, **{one.id: vector_bytes(vector) for one, vector in pairs}}

    def _check_digest(self, database: sqlite3.Connection) -> None:
        row = database.execute("SELECT value FROM meta WHERE key = 'digest'").fetchone()
        if row and self._digest and row[0] != self._digest:
            raise DigestMismatchError(self._file.name, expected=self._digest, found=row[0])


def _cosines(
    database: sqlite3.Connection, vector: Sequence[float], k: int, label: str | None
) -> dict[str, float]:
    query = "SELECT id, vector FROM nodes WHERE vector IS NOT NULL AND (? IS NULL OR label = ?)"
    return nearest(vector, dict(database.execute(query, (label, label))), k=k)


def _count_write(database: sqlite3.Connection) -> None:
    database.execute(
        "INSERT INTO meta VALUES ('writes', '1') "
        "ON CONFLICT(key) DO UPDATE SET value = CAST(value AS INTEGER) + 1"
    )
