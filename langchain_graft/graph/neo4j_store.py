"""A graph in Neo4j: ours, or one that was made elsewhere; and Cypher that only reads."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_graft.graph.graph_rows import GraphRows, graph_rows
from langchain_graft.graph.neo4j_connection import Neo4jConnection
from langchain_graft.graph.neo4j_read import (
    Neo4jReading,
    reading_chunk_ids,
    reading_chunks,
    reading_documents,
    reading_kind,
)
from langchain_graft.graph.neo4j_schema import reading_schema
from langchain_graft.graph.neo4j_vectors import known_vectors
from langchain_graft.graph.neo4j_write import adding, removing, setting_up
from langchain_graft.graph.read_result import ROW_LIMIT, TIMEOUT_SECONDS
from langchain_graft.graph.reading_rows import (
    ReadLimits,
    aexplain_statement,
    aread_rows,
    explain_statement,
    read_rows,
)
from langchain_graft.graph.store import (
    DEFAULT_DEPTH,
    DEFAULT_LIMIT,
    check_expansion,
    check_search,
)
from langchain_graft.models.digest import digest_of, embeddings_digest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings

    from langchain_graft.graph.neo4j_connection import Rows, Statement
    from langchain_graft.graph.read_result import ReadResult
    from langchain_graft.graph.schema import Schema
    from langchain_graft.graph.types import FoundNode, GraphDocument, Node, Subgraph

ROWS_PER_TRANSACTION = 200_000
"""Rows of graph documents that one transaction writes."""
SCHEMA_SECONDS = 300.0
"""How long a schema is kept."""
_KIND_SECONDS = 10.0
_INDEX_SECONDS = 300


class Neo4jGraphStore:
    """A `GraphStore` in Neo4j 5.26 or newer, without APOC.

    What `add` writes is `(:Document)-[:HAS_CHUNK]->(:Chunk)-[:MENTIONS]->(:Entity)`, with an own
    label on each entity, and one relationship per source, type and target that carries its mentions
    in lists. An `add` is one transaction up to 200,000 rows, which a server with 1 GB of heap
    holds; a larger one is several, each whole documents: since a chunk replaces what it said
    before, an `add` that was interrupted is simply done again.

    A graph that was made elsewhere (and has never been added to) is read as it is: `id` is the
    server's element id, `name` what looks like a name, names are found by its full-text index or
    in up to 50,000 nodes. Reading writes nothing.

    Example:
        >>> graph = Neo4jGraphStore("neo4j://localhost:7687", user="neo4j", password="...")
        >>> graph.read("MATCH (m:Movie) RETURN m.title AS title", row_limit=5).rows

    Args:
        uri: The server; None: NEO4J_URI. `neo4j+s://` and `bolt+s://` use TLS.
        user: None: NEO4J_USERNAME; without both, no authentication.
        password: None: NEO4J_PASSWORD.
        database: None: NEO4J_DATABASE, or the user's home database.
        embeddings: Embeds the names that are new as they are added; None: no vectors.
        retry_seconds: How long a transaction is tried again while the server restarts.

    Raises:
        ValueError: There is no address.
        GraphUnavailableError: The address is no Neo4j's; or, from any method, the server is not
            there, does not let us in, or has no such database.
    """

    def __init__(
        self,
        uri: str | None = None,
        *,
        user: str | None = None,
        password: str | None = None,
        database: str | None = None,
        embeddings: Embeddings | None = None,
        retry_seconds: float = 30.0,
    ) -> None:
        address = uri or os.environ.get("NEO4J_URI")
        if not address:
            msg = "No Neo4j is named: give uri=..., or set NEO4J_URI"
            raise ValueError(msg)
        self._connection = Neo4jConnection(
            address,
            user=user or os.environ.get("NEO4J_USERNAME"),
            password=password or os.environ.get("NEO4J_PASSWORD"),
            database=database or os.environ.get("NEO4J_DATABASE") or None,
            retry_seconds=retry_seconds,
        )
        self._embeddings = embeddings
        digest = embeddings_digest(embeddings) if embeddings else None
        self._vectors = f"graft_vector_{digest_of(digest)[:12]}" if digest else None
        self._lock = threading.Lock()
        self._is_set_up = False
        self._kind: tuple[float, Neo4jReading] | None = None
        self._schema: tuple[float, Schema] | None = None

    def schema(self, *, refresh: bool = False) -> Schema:
        """Labels, relationship types and properties, kept for five minutes.

        Out of up to 1,000 nodes per label and relationships per type; a property's values are
        listed where there are ten or fewer.
        """
        if refresh or (known := self._known_schema()) is None:
            kind = self._reading(refresh=refresh)
            known = self._connection.read(lambda: reading_schema(is_own=kind.is_own))
            self._schema = time.monotonic(), known
        return known

    def add(self, graph_documents: Sequence[GraphDocument]) -> None:
        """Put documents in; what their chunks said before is replaced.

        Raises:
            ValueError: A document can not be kept; nothing is.
            GraphError: A relationship's end is not there, or the server refuses.
        """
        for rows in _transactions(graph_documents):
            vectors = self._embedded(rows)
            self._set_up(vectors)
            self._connection.write(
                partial(adding, rows, vectors=vectors, vector_property=self._vectors)
            )
            self._schema = None

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
        check_search(text, vector, k=k, has_vectors=self._vectors is not None)
        kind = self._reading()
        plans = self._searches(kind, text, vector, k=k, label=label)
        return _together([self._connection.read(plan) for plan in plans], k=k)

    def expand(
        self, ids: Sequence[str], *, depth: int = DEFAULT_DEPTH, limit: int = DEFAULT_LIMIT
    ) -> Subgraph:
        """The nodes, and what is at most `depth` steps away, nearest first, in one statement.

        Relationships of equal distance come by source, type and target; the statement itself takes
        no more of them than the limit, however many neighbours a node has.
        """
        check_expansion(depth, limit)
        kind = self._reading()
        return self._connection.read(lambda: kind.expanding(ids, depth=depth, limit=limit))

    def chunks(self, ids: Sequence[str]) -> list[Document]:
        """The chunks with these ids, in this order; those that are not there are left out."""
        return self._connection.read(lambda: reading_chunks(ids))

    def remove(self, source_ids: Iterable[str]) -> None:
        """Take documents out: their chunks, and what no other chunk says."""
        ids = list(source_ids)
        self._connection.write(lambda: removing(ids))
        self._schema = None

    def chunk_ids(self, *, after: str = "", limit: int = 100) -> list[str]:
        """Ids of chunks in their order, those behind `after`."""
        return self._connection.read(lambda: reading_chunk_ids(after, limit))

    def graph_documents(self, chunk_ids: Sequence[str]) -> list[GraphDocument]:
        """What chunks say, as `add` took it; chunks that are not there are left out."""
        return self._connection.read(lambda: reading_documents(chunk_ids))

    def read(
        self,
        cypher: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        row_limit: int = ROW_LIMIT,
    ) -> ReadResult:
        """Run a statement that only reads.

        It is checked (`check_read_only`), given a limit, EXPLAINed, and run in a READ session with
        a time limit. Rows are read one by one, until there are `row_limit` of them or a megabyte.

        Raises:
            CypherRefusedError: It does more than read, or calls what is not allowed.
            CypherError: The server refuses it, or it takes too long.
        """
        limits = ReadLimits(seconds=timeout_seconds, rows=row_limit)
        return read_rows(self._connection, cypher, dict(parameters or {}), limits=limits)

    def explain(self, cypher: str) -> list[str]:
        """What the server remarks on a statement that is not run.

        Raises:
            CypherRefusedError: It does more than read, or calls what is not allowed.
            CypherError: The server can not read it.
        """
        return explain_statement(self._connection, cypher)

    def close(self) -> None:
        """Close the connections; the next use opens them again."""
        self._connection.close()

    async def aschema(self, *, refresh: bool = False) -> Schema:
        """Like `schema`."""
        if refresh or (known := self._known_schema()) is None:
            kind = await self._areading(refresh=refresh)
            known = await self._connection.aread(lambda: reading_schema(is_own=kind.is_own))
            self._schema = time.monotonic(), known
        return known

    async def aadd(self, graph_documents: Sequence[GraphDocument]) -> None:
        """Like `add`."""
        for rows in _transactions(graph_documents):
            vectors = await self._aembedded(rows)
            await self._aset_up(vectors)
            await self._connection.awrite(
                partial(adding, rows, vectors=vectors, vector_property=self._vectors)
            )
            self._schema = None

    async def afind_entities(
        self,
        text: str | None = None,
        *,
        vector: Sequence[float] | None = None,
        k: int = 10,
        label: str | None = None,
    ) -> list[FoundNode]:
        """Like `find_entities`."""
        check_search(text, vector, k=k, has_vectors=self._vectors is not None)
        kind = await self._areading()
        plans = self._searches(kind, text, vector, k=k, label=label)
        return _together([await self._connection.aread(plan) for plan in plans], k=k)

    async def aexpand(
        self, ids: Sequence[str], *, depth: int = DEFAULT_DEPTH, limit: int = DEFAULT_LIMIT
    ) -> Subgraph:
        """Like `expand`."""
        check_expansion(depth, limit)
        kind = await self._areading()
        return await self._connection.aread(lambda: kind.expanding(ids, depth=depth, limit=limit))

    async def achunks(self, ids: Sequence[str]) -> list[Document]:
        """Like `chunks`."""
        return await self._connection.aread(lambda: reading_chunks(ids))

    async def aremove(self, source_ids: Iterable[str]) -> None:
        """Like `remove`."""
        ids = list(source_ids)
        await self._connection.awrite(lambda: removing(ids))
        self._schema = None

    async def aread(
        self,
        cypher: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        row_limit: int = ROW_LIMIT,
    ) -> ReadResult:
        """Like `read`."""
        limits = ReadLimits(seconds=timeout_seconds, rows=row_limit)
        return await aread_rows(self._connection, cypher, dict(parameters or {}), limits=limits)

    async def aexplain(self, cypher: str) -> list[str]:
        """Like `explain`."""
        return await aexplain_statement(self._connection, cypher)

    def _known_schema(self) -> Schema | None:
        known = self._schema
        return known[1] if known and time.monotonic() - known[0] < SCHEMA_SECONDS else None

    def _reading(self, *, refresh: bool = False) -> Neo4jReading:
        kind = self._known_kind(refresh=refresh)
        return kind or self._know(self._connection.read(reading_kind))

    async def _areading(self, *, refresh: bool = False) -> Neo4jReading:
        kind = self._known_kind(refresh=refresh)
        return kind or self._know(await self._connection.aread(reading_kind))

    def _known_kind(self, *, refresh: bool) -> Neo4jReading | None:
        known = self._kind
        is_fresh = known and (known[1].is_own or time.monotonic() - known[0] < _KIND_SECONDS)
        return known[1] if known and is_fresh and not refresh else None

    def _know(self, kind: Neo4jReading) -> Neo4jReading:
        self._kind = time.monotonic(), kind
        return kind

    def _searches(
        self,
        kind: Neo4jReading,
        text: str | None,
        vector: Sequence[float] | None,
        *,
        k: int,
        label: str | None,
    ) -> list[Any]:
        plans: list[Any] = []
        if text:
            plans.append(lambda: kind.finding(text, k=k, label=label))
        if vector is not None and kind.is_own:
            index = str(self._vectors)
            plans.append(lambda: kind.finding_near(vector, index=index, k=k, label=label))
        return plans

    def _embedded(self, rows: GraphRows) -> dict[str, Sequence[float]]:
        """Vectors of the names: those that the graph has, and the others embedded."""
        if not self._embeddings:
            return {}
        known = self._connection.read(partial(known_vectors, rows.nodes, str(self._vectors)))
        new = _without(rows.nodes, known)
        embedded = self._embeddings.embed_documents(list(new.values())) if new else []
        return {**known, **dict(zip(new, embedded, strict=True))}

    async def _aembedded(self, rows: GraphRows) -> dict[str, Sequence[float]]:
        if not self._embeddings:
            return {}
        plan = partial(known_vectors, rows.nodes, str(self._vectors))
        known = await self._connection.aread(plan)
        new = _without(rows.nodes, known)
        embedded = await self._embeddings.aembed_documents(list(new.values())) if new else []
        return {**known, **dict(zip(new, embedded, strict=True))}

    def _set_up(self, vectors: Mapping[str, Sequence[float]]) -> None:
        """Make the constraints and indexes, once; each is a transaction of its own."""
        with self._lock:
            if self._is_set_up:
                return
            for statement in self._setting_up(vectors):
                self._connection.write(partial(_alone, statement))
            self._is_set_up, self._kind = True, None

    async def _aset_up(self, vectors: Mapping[str, Sequence[float]]) -> None:
        if self._is_set_up:
            return
        for statement in self._setting_up(vectors):
            await self._connection.awrite(partial(_alone, statement))
        self._is_set_up, self._kind = True, None

    def _setting_up(self, vectors: Mapping[str, Sequence[float]]) -> list[str]:
        dimension = len(next(iter(vectors.values()), ()))
        index = self._vectors if dimension else None
        return [*setting_up(index, dimension), f"CALL db.awaitIndexes({_INDEX_SECONDS})"]


def _alone(statement: str) -> Generator[Statement, Rows, None]:
    yield statement, {}


def _without(nodes: Mapping[str, Node], known: Mapping[str, Any]) -> dict[str, str]:
    """Names of the nodes that are not known, by id."""
    return {id_: node.name for id_, node in nodes.items() if id_ not in known}


def _transactions(graph_documents: Sequence[GraphDocument]) -> Iterator[GraphRows]:
    """The rows of each transaction: all of them, or whole documents up to the limit."""
    every = graph_rows(graph_documents)
    if not every.chunks:
        return
    if len(every) <= ROWS_PER_TRANSACTION:
        yield every
        return
    by_chunk: dict[str | None, list[GraphDocument]] = {}
    for one in graph_documents:
        by_chunk.setdefault(one.source.id, []).append(one)
    group: list[GraphDocument] = []
    size = 0
    for documents in by_chunk.values():
        size_here = sum(2 * len(one.nodes) + 4 * len(one.relationships) + 1 for one in documents)
        if group and size + size_here > ROWS_PER_TRANSACTION:
            yield _with_ends(graph_rows(group), every)
            group, size = [], 0
        group += documents
        size += size_here
    yield _with_ends(graph_rows(group), every)


def _with_ends(rows: GraphRows, every: GraphRows) -> GraphRows:
    """The rows, with the nodes that documents of another transaction list."""
    ends = {id_: every.nodes[id_] for id_ in rows.unlisted if id_ in every.nodes}
    return replace(rows, nodes={**rows.nodes, **ends})


def _together(found: Sequence[Sequence[FoundNode]], *, k: int) -> list[FoundNode]:
    """Several rankings as one: the highest score of each node; ties by id."""
    best: dict[str, FoundNode] = {}
    for one in (one for ranking in found for one in ranking):
        if one.node.id not in best or one.score > best[one.node.id].score:
            best[one.node.id] = one
    return sorted(best.values(), key=lambda one: (-one.score, one.node.id))[:k]
