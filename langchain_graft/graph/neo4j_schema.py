"""The schema of a graph in Neo4j, out of a bounded sample; no APOC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_graft.graph.graph_rows import RELATIONSHIP_KEYS
from langchain_graft.graph.neo4j_values import plain, quoted
from langchain_graft.graph.schema import NodeType, Property, RelationshipType, Schema
from langchain_graft.graph.schema_sample import FEW, LONGEST, SAMPLE, sampled_property

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from langchain_graft.graph.neo4j_connection import Rows, Statement

MOST_TYPES = 300
"""Labels, and types of relationships, that are read; those with the most nodes."""
_LISTED = 20_000
_PROPERTIES = """
UNWIND keys(x) AS key
WITH key, x[key] AS value WHERE NOT key IN $hidden AND NOT key STARTS WITH 'graft_vector_'
WITH key, value, valueType(value) AS type
WITH key, type, CASE
    WHEN type STARTS WITH 'STRING' AND size(value) > $longest THEN left(value, $longest) + '…'
    WHEN type STARTS WITH 'LIST' OR type STARTS WITH 'VECTOR' THEN null
    ELSE value END AS value
RETURN key, collect(DISTINCT type) AS types, collect(value) AS values ORDER BY key
"""
_LABELS = "CALL db.labels() YIELD label RETURN label AS name"
_TYPES = "CALL db.relationshipTypes() YIELD relationshipType AS type RETURN type AS name"
_UNIQUE = """
SHOW CONSTRAINTS YIELD type, labelsOrTypes, properties
WHERE type CONTAINS 'UNIQUE' OR type CONTAINS 'KEY'
RETURN labelsOrTypes[0] AS label, properties
"""
_OWN = "x:Entity AND ('Entity' <> $name OR size(labels(x)) = 1)"
_OWN_ENDS = "a:Entity AND b:Entity"
_ENDS = """
WITH a, b LIMIT $listed
WITH DISTINCT labels(a) AS a, labels(b) AS b
UNWIND [label IN a WHERE label <> $base OR size(a) = 1] AS one
UNWIND [label IN b WHERE label <> $base OR size(b) = 1] AS other
RETURN DISTINCT one, other ORDER BY one, other
"""


def reading_schema(*, is_own: bool) -> Generator[Statement, Rows, Schema]:
    """The labels and types with their properties, those with the most nodes first.

    Of a graph that `add` has made, what it is about alone: no chunks, ids and mentions.
    """
    unique = {(row["label"], *row["properties"]) for row in (yield _UNIQUE, {})}
    nodes: list[NodeType] = []
    for row in (yield _LABELS, {})[: 2 * MOST_TYPES]:
        nodes += yield from _reading_nodes(row["name"], unique, is_own=is_own)
    relationships: list[RelationshipType] = []
    for row in (yield _TYPES, {})[: 2 * MOST_TYPES]:
        relationships += yield from _reading_relationships(row["name"], is_own=is_own)
    nodes.sort(key=lambda one: (-(one.count or 0), one.label))
    relationships.sort(key=lambda one: (-(one.count or 0), one.type))
    return Schema(nodes=tuple(nodes[:MOST_TYPES]), relationships=tuple(relationships[:MOST_TYPES]))


def _reading_nodes(
    label: str, unique: set[tuple[str, ...]], *, is_own: bool
) -> Generator[Statement, Rows, list[NodeType]]:
    match = f"MATCH (x:{quoted(label, '$name')})" + (f" WHERE {_OWN}" if is_own else "")
    count = (yield f"{match} RETURN count(x) AS count", {"name": label})[0]["count"]
    if not count:
        return []
    hidden = ["id"] if is_own else []
    rows = yield f"{match} WITH x LIMIT $sample {_PROPERTIES}", _asked(label, hidden)
    properties = []
    for row in rows:
        is_whole = count <= SAMPLE or (yield from _is_few(match, label, row, count))
        one = _property(row, is_whole=is_whole)
        if (label, row["key"]) in unique:
            one = _unique(one)
        properties.append(one)
    properties.sort(key=lambda one: (one.name != "name", one.name))
    return [NodeType(label=label, properties=tuple(properties), count=count)]


def _reading_relationships(
    type_: str, *, is_own: bool
) -> Generator[Statement, Rows, list[RelationshipType]]:
    match = f"MATCH (a)-[x:{quoted(type_, '$name')}]->(b)"
    match += f" WHERE {_OWN_ENDS}" if is_own else ""
    base = "Entity" if is_own else ""
    count = (yield f"{match} RETURN count(x) AS count", {"name": type_})[0]["count"]
    if not count:
        return []
    ends = yield f"{match} {_ENDS}", {"listed": _LISTED, "name": type_, "base": base}
    hidden = sorted(RELATIONSHIP_KEYS) if is_own else []
    rows = yield f"{match} WITH x LIMIT $sample {_PROPERTIES}", _asked(type_, hidden)
    one = RelationshipType(
        type=type_,
        endpoints=tuple((row["one"], row["other"]) for row in ends),
        properties=tuple(_property(row, is_whole=count <= SAMPLE) for row in rows),
        count=count,
    )
    return [one]


def _is_few(
    match: str, label: str, row: dict[str, Any], count: int
) -> Generator[Statement, Rows, bool]:
    """Whether a property that has few values in the sample has no more of them elsewhere."""
    seen = {repr(value) for value in row["values"]}
    if len(seen) > FEW or count > _LISTED or not seen:
        return False
    asked = {"name": label, "key": row["key"]}
    found = yield f"{match} RETURN count(DISTINCT x[$key]) AS count", asked
    return bool(found[0]["count"] == len(seen))


def _property(row: dict[str, Any], *, is_whole: bool) -> Property:
    types = dict.fromkeys(type_.replace(" NOT NULL", "") for type_ in row["types"])
    values = [plain(value) for value in row["values"]]
    return sampled_property(row["key"], values, types=types, is_whole=is_whole)


def _unique(one: Property) -> Property:
    return Property(
        name=one.name, type=one.type, values=one.values, examples=one.examples, unique=True
    )


def _asked(name: str, hidden: Iterable[str]) -> dict[str, Any]:
    return {"name": name, "hidden": list(hidden), "sample": SAMPLE, "longest": LONGEST}
