"""The conditions of a statement one by one, and the statement without one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from langchain_graft.graph.cypher.edits import edited
from langchain_graft.graph.cypher.statement import Statement, read_statement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_graft.graph.cypher.atoms import Atom
    from langchain_graft.graph.cypher.statement import Clause


@dataclass(frozen=True)
class Condition:
    """One thing that rows must fulfil: a part of a WHERE, or an entry of a pattern's map."""

    start: int
    end: int
    text: str
    kind: Literal["where", "entry"]


def conditions_of(cypher: str) -> list[Condition]:
    """The conditions that hold together: AND's parts in WHERE, entries of MATCH's patterns."""
    statement = read_statement(cypher)
    found = [
        Condition(start, end, cypher[start:end], "where")
        for clause in statement.clauses
        if clause.keyword == "WHERE"
        for start, end in _parts(statement, clause)
    ]
    for pattern in statement.parts:
        found += [
            Condition(one.key.start, one.end, cypher[one.key.start : one.end], "entry")
            for one in pattern.entries
        ]
    return sorted(set(found), key=lambda one: one.start)


def without_condition(cypher: str, condition: Condition) -> str:
    """The statement without this condition; WHERE and braces go with their last one."""
    statement = read_statement(cypher)
    if condition.kind == "entry":
        return _without_entry(cypher, condition)
    wheres = (one for one in statement.clauses if one.keyword == "WHERE")
    clause = next((w for w in wheres if w.start < condition.start and condition.end <= w.end), None)
    if clause is None:  # what was left out before has changed the clauses: Neo4j will say so
        return edited(cypher, [(condition.start, condition.end, "")])
    parts = [part for part in _parts(statement, clause) if part != (condition.start, condition.end)]
    if not parts:
        return edited(cypher, [(clause.start, clause.end, "")]).strip()
    left = " AND ".join(cypher[start:end] for start, end in parts)
    return edited(cypher, [(clause.body, clause.end, f" {left} ")]).strip()


def with_condition(cypher: str, text: str, *, at: int) -> str:
    """The statement with one more condition on the clause that stands at a place."""
    clauses = read_statement(cypher).clauses
    n = max(n for n, one in enumerate(clauses) if one.start <= at)
    following = clauses[n + 1] if n + 1 < len(clauses) else None
    if following and following.keyword == "WHERE":
        place = following.body
        return f"{cypher[:place]} {text} AND{cypher[place:]}"
    place = len(cypher[: clauses[n].end].rstrip())
    return f"{cypher[:place]} WHERE {text}{cypher[place:]}"


def _parts(statement: Statement, clause: Clause) -> Iterator[tuple[int, int]]:
    inside = [one for one in statement.atoms if clause.body <= one.start < clause.end]
    depth, between, begin = 0, False, 0
    if any(one.is_keyword("OR", "XOR") for one in _top(inside)):
        if inside:
            yield inside[0].start, inside[-1].end
        return
    for n, atom in enumerate(inside):
        depth += (atom.text in {"(", "[", "{"}) - (atom.text in {")", "]", "}"})
        between = between or (not depth and atom.is_keyword("CASE"))
        between = between and not atom.is_keyword("END")
        if atom.is_keyword("AND") and not depth and not between and n > begin:
            yield inside[begin].start, inside[n - 1].end
            begin = n + 1
    if begin < len(inside):
        yield inside[begin].start, inside[-1].end


def _top(atoms: list[Atom]) -> Iterator[Atom]:
    depth = 0
    for atom in atoms:
        depth += (atom.text in {"(", "[", "{"}) - (atom.text in {")", "]", "}"})
        if not depth:
            yield atom


def _without_entry(cypher: str, condition: Condition) -> str:
    before, after = cypher[: condition.start].rstrip(), cypher[condition.end :].lstrip()
    if before.endswith(","):
        return before[:-1] + after
    if after.startswith(","):
        return before + after[1:].lstrip()
    # it was the only one: the braces go, too
    return before.removesuffix("{").rstrip() + after.removeprefix("}").lstrip()
