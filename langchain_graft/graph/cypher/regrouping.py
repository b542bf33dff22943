"""What a `WITH` that aggregates has lost, and is asked for behind it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_graft.graph.cypher.aggregation import aggregates_in, alias_of, variables_in
from langchain_graft.graph.cypher.conditions import (
    conditions_of,
    with_condition,
    without_condition,
)
from langchain_graft.graph.cypher.edits import Edit, Repaired, edited
from langchain_graft.graph.cypher.statement import read_statement

if TYPE_CHECKING:
    from langchain_graft.graph.cypher.statement import Clause, Statement
    from langchain_graft.graph.schema import Schema


def mend_late_where(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """`RETURN p, count(m) AS n ... WHERE n > 3` says HAVING, which is mended then."""
    statement = read_statement(cypher)
    where, projection = statement.last("WHERE"), statement.last("RETURN")
    if where is None or projection is None or where.start < projection.start:
        return Repaired(cypher)
    names = {item.alias for item in statement.items(projection) if aggregates_in(item.text)}
    if not any(
        re.search(rf"\b{re.escape(name)}\b", statement.body(where)) for name in names if name
    ):
        return Repaired(cypher)
    mended = edited(cypher, [(where.start, where.body, "HAVING")])
    return Repaired(mended, ("a condition on an aggregate behind RETURN",))


def mend_lost_conditions(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """`WITH p, count(m) AS n WHERE n > 3 AND m.released > 2000`: the latter is asked before."""
    statement = read_statement(cypher)
    for clause, lost in _aggregating(statement):
        where = _own_where(statement, clause)
        if where is None:
            continue
        names = {item.alias or item.text for item in statement.items(clause)}
        for condition in conditions_of(cypher):
            inside = where.start < condition.start < where.end
            used = set(variables_in(statement, condition.text))
            told = any(re.search(rf"\b{re.escape(name)}\b", condition.text) for name in names)
            if inside and used and used <= lost and not told:
                left = without_condition(cypher, condition)
                before = [one for one in statement.clauses if one.end <= clause.start]
                match = next((one for one in before[::-1] if one.keyword == "MATCH"), None)
                if match is None:
                    continue
                mended = with_condition(left, condition.text, at=match.start)
                note = f"asked before it is aggregated: {condition.text}"
                return Repaired(mended, (note,))
    return Repaired(cypher)


def mend_lost_groups(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """What is aggregated over all is matched again; what groups have is collected.

    `WITH max(m.released) AS latest WHERE m.released = latest` needs a second MATCH;
    `WITH p, count(m) AS n RETURN p.name, n, m.title` the titles of each `p` as a list.
    """
    statement = read_statement(cypher)
    for clause, lost in _aggregating(statement):
        items = statement.items(clause)
        later = cypher[clause.end :]
        used = [name for name in variables_in(statement, later) if name in lost]
        matches = [one for one in statement.clauses if one.keyword == "MATCH"]
        if not used or [one for one in matches if one.start > clause.start]:
            continue
        if all(aggregates_in(item.text) for item in items) and len(matches) == 1:
            again = f" {statement.text(matches[0])} "
            if filtered := _own_where(statement, matches[0]):
                joined = re.match(r"WHERE\b", later, re.IGNORECASE)
                again += f"{statement.text(filtered)}{' AND ' if joined else ' '}"
                later = later[joined.end() :] if joined else later
            mended = f"{cypher[: clause.end].rstrip()}{again}{later.lstrip()}"
            return Repaired(mended, ("what is compared with all is matched again",))
        accesses = [
            one
            for one in statement.accesses
            if one.variable.start >= clause.end and one.variable.name in used
        ]
        returned = _behind(statement, clause, "RETURN")
        if returned is None or not accesses:
            continue
        if any(one.variable.start < returned.start for one in accesses):
            continue
        return _collected(
            statement, clause, [(one.variable.start, one.property.end) for one in accesses]
        )
    return Repaired(cypher)


def _collected(statement: Statement, clause: Clause, places: list[tuple[int, int]]) -> Repaired:
    cypher, end = statement.cypher, statement.items(clause)[-1].end
    edits: list[Edit] = []
    names: dict[str, str] = {}
    for start, stop in places:
        text = cypher[start:stop]
        if text not in names:
            names[text] = statement.free_name(f"{alias_of(text)}_list")
            edits.append((end, end, f", collect(DISTINCT {text}) AS {names[text]}"))
        edits.append((start, stop, names[text]))
    return Repaired(edited(cypher, edits), (f"collected: {', '.join(names)}",))


def _aggregating(statement: Statement) -> list[tuple[Clause, set[str]]]:
    """Each WITH that aggregates, and the pattern's variables that end with it."""
    found = []
    for clause in statement.clauses:
        items = statement.items(clause) if clause.keyword == "WITH" else []
        if not any(aggregates_in(item.text) for item in items):
            continue
        bound = {
            part.variable.name
            for part in statement.parts
            if part.variable and part.start < clause.start
        }
        again = {
            name
            for name in bound
            if statement.is_given(name, after=clause.start)
            or any(
                part.variable and part.variable.name == name and part.start > clause.start
                for part in statement.parts
            )
        }
        kept = {item.alias or item.text.strip("`") for item in items}
        found.append((clause, bound - again - kept))
    return found


def _own_where(statement: Statement, clause: Clause) -> Clause | None:
    """The WHERE of a MATCH or WITH: nothing but its order stands between."""
    behind = [one for one in statement.clauses if one.start > clause.start]
    own = (one for one in behind if one.keyword not in {"ORDER", "SKIP", "OFFSET", "LIMIT"})
    following = next(own, None)
    return following if following and following.keyword == "WHERE" else None


def _behind(statement: Statement, clause: Clause, keyword: str) -> Clause | None:
    return next(
        (one for one in statement.clauses if one.start > clause.start and one.keyword == keyword),
        None,
    )
