"""Names in a statement against those of the schema: what is meant by one that is not there."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from langchain_graft.graph.cypher.edits import Edit, Repaired, edited
from langchain_graft.graph.cypher.statement import NodePattern, read_statement
from langchain_graft.graph.schema_slice import escaped_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_graft.graph.cypher.atoms import Atom
    from langchain_graft.graph.cypher.statement import RelationshipPattern, Statement
    from langchain_graft.graph.schema import Property, Schema

SURE = 0.82
LIKELY = 0.55


def same_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that is the same but for case, underscores and a plural's s."""
    wanted = _plain(name)
    return next((one for one in known if _plain(one) == wanted), None) or next(
        (one for one in known if _plain(one).rstrip("s") == wanted.rstrip("s")), None
    )


def nearest_names(name: str, known: Iterable[str], *, most: int = 3) -> list[str]:
    """Known names that are written much alike, or share a word with it, nearest first."""
    scored = [(_likeness(name, one), one) for one in known]
    near = sorted((pair for pair in scored if pair[0] >= LIKELY), key=lambda pair: -pair[0])
    return [one for _, one in near[:most]]


def mend_names(  # noqa: C901 (labels, types and properties)
    cypher: str, schema: Schema, _question: str
) -> Repaired:
    """Labels, types and properties as the schema writes them, where it is sure which is meant.

    Sure is: the same but for case, underscores and plural; or the only one that is written nearly
    the same. A label that is a type in the schema, or the other way round, is left to the check.
    """
    statement = read_statement(cypher)
    labels = [node.label for node in schema.nodes]
    types = [one.type for one in schema.relationships]
    edits: list[Edit] = []
    for atom in {*_labels(statement)}:
        edits += _renamed(atom, labels)
    for one in statement.relationships:
        for atom in one.types:
            edits += _renamed(atom, types)
        if one.variable and not one.types and one.variable.name in types:  # -[ACTED_IN]->
            edits.append((one.variable.start, one.variable.start, ":"))
    for node in statement.nodes:
        alone = node.variable and not node.labels and statement.uses(node.variable.name) == 1
        if alone and node.variable and node.variable.name in labels:  # (Movie)
            edits.append((node.variable.start, node.variable.start, ":"))
    for atom, known in _keys(statement, schema):
        edits += _renamed(atom, known)
    if not edits:
        return Repaired(cypher)
    renamed = edited(cypher, edits)
    told = [
        f"{cypher[a:b]} -> {text}" if b > a else text + "..." for a, b, text in sorted(set(edits))
    ]
    further = mend_names(renamed, schema, _question)  # a label that is right has its properties
    return Repaired(further.cypher, (*(f"name: {one}" for one in told), *further.notes))


def properties_of(
    schema: Schema, *, labels: Iterable[str] = (), types: Iterable[str] = ()
) -> dict[str, Property]:
    """All properties that nodes of these labels and relationships of these types have."""
    owners = [schema.node(one) for one in labels] + [schema.relationship(one) for one in types]
    return {one.name: one for owner in owners if owner for one in owner.properties}


def _labels(statement: Statement) -> list[Atom]:
    return [label for node in statement.nodes for label in node.labels]


def _keys(statement: Statement, schema: Schema) -> list[tuple[Atom, list[str]]]:
    """Each property's name in the statement, and those that its owner has."""
    found: list[tuple[Atom, list[str]]] = []
    for access in statement.accesses:
        labels = statement.node_labels.get(access.variable.name, ())
        types = statement.relationship_types.get(access.variable.name, ())
        found.append((access.property, list(properties_of(schema, labels=labels, types=types))))
    for part in statement.parts:
        known = _own(part, statement, schema)
        found += [(entry.key, known) for entry in part.entries]
    return [(atom, known) for atom, known in found if known]


def _own(
    part: NodePattern | RelationshipPattern, statement: Statement, schema: Schema
) -> list[str]:
    names = part.labels if isinstance(part, NodePattern) else part.types
    listed = [one.name for one in names]
    if part.variable:
        listed += statement.node_labels.get(part.variable.name, ())
        listed += statement.relationship_types.get(part.variable.name, ())
    if isinstance(part, NodePattern):
        return list(properties_of(schema, labels=listed))
    return list(properties_of(schema, types=listed))


def _renamed(atom: Atom, known: Sequence[str]) -> list[Edit]:
    if atom.name in known:
        return []
    meant = same_name(atom.name, known) or _sure(atom.name, known)
    return [(atom.start, atom.end, escaped_name(meant))] if meant else []


def _sure(name: str, known: Sequence[str]) -> str | None:
    near = sorted(((_ratio(name, one), one) for one in known), reverse=True)
    if not near or near[0][0] < SURE or (len(near) > 1 and near[1][0] > near[0][0] - 0.05):
        return None
    return near[0][1]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, _plain(one), _plain(other)).ratio()


def _likeness(name: str, other: str) -> float:
    """How alike two names are, 0 to 1; a shared word counts as much as half of the letters."""
    words = [set(re.findall(r"[a-z]+|[^\W\da-z_]+", _split(one))) for one in (name, other)]
    shared = len(words[0] & words[1]) / max(len(words[0] | words[1]), 1)
    return max(_ratio(name, other), 0.5 + shared / 2 if shared else 0.0)


def _split(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()
