"""What is read out of an embedded graph, inside a transaction."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from langchain_graft.graph.graph_rows import names_of, placed
from langchain_graft.graph.name_match import (
    MOST_WORDS,
    in_both_scripts,
    name_score,
    name_words,
    word_grams,
)
from langchain_graft.graph.schema import NodeType, RelationshipType, Schema
from langchain_graft.graph.schema_sample import SAMPLE, sampled_properties
from langchain_graft.graph.types import (
    FoundNode,
    GraphDocument,
    Mention,
    Node,
    Relationship,
    Subgraph,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

CANDIDATES = 200
"""Nodes that the index finds, of which the best fitting are kept."""
_FEW_WORDS = 8
_AMONG = "(SELECT value FROM json_each(?))"
_NODES = "SELECT id, label, name, properties FROM nodes "
_LEVEL = f"""
SELECT key, source, type, target, properties FROM relationships
WHERE (source IN {_AMONG} OR target IN {_AMONG}) AND key NOT IN {_AMONG}
ORDER BY source, type, target LIMIT ?
"""  # noqa: S608


def expanded(
    database: sqlite3.Connection, ids: Sequence[str], *, depth: int, limit: int
) -> Subgraph:
    """The sub-graph around nodes: a statement a level, each for what the limit still lets in."""
    starts = {row[0] for row in database.execute(f"{_NODES}WHERE id IN {_AMONG}", (_json(ids),))}
    rows = _levels(database, starts, depth, limit + 1)
    kept = rows[:limit]
    said = _mentions(database, "relationship_mentions", "key", [row[0] for row in kept])
    relationships = tuple(_relationship(row[1:], said.get(row[0], ())) for row in kept)
    ends = (end for one in relationships for end in (one.source, one.target))
    order = list(dict.fromkeys([*(id_ for id_ in ids if id_ in starts), *ends]))
    return Subgraph(
        nodes=tuple(nodes_of(database, order)),
        relationships=relationships,
        truncated=len(rows) > limit,
    )


def found_by_name(
    database: sqlite3.Connection, text: str, *, k: int, label: str | None
) -> list[FoundNode]:
    """The nodes whose names fit a text best."""
    words = name_words(text)
    keys = _candidates(database, "words", in_both_scripts(list(words)[:MOST_WORDS]), label)
    if len(words) <= _FEW_WORDS:
        keys |= _candidates(database, "grams", word_grams(words), label)
    query = f"{_NODES}WHERE key IN {_AMONG}"
    nodes = [_node(row) for row in database.execute(query, (_json(sorted(keys)),))]
    scores = {node.id: name_score(words, names_of(node)) for node in nodes}
    return best(database, {id_: score for id_, score in scores.items() if score > 0}, k=k)


def best(database: sqlite3.Connection, scores: Mapping[str, float], *, k: int) -> list[FoundNode]:
    """The nodes with the highest scores; ties by id."""
    ids = sorted(scores, key=lambda id_: (-scores[id_], id_))[:k]
    return [FoundNode(node=node, score=scores[node.id]) for node in nodes_of(database, ids)]


def nodes_of(database: sqlite3.Connection, ids: Sequence[str]) -> list[Node]:
    """The nodes with these ids, with their mentions, in this order."""
    said = _mentions(database, "node_mentions", "node_id", ids)
    found = {
        row[0]: _node(row, said.get(row[0], ()))
        for row in database.execute(f"{_NODES}WHERE id IN {_AMONG}", (_json(ids),))
    }
    return [found[id_] for id_ in ids if id_ in found]


def chunks_by_id(database: sqlite3.Connection, ids: Sequence[str]) -> list[Document]:
    """The chunks with these ids, in this order."""
    query = f"SELECT id, text, metadata FROM chunks WHERE id IN {_AMONG}"  # noqa: S608
    found = {
        row[0]: Document(id=row[0], page_content=row[1], metadata=json.loads(row[2]))
        for row in database.execute(query, (_json(ids),))
    }
    return [found[id_] for id_ in dict.fromkeys(ids) if id_ in found]


def said_by(database: sqlite3.Connection, chunk_ids: Sequence[str]) -> list[GraphDocument]:
    """What chunks say, as it was put in."""
    asked = (_json(chunk_ids),)
    nodes: dict[str, list[Node]] = {}
    for row, mentions in _by_thing(database.execute(_SAID_NODES, asked), 4):
        nodes.setdefault(mentions[0].chunk_id, []).append(_node(row, mentions, most=None))
    relationships: dict[str, list[Relationship]] = {}
    for row, mentions in _by_thing(database.execute(_SAID_RELATIONSHIPS, asked), 4):
        one = _relationship(row, mentions, most=None)
        relationships.setdefault(mentions[0].chunk_id, []).append(one)
    return [
        GraphDocument(
            nodes=tuple(nodes.get(str(chunk.id), ())),
            relationships=tuple(relationships.get(str(chunk.id), ())),
            source=chunk,
        )
        for chunk in chunks_by_id(database, chunk_ids)
    ]


_SAID_NODES = f"""
SELECT id, label, name, properties, chunk_id, start, end, quote
FROM node_mentions JOIN nodes ON id = node_id WHERE chunk_id IN {_AMONG}
ORDER BY chunk_id, id, start, end
"""  # noqa: S608
_SAID_RELATIONSHIPS = f"""
SELECT source, type, target, properties, chunk_id, start, end, quote
FROM relationship_mentions JOIN relationships USING (key) WHERE chunk_id IN {_AMONG}
ORDER BY chunk_id, source, type, target, start, end
"""  # noqa: S608


def schema_of(database: sqlite3.Connection) -> Schema:
    """The labels and types with their properties."""
    counts = "SELECT label, count(*) FROM nodes GROUP BY label ORDER BY 2 DESC, 1"
    nodes = [_node_type(database, *row) for row in database.execute(counts).fetchall()]
    counts = "SELECT type, count(*) FROM relationships GROUP BY type ORDER BY 2 DESC, 1"
    types = [_relationship_type(database, *row) for row in database.execute(counts).fetchall()]
    return Schema(nodes=tuple(nodes), relationships=tuple(types))


def _node_type(database: sqlite3.Connection, label: str, count: int) -> NodeType:
    query = "SELECT name, properties FROM nodes WHERE label = ? ORDER BY key LIMIT ?"
    rows = database.execute(query, (label, SAMPLE))
    sample = [{"name": name, **json.loads(properties)} for name, properties in rows]
    properties = sampled_properties(sample, is_whole=count <= SAMPLE)
    return NodeType(label=label, properties=properties, count=count)


def _relationship_type(database: sqlite3.Connection, type_: str, count: int) -> RelationshipType:
    query = "SELECT properties FROM relationships WHERE type = ? ORDER BY key LIMIT ?"
    sample = [json.loads(row[0]) for row in database.execute(query, (type_, SAMPLE))]
    endpoints = (
        "SELECT DISTINCT a.label, b.label FROM relationships JOIN nodes a ON a.id = source "
        "JOIN nodes b ON b.id = target WHERE type = ? ORDER BY 1, 2"
    )
    return RelationshipType(
        type=type_,
        endpoints=tuple(database.execute(endpoints, (type_,)).fetchall()),
        properties=sampled_properties(sample, is_whole=count <= SAMPLE),
        count=count,
    )


def _levels(
    database: sqlite3.Connection, starts: set[str], depth: int, most: int
) -> list[tuple[Any, ...]]:
    """The relationships that are nearest, level by level."""
    rows: list[tuple[Any, ...]] = []
    reached, level = set(starts), starts
    for _ in range(depth):
        ends, taken = _json(level), _json(row[0] for row in rows)
        found = database.execute(_LEVEL, (ends, ends, taken, most - len(rows))).fetchall()
        rows += found
        level = {end for row in found for end in (row[1], row[3])} - reached
        reached |= level
        if not level or len(rows) == most:
            break
    return rows


def _candidates(
    database: sqlite3.Connection, column: str, words: Sequence[str], label: str | None
) -> set[int]:
    if not words:
        return set()
    any_of = " OR ".join(f'"{word}"' for word in words)
    match = f"{column} : ({any_of})"
    query = (
        "SELECT node_words.rowid FROM node_words JOIN nodes ON key = node_words.rowid "
        "WHERE node_words MATCH ? AND (? IS NULL OR label = ?) ORDER BY rank LIMIT ?"
    )
    return {row[0] for row in database.execute(query, (match, label, label, CANDIDATES))}


def _mentions(
    database: sqlite3.Connection, table: str, column: str, keys: Sequence[Any]
) -> dict[Any, list[Mention]]:
    query = (
        f"SELECT {column}, chunk_id, start, end, quote FROM {table} "  # noqa: S608
        f"WHERE {column} IN {_AMONG} ORDER BY {column}"
    )
    rows = database.execute(query, (_json(keys),))
    return {key: [_mention(row[1:]) for row in said] for key, said in groupby(rows, _first)}


def _by_thing(
    rows: Iterable[tuple[Any, ...]], width: int
) -> Iterable[tuple[tuple[Any, ...], list[Mention]]]:
    """Rows that are alike up to their chunk, with their mentions."""
    for thing, said in groupby(rows, lambda row: row[: width + 1]):
        yield thing[:width], [_mention(row[width:]) for row in said]


def _mention(row: Sequence[Any]) -> Mention:
    return Mention(chunk_id=row[0], start=row[1], end=row[2], quote=row[3])


def _node(row: Sequence[Any], said: Iterable[Mention] = (), **most: None) -> Node:
    id_, label, name, properties = row[:4]
    return Node(
        id=id_,
        label=label,
        name=name,
        properties=json.loads(properties),
        mentions=placed(said, **most),
    )


def _relationship(row: Sequence[Any], said: Iterable[Mention] = (), **most: None) -> Relationship:
    source, type_, target, properties = row[:4]
    return Relationship(
        source=source,
        type=type_,
        target=target,
        properties=json.loads(properties),
        mentions=placed(said, **most),
    )


def _first(row: tuple[Any, ...]) -> Any:
    return row[0]


def _json(values: Iterable[Any]) -> str:
    return json.dumps(list(values))
