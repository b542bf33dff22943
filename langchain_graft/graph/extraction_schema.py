"""What a schema allows a model to write down: as words for the prompt, as a grammar, as a check."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_graft.graph.extraction_reply import RelationClaim, label_name, type_name
from langchain_graft.graph.schema import NodeType, RelationshipType, Schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST_LINES = 40
"""Most lines of a constrained reply: a small model may not find an end to them by itself."""
_MOST_NAME = 80

LINES_SCHEMA: dict[str, Any] = {
    "title": "knowledge_graph",
    "description": "The relations that a text states.",
    "type": "object",
    "properties": {
        "relations": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    name: {"type": "string"}
                    for name in ("source", "source_type", "type", "target", "target_type")
                },
                "required": ["source", "source_type", "type", "target", "target_type"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["relations"],
    "additionalProperties": False,
}


def schema_of(
    labels: Iterable[str], relationships: Mapping[str, Iterable[tuple[str, str]]] | None = None
) -> Schema:
    """A schema from labels, and relationship types with the labels that they lead from and to.

    Raises:
        ValueError: A relationship's end is no label of these.
    """
    nodes = tuple(NodeType(label=label) for label in dict.fromkeys(labels))
    known = {node.label for node in nodes}
    types = []
    for type_, endpoints in (relationships or {}).items():
        pairs = tuple(endpoints)
        if unknown := {end for pair in pairs for end in pair} - known:
            msg = (
                f"{type_} leads from or to {', '.join(map(repr, sorted(unknown)))}, expected one "
                f"of the labels {', '.join(sorted(known))}"
            )
            raise ValueError(msg)
        types.append(RelationshipType(type=type_, endpoints=pairs))
    return Schema(nodes=nodes, relationships=tuple(types))


def schema_from_json(text: str) -> Schema:
    """A schema from JSON: `{"labels": [...], "relationships": {"TYPE": [["From", "To"]]}}`.

    Raises:
        ValueError: It is not of that form.
    """
    try:
        values = json.loads(text)
        given = {
            type_: [(str(one), str(other)) for one, other in pairs]
            for type_, pairs in values.get("relationships", {}).items()
        }
        return schema_of([str(label) for label in values["labels"]], given)
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        msg = (
            f"The schema can not be read ({error!r}). Expected "
            '{"labels": ["Person", "Firm"], "relationships": {"OWNS": [["Person", "Firm"]]}}'
        )
        raise ValueError(msg) from error


def schema_to_json(schema: Schema) -> str:
    """What `schema_from_json` reads."""
    ways = {one.type: one.endpoints for one in schema.relationships}
    labels = [node.label for node in schema.nodes]
    return json.dumps({"labels": labels, "relationships": ways}, ensure_ascii=False)


def schema_lines(schema: Schema) -> str:
    """A schema as a prompt shows it: its labels, then a line for each way of a relationship."""
    ways = [
        f"{source} | {one.type} | {target}"
        for one in schema.relationships
        for source, target in one.endpoints
    ]
    labels = ", ".join(node.label for node in schema.nodes)
    return "\n".join([f"Types: {labels}", *(["Relations:", *ways] if ways else [])])


def lines_grammar(schema: Schema) -> str:
    """A GBNF for lines `name | Type | RELATION | name | Type`, of a schema's types alone."""
    name = rf"name ::= [^|\n\x00-\x1f] [^|\n\x00-\x1f]{{0,{_MOST_NAME}}}"
    lines = rf'root ::= "NONE" | line ("\n" line){{0,{MOST_LINES - 1}}}'
    ways = [
        f'name " | {source} | {one.type} | " name " | {target}"'
        for one in schema.relationships
        for source, target in one.endpoints
    ]
    ways += [f'name " | {node.label}"' for node in schema.nodes] if not ways else []
    return f"{lines}\nline ::= {' | '.join(ways)}\n{name}"


def fits(claim: RelationClaim, schema: Schema) -> RelationClaim | None:
    """The claim in the schema's own spelling, turned round where only that fits; None: neither.

    A label that is missing, or not of the schema, is taken from the relationship's ends.
    """
    wanted = next((one for one in schema.relationships if _same(one.type, claim.type)), None)
    if wanted is None:
        return None
    labels = tuple(
        known_label(one, schema) or "" for one in (claim.source_label, claim.target_label)
    )
    for turned in (False, True):
        ends = labels[::-1] if turned else labels
        if pair := next((p for p in wanted.endpoints if _fit(p, ends)), None):
            source, target = (
                (claim.target, claim.source) if turned else (claim.source, claim.target)
            )
            return RelationClaim(
                source=source,
                type=wanted.type,
                target=target,
                source_label=pair[0],
                target_label=pair[1],
            )
    return None


def known_label(label: str, schema: Schema) -> str | None:
    """The schema's spelling of a label; None: it has no such label."""
    return next((node.label for node in schema.nodes if _same(node.label, label)), None)


def _fit(pair: tuple[str, str], labels: tuple[str, ...]) -> bool:
    return all(not label or _same(label, end) for label, end in zip(labels, pair, strict=True))


def _same(one: str, other: str) -> bool:
    plain = {type_name(label_name(text)).replace("_", "") for text in (one, other)}
    return len(plain) == 1
