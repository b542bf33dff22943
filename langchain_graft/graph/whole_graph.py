"""All that a store's documents say, page by page: for what has to see the whole graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from langchain_graft.graph.types import Mention, Node, Relationship, Subgraph

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_graft.graph.types import GraphDocument

_PAGE = 100
MOST_RELATIONSHIPS = 50_000


@runtime_checkable
class PagedStore(Protocol):
    """A store whose chunks can be listed."""

    def chunk_ids(self, *, after: str = "", limit: int = 100) -> list[str]:
        """Ids of chunks in their order, those behind `after`."""

    def graph_documents(self, chunk_ids: Sequence[str]) -> list[GraphDocument]:
        """What chunks say, as `add` took it; chunks that are not there are left out."""


def all_graph_documents(store: PagedStore) -> Iterator[GraphDocument]:
    """What each chunk says, in the order of their ids, a hundred read at a time."""
    after = ""
    while ids := store.chunk_ids(after=after, limit=_PAGE):
        yield from store.graph_documents(ids)
        after = ids[-1]


def whole_graph(store: PagedStore, *, limit: int = MOST_RELATIONSHIPS) -> Subgraph:
    """All that the documents say, as one graph; a thing that several mention has all mentions.

    Args:
        store: One whose chunks can be listed; what no chunk says is not seen.
        limit: Most relationships; what comes behind is left out, and `truncated` says so.
    """
    nodes: dict[str, Node] = {}
    relationships: dict[tuple[str, str, str], Relationship] = {}
    truncated = False
    for document in all_graph_documents(store):
        for node in document.nodes:
            nodes[node.id] = _joined_node(nodes.get(node.id), node)
        for one in document.relationships:
            if one.key not in relationships and len(relationships) >= limit:
                truncated = True
                continue
            relationships[one.key] = _joined(relationships.get(one.key), one)
    known = tuple(
        one for one in relationships.values() if one.source in nodes and one.target in nodes
    )
    return Subgraph(nodes=tuple(nodes.values()), relationships=known, truncated=truncated)


def _joined_node(first: Node | None, second: Node) -> Node:
    if first is None:
        return second
    return Node(
        id=first.id,
        label=first.label,
        name=first.name,
        properties={**first.properties, **second.properties},
        mentions=_mentions(first.mentions, second.mentions),
    )


def _joined(first: Relationship | None, second: Relationship) -> Relationship:
    if first is None:
        return second
    return Relationship(
        source=first.source,
        target=first.target,
        type=first.type,
        properties={**first.properties, **second.properties},
        mentions=_mentions(first.mentions, second.mentions),
    )


def _mentions(first: tuple[Mention, ...], second: tuple[Mention, ...]) -> tuple[Mention, ...]:
    return tuple(dict.fromkeys([*first, *second]))
