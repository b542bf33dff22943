"""Plans that change a graph in Neo4j.

    (:Document {id})-[:HAS_CHUNK]->(:Chunk {id, text, ...})-[:NEXT]->(:Chunk)
    (:Chunk)-[:MENTIONS {start, end, quote}]->(:Entity:<label> {id, name, ...})
    (:Entity)-[:<type> {..., chunk_ids, starts, ends, quotes}]->(:Entity)

Labels and types are parameters (`$(row[1])`, Neo4j 5.26), and rows are lists, which travel faster
than maps. Only where a relationship may be there already its type is written into the statement, in
back-quotes: a MERGE with the type as a parameter looks at every relationship, and takes minutes
where this takes seconds.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_graft.errors import GraphError
from langchain_graft.graph.graph_rows import (
    chunk_index_of,
    is_plain,
    merged_node,
    source_id_of,
)
from langchain_graft.graph.neo4j_values import quoted
from langchain_graft.graph.neo4j_vectors import putting_vectors, vector_index
from langchain_graft.graph.types import Node

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from langchain_core.documents import Document

    from langchain_graft.graph.graph_rows import GraphRows, Key
    from langchain_graft.graph.neo4j_connection import Rows, Statement

NAMES_INDEX = "graft_entity_names"
SETUP = (
    "CREATE CONSTRAINT graft_entity_id IF NOT EXISTS FOR (n:Entity) REQUIRE n.id IS UNIQUE",
    "CREATE CONSTRAINT graft_chunk_id IF NOT EXISTS FOR (n:Chunk) REQUIRE n.id IS UNIQUE",
    "CREATE CONSTRAINT graft_document_id IF NOT EXISTS FOR (n:Document) REQUIRE n.id IS UNIQUE",
    f"""CREATE FULLTEXT INDEX {NAMES_INDEX} IF NOT EXISTS
    FOR (n:Entity) ON EACH [n.name, n.aliases]
    OPTIONS {{indexConfig: {{`fulltext.analyzer`: 'standard-folding'}}}}""",
)
_BATCH = 10_000
T = TypeVar("T")
_CHUNK_KEYS = frozenset(("id", "text", "metadata_json"))

_THERE = (
    "MATCH (n:Entity) WHERE n.id IN $ids RETURN n.id AS id, n.name AS name, n.aliases AS aliases"
)
_PUT_CHUNKS = """
UNWIND $rows AS row
MERGE (d:Document {id: row.source_id})
MERGE (c:Chunk {id: row.id}) SET c = row.properties
MERGE (d)-[:HAS_CHUNK]->(c)
"""
_PUT_NODES = """
UNWIND $rows AS row
MERGE (n:Entity {id: row[0]})
WITH n, row, n.name IS NOT NULL OR EXISTS { (n)--() } AS was_there
SET n:$(row[1]), n.name = row[2], n += row[3]
WITH n, row WHERE was_there
RETURN n.id AS id, [label IN labels(n) WHERE NOT label IN ['Entity', row[1]]] AS others
"""
_TAKE_LABELS = """
UNWIND $rows AS row
MATCH (n:Entity {id: row.id}) REMOVE n:$(row.others)
"""
_SAY_NODES = """
UNWIND $rows AS row
MATCH (c:Chunk {id: row[0]})
UNWIND row[1] AS said
MATCH (n:Entity {id: said[0]})
CREATE (c)-[m:MENTIONS {start: said[1], end: said[2], quote: said[3]}]->(n)
RETURN count(m) AS written
"""
_CREATE_RELATIONSHIPS = """
UNWIND $rows AS row
MATCH (a:Entity {id: row[0]})
MATCH (b:Entity {id: row[1]})
CREATE (a)-[r:$(row[2]) {chunk_ids: row[4], starts: row[5], ends: row[6], quotes: row[7]}]->(b)
SET r += row[3]
"""
_MERGE_RELATIONSHIPS = """
UNWIND $rows AS row
MATCH (a:Entity {id: row[0]})
MATCH (b:Entity {id: row[1]})
MERGE (a)-[r:<type>]->(b)
SET r += row[3], r.chunk_ids = coalesce(r.chunk_ids, []) + row[4],
    r.starts = coalesce(r.starts, []) + row[5], r.ends = coalesce(r.ends, []) + row[6],
    r.quotes = coalesce(r.quotes, []) + row[7]
"""
_UNLINK = """
UNWIND $ids AS id
MATCH (:Document {id: id})-[:HAS_CHUNK]->(:Chunk)-[next:NEXT]->() DELETE next
"""
_LINK = """
UNWIND $ids AS id
MATCH (:Document {id: id})-[:HAS_CHUNK]->(c:Chunk) WHERE c.chunk_index IS NOT NULL
WITH id, c ORDER BY c.chunk_index, c.id
WITH id, collect(c) AS chunks
UNWIND range(0, size(chunks) - 2) AS n
WITH chunks[n] AS one, chunks[n + 1] AS next
CREATE (one)-[:NEXT]->(next)
"""
_SAID = """
MATCH (c:Chunk) WHERE c.id IN $ids
OPTIONAL MATCH (c)-[:MENTIONS]->(n:Entity)
RETURN collect(DISTINCT c.id) AS chunks, collect(DISTINCT n.id) AS nodes
"""
_TAKE_BACK_RELATIONSHIPS = """
MATCH (a:Entity)-[r]->(:Entity)
WHERE a.id IN $nodes AND any(id IN coalesce(r.chunk_ids, []) WHERE id IN $ids)
WITH r, [n IN range(0, size(r.chunk_ids) - 1) WHERE NOT r.chunk_ids[n] IN $ids] AS kept
SET r.starts = [n IN kept | r.starts[n]], r.ends = [n IN kept | r.ends[n]],
    r.quotes = [n IN kept | r.quotes[n]]
SET r.chunk_ids = [n IN kept | r.chunk_ids[n]]
WITH r WHERE size(r.chunk_ids) = 0
DELETE r
"""
_TAKE_BACK_CHUNKS = """
MATCH (c:Chunk) WHERE c.id IN $ids
OPTIONAL MATCH (d:Document)-[:HAS_CHUNK]->(c)
WITH c, collect(d) AS documents
DETACH DELETE c
WITH documents UNWIND documents AS d
WITH DISTINCT d WHERE NOT EXISTS { (d)-[:HAS_CHUNK]->() } AND NOT d:Entity
DELETE d
"""
_TAKE_BACK_NODES = """
MATCH (n:Entity) WHERE n.id IN $nodes AND NOT EXISTS { (n)--() }
DELETE n
"""
_CHUNKS_OF = """
MATCH (d:Document)-[:HAS_CHUNK]->(c:Chunk) WHERE d.id IN $ids RETURN c.id AS id
"""


def setting_up(vector_property: str | None, dimension: int) -> list[str]:
    """The constraints and indexes, one statement each; made when they are not there."""
    return [*SETUP, vector_index(vector_property, dimension)] if vector_property else list(SETUP)


def adding(
    rows: GraphRows, *, vectors: Mapping[str, Sequence[float]], vector_property: str | None
) -> Generator[Statement, Rows, None]:
    """Put rows in, in the place of what their chunks said before.

    Raises:
        GraphError: A relationship's end is neither among the rows nor in the graph.
    """
    yield from taking_back(list(rows.chunks))
    for batch in _batches([_chunk_row(id_, one) for id_, one in rows.chunks.items()]):
        yield _PUT_CHUNKS, {"rows": batch}
    known = yield from _putting_nodes(rows)
    yield from putting_vectors(vectors, vector_property)
    yield from _saying_nodes(rows)
    yield from _putting_relationships(rows, known)
    sources = sorted({source_id_of(chunk) for chunk in rows.chunks.values()})
    yield _UNLINK, {"ids": sources}
    yield _LINK, {"ids": sources}


def removing(source_ids: Iterable[str]) -> Generator[Statement, Rows, None]:
    """Take documents out."""
    found = yield _CHUNKS_OF, {"ids": list(source_ids)}
    yield from taking_back([row["id"] for row in found])


def taking_back(chunk_ids: Sequence[str]) -> Generator[Statement, Rows, None]:
    """Take chunks out, and what no other chunk says.

    An entity that has a relationship of somebody else's stays.
    """
    said = yield _SAID, {"ids": list(chunk_ids)}
    ids, nodes = said[0]["chunks"], said[0]["nodes"]
    if not ids:
        return
    yield _TAKE_BACK_RELATIONSHIPS, {"ids": ids, "nodes": nodes}
    yield _TAKE_BACK_CHUNKS, {"ids": ids}
    yield _TAKE_BACK_NODES, {"nodes": nodes}


def _putting_nodes(rows: GraphRows) -> Generator[Statement, Rows, set[str]]:
    """Nodes; the names that they had besides are kept, which the server alone could not do.

    Returns:
        Ids of those that were there before.
    """
    named = [id_ for id_, node in rows.nodes.items() if "aliases" in node.properties]
    there: dict[str, Node] = {}
    if named:
        for row in (yield _THERE, {"ids": named}):
            had = {"aliases": row["aliases"]} if row["aliases"] else {}
            there[row["id"]] = Node(id=row["id"], label="?", name="?", properties=had)

    def written(id_: str) -> list[Any]:
        node = merged_node(there.get(id_), rows.nodes[id_])
        return [id_, node.label, node.name, dict(node.properties)]

    known: Rows = []
    for batch in _batches(sorted(rows.nodes)):
        known += yield _PUT_NODES, {"rows": [written(id_) for id_ in batch]}
    if changed := [row for row in known if row["others"]]:
        yield _TAKE_LABELS, {"rows": changed}
    return {row["id"] for row in known}


def _saying_nodes(rows: GraphRows) -> Generator[Statement, Rows, None]:
    by_chunk: dict[str, list[list[Any]]] = defaultdict(list)
    for id_ in sorted(rows.node_mentions):
        for one in rows.node_mentions[id_]:
            by_chunk[one.chunk_id].append([id_, one.start, one.end, one.quote])
    said_rows = [[id_, said] for id_, said in by_chunk.items()]
    written = 0
    for batch in _batches(said_rows):
        found = yield _SAY_NODES, {"rows": batch}
        written += found[0]["written"]
    if written < sum(map(len, by_chunk.values())):
        found = yield _THERE, {"ids": rows.unlisted}
        missing = sorted(set(rows.unlisted) - {row["id"] for row in found})
        msg = (
            f"A relationship ends at {missing[:1]!r}, which is in none of the documents and not "
            "in the graph: list the node in its graph document"
        )
        raise GraphError(msg)


def _putting_relationships(rows: GraphRows, known: set[str]) -> Generator[Statement, Rows, None]:
    """Relationships: one with an end that is new is new too, and need not be looked for."""
    old = known | set(rows.unlisted)
    by_statement: dict[str, list[Key]] = defaultdict(list)
    for key in sorted(rows.relationships):
        source, type_, target = key
        statement = _CREATE_RELATIONSHIPS
        if source in old and target in old:
            statement = _MERGE_RELATIONSHIPS.replace("<type>", quoted(type_, "row[2]"))
        by_statement[statement].append(key)
    for statement, keys in by_statement.items():
        for batch in _batches(keys):
            yield statement, {"rows": [_relationship_row(rows, key) for key in batch]}


def _relationship_row(rows: GraphRows, key: Key) -> list[Any]:
    one, said = rows.relationships[key], rows.relationship_mentions[key]
    return [
        one.source,
        one.target,
        one.type,
        dict(one.properties),
        [m.chunk_id for m in said],
        [m.start for m in said],
        [m.end for m in said],
        [m.quote for m in said],
    ]


def _chunk_row(id_: str, chunk: Document) -> dict[str, Any]:
    plain = {
        key: value
        for key, value in chunk.metadata.items()
        if key and key not in _CHUNK_KEYS and is_plain(value)
    }
    metadata = json.dumps(chunk.metadata, ensure_ascii=False, default=str)
    properties = {**plain, "id": id_, "text": chunk.page_content, "metadata_json": metadata}
    if (index := chunk_index_of(chunk)) is not None:
        properties["chunk_index"] = index
    return {"id": id_, "source_id": source_id_of(chunk), "properties": properties}


def _batches(rows: list[T]) -> Iterable[list[T]]:
    return (rows[n : n + _BATCH] for n in range(0, len(rows), _BATCH))
