"""What a graph holds: labels, relationship types, their properties, and who points at whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_graft.graph.schema_slice import (
    TOKEN_BUDGET,
    SchemaSlice,
    describe_schema,
    slice_schema,
)

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

    from langchain_graft.graph.types import Value


@dataclass(frozen=True, kw_only=True)
class Property:
    """A property of nodes of a label, or of relationships of a type."""

    name: str
    type: str
    """Cypher's name: `STRING`, `INTEGER`, `FLOAT`, `BOOLEAN`, `DATE`, `ZONED DATETIME`, `POINT`,
    `LIST<STRING>` ..."""
    values: tuple[Value, ...] = ()
    """All of its values, where they are few; else none."""
    examples: tuple[Value, ...] = ()
    """One or two of its values."""
    unique: bool = False
    """Whether no two nodes of the label have the same value, as far as was seen."""


@dataclass(frozen=True, kw_only=True)
class NodeType:
    """Nodes of one label."""

    label: str
    properties: tuple[Property, ...] = ()
    count: int | None = None

    @property
    def property_names(self) -> tuple[str, ...]:
        """The names of its properties, in their order."""
        return tuple(one.name for one in self.properties)


@dataclass(frozen=True, kw_only=True)
class RelationshipType:
    """Relationships of one type."""

    type: str
    endpoints: tuple[tuple[str, str], ...]
    """Label it points from, label it points to; every pair that there is."""
    properties: tuple[Property, ...] = ()
    count: int | None = None

    @property
    def property_names(self) -> tuple[str, ...]:
        """The names of its properties, in their order."""
        return tuple(one.name for one in self.properties)


@dataclass(frozen=True, kw_only=True)
class Schema:
    """A graph's labels and relationship types, those with the most nodes first."""

    nodes: tuple[NodeType, ...] = ()
    relationships: tuple[RelationshipType, ...] = ()

    def node(self, label: str) -> NodeType | None:
        """The label's nodes, if there is that label."""
        return next((one for one in self.nodes if one.label == label), None)

    def relationship(self, type_: str) -> RelationshipType | None:
        """The type's relationships, if there is that type."""
        return next((one for one in self.relationships if one.type == type_), None)

    def describe(self) -> str:
        """The schema as compact text for a prompt: names escaped, no values of the graph."""
        return describe_schema(self)

    def slice(
        self,
        question: str,
        *,
        token_budget: int = TOKEN_BUDGET,
        embeddings: Embeddings | None = None,
    ) -> SchemaSlice:
        """The part that a question needs, and what was cut; `slice_schema` tells how.

        Args:
            question: What is asked.
            token_budget: Most tokens of `describe()`, as estimated.
            embeddings: Rank labels by meaning besides words; None: by words alone.

        Raises:
            ValueError: `token_budget` is below 1.
        """
        return slice_schema(self, question, token_budget=token_budget, embeddings=embeddings)
