"""The values that cross a graph store: nodes, relationships, where they are said, sub-graphs."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.documents import Document

Value: TypeAlias = str | int | float | bool | list[str] | list[int] | list[float] | list[bool]
"""What a property holds: what Neo4j, SQLite and JSON all can."""


@dataclass(frozen=True, kw_only=True)
class Mention:
    """Where a document says something: the quote lies at `[start:end]` of the chunk's text."""

    chunk_id: str
    start: int
    end: int
    quote: str


@dataclass(frozen=True, kw_only=True)
class Node:
    """A thing: a person, a company, a film."""

    id: str
    label: str
    """Its type, such as `Person`."""
    name: str
    """What it is called; in a graph made elsewhere, its identifying property's value."""
    properties: Mapping[str, Value] = field(default_factory=dict)
    """Besides `id` and `name`. `aliases` lists its other names."""
    mentions: tuple[Mention, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Relationship:
    """What one thing has to do with another; it points from `source` to `target`."""

    source: str
    """The id of the node that it starts from."""
    target: str
    type: str
    """Such as `WORKS_FOR`."""
    properties: Mapping[str, Value] = field(default_factory=dict)
    mentions: tuple[Mention, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from others: there is one of a type from one node to another."""
        return self.source, self.type, self.target


@dataclass(frozen=True, kw_only=True)
class GraphDocument:
    """What one chunk says, as a graph.

    `source` is the chunk: its `id` is the chunk's id, and `metadata` has `source_id` and, if known,
    `chunk_index` (its place in the document, from 0).
    """

    nodes: tuple[Node, ...]
    relationships: tuple[Relationship, ...]
    source: Document


@dataclass(frozen=True, kw_only=True)
class FoundNode:
    """A node that was looked for, and how well it fits; higher is better."""

    node: Node
    score: float


@dataclass(frozen=True, kw_only=True)
class Subgraph:
    """A part of a graph; every relationship's ends are among the nodes."""

    nodes: tuple[Node, ...] = ()
    relationships: tuple[Relationship, ...] = ()
    truncated: bool = False
    """Whether the limit left something out."""


def node_id(label: str, name: str, *, context: str = "") -> str:
    """The id of a thing by its type and name, the same on every machine.

    Case, width and spaces do not count.

    Args:
        label: Its type.
        name: What it is called.
        context: What tells it from others of that type and name, if there are any.
    """
    parts = (unicodedata.normalize("NFKC", part) for part in (label, name, context))
    words = "\x1f".join(" ".join(part.casefold().split()) for part in parts)
    return hashlib.sha256(words.encode()).hexdigest()[:24]
