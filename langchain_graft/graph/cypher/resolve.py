"""What a statement's variables are in the schema: the labels of nodes, also those not written."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_graft.graph.cypher.statement import (
        NodePattern,
        RelationshipPattern,
        Statement,
    )
    from langchain_graft.graph.schema import Schema

MOST_HOPS = 3


@dataclass(frozen=True)
class Hop:
    """One step from a label to another; `forward`: the relationship points that way."""

    source: str
    type: str
    target: str
    forward: bool


def labels_of(
    node: NodePattern, statement: Statement, schema: Schema, *, infer: bool = True
) -> tuple[str, ...]:
    """The labels of a node that the schema knows: those written anywhere, else what must be.

    What must be: the only label that all relationships beside it can have at that end.
    """
    written = [label.name for label in node.labels]
    if node.variable:
        written += statement.node_labels.get(node.variable.name, ())
    known = tuple(dict.fromkeys(label for label in written if schema.node(label)))
    if known or not infer:
        return known
    possible: set[str] | None = None
    for one in statement.relationships:
        for end, node_there in (("left", one.left), ("right", one.right)):
            same = node_there is node or (
                node.variable is not None
                and node_there.variable is not None
                and node.variable.name == node_there.variable.name
            )
            ends = _ends(one, schema, at=end) if same else set()
            if ends:
                possible = ends if possible is None else possible & ends
    return tuple(possible) if possible and len(possible) == 1 else ()


def variable_labels(statement: Statement, schema: Schema) -> dict[str, tuple[str, ...]]:
    """`labels_of` for every variable that is a node, also through `WITH p AS q`."""
    found: dict[str, tuple[str, ...]] = {
        name: tuple(label for label in labels if schema.node(label))
        for name, labels in statement.node_labels.items()
    }
    for node in statement.nodes:
        if node.variable and not found.get(node.variable.name):
            found[node.variable.name] = labels_of(node, statement, schema)
    return found


def fits(
    one: RelationshipPattern,
    statement: Statement,
    schema: Schema,
    *,
    types: Sequence[str] | None = None,
    turned: bool = False,
) -> bool:
    """Whether the schema has such a relationship between such nodes, in that direction.

    Args:
        one: The pattern.
        statement: Where it stands.
        schema: What there is.
        types: Other types than those written.
        turned: Look the other way round.
    """
    left = labels_of(one.left, statement, schema, infer=False)
    right = labels_of(one.right, statement, schema, infer=False)
    ways = {"out": [(left, right)], "in": [(right, left)], "both": [(left, right), (right, left)]}
    pairs = ways[one.direction]
    if turned:
        pairs = [(target, source) for source, target in pairs]
    names = [type_.name for type_ in one.types] if types is None else types
    known = [schema.relationship(name) for name in names] if names else list(schema.relationships)
    return any(
        (not sources or source in sources) and (not targets or target in targets)
        for type_ in known
        if type_
        for source, target in type_.endpoints
        for sources, targets in pairs
    )


def ways_between(
    schema: Schema, sources: Iterable[str], targets: Iterable[str], *, most: int = MOST_HOPS
) -> list[list[Hop]]:
    """The shortest ways from one of the labels to one of the others, whichever way they point."""
    wanted = set(targets)
    waiting = deque([[hop] for source in sources for hop in hops_from(schema, source)])
    found: list[list[Hop]] = []
    while waiting:
        way = waiting.popleft()
        if found and len(way) > len(found[0]):
            break
        if way[-1].target in wanted:
            found.append(way)
        elif len(way) < most:
            been = {hop.source for hop in way}
            onward = hops_from(schema, way[-1].target)
            waiting.extend([*way, hop] for hop in onward if hop.target not in been)
    return found


def hops_from(schema: Schema, label: str) -> list[Hop]:
    """Every step that there is from a label."""
    return [
        Hop(label, one.type, other, forward)
        for one in schema.relationships
        for source, target in one.endpoints
        for begin, other, forward in ((source, target, True), (target, source, False))
        if begin == label and (forward or source != target)
    ]


def _ends(one: RelationshipPattern, schema: Schema, *, at: str) -> set[str]:
    """The labels that one end of a relationship can have."""
    types = [schema.relationship(type_.name) for type_ in one.types]
    pairs = [pair for type_ in types if type_ for pair in type_.endpoints]
    sources, targets = {pair[0] for pair in pairs}, {pair[1] for pair in pairs}
    if one.direction == "both":
        return sources | targets
    return sources if (one.direction == "out") == (at == "left") else targets
