"""A graph from tables: which columns are things, and which say what they have to do with others."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from langchain_core.documents import Document

from langchain_graft.graph.types import GraphDocument, Mention, Node, Relationship, node_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from langchain_graft.graph.store import GraphStore

BATCH = 500
"""Rows of one transaction of a store."""


@dataclass(frozen=True, kw_only=True)
class NodeColumns:
    """A thing that each row speaks of."""

    label: str
    name: str
    """The column with its name."""
    id: str | None = None
    """The column that tells it from others of that name; None: the name does."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """Property by column."""


@dataclass(frozen=True, kw_only=True)
class RelationshipColumns:
    """What two things of a row have to do with each other."""

    source: str
    """A key of `TableMapping.nodes`."""
    type: str
    target: str
    properties: Mapping[str, str] = field(default_factory=dict)
    """Property by column."""


@dataclass(frozen=True, kw_only=True)
class TableMapping:
    """How the rows of a table become a graph.

    Raises:
        ValueError: There are no nodes, or a relationship's end is none of them.
    """

    nodes: Mapping[str, NodeColumns]
    """By a name of their own, such as "founder"."""
    relationships: Sequence[RelationshipColumns] = ()

    def __post_init__(self) -> None:
        if not self.nodes:
            msg = "The mapping names no nodes, expected at least one column of things"
            raise ValueError(msg)
        ends = {end for one in self.relationships for end in (one.source, one.target)}
        if unknown := ends - set(self.nodes):
            msg = (
                f"Relationships lead from or to {', '.join(map(repr, sorted(unknown)))}, expected "
                f"one of {', '.join(map(repr, self.nodes))}"
            )
            raise ValueError(msg)

    @property
    def columns(self) -> set[str]:
        """All columns that it reads."""
        found = {column for one in self.nodes.values() for column in (one.name, one.id) if column}
        for node in self.nodes.values():
            found |= set(node.properties)
        for relationship in self.relationships:
            found |= set(relationship.properties)
        return found


def graph_from_table(
    rows: Iterable[Mapping[str, object]], mapping: TableMapping, *, source_id: str = "table"
) -> Iterator[GraphDocument]:
    """The rows of a table as graph documents, one by one as they are asked for.

    A row's text is `column: value; ...` of the columns that the mapping reads, and every node and
    relationship points to its place in it. A thing whose cell is empty is left out, with its
    relationships. Numbers stay numbers where the rows have them.

    Args:
        rows: For instance of `csv.DictReader`.
        mapping: Which columns are nodes and relationships.
        source_id: The table's name.

    Raises:
        ValueError: A row lacks a column of the mapping.
    """
    for number, row in enumerate(rows):
        if missing := mapping.columns - set(row):
            msg = (
                f"Row {number + 1} of {source_id!r} lacks the columns "
                f"{', '.join(map(repr, sorted(missing)))}; it has {', '.join(map(repr, row))}"
            )
            raise ValueError(msg)
        yield _row_graph(row, mapping, source_id, number)


def add_table(
    store: GraphStore,
    rows: Iterable[Mapping[str, object]],
    mapping: TableMapping,
    *,
    source_id: str = "table",
    batch: int = BATCH,
) -> int:
    """Put a table into a store, some hundred rows at a time; the number of its rows.

    A row that is put in again replaces what it said before.
    """
    documents = graph_from_table(rows, mapping, source_id=source_id)
    done = 0
    while part := list(islice(documents, batch)):
        store.add(part)
        done += len(part)
    return done


def read_csv(path: Path, *, delimiter: str = ",") -> Iterator[dict[str, object]]:
    """The rows of a csv file with a head, in UTF-8, one by one."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file, delimiter=delimiter):
            yield {str(column): value for column, value in row.items() if column is not None}


def _row_graph(
    row: Mapping[str, object], mapping: TableMapping, source_id: str, number: int
) -> GraphDocument:
    chunk_id = node_id("row", str(number), context=source_id)
    text, places = "", {}
    for column, value in row.items():
        if column not in mapping.columns or _is_empty(value):
            continue
        text += f"{'; ' if text else ''}{column}: "
        places[column] = (len(text), len(text) + len(str(value)))
        text += str(value)
    nodes: dict[str, Node] = {}
    for key, columns in mapping.nodes.items():
        if columns.name not in places:
            continue
        name = str(row[columns.name])
        start, end = places[columns.name]
        own_id = "" if columns.id is None or _is_empty(row[columns.id]) else str(row[columns.id])
        nodes[key] = Node(
            id=node_id(columns.label, name if not own_id else "", context=own_id),
            label=columns.label,
            name=name,
            properties=_properties(row, columns.properties),
            mentions=(Mention(chunk_id=chunk_id, start=start, end=end, quote=text[start:end]),),
        )
    whole = Mention(chunk_id=chunk_id, start=0, end=len(text), quote=text)
    relationships = tuple(
        Relationship(
            source=nodes[one.source].id,
            type=one.type,
            target=nodes[one.target].id,
            properties=_properties(row, one.properties),
            mentions=(whole,),
        )
        for one in mapping.relationships
        if one.source in nodes and one.target in nodes
    )
    metadata = {"source_id": source_id, "chunk_index": number, "row": number + 1}
    return GraphDocument(
        nodes=tuple({node.id: node for node in nodes.values()}.values()),
        relationships=relationships,
        source=Document(id=chunk_id, page_content=text, metadata=metadata),
    )


def _properties(
    row: Mapping[str, object], names: Mapping[str, str]
) -> dict[str, str | int | float | bool]:
    return {
        name: value if isinstance(value, bool | int | float) else str(value)
        for column, name in names.items()
        if not _is_empty(value := row[column])
    }


def _is_empty(value: object) -> bool:
    return value is None or not str(value).strip()
