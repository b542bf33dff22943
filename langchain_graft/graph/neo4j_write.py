"""Plans that change a graph in Neo4j.

    (:Document {id})-[:HAS_CHUNK]->(:Chunk {id, text, ...})-[:NEXT]->(:Chunk)
    (:Chunk)-[:MENTIONS {start, end, quote}]->(:Entity:<label> {id, name, ...})
    (:Entity)-[:<type> {..., chunk_ids, starts, ends, quotes}]->(:Entity)

Labels are parameters (`$(own)`, Neo4j 5.26), and rows are lists, which travel faster than maps.
Only the types of relationships are written into statements, in back-quotes: a MERGE with the type
as a parameter looks at every relationship, and takes minutes where this takes seconds.
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
from langchain_graft.graph.types import Node

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from langchain_core.documents import Document

    from langchain_graft.graph.graph_rows import GraphRows
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
WITH row[0] AS id, row[1] AS own, row[2] AS name, row[3] AS properties
MERGE (n:Entity {id: id})
SET n += properties, n.name = name, n:$(own)
REMOVE n:$([label IN labels(n) WHERE NOT label IN ['Entity', own]])
"""
_PUT_VECTORS = """
UNWIND $rows AS row
MATCH (n:Entity {id: row.id})
CALL db.create.setNodeVectorProperty(n, $property, row.vector)
"""
_SAY_NODES = """
UNWIND $rows AS row
MATCH (c:Chunk {id: row[0]})
UNWIND row[1] AS said
MATCH (n:Entity {id: said[0]})
CREATE (c)-[m:MENTIONS {start: said[1], end: said[2], quote: said[3]}]->(n)
RETURN count(m) AS written
"""
_PUT_RELATIONSHIPS = """
UNWIND $rows AS row
MATCH (a:Entity {id: row[0]})
MATCH (b:Entity {id: row[1]})
MERGE (a)-[r:<type>]->(b)
SET r += row[2], r.chunk_ids = coalesce(r.chunk_ids, []) + row[3],
    r.starts = coalesce(r.starts, []) + row[4], r.ends = coalesce(r.ends, []) + row[5],
    r.quotes = coalesce(r.quotes, []) + row[6]
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
    if not vector_property:
        return list(SETUP)
    vectors = (
        f"CREATE VECTOR INDEX {vector_property} IF NOT EXISTS FOR (n:Entity) "
        f"ON (n.{vector_property}) OPTIONS {{indexConfig: {{`vector.dimensions`: {dimension}, "
        "`vector.similarity_function`: 'cosine'}}"
    )
    return [*SETUP, vectors]


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
    yield from _putting_nodes(rows)
    pairs = [{"id": id_, "vector": list(vector)} for id_, vector in vectors.items()]
    for batch in _batches(pairs):
        yield _PUT_VECTORS, {"rows": batch, "property": vector_property}
    yield from _saying_nodes(rows)
    yield from _putting_relationships(rows)
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


def _putting_nodes(rows: GraphRows) -> Generator[Statement, Rows, None]:
    """Nodes; the names that they had besides are kept, which the server alone could not do."""
    named = [id_ for id_, node in rows.nodes.items() if "aliases" in node.properties]
    there: dict[str, Node] = {}
    if named:
        for row in (yield _THERE, {"ids": named}):
            had = {"aliases": row["aliases"]} if row["aliases"] else {}
            there[row["id"]] = Node(id=row["id"], label="?", name="?", properties=had)
    merged = (merged_node(there.get(id_), node) for id_, node in sorted(rows.nodes.items()))
    written = [[one.id, one.label, one.name, dict(one.properties)] for one in merged]
    for batch in _batches(written):
        yield _PUT_NODES, {"rows": batch}


def _saying_nodes(rows: GraphRows) -> Generator[Statement, Rows, None]:
    by_chunk: dict[str, list[list[Any]]] = defaultdict(list)
    for id_, mentions in sorted(rows.node_mentions.items()):
        for one in mentions:
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


def _putting_relationships(rows: GraphRows) -> Generator[Statement, Rows, None]:
    by_type: dict[str, list[list[Any]]] = defaultdict(list)
    for key, one in sorted(rows.relationships.items()):
        said = [(m.chunk_id, m.start, m.end, m.quote) for m in rows.relationship_mentions[key]]
        lists = (list(column) for column in zip(*said, strict=True))
        row = [one.source, one.target, dict(one.properties), *lists]
        by_type[quoted(one.type, "row[7]")].append([*row, one.type])
    for type_, typed in by_type.items():
        statement = _PUT_RELATIONSHIPS.replace("<type>", type_)
        for batch in _batches(typed):
            yield statement, {"rows": batch}


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
