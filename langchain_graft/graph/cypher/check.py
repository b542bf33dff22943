"""What is still wrong with a statement, in words that tell a model how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_graft.graph.cypher.names import nearest_names, properties_of
from langchain_graft.graph.cypher.resolve import fits, variable_labels
from langchain_graft.graph.cypher.statement import NodePattern, read_statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from langchain_graft.graph.cypher.statement import Statement
    from langchain_graft.graph.schema import Schema


def check_cypher(
    cypher: str, schema: Schema, *, parameters: Mapping[str, object] | None = None
) -> list[str]:
    """The statement against the schema: a sentence for each label, type, property and arrow.

    Each says what there is instead: the names that are written nearest, the owners of a property,
    the relationships between two labels. Empty when nothing is wrong; syntax is Neo4j's to check.
    """
    statement = read_statement(cypher)
    if statement.last("RETURN", "CALL") is None:
        return ["The statement returns nothing: it has to end with RETURN."]
    found = [
        *_labels_and_types(statement, schema),
        *_properties(statement, schema),
        *_arrows(statement, schema),
        *_parameters(statement, parameters or {}),
    ]
    return list(dict.fromkeys(found))


def _labels_and_types(statement: Statement, schema: Schema) -> Iterable[str]:
    labels = [node.label for node in schema.nodes]
    types = [one.type for one in schema.relationships]
    for node in statement.nodes:
        for label in node.labels:
            if label.name not in labels:
                yield f"There is no label {label.name}.{_instead(label.name, labels)}"
    for one in statement.relationships:
        for type_ in one.types:
            if type_.name not in types:
                instead = _instead(type_.name, types)
                yield f"There is no relationship type {type_.name}.{instead}"


def _properties(statement: Statement, schema: Schema) -> Iterable[str]:
    nodes = variable_labels(statement, schema)
    for access in statement.accesses:
        name = access.variable.name
        labels = nodes.get(name, ())
        types = [t for t in statement.relationship_types.get(name, ()) if schema.relationship(t)]
        if labels or types:
            yield from _property(schema, access.property.name, labels, types)
    for part in statement.parts:
        names = part.labels if isinstance(part, NodePattern) else part.types
        known = [one.name for one in names]
        for entry in part.entries:
            if isinstance(part, NodePattern):
                own = [one for one in known if schema.node(one)]
                yield from _property(schema, entry.key.name, own, ())
            else:
                kinds = [one for one in known if schema.relationship(one)]
                yield from _property(schema, entry.key.name, (), kinds)


def _property(
    schema: Schema, name: str, labels: Iterable[str], types: Iterable[str]
) -> Iterable[str]:
    labels, types = list(labels), list(types)
    known = properties_of(schema, labels=labels, types=types)
    if not (labels or types) or name in known:
        return
    owner = (labels or types)[0]
    owners = [one.label for one in schema.nodes if name in one.property_names]
    owners += [one.type for one in schema.relationships if name in one.property_names]
    if owners:
        yield f"{owner} has no property {name}: that is a property of {', '.join(owners)}."
    else:
        yield f"{owner} has no property {name}.{_instead(name, known) or _those(known)}"


def _arrows(statement: Statement, schema: Schema) -> Iterable[str]:
    types = {one.type for one in schema.relationships}
    for one in statement.relationships:
        if one.long or any(type_.name not in types for type_ in one.types):
            continue
        if not fits(one, statement, schema):
            text = statement.cypher[one.left.start : one.right.end]
            there = [
                f"(:{source})-[:{known.type}]->(:{target})"
                for type_ in one.types
                if (known := schema.relationship(type_.name))
                for source, target in known.endpoints
            ]
            yield f"There is no {text}. There is {', '.join(there) or 'none of that kind'}."


def _parameters(statement: Statement, given: Mapping[str, object]) -> Iterable[str]:
    for atom in statement.atoms:
        if atom.kind == "parameter" and atom.text[1:].strip("`") not in given:
            yield f"Nobody gives the parameter {atom.text}: write the value itself."


def _instead(name: str, known: Iterable[str]) -> str:
    near = nearest_names(name, known)
    return f" Is it {' or '.join(near)}?" if near else ""


def _those(known: Iterable[str]) -> str:
    names = ", ".join(known)
    return f" It has {names}." if names else " It has no properties."
