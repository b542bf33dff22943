"""Names that hold where they stand: columns of WITH, bare properties, patterns in conditions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_graft.graph.cypher.aggregation import aggregates_in, aliased, variables_in
from langchain_graft.graph.cypher.conditions import conditions_of, without_condition
from langchain_graft.graph.cypher.edits import Edit, Repaired, edited
from langchain_graft.graph.cypher.names import properties_of
from langchain_graft.graph.cypher.owners import naming, properties_of_part
from langchain_graft.graph.cypher.resolve import variable_labels
from langchain_graft.graph.cypher.statement import read_statement
from langchain_graft.graph.schema_slice import escaped_name

if TYPE_CHECKING:
    from langchain_graft.graph.cypher.atoms import Atom
    from langchain_graft.graph.cypher.statement import (
        Clause,
        NodePattern,
        Pattern,
        RelationshipPattern,
        Statement,
    )
    from langchain_graft.graph.schema import Schema

_PROPERTY = re.compile(r"(\w+)\s*\.\s*(?:\w+|`[^`]+`)")
_NAME = re.compile(r"\w+|`(?:[^`]|``)+`")
_RESERVED = tuple(
    "AND OR XOR NOT IN IS NULL TRUE FALSE AS BY ASC DESC ASCENDING DESCENDING DISTINCT CASE WHEN "
    "THEN ELSE END CONTAINS STARTS ENDS WITH".split()
)
"""Words that are no property where they stand bare, whatever the schema has."""


def mend_with_columns(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """`WITH p.name, p.born` keeps `p`; beside an aggregate, and when distinct, each gets a name."""
    statement = read_statement(cypher)
    for clause in statement.clauses:
        items = statement.items(clause) if clause.keyword == "WITH" else []
        bare = [one for one in items if not one.alias and not _NAME.fullmatch(one.text)]
        if not bare or any(item.text == "*" for item in items):
            continue
        start, end = items[0].start, items[-1].end
        rest = cypher[end:]
        if statement.is_distinct(clause) or any(aggregates_in(item.text) for item in items):
            pairs = aliased(items)
            for text, name in pairs:
                used = rf"(?<![\w.]){re.escape(text)}(?![\w(])(?!\s*AS\s+{re.escape(name)}\b)"
                rest = re.sub(used, name, rest) if text != name else rest
            listed = ", ".join(e if e == n else f"{e} AS {n}" for e, n in pairs)
        else:
            owners = [_PROPERTY.fullmatch(one.text) for one in bare]
            if not all(owners):
                continue
            named = [item.text if item.alias is None else statement.text(item) for item in items]
            kept = [one for one in named if not _PROPERTY.fullmatch(one)]
            kept += [one[1] for one in owners if one]
            listed = ", ".join(dict.fromkeys(kept))
        mended = f"{cypher[:start]}{listed}{rest}"
        return Repaired(mended, ("the columns of WITH got names",))
    return Repaired(cypher)


def mend_lost_variables(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """`WITH p ORDER BY p.born RETURN m.title` keeps `m`, too, where that changes no rows."""
    statement = read_statement(cypher)
    for clause in statement.clauses:
        items = statement.items(clause) if clause.keyword == "WITH" else []
        kept = {item.alias or item.text.strip("`") for item in items}
        changes = statement.is_distinct(clause) or any(aggregates_in(one.text) for one in items)
        if not items or "*" in kept or changes:
            continue
        bound = {
            part.variable.name
            for part in statement.parts
            if part.variable and part.start < clause.start
        }
        again = {
            part.variable.name
            for part in statement.parts
            if part.variable and part.start > clause.start
        }
        later = variables_in(statement, cypher[clause.end :])
        lost = [
            name
            for name in later
            if name in bound - again - kept and not statement.is_given(name, after=clause.start)
        ]
        if lost:
            end = items[-1].end
            added = "".join(f", {escaped_name(name)}" for name in lost)
            mended = edited(cypher, [(end, end, added)])
            return Repaired(mended, (f"WITH keeps {', '.join(lost)}",))
    return Repaired(cypher)


def mend_bare_properties(cypher: str, schema: Schema, _question: str) -> Repaired:
    """`WHERE born > 1960` asks it of the only variable that has such a property."""
    statement = read_statement(cypher)
    labels, types = variable_labels(statement, schema), statement.relationship_types
    owners = {name: properties_of(schema, labels=own) for name, own in labels.items()}
    owners |= {name: properties_of(schema, types=own) for name, own in types.items()}
    edits: list[Edit] = []
    for n, atom in enumerate(statement.atoms):
        if not _is_bare(statement, n) or atom.name in owners or _is_bound(statement, atom):
            continue
        having = [name for name, known in owners.items() if atom.name in known]
        if len(having) == 1:
            text = f"{escaped_name(having[0])}.{escaped_name(atom.name)}"
            edits.append((atom.start, atom.end, text))
    if not edits:
        return Repaired(cypher)
    told = ", ".join(dict.fromkeys(text for _, _, text in edits))
    return Repaired(edited(cypher, edits), (f"bare properties: {told}",))


def mend_unbound_variables(cypher: str, schema: Schema, _question: str) -> Repaired:
    """`r.rating` where nothing is called `r` is asked of the only part that has a rating."""
    statement = read_statement(cypher)
    bound = {*statement.node_labels, *statement.relationship_types}
    for access in statement.accesses:
        if access.variable.name in bound or _is_bound(statement, access.variable):
            continue
        name = access.property.name
        having: dict[object, NodePattern | RelationshipPattern] = {}
        for part in statement.parts:
            if name in properties_of_part(part, statement, schema):
                having.setdefault(part.variable.name if part.variable else part.start, part)
        if len(having) != 1:
            continue
        part = next(iter(having.values()))
        edits = (
            [(access.variable.start, access.variable.end, part.variable.text)]
            if part.variable
            else [naming(statement, part, access.variable.text)[1]]
        )
        told = f"a name that nothing has: {access.variable.text}.{access.property.text}"
        return Repaired(edited(cypher, edits), (told,))
    return Repaired(cypher)


def mend_conditions_that_bind(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """A pattern in WHERE that names something new: in EXISTS, or in MATCH if it is used later."""
    statement = read_statement(cypher)
    for condition in conditions_of(cypher):
        pattern = _whole(statement, condition.start, condition.end)
        if condition.kind != "where" or pattern is None:
            continue
        parts = _parts(pattern)
        named = [one.variable for one in parts if one.variable]
        inside = read_statement(cypher[pattern.start : pattern.end])
        new = [one for one in named if statement.uses(one.name) == inside.uses(one.name)]
        shared = [
            one
            for one in named
            if _is_matched(statement, pattern, one) or statement.is_given(one.name)
        ]
        used = [one for one in named if one not in new and one not in shared]
        text = cypher[pattern.start : pattern.end]
        if used:
            where = _clause_at(statement, condition.start)
            place = len(cypher[: where.start].rstrip())
            mended = f"{cypher[:place]}, {text}{cypher[place:]}"
            moved = next(c for c in conditions_of(mended)[::-1] if c.text == condition.text)
            note = "a pattern in WHERE that names something was put into MATCH"
            return Repaired(without_condition(mended, moved), (note,))
        if new:
            wrapped = edited(cypher, [(pattern.start, pattern.end, f"EXISTS {{ {text} }}")])
            return Repaired(wrapped, ("a pattern in WHERE was put into EXISTS",))
    return Repaired(cypher)


def _parts(pattern: Pattern) -> list[NodePattern | RelationshipPattern]:
    return [*pattern.nodes, *pattern.relationships]


def _is_bare(statement: Statement, n: int) -> bool:
    """Whether a word stands where a variable may, outside of patterns and maps."""
    atoms, atom = statement.atoms, statement.atoms[n]
    before, after = (atoms[n - 1].text if n else ""), atoms[n + 1 : n + 2]
    following = after[0].text if after else ""
    if atom.is_keyword(*_RESERVED):
        return False
    if not atom.is_word or before in {".", ":", "$", "|"} or following in {"(", ":", ".", "{"}:
        return False
    clauses = [one for one in statement.clauses if one.body <= atom.start < one.end]
    return bool(clauses) and clauses[-1].keyword in {"WHERE", "WITH", "RETURN", "ORDER"}


def _is_bound(statement: Statement, atom: Atom) -> bool:
    """Whether something gives the name: an alias, a loop, a comprehension, a pattern."""
    return statement.is_given(atom.name) or any(
        one.is_word and one.name == atom.name and _opens_part(statement, n)
        for n, one in enumerate(statement.atoms)
    )


def _opens_part(statement: Statement, n: int) -> bool:
    """Whether a name stands as `(n:`, `(n)` or `[n:`, and in no call: in patterns not read, too."""
    atoms = statement.atoms
    if n + 1 >= len(atoms) or not n or atoms[n - 1].text not in {"(", "["}:
        return False
    is_call = atoms[n - 1].text == "(" and n > 1 and atoms[n - 2].is_word
    return not is_call and atoms[n + 1].text in {":", ")", "{", "*"}


def _whole(statement: Statement, start: int, end: int) -> Pattern | None:
    """The pattern that a condition is, and nothing besides."""
    return next(
        (
            one
            for one in statement.patterns
            if one.relationships and (one.start, one.end) == (start, end)
        ),
        None,
    )


def _is_matched(statement: Statement, pattern: Pattern, variable: Atom) -> bool:
    """Whether a variable is bound by a pattern before this one."""
    return any(
        part.variable and part.variable.name == variable.name
        for other in statement.patterns
        if other.start < pattern.start
        for part in _parts(other)
    )


def _clause_at(statement: Statement, place: int) -> Clause:
    return next(one for one in statement.clauses[::-1] if one.start <= place)
