"""Relationships against the schema: reversed arrows, wrong types, steps that are missing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from langchain_graft.graph.cypher.edits import Edit, Repaired, edited
from langchain_graft.graph.cypher.resolve import Hop, fits, labels_of, ways_between
from langchain_graft.graph.cypher.sameness import is_idle
from langchain_graft.graph.cypher.statement import read_statement
from langchain_graft.graph.schema_slice import escaped_name, mentions
from langchain_graft.wording import content_words

if TYPE_CHECKING:
    from langchain_graft.graph.cypher.statement import RelationshipPattern, Statement
    from langchain_graft.graph.schema import Schema


def mend_arrows(cypher: str, schema: Schema, _question: str) -> Repaired:
    """An arrow that points the way in which the schema has none, and has one the other way."""
    statement = read_statement(cypher)
    edits: list[Edit] = []
    notes = []
    for one in statement.relationships:
        if one.direction == "both" or fits(one, statement, schema):
            continue
        if fits(one, statement, schema, turned=True):
            edits += _turned(one, cypher)
            notes.append(f"reversed arrow: {_told(one, statement)}")
    return Repaired(edited(cypher, edits), tuple(dict.fromkeys(notes)))


def mend_steps(cypher: str, schema: Schema, question: str) -> Repaired:
    """A type that never connects these labels: the right type, or the steps that are missing.

    An end of which nothing is said, in the question neither, goes with a type that there is not. A
    step that starts at another node of the statement is put there. Where one type alone connects
    the labels (or one alone that the question mentions), it is that type. Where none does, and
    there is one shortest way between them through that type, or one at all when there is no such
    type, its steps are put in.
    """
    statement = read_statement(cypher)
    words = content_words(question)
    for one in statement.relationships:
        left = labels_of(one.left, statement, schema, infer=False)
        right = labels_of(one.right, statement, schema, infer=False)
        if not (left and right) or one.long or not one.types:
            continue
        if fits(one, statement, schema) or fits(one, statement, schema, turned=True):
            continue
        if cut := _needless(one, statement, schema, words):
            told = f"a step that is not in the graph: {_told(one, statement)}"
            return Repaired(edited(cypher, [(*cut, "")]), (told,))
        if other := _other_start(one, statement, schema):
            told = f"a step that starts at {other}: {_told(one, statement)}"
            text = cypher[one.start : one.end].strip()
            return Repaired(edited(cypher, [(one.start, one.end, f", ({other}){text}")]), (told,))
        way = _way(one, schema, words, left, right)
        if way is None:
            continue
        text = _path(one, way, cypher)
        told = f"steps between {left[0]} and {right[0]}: {_told(one, statement)} -> {text}"
        return Repaired(edited(cypher, [(one.start, one.end, text)]), (told,))
    return Repaired(cypher)


def _way(
    one: RelationshipPattern,
    schema: Schema,
    words: set[str],
    left: tuple[str, ...],
    right: tuple[str, ...],
) -> list[Hop] | None:
    ways = ways_between(schema, left, right)
    if not ways:
        return None
    if len(ways) > 1:
        names = {type_.name for type_ in one.types}
        through = [way for way in ways if names & {hop.type for hop in way}]
        told = [way for way in ways if any(mentions(hop.type, words) for hop in way)]
        ways = next((some for some in (through, told) if len(some) == 1), ways)
    return ways[0] if len(ways) == 1 else None


def _needless(
    one: RelationshipPattern, statement: Statement, schema: Schema, words: set[str]
) -> tuple[int, int] | None:
    """From where to where an idle end stands, by a type that there is not."""
    if any(schema.relationship(type_.name) for type_ in one.types):
        return None
    pattern = next(p for p in statement.patterns if one in p.relationships)
    ends = {0: (one.left, one.left.start, one.end), -1: (one.right, one.start, one.right.end)}
    for place in (-1, 0):
        end, start, stop = ends[place]
        told = any(mentions(label.name, words) for label in end.labels)
        if pattern.relationships[place] == one and is_idle(statement, one, end) and not told:
            return start, stop
    return None


def _other_start(one: RelationshipPattern, statement: Statement, schema: Schema) -> str | None:
    """The only other node, behind the left end, from which there is such a step."""
    pattern = next(p for p in statement.patterns if one in p.relationships)
    before = [node for node in pattern.nodes if node.start < one.left.start and node.variable]
    found = [
        node.variable.text
        for node in before
        if node.variable and fits(replace(one, left=node), statement, schema)
    ]
    return found[0] if len(found) == 1 else None


def _path(one: RelationshipPattern, way: list[Hop], cypher: str) -> str:
    """The steps as a pattern between both nodes; the variable and map stay at the written type."""
    names = {type_.name for type_ in one.types}
    place = next((n for n, hop in enumerate(way) if hop.type in names), 0)
    variable = one.variable.text if one.variable else ""
    entries = ""
    if one.entries:
        inner = ", ".join(cypher[e.key.start : e.end] for e in one.entries)
        entries = f" {{{inner}}}"
    pieces = []
    for n, hop in enumerate(way):
        own = n == place
        inside = f"[{variable if own else ''}:{escaped_name(hop.type)}{entries if own else ''}]"
        pieces.append(f"-{inside}->" if hop.forward else f"<-{inside}-")
        if n < len(way) - 1:
            pieces.append(f"(:{escaped_name(hop.target)})")
    return "".join(pieces)


def _turned(one: RelationshipPattern, cypher: str) -> list[Edit]:
    text = cypher[one.start : one.end].strip()
    inner = text.strip("<>-") if "[" not in text else text[text.index("[") : text.rindex("]") + 1]
    turned = f"-{inner}->" if one.direction == "in" else f"<-{inner}-"
    return [(one.start, one.end, turned)]


def _told(one: RelationshipPattern, statement: Statement) -> str:
    return statement.cypher[one.left.start : one.right.end]
