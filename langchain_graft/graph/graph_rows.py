"""Graph documents as the rows that a store writes: checked, and each thing once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from langchain_graft.graph.types import Mention, Node, Relationship

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_core.documents import Document

    from langchain_graft.graph.types import GraphDocument, Value

NODE_KEYS = frozenset(("id", "name"))
"""What a node's properties may not be called."""
RELATIONSHIP_KEYS = frozenset(("chunk_ids", "starts", "ends", "quotes"))
"""What a relationship's properties may not be called: its mentions lie there in Neo4j."""
NO_SPAN = -1
"""The start of a mention that has no place: the chunk says it, but not where."""
_KINDS = (str, bool, int, float)
_LARGEST = 2**63
_KEPT_MENTIONS = 50

Key = tuple[str, str, str]


@dataclass(frozen=True)
class GraphRows:
    """What graph documents say, each chunk, node and relationship once.

    The newest name, label and properties stay; other names (`aliases`) come together. All mentions
    are in `node_mentions` and `relationship_mentions`: a node or relationship that a chunk says
    without a place has one that starts at `NO_SPAN`; so have the ends of its relationships that it
    does not list.
    """

    chunks: dict[str, Document] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    relationships: dict[Key, Relationship] = field(default_factory=dict)
    node_mentions: dict[str, dict[Mention, None]] = field(default_factory=dict)
    relationship_mentions: dict[Key, dict[Mention, None]] = field(default_factory=dict)

    @property
    def unlisted(self) -> list[str]:
        """Ids of ends of relationships that no document lists: they have to be there already."""
        return sorted(self.node_mentions.keys() - self.nodes.keys())

    def __len__(self) -> int:
        said = (*self.node_mentions.values(), *self.relationship_mentions.values())
        return len(self.chunks) + len(self.nodes) + len(self.relationships) + sum(map(len, said))


def graph_rows(graph_documents: Iterable[GraphDocument]) -> GraphRows:
    """The rows of graph documents.

    Raises:
        ValueError: A chunk has no id, an id, label, type or property can not be kept, or a mention
            names another chunk than its document's.
    """
    rows = GraphRows()
    for document in graph_documents:
        chunk = document.source
        if not chunk.id:
            msg = f"The chunk {chunk.page_content[:60]!r} has no id: give its Document one"
            raise ValueError(msg)
        rows.chunks[chunk.id] = chunk
        for node in document.nodes:
            _check_node(node)
            rows.nodes[node.id] = merged_node(rows.nodes.get(node.id), node)
            _say(rows.node_mentions, node.id, chunk.id, node.mentions)
        ends: list[str] = []
        for one in document.relationships:
            _check_relationship(one)
            key = one.key
            if had := rows.relationships.get(key):
                rows.relationships[key] = replace(
                    one, properties={**had.properties, **one.properties}
                )
            else:
                rows.relationships[key] = one
            _say(rows.relationship_mentions, key, chunk.id, one.mentions)
            ends += (one.source, one.target)
        listed = {node.id for node in document.nodes}
        for end in dict.fromkeys(ends):
            if end not in listed:
                _say(rows.node_mentions, end, chunk.id, ())
    return rows


def merged_node(had: Node | None, new: Node) -> Node:
    """A node with what is newly known of it."""
    before = had.properties if had else {}
    if not before and "aliases" not in new.properties:
        return new
    properties = {**before, **new.properties}
    aliases = [*_aliases(before), *_aliases(new.properties)]
    properties.pop("aliases", None)
    if aliases:
        properties["aliases"] = list(dict.fromkeys(aliases))
    return replace(new, properties=properties)


def names_of(node: Node) -> list[str]:
    """The node's name, and its other names."""
    return [node.name, *_aliases(node.properties)]


def placed(
    mentions: Iterable[Mention], *, most: int | None = _KEPT_MENTIONS
) -> tuple[Mention, ...]:
    """The mentions that have a place, by chunk and place; of very many the first."""
    found = (one for one in mentions if one.start != NO_SPAN)
    return tuple(sorted(found, key=lambda one: (one.chunk_id, one.start, one.end))[:most])


def source_id_of(chunk: Document) -> str:
    """The document that a chunk belongs to; one that does not say so is its own."""
    return str(chunk.metadata.get("source_id") or chunk.id)


def chunk_index_of(chunk: Document) -> int | None:
    """The chunk's place in its document."""
    index = chunk.metadata.get("chunk_index")
    return index if isinstance(index, int) and not isinstance(index, bool) else None


def is_plain(value: Any) -> bool:
    """Whether a store can keep it as a property."""
    if isinstance(value, list):
        return len({type(one) for one in value}) <= 1 and all(map(_is_plain_one, value))
    return _is_plain_one(value)


def _is_plain_one(value: Any) -> bool:
    if isinstance(value, int):
        return -_LARGEST <= value < _LARGEST
    return isinstance(value, _KINDS)


def _say(said: dict[Any, dict[Mention, None]], key: Any, id_: str, new: Sequence[Mention]) -> None:
    for mention in new:
        if mention.chunk_id != id_:
            msg = (
                f"A mention in the graph document of chunk {id_!r} names chunk "
                f"{mention.chunk_id!r}: a graph document holds what its own chunk says"
            )
            raise ValueError(msg)
    found = dict.fromkeys(new or [Mention(chunk_id=id_, start=NO_SPAN, end=-1, quote="")])
    if key in said:
        said[key].update(found)
    else:
        said[key] = found


def _check_node(node: Node) -> None:
    if not node.id:
        msg = f"The node {node.name!r} has no id: make it by node_id(label, name)"
        raise ValueError(msg)
    _check_word(node.label, f"the label of the node {node.name!r}")
    _check_properties(node.properties, NODE_KEYS, f"the node {node.name!r}")


def _check_relationship(one: Relationship) -> None:
    _check_word(one.type, f"the type of the relationship {one.source!r} -> {one.target!r}")
    _check_properties(one.properties, RELATIONSHIP_KEYS, f"the relationship {one.type!r}")


def _check_word(word: str, what: str) -> None:
    if not word or "\0" in word:
        msg = f"{word!r} can not be {what}: expected a word, without NUL"
        raise ValueError(msg)


def _check_properties(properties: Mapping[str, Value], taken: frozenset[str], what: str) -> None:
    for key, value in properties.items():
        _check_word(key, f"the name of a property of {what}")
        if key in taken:
            msg = f"A property of {what} is called {key!r}, which is taken: rename it"
            raise ValueError(msg)
        if not is_plain(value):
            msg = (
                f"The property {key!r} of {what} is {value!r}: expected a text, a number, a "
                "boolean, or a list of one kind of these"
            )
            raise ValueError(msg)


def _aliases(properties: Mapping[str, Value]) -> list[str]:
    found = properties.get("aliases")
    return [str(one) for one in found] if isinstance(found, list) else []
