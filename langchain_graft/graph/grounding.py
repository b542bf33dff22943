"""What a question mentions, looked up in the graph: "tom hanks" is `Person.name` "Tom Hanks"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from langchain_graft.errors import CypherError
from langchain_graft.graph.cypher.literals import plain
from langchain_graft.graph.schema_slice import escaped_name, quoted_value
from langchain_graft.graph.steps import Read, Steps
from langchain_graft.han import HAN
from langchain_graft.wording import content_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_graft.graph.schema import NodeType, Property, RelationshipType, Schema

MOST_NODES = 20_000
MOST_OWNERS = 20
MOST_VALUES = 12
LOOKUP_SECONDS = 5.0
NEAR = 0.72
_MOST_SPAN_WORDS = 7
_MOST_SPANS = 400
_MOST_HAN = 10
_WORD = re.compile(r"[^\W_]+")
_QUOTED = re.compile(
    r"[\"“”「『《]([^\"“”」』》]{1,80})[\"“”」』》]|(?<!\w)['‘]([^'‘’]{1,80}(?:['’](?=\w)[^'’]{0,40})?)['’](?!\w)"
)


@dataclass(frozen=True)
class GroundedValue:
    """A value of the graph that a question mentions."""

    owner: str
    """The label, or the type of a relationship."""
    property: str
    value: str
    said: str
    """How the question says it."""


def spans_of(question: str) -> list[str]:
    """What in a question may be a value: its runs of words in small letters, the longest first.

    Runs of function words alone are left out; of Chinese all runs of 2 to 10 characters.
    """
    found = [(one or other).strip().lower() for one, other in _QUOTED.findall(question)]
    words = list(_WORD.finditer(question))
    for length in range(min(_MOST_SPAN_WORDS, len(words)), 0, -1):
        for first, last in zip(words, words[length - 1 :], strict=False):
            span = question[first.start() : last.end()].lower()
            if content_words(span) or span.isdigit():
                found.append(span.replace("’", "'"))
    for run in HAN.findall(question):
        for length in range(min(_MOST_HAN, len(run)), 1, -1):
            found += [run[start : start + length] for start in range(len(run) - length + 1)]
    return list(dict.fromkeys(one for one in found if one))[:_MOST_SPANS]


def ground_steps(question: str, schema: Schema) -> Steps[list[GroundedValue]]:
    """The values in the graph that the question mentions, those said at most length first.

    Enumerated values are compared here; the others are looked up in the graph, a read for each
    label and type that has texts, by equality without regard to case, in a bounded scan. What can
    not be looked up is left out.
    """
    spans = spans_of(question)
    found = list(_enumerated(schema, spans))
    owners: list[NodeType | RelationshipType] = [*schema.nodes, *schema.relationships]
    for owner in owners[:MOST_OWNERS]:
        texts = [one for one in owner.properties if _is_text(one) and not one.values]
        if not texts:
            continue
        try:
            rows = yield _lookup(owner, texts, spans)
        except CypherError:
            continue
        name = _name(owner)
        found += [
            GroundedValue(name, row["key"], row["value"], plain(row["value"])) for row in rows.rows
        ]
    return _best(found, question, schema)


def nearest_value_steps(owner: str, name: str, value: str, schema: Schema) -> Steps[str | None]:
    """The value of a property that is written nearest to one that it never has, if any is near."""
    known = schema.node(owner) or schema.relationship(owner)
    if known is None or name not in known.property_names:
        return None
    word = max(plain(value).split(), key=len, default="")[:4]
    cypher = (
        f"MATCH {_pattern(known)} WITH n.{escaped_name(name)} AS value LIMIT {MOST_NODES} "
        "WITH DISTINCT value WHERE value IS NOT NULL AND toLower(toString(value)) CONTAINS $word "
        "RETURN toString(value) AS value LIMIT 500"
    )
    try:
        rows = yield Read(cypher, {"word": word}, LOOKUP_SECONDS, 500)
    except CypherError:
        return None
    scored = [
        (_likeness(value, row["value"]), row["value"])
        for row in rows.rows
        if row["value"] is not None
    ]
    best = max(scored, default=(0.0, None))
    return best[1] if best[0] >= NEAR else None


def describe_values(values: Sequence[GroundedValue]) -> str:
    """The values as a prompt shows them, each in quotes, on its own line."""
    return "\n".join(
        f"{escaped_name(one.owner)}.{escaped_name(one.property)}: {quoted_value(one.value)}"
        for one in values
    )


def _lookup(
    owner: NodeType | RelationshipType, texts: Sequence[Property], spans: Sequence[str]
) -> Read:
    single = [one.name for one in texts if one.type == "STRING"]
    listed = [one.name for one in texts if one.type != "STRING"]
    cypher = (
        f"MATCH {_pattern(owner)} WITH n LIMIT {MOST_NODES} "
        "UNWIND [key IN $single | [key, [n[key]]]] + [key IN $listed | [key, n[key]]] AS pair "
        "UNWIND pair[1] AS value WITH pair[0] AS key, value "
        "WHERE value IS NOT NULL AND toLower(value) IN $spans "
        f"RETURN DISTINCT key, value LIMIT {MOST_VALUES * 3}"
    )
    given = {"single": single, "listed": listed, "spans": list(spans)}
    return Read(cypher, given, LOOKUP_SECONDS, MOST_VALUES * 3)


def _pattern(owner: NodeType | RelationshipType) -> str:
    label = getattr(owner, "label", None)
    if label is not None:
        return f"(n:{escaped_name(label)})"
    return f"()-[n:{escaped_name(getattr(owner, 'type', ''))}]->()"


def _name(owner: NodeType | RelationshipType) -> str:
    return str(getattr(owner, "label", None) or getattr(owner, "type", ""))


def _is_text(one: Property) -> bool:
    return one.type in {"STRING", "LIST<STRING>"} or one.type.startswith("LIST<STRING")


def _enumerated(schema: Schema, spans: Sequence[str]) -> Iterable[GroundedValue]:
    said = {plain(one) for one in spans}
    owners: list[NodeType | RelationshipType] = [*schema.nodes, *schema.relationships]
    for owner in owners:
        name = _name(owner)
        for one in owner.properties:
            for value in one.values:
                if isinstance(value, str) and plain(value) in said:
                    yield GroundedValue(name, one.name, value, plain(value))


def _best(found: Iterable[GroundedValue], question: str, schema: Schema) -> list[GroundedValue]:
    """Those that no longer one covers; plain numbers and words of the schema are no values."""
    words = content_words(" ".join(one.label for one in schema.nodes))
    kept: list[GroundedValue] = []
    for one in sorted(set(found), key=lambda one: (-len(one.said), one.owner, one.property)):
        covered = any(
            one.said != other.said and f" {one.said} " in f" {other.said} " for other in kept
        )
        named = content_words(one.said) <= words
        if not (covered or named or one.said.isdigit() or one.value == "NULL"):
            kept.append(one)
    asked = content_words(question)
    kept.sort(key=lambda one: -len(content_words(one.owner) & asked))
    return kept[:MOST_VALUES]


def _likeness(one: str, other: str) -> float:
    one, other = plain(one), plain(other)
    return SequenceMatcher(None, one, other).ratio()
