"""Plans that read a graph in Neo4j: our own (labels `Entity`, `Chunk`), or one made elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from langchain_graft.graph.graph_rows import names_of, placed
from langchain_graft.graph.name_match import (
    MOST_WORDS,
    in_both_scripts,
    name_score,
    name_words,
)
from langchain_graft.graph.neo4j_values import display_key, plain_properties
from langchain_graft.graph.neo4j_write import NAMES_INDEX
from langchain_graft.graph.types import (
    FoundNode,
    GraphDocument,
    Mention,
    Node,
    Relationship,
    Subgraph,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from langchain_graft.graph.neo4j_connection import Rows, Statement

CANDIDATES = 200
"""Nodes that an index or a scan finds, of which the best fitting are kept."""
SCANNED = 50_000
"""Nodes of a graph made elsewhere that are looked through where it has no full-text index."""
_MENTIONS = 50
_SHORT = 4
_LONGEST = 2000
_FULL_TEXT = """
CALL db.index.fulltext.queryNodes($index, $words) YIELD node AS n
WITH n WHERE $label IS NULL OR $label IN labels(n)
WITH n LIMIT $candidates
"""
_NEAR = """
CALL db.index.vector.queryNodes($index, $fetch, $vector) YIELD node AS n, score
WITH n, score WHERE $label IS NULL OR $label IN labels(n)
WITH n, score LIMIT $k
"""
_SCAN = """
MATCH (n) WHERE $label IS NULL OR $label IN labels(n)
WITH n LIMIT $scanned
WITH n, size([word IN $words WHERE any(key IN keys(n) WHERE n[key] IS :: STRING
    AND size(n[key]) <= $longest AND toLower(n[key]) CONTAINS word)]) AS hits
WHERE hits > 0
WITH n ORDER BY hits DESC LIMIT $candidates
"""
_LEVEL = """
CALL (level{n}, taken{n}) {{
    UNWIND level{n} AS a
    MATCH (a)-[r]-({other})
    WITH DISTINCT r WHERE NOT r IN taken{n}
    WITH r ORDER BY {order} LIMIT $most
    WITH collect(r) AS near
    RETURN near[..$most - size(taken{n})] AS found{n}
}}
WITH *, taken{n} + found{n} AS taken{next}
CALL (level{n}, seen{n}, found{n}) {{
    UNWIND found{n} AS r
    UNWIND [startNode(r), endNode(r)] AS end
    WITH DISTINCT end WHERE NOT end IN seen{n}
    RETURN collect(end) AS level{next}
}}
WITH *, seen{n} + level{next} AS seen{next}
"""
_OWN_CONSTRAINT = "SHOW CONSTRAINTS YIELD name WHERE name = 'graft_entity_id' RETURN name"
_NAME_INDEXES = """
SHOW FULLTEXT INDEXES YIELD name, entityType, labelsOrTypes, state
WHERE entityType = 'NODE' AND state = 'ONLINE'
RETURN name, labelsOrTypes AS labels
"""
_OWN_NODE = f"""{{.id, .name, labels: labels(n), properties: properties(n), said: COLLECT {{
    MATCH (c:Chunk)-[m:MENTIONS]->(n) WHERE m.start >= 0
    RETURN {{chunk_id: c.id, start: m.start, end: m.end, quote: m.quote}}
    ORDER BY c.id, m.start, m.end LIMIT {_MENTIONS} }} }}"""
_OTHER_NODE = "{id: elementId(n), labels: labels(n), properties: properties(n)}"


class Neo4jReading:
    """How a graph is read: ours by its ids and names, another's by what the server calls things.

    Args:
        is_own: Whether the graph was put in by `add`.
        names_index: The full-text index over names; None: there is none.
    """

    def __init__(self, *, is_own: bool, names_index: str | None = NAMES_INDEX) -> None:
        self.is_own = is_own
        self._index = names_index
        self._id = "{}.id" if is_own else "elementId({})"
        self._node = f"n {_OWN_NODE}" if is_own else f"n {_OTHER_NODE}".removeprefix("n ")
        self._match = "(n:Entity)" if is_own else "(n)"

    def finding(
        self, text: str, *, k: int, label: str | None
    ) -> Generator[Statement, Rows, list[FoundNode]]:
        """The nodes whose names fit a text best."""
        words = name_words(text)
        if not words:
            return []
        asked: dict[str, Any] = {"label": label, "candidates": max(k, CANDIDATES)}
        rows: Rows = []
        if self._index:
            query = f"{_FULL_TEXT} RETURN {self._node} AS node"
            rows = yield (
                query,
                {**asked, "index": self._index, "words": lucene(in_both_scripts(words))},
            )
        if not self.is_own and len(rows) < k:  # its index may hold some labels only
            looked = [word for word, weight in words.items() if weight >= 1] or list(words)
            looked = in_both_scripts(looked[:MOST_WORDS])
            asked |= {"words": looked, "scanned": SCANNED, "longest": _LONGEST}
            rows += yield f"{_SCAN} RETURN {self._node} AS node", asked
        nodes = {one.id: one for one in map(self.node, [row["node"] for row in rows])}
        scored = [
            FoundNode(node=one, score=name_score(words, self._names(one))) for one in nodes.values()
        ]
        return sorted((one for one in scored if one.score > 0), key=_best_first)[:k]

    def finding_near(
        self, vector: Sequence[float], *, index: str, k: int, label: str | None
    ) -> Generator[Statement, Rows, list[FoundNode]]:
        """The nodes whose vectors lie nearest, by cosine."""
        rows = yield (
            f"{_NEAR} RETURN {self._node} AS node, 2 * score - 1 AS score",
            {
                "index": index,
                "fetch": k if label is None else max(k, CANDIDATES),
                "vector": list(vector),
                "label": label,
                "k": k,
            },
        )
        found = [FoundNode(node=self.node(row["node"]), score=row["score"]) for row in rows]
        return sorted(found, key=_best_first)

    def expanding(
        self, ids: Sequence[str], *, depth: int, limit: int
    ) -> Generator[Statement, Rows, Subgraph]:
        """The sub-graph around nodes, in one statement; each level is limited in it."""
        rows = yield self._expansion(depth), {"ids": list(ids), "most": limit + 1}
        relationships = list(
            {one.key: one for one in map(self.relationship, rows[0]["relationships"])}.values()
        )
        found = {one.id: one for one in map(self.node, rows[0]["nodes"])}
        starts = set(rows[0]["starts"])
        kept = relationships[:limit]
        ends = (end for one in kept for end in (one.source, one.target))
        order = dict.fromkeys([*(id_ for id_ in ids if id_ in starts), *ends])
        return Subgraph(
            nodes=tuple(found[id_] for id_ in order),
            relationships=tuple(kept),
            truncated=len(rows[0]["relationships"]) > limit,
        )

    def node(self, row: Mapping[str, Any], **most: None) -> Node:
        """A node as a statement gives it."""
        properties = plain_properties(row["properties"])
        if self.is_own:
            hidden = [key for key in properties if key.startswith("graft_vector_")]
            for key in ("id", "name", *hidden):
                properties.pop(key, None)
            label = next((one for one in row["labels"] if one != "Entity"), "Entity")
            said = placed((Mention(**one) for one in row["said"]), **most)
            name, id_ = str(row["name"]), str(row["id"])
            return Node(id=id_, label=label, name=name, properties=properties, mentions=said)
        labels = sorted(row["labels"])
        shown = display_key(labels, properties)
        called = str(properties[shown]) if shown else str(row["id"])
        if shown == "name":
            del properties[shown]
        label = labels[0] if labels else ""
        return Node(id=row["id"], label=label, name=called, properties=properties)

    def relationship(self, row: Mapping[str, Any], **most: None) -> Relationship:
        """A relationship as a statement gives it."""
        properties = plain_properties(row["properties"])
        said: tuple[Mention, ...] = ()
        if self.is_own:
            lists = [properties.pop(key, []) for key in ("chunk_ids", "starts", "ends", "quotes")]
            mentions = (
                Mention(chunk_id=chunk_id, start=start, end=end, quote=quote)
                for chunk_id, start, end, quote in zip(*lists, strict=False)
            )
            said = placed(mentions, **most)
        return Relationship(
            source=row["source"],
            target=row["target"],
            type=row["type"],
            properties=properties,
            mentions=said,
        )

    def _names(self, node: Node) -> list[str]:
        if self.is_own:
            return names_of(node)
        texts = (one for one in node.properties.values() if isinstance(one, str))
        return [*names_of(node), *(one for one in texts if len(one) <= _LONGEST)]

    def _expansion(self, depth: int) -> str:
        ids = self._id.format
        order = f"{ids('startNode(r)')}, type(r), {ids('endNode(r)')}"
        other = "b:Entity" if self.is_own else "b"
        levels = [_LEVEL.format(n=n, next=n + 1, order=order, other=other) for n in range(depth)]
        return "\n".join(
            (
                f"OPTIONAL MATCH {self._match} WHERE {ids('n')} IN $ids",
                "WITH collect(DISTINCT n) AS level0, [] AS taken0",
                "WITH level0, taken0, level0 AS seen0",
                *levels,
                f"RETURN [n IN level0 | {ids('n')}] AS starts,",
                f"COLLECT {{ UNWIND seen{depth} AS n RETURN {self._node} }} AS nodes,",
                f"[r IN taken{depth} | {{source: {ids('startNode(r)')}, type: type(r),",
                f"target: {ids('endNode(r)')}, properties: properties(r)}}] AS relationships",
            )
        )


def reading_kind() -> Generator[Statement, Rows, Neo4jReading]:
    """How the graph is to be read: `add` has left its constraint in it, or not."""
    constraints = yield _OWN_CONSTRAINT, {}
    if constraints:
        return Neo4jReading(is_own=True)
    indexes = yield _NAME_INDEXES, {}
    ranked = sorted(indexes, key=lambda row: (-len(row["labels"]), row["name"]))
    return Neo4jReading(is_own=False, names_index=ranked[0]["name"] if ranked else None)


def reading_chunks(ids: Sequence[str]) -> Generator[Statement, Rows, list[Document]]:
    """The chunks with these ids, in this order."""
    rows = yield _CHUNKS, {"ids": list(ids)}
    found = {
        row["id"]: Document(
            id=row["id"], page_content=row["text"], metadata=json.loads(row["metadata"])
        )
        for row in rows
    }
    return [found[id_] for id_ in dict.fromkeys(ids) if id_ in found]


def reading_chunk_ids(after: str, limit: int) -> Generator[Statement, Rows, list[str]]:
    """Ids of chunks in their order."""
    rows = yield (
        "MATCH (c:Chunk) WHERE c.id > $after RETURN c.id AS id ORDER BY id LIMIT $limit",
        {"after": after, "limit": limit},
    )
    return [row["id"] for row in rows]


_CHUNKS = """
MATCH (c:Chunk) WHERE c.id IN $ids AND c.metadata_json IS NOT NULL
RETURN c.id AS id, c.text AS text, c.metadata_json AS metadata
"""
_SAID_NODES = """
MATCH (c:Chunk)-[m:MENTIONS]->(n:Entity) WHERE c.id IN $ids
WITH c.id AS chunk, n, m ORDER BY chunk, n.id, m.start, m.end
RETURN chunk, n.id AS id, n.name AS name, labels(n) AS labels, properties(n) AS properties,
    collect({chunk_id: chunk, start: m.start, end: m.end, quote: m.quote}) AS said
ORDER BY chunk, id
"""
_SAID_RELATIONSHIPS = """
MATCH (c:Chunk)-[:MENTIONS]->(a:Entity) WHERE c.id IN $ids
WITH DISTINCT c.id AS chunk, a
MATCH (a)-[r]->(b:Entity) WHERE chunk IN r.chunk_ids
RETURN chunk, a.id AS source, type(r) AS type, b.id AS target, properties(r) AS properties
ORDER BY chunk, source, type, target
"""


def reading_documents(
    chunk_ids: Sequence[str],
) -> Generator[Statement, Rows, list[GraphDocument]]:
    """What chunks say, as `add` took it."""
    reading = Neo4jReading(is_own=True)
    asked = {"ids": list(chunk_ids)}
    chunks = yield from reading_chunks(chunk_ids)
    nodes: dict[str, list[Node]] = {}
    for row in (yield _SAID_NODES, asked):
        nodes.setdefault(row["chunk"], []).append(reading.node(row, most=None))
    relationships: dict[str, list[Relationship]] = {}
    for row in (yield _SAID_RELATIONSHIPS, asked):
        one = reading.relationship(row, most=None)
        said = tuple(mention for mention in one.mentions if mention.chunk_id == row["chunk"])
        relationships.setdefault(row["chunk"], []).append(replace(one, mentions=said))
    return [
        GraphDocument(
            nodes=tuple(nodes.get(str(chunk.id), ())),
            relationships=tuple(relationships.get(str(chunk.id), ())),
            source=chunk,
        )
        for chunk in chunks
    ]


def lucene(words: Iterable[str]) -> str:
    """A query of the full-text index: any of the words, those of some length with a slip."""
    listed = list(words)[:MOST_WORDS]
    parts = [f"{word}^2 OR {word}~1" if len(word) >= _SHORT else f'"{word}"' for word in listed]
    return " OR ".join(parts)


def _best_first(found: FoundNode) -> tuple[float, str]:
    return -found.score, found.node.id
