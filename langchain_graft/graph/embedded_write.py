"""What changes an embedded graph, inside a transaction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import GraphError
from langchain_graft.graph.graph_rows import (
    chunk_index_of,
    merged_node,
    names_of,
    source_id_of,
)
from langchain_graft.graph.name_match import name_words, word_grams
from langchain_graft.graph.types import Node

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_graft.graph.graph_rows import GraphRows

_AMONG = "(SELECT value FROM json_each(?))"
_PUT_NODE = """
INSERT INTO nodes(id, label, name, properties, vector) VALUES (?, ?, ?, ?, ?)
ON CONFLICT(id) DO UPDATE SET label = excluded.label, name = excluded.name,
    properties = excluded.properties, vector = coalesce(excluded.vector, vector)
"""
_PUT_RELATIONSHIP = """
INSERT INTO relationships(source, type, target, properties) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET properties = excluded.properties
"""
_SAY_RELATIONSHIP = """
INSERT OR REPLACE INTO relationship_mentions
SELECT key, ?, ?, ?, ? FROM relationships WHERE source = ? AND type = ? AND target = ?
"""
_FORGET_NODE = f"""
SELECT key FROM nodes WHERE id IN {_AMONG}
    AND NOT EXISTS (SELECT 1 FROM node_mentions WHERE node_id = nodes.id)
    AND NOT EXISTS (SELECT 1 FROM relationships WHERE nodes.id = source)
    AND NOT EXISTS (SELECT 1 FROM relationships WHERE nodes.id = target)
"""  # noqa: S608
_FORGET_RELATIONSHIP = f"""
DELETE FROM relationships WHERE key IN {_AMONG}
    AND NOT EXISTS (SELECT 1 FROM relationship_mentions WHERE key = relationships.key)
"""  # noqa: S608


def write_rows(
    database: sqlite3.Connection, rows: GraphRows, *, vectors: Mapping[str, bytes]
) -> None:
    """Put rows in, in the place of what their chunks said before.

    Raises:
        GraphError: A relationship's end is neither among the rows nor in the graph.
    """
    take_back(database, rows.chunks)
    _put_nodes(database, rows, vectors)
    missing = rows.unlisted and _missing(database, rows.unlisted)
    if missing:
        msg = (
            f"A relationship ends at {missing[0]!r}, which is in none of the documents and not "
            "in the graph: list the node in its graph document"
        )
        raise GraphError(msg)
    database.executemany(
        "INSERT INTO chunks VALUES (?, ?, ?, ?, ?)",
        (
            (id_, source_id_of(one), chunk_index_of(one), one.page_content, _json(one.metadata))
            for id_, one in rows.chunks.items()
        ),
    )
    database.executemany(
        "INSERT OR REPLACE INTO node_mentions VALUES (?, ?, ?, ?, ?)",
        (
            (id_, one.chunk_id, one.start, one.end, one.quote)
            for id_, mentions in rows.node_mentions.items()
            for one in mentions
        ),
    )
    _put_relationships(database, rows)


def take_back(database: sqlite3.Connection, chunk_ids: Iterable[str]) -> None:
    """Take chunks out, and what no other chunk says."""
    ids = json.dumps(list(chunk_ids))
    said = "SELECT DISTINCT {} FROM {} WHERE chunk_id IN " + _AMONG  # noqa: S608
    nodes = _column(database, said.format("node_id", "node_mentions"), ids)
    keys = _column(database, said.format("key", "relationship_mentions"), ids)
    for table in ("node_mentions", "relationship_mentions"):
        database.execute(f"DELETE FROM {table} WHERE chunk_id IN {_AMONG}", (ids,))  # noqa: S608
    database.execute(f"DELETE FROM chunks WHERE id IN {_AMONG}", (ids,))  # noqa: S608
    database.execute(_FORGET_RELATIONSHIP, (json.dumps(keys),))
    forgotten = json.dumps(_column(database, _FORGET_NODE, json.dumps(nodes)))
    database.execute(f"DELETE FROM node_words WHERE rowid IN {_AMONG}", (forgotten,))  # noqa: S608
    database.execute(f"DELETE FROM nodes WHERE key IN {_AMONG}", (forgotten,))  # noqa: S608


def chunks_of(database: sqlite3.Connection, source_ids: Iterable[str]) -> list[str]:
    """Ids of the chunks of documents."""
    query = f"SELECT id FROM chunks WHERE source_id IN {_AMONG}"  # noqa: S608
    return _column(database, query, json.dumps(list(source_ids)))


def _put_nodes(database: sqlite3.Connection, rows: GraphRows, vectors: Mapping[str, bytes]) -> None:
    query = f"SELECT id, label, name, properties FROM nodes WHERE id IN {_AMONG}"  # noqa: S608
    there = {
        row[0]: Node(id=row[0], label=row[1], name=row[2], properties=json.loads(row[3]))
        for row in database.execute(query, (json.dumps(list(rows.nodes)),))
    }
    merged = [merged_node(there.get(node.id), node) for node in rows.nodes.values()]
    database.executemany(
        _PUT_NODE,
        (
            (node.id, node.label, node.name, _json(node.properties), vectors.get(node.id))
            for node in merged
        ),
    )
    database.executemany(
        "DELETE FROM node_words WHERE rowid = (SELECT key FROM nodes WHERE id = ?)",
        ((node.id,) for node in merged if node.id in there),
    )
    database.executemany(
        "INSERT INTO node_words(rowid, words, grams) SELECT key, ?, ? FROM nodes WHERE id = ?",
        ((*_indexed(node), node.id) for node in merged),
    )


def _put_relationships(database: sqlite3.Connection, rows: GraphRows) -> None:
    sources = json.dumps([one.source for one in rows.relationships.values()])
    query = f"SELECT source, type, target, properties FROM relationships WHERE source IN {_AMONG}"  # noqa: S608
    there = {row[:3]: json.loads(row[3]) for row in database.execute(query, (sources,))}
    database.executemany(
        _PUT_RELATIONSHIP,
        (
            (*key, _json({**there.get(key, {}), **one.properties}))
            for key, one in rows.relationships.items()
        ),
    )
    database.executemany(
        _SAY_RELATIONSHIP,
        (
            (one.chunk_id, one.start, one.end, one.quote, *key)
            for key, mentions in rows.relationship_mentions.items()
            for one in mentions
        ),
    )


def _indexed(node: Node) -> tuple[str, str]:
    words = list(dict.fromkeys(word for name in names_of(node) for word in name_words(name)))
    return " ".join(words), " ".join(word_grams(words))


def _missing(database: sqlite3.Connection, ids: Sequence[str]) -> list[str]:
    query = f"SELECT id FROM nodes WHERE id IN {_AMONG}"  # noqa: S608
    there = set(_column(database, query, json.dumps(ids)))
    return [id_ for id_ in ids if id_ not in there]


def _column(database: sqlite3.Connection, query: str, *values: object) -> list[Any]:
    return [row[0] for row in database.execute(query, values)]


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), ensure_ascii=False, default=str)
