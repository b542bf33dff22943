"""One thing that stands under two variables, and end nodes that nobody asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_graft.graph.cypher.edits import Edit, Repaired, edited
from langchain_graft.graph.cypher.resolve import labels_of
from langchain_graft.graph.cypher.statement import read_statement
from langchain_graft.graph.schema_slice import mentions
from langchain_graft.wording import content_words

if TYPE_CHECKING:
    from langchain_graft.graph.cypher.statement import (
        NodePattern,
        Pattern,
        RelationshipPattern,
        Statement,
    )
    from langchain_graft.graph.schema import Schema

_SAME = re.compile(r"\bsame\b|\bboth\b|同一|相同|既.*又", re.IGNORECASE)
_PAIRS = re.compile(
    r"\b(?:pairs?|each other|one another|together|co-?\w+|other)\b|互相|彼此", re.IGNORECASE
)


def mend_same_things(  # noqa: C901, PLR0912 (named and unnamed nodes)
    cypher: str, schema: Schema, question: str
) -> Repaired:
    """Two variables for one thing become one: "directed and acted in the same film".

    Only where the question says "same" or "both", the label has two variables in MATCH, and one of
    them is used nowhere else and tied to nothing else.
    """
    if not _SAME.search(question) or _PAIRS.search(question):
        return Repaired(cypher)
    statement = read_statement(cypher)
    by_label: dict[str, list[str]] = {}
    anonymous: dict[str, list[NodePattern]] = {}
    for node in statement.nodes:
        for label in labels_of(node, statement, schema)[:1]:
            if node.variable is None:
                if not node.entries:
                    anonymous.setdefault(label, []).append(node)
            elif node.variable.name not in by_label.setdefault(label, []):
                by_label[label].append(node.variable.name)
    for label, names in by_label.items():
        loose = [name for name in names if _is_loose(statement, name)]
        total = len(names) + len(anonymous.get(label, []))
        if total != 2:  # noqa: PLR2004
            continue
        if len(names) == 1 and anonymous.get(label):
            node = anonymous[label][0]
            edit = (node.start, node.end, f"({names[0]})")
            return _unified(cypher, [edit], names[0], label)
        if loose and len(names) == 2:  # noqa: PLR2004
            other = next(name for name in names if name != loose[-1])
            edits = [
                (node.start, node.end, f"({other})")
                for node in statement.nodes
                if node.variable and node.variable.name == loose[-1]
            ]
            return _unified(cypher, edits, other, label)
    return Repaired(cypher)


def drop_needless_ends(cypher: str, schema: Schema, question: str) -> Repaired:
    """An end node that is neither filtered nor returned, by a step that nobody asked for, goes.

    The question has to name the label that stays, and neither the type of the step, nor its
    properties, nor the label at its end: "the products with ..." need no category.
    """
    statement = read_statement(cypher)
    words = content_words(question)
    for pattern in statement.patterns:
        if not pattern.relationships or not _in_plain_match(statement, pattern):
            continue
        for first in (False, True):
            one = pattern.relationships[0 if first else -1]
            end, other = (one.left, one.right) if first else (one.right, one.left)
            if is_idle(statement, one, end) and _unasked(one, end, other, statement, schema, words):
                cut = (end.start, one.end) if first else (one.start, end.end)
                left = edited(cypher, [(*cut, "")])
                kept = cypher[other.start : other.end]
                note = f"a step that the question does not ask for: only {kept} is left"
                return Repaired(left, (note,))
    return Repaired(cypher)


def _unified(cypher: str, edits: list[Edit], name: str, label: str) -> Repaired:
    return Repaired(edited(cypher, edits), (f"the same {label}: one variable {name}",))


def _is_loose(statement: Statement, name: str) -> bool:
    """A variable that stands once, without conditions of its own."""
    patterns = [one for one in statement.nodes if one.variable and one.variable.name == name]
    return statement.uses(name) == 1 and len(patterns) == 1 and not patterns[0].entries


def _in_plain_match(statement: Statement, pattern: Pattern) -> bool:
    """Not a condition, and not in braces: there a step is the point."""
    before = [one for one in statement.clauses if one.start < pattern.start]
    if not before or before[-1].keyword != "MATCH":
        return False
    text = statement.cypher[before[-1].start : pattern.start]
    return text.count("{") == text.count("}")


def is_idle(statement: Statement, one: RelationshipPattern, end: NodePattern) -> bool:
    """Whether nothing else is said of the step and its end."""
    if end.entries or one.entries:
        return False
    return all(
        part.variable is None or statement.uses(part.variable.name) == 1 for part in (one, end)
    )


def _unasked(
    one: RelationshipPattern,
    end: NodePattern,
    other: NodePattern,
    statement: Statement,
    schema: Schema,
    words: set[str],
) -> bool:
    kept, gone = labels_of(other, statement, schema), labels_of(end, statement, schema)
    if not kept or not gone or not mentions(kept[0], words) or mentions(gone[0], words):
        return False
    words = words - content_words(kept[0])  # "suppliers" does not speak of SUPPLIES
    if not one.types or any(mentions(type_.name, words) for type_ in one.types):
        return False
    node = schema.node(gone[0])
    own = set(getattr(schema.node(kept[0]), "property_names", ()))
    if node and any(mentions(name, words) for name in node.property_names if name not in own):
        return False
    return other.variable is not None
