"""A schema in a prompt: as compact text, and the part of it that a question needs."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from langchain_graft.models.tokens import estimate_tokens
from langchain_graft.source_text import without_control_words
from langchain_graft.wording import content_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_core.embeddings import Embeddings

    from langchain_graft.graph.schema import NodeType, Property, RelationshipType, Schema

TOKEN_BUDGET = 1500
MOST_VALUE_CHARACTERS = 80
_PLAIN_NAME = re.compile(r"[^\W\d]\w*")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]+")
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_+")
_FEW_PROPERTIES = 3


@dataclass(frozen=True, kw_only=True)
class SchemaSlice:
    """The part of a schema that goes into a prompt."""

    schema: Schema
    cut: tuple[str, ...]
    """What was left out: `Label`, `Label.property`, `TYPE`; in the schema's order."""
    tokens: int
    """What `schema.describe()` costs, as estimated."""


def escaped_name(name: str) -> str:
    """A label, type or property as Cypher writes it: in backticks unless it is a plain word."""
    clean = without_control_words(_UNPRINTABLE.sub(" ", name))
    return clean if _PLAIN_NAME.fullmatch(clean) else "`" + clean.replace("`", "``") + "`"


def quoted_value(value: object) -> str:
    """A value out of the graph as a prompt shows it: one line, cut, no control words, in quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(quoted_value(one) for one in value) + "]"
    text = without_control_words(_UNPRINTABLE.sub(" ", str(value)))
    if len(text) > MOST_VALUE_CHARACTERS:
        text = text[: MOST_VALUE_CHARACTERS - 3] + "..."
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def describe_schema(schema: Schema) -> str:
    """The schema in a line for each label and kind of relationship, without any value of the graph.

    Properties stand in no braces: a small model would copy them into its pattern.
    """
    nodes = [_node_line(node) for node in schema.nodes]
    relationships = [line for one in schema.relationships for line in _relationship_lines(one)]
    lines = ["Labels and their properties:", *nodes]
    if relationships:
        lines += ["Relationships, their direction and properties:", *relationships]
    return "\n".join(lines)


def slice_schema(
    schema: Schema,
    question: str,
    *,
    token_budget: int = TOKEN_BUDGET,
    embeddings: Embeddings | None = None,
) -> SchemaSlice:
    """What a question needs of a schema, within a budget.

    Labels are ranked by the words (with `embeddings`: by the meaning, too) that they, their
    properties and their relationships share with the question. Each is taken together with the
    labels on the shortest way to those that were taken before, so that what is kept is connected
    where the schema is; with few of its properties, those that the question mentions first, when
    there is no room for all. The first label is kept in any case.

    Raises:
        ValueError: `token_budget` is below 1.
    """
    if token_budget < 1:
        msg = f"token_budget must be 1 or more, not {token_budget!r}"
        raise ValueError(msg)
    described = estimate_tokens(describe_schema(schema))
    if described <= token_budget:
        return SchemaSlice(schema=schema, cut=(), tokens=described)
    words = content_words(_HUMPS.sub(" ", question))
    ranked = _ranked(schema, question, words, embeddings)
    kept: dict[str, NodeType] = {}
    for label in ranked:
        for make in (lambda node: node, lambda node: _slim(node, words)):
            taken = {one: make(_node(schema, one)) for one in _way(schema, kept, label)}
            part = _part(schema, {**taken, **kept})
            if estimate_tokens(describe_schema(part)) <= token_budget or not kept:
                kept = {**taken, **kept}
                break
        else:
            continue
        if estimate_tokens(describe_schema(_part(schema, kept))) > token_budget:
            kept = {one: _slim(node, words) for one, node in kept.items()}
    part = _part(schema, kept)
    tokens = estimate_tokens(describe_schema(part))
    return SchemaSlice(schema=part, cut=_cut(schema, part), tokens=tokens)


def mentions(name: str, words: Iterable[str]) -> int:
    """How many of the question's content words a name such as `unitPrice` shares."""
    return len(content_words(_HUMPS.sub(" ", name)) & set(words))


def _node_line(node: NodeType) -> str:
    return f"{escaped_name(node.label)}{_properties(node.properties)}"


def _relationship_lines(relationship: RelationshipType) -> list[str]:
    inner, properties = escaped_name(relationship.type), _properties(relationship.properties)
    return [
        f"(:{escaped_name(source)})-[:{inner}]->(:{escaped_name(target)}){properties}"
        for source, target in relationship.endpoints
    ]


def _properties(properties: Sequence[Property]) -> str:
    inner = ", ".join(f"{escaped_name(one.name)} {one.type}" for one in properties)
    return f": {inner}" if inner else ""


def _node(schema: Schema, label: str) -> NodeType:
    return next(node for node in schema.nodes if node.label == label)


def _ranked(
    schema: Schema, question: str, words: set[str], embeddings: Embeddings | None
) -> list[str]:
    scores = {node.label: 3.0 * mentions(node.label, words) for node in schema.nodes}
    for node in schema.nodes:
        scores[node.label] += sum(bool(mentions(name, words)) for name in node.property_names)
    for one in schema.relationships:
        told = mentions(one.type, words) + sum(mentions(name, words) for name in one.property_names)
        for label in {label for pair in one.endpoints for label in pair} & set(scores):
            scores[label] += bool(told)
    if embeddings is not None:
        meant = _meant(schema, question, embeddings)
        scores = {label: score + 3.0 * meant[label] for label, score in scores.items()}
    return sorted(scores, key=lambda label: -scores[label])  # stable: those with most nodes first


def _meant(schema: Schema, question: str, embeddings: Embeddings) -> dict[str, float]:
    """How near each label and its properties lie to the question: the best is 1, the worst 0."""
    texts = [_HUMPS.sub(" ", " ".join([n.label, *n.property_names])) for n in schema.nodes]
    asked = embeddings.embed_query(question)
    near = [sum(map(float.__mul__, asked, one)) for one in embeddings.embed_documents(texts)]
    low, high = min(near), max(near)
    span = (high - low) or 1.0
    labels = (node.label for node in schema.nodes)
    return {label: (one - low) / span for label, one in zip(labels, near, strict=True)}


def _neighbours(schema: Schema) -> dict[str, list[str]]:
    near: dict[str, list[str]] = {node.label: [] for node in schema.nodes}
    for one in schema.relationships:
        for source, target in one.endpoints:
            if source in near and target in near:
                near[source].append(target)
                near[target].append(source)
    return near


def _way(schema: Schema, kept: Mapping[str, NodeType], label: str) -> list[str]:
    """The label, and those on the shortest way from it to what is kept."""
    near, before = _neighbours(schema), {label: label}
    waiting = deque([label])
    while waiting:
        one = waiting.popleft()
        if one in kept:
            way = [one]
            while before[one] != one:
                one = before[one]
                way.append(one)
            return [step for step in way[::-1] if step not in kept]
        for other in near[one]:
            if other not in before:
                before[other] = one
                waiting.append(other)
    return [label]


def _slim(node: NodeType, words: set[str]) -> NodeType:
    """The label with few properties: what the question mentions, then unique ones, then others."""
    order = sorted(node.properties, key=lambda one: (-mentions(one.name, words), not one.unique))
    told = sum(bool(mentions(one.name, words)) for one in node.properties)
    kept = {one.name for one in order[: max(told, _FEW_PROPERTIES)]}
    return replace(node, properties=tuple(one for one in node.properties if one.name in kept))


def _part(schema: Schema, kept: Mapping[str, NodeType]) -> Schema:
    relationships = [
        replace(one, endpoints=ends)
        for one in schema.relationships
        if (ends := tuple(pair for pair in one.endpoints if pair[0] in kept and pair[1] in kept))
    ]
    nodes = tuple(kept[node.label] for node in schema.nodes if node.label in kept)
    return replace(schema, nodes=nodes, relationships=tuple(relationships))


def _cut(schema: Schema, part: Schema) -> tuple[str, ...]:
    cut = []
    for node in schema.nodes:
        left = part.node(node.label)
        if left is None:
            cut.append(node.label)
            continue
        names = set(left.property_names)
        cut += [f"{node.label}.{name}" for name in node.property_names if name not in names]
    kept = {one.type for one in part.relationships}
    return tuple(cut + [one.type for one in schema.relationships if one.type not in kept])
