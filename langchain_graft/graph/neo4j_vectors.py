"""Plans that read and write the vectors of entities' names in Neo4j."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from langchain_graft.graph.neo4j_connection import Rows, Statement
    from langchain_graft.graph.types import Node

_BATCH = 10_000
_KNOWN = """
MATCH (n:Entity) WHERE n.id IN $ids AND n[$property] IS NOT NULL
RETURN n.id AS id, n.name AS name, n[$property] AS vector
"""
_PUT = """
UNWIND $rows AS row
MATCH (n:Entity {id: row[0]})
CALL db.create.setNodeVectorProperty(n, $property, row[1])
"""


def vector_index(vector_property: str, dimension: int) -> str:
    """The statement that makes the index, where it is not there."""
    return (
        f"CREATE VECTOR INDEX {vector_property} IF NOT EXISTS FOR (n:Entity) "
        f"ON (n.{vector_property}) OPTIONS {{indexConfig: {{`vector.dimensions`: {dimension}, "
        "`vector.similarity_function`: 'cosine'}}"
    )


def known_vectors(
    nodes: Mapping[str, Node], vector_property: str
) -> Generator[Statement, Rows, dict[str, list[float]]]:
    """The vectors of the nodes that have one of their name."""
    rows = yield _KNOWN, {"ids": list(nodes), "property": vector_property}
    return {row["id"]: row["vector"] for row in rows if row["name"] == nodes[row["id"]].name}


def putting_vectors(
    vectors: Mapping[str, Sequence[float]], vector_property: str | None
) -> Generator[Statement, Rows, None]:
    """Give nodes their vectors."""
    rows = [[id_, list(vector)] for id_, vector in vectors.items()]
    for n in range(0, len(rows), _BATCH):
        yield _PUT, {"rows": rows[n : n + _BATCH], "property": vector_property}
