"""Aggregation as Cypher has it: no GROUP BY, no HAVING, none in WHERE, none in ORDER BY alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_graft.graph.cypher.conditions import conditions_of
from langchain_graft.graph.cypher.edits import Edit, Repaired, edited
from langchain_graft.graph.cypher.operators import closing
from langchain_graft.graph.cypher.statement import read_statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_graft.graph.cypher.atoms import Atom
    from langchain_graft.graph.cypher.statement import Clause, Item, Statement
    from langchain_graft.graph.schema import Schema

AGGREGATES = ("COUNT", "SUM", "AVG", "MIN", "MAX", "COLLECT", "STDEV", "STDEVP")
_AVERAGED = re.compile(
    r"(\w+)\.(\w+)\s*(<=|>=|<|>|=)\s*(avg|min|max)\s*\(\s*\1\.\2\s*\)\s*$", re.IGNORECASE
)


def mend_group_by(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """GROUP BY goes, as Cypher groups by what is returned; HAVING becomes WHERE after WITH."""
    statement = read_statement(cypher)
    group, having = statement.last("GROUP"), statement.last("HAVING")
    if group is None and having is None:
        return Repaired(cypher)
    edits: list[Edit] = [(group.start, group.end, " ")] if group else []
    before = [one for one in statement.clauses if one.start < (group or having).start]  # type: ignore[union-attr]
    projection = next((one for one in before[::-1] if one.keyword in {"WITH", "RETURN"}), None)
    if having and projection and projection.keyword == "WITH":
        edits.append((having.start, having.body, "WHERE"))
    elif having and projection:
        edits += _having(statement, projection, having)
    elif having:
        edits.append((having.start, having.body, "WHERE"))
    return Repaired(edited(cypher, edits), ("GROUP BY and HAVING were written as Cypher's",))


def mend_aggregated_condition(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """`WHERE count(m) > 2 RETURN p` becomes `WITH p, count(m) AS m_count WHERE m_count > 2 ...`."""
    statement = read_statement(cypher)
    for condition in conditions_of(cypher):
        if condition.kind != "where" or not aggregates_in(condition.text):
            continue
        clauses = statement.clauses
        place = next(
            n
            for n, one in enumerate(clauses)
            if one.keyword == "WHERE" and one.start <= condition.start < one.end
        )
        if clauses[place - 1].keyword != "MATCH":
            continue
        if averaged := _AVERAGED.match(condition.text):
            return _averaged(statement, clauses[place - 1], condition.text, averaged)
        rest = cypher[clauses[place].end :]
        others = [
            one.text
            for one in conditions_of(cypher)
            if one.kind == "where"
            and one != condition
            and clauses[place].start <= one.start < clauses[place].end
        ]
        where = f" WHERE {' AND '.join(others)}" if others else ""
        head = cypher[: clauses[place].start].strip() + where
        return _grouped(statement, head, condition.text, rest)
    return Repaired(cypher)


def mend_ordering_by_aggregate(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """`RETURN p.name ORDER BY count(m)` returns the count, too, and orders by it."""
    statement = read_statement(cypher)
    for n, order in enumerate(statement.clauses):
        if order.keyword != "ORDER" or not n:
            continue
        projection = statement.clauses[n - 1]
        told = aggregates_in(statement.body(order))
        if projection.keyword not in {"WITH", "RETURN"} or not told:
            continue
        items = statement.items(projection)
        known = {normal(item.text): item.alias for item in items}
        edits: list[Edit] = []
        for expression in told:
            alias = known.get(normal(expression))
            if normal(expression) in known and alias is None:
                continue
            if alias is None:
                alias = statement.free_name(alias_of(expression))
                end = items[-1].end if items else projection.body
                edits.append((end, end, f", {expression} AS {alias}"))
            start = cypher.index(expression, order.body)
            edits.append((start, start + len(expression), alias))
        if edits and any(normal(one) not in known for one in told):
            note = "what is ordered by is returned, too"
            return Repaired(edited(cypher, edits), (note,))
    return Repaired(cypher)


def aggregates_in(text: str) -> list[str]:
    """The aggregating calls of an expression, as they are written; those in `{}` are not ours."""
    statement = read_statement(text)
    atoms, found, braces, n = statement.atoms, [], 0, 0
    while n < len(atoms):
        braces += (atoms[n].text == "{") - (atoms[n].text == "}")
        if not braces and atoms[n].is_keyword(*AGGREGATES) and _calls(atoms, n):
            end = closing(atoms, n + 1)
            if end is not None:
                found.append(text[atoms[n].start : atoms[end].end])
                n = end
        n += 1
    return found


def alias_of(expression: str) -> str:
    """A name for an expression's column: `count(m)` -> `m_count`, `p.name` -> `name`."""
    if call := re.match(r"(\w+)\s*\(\s*(?:DISTINCT\s+)?([\w.]*)", expression, re.IGNORECASE):
        inner = call[2].split(".")[-1]
        return f"{inner}_{call[1].lower()}" if inner else call[1].lower() + "_of_all"
    word = re.split(r"\W+", expression.strip("`"))[-1]
    return word if word.isidentifier() else "value"


def normal(text: str) -> str:
    """An expression without spaces and capitals, to compare it."""
    return re.sub(r"\s+", "", text).lower()


def variables_in(statement: Statement, text: str) -> list[str]:
    """The pattern's variables that an expression uses, in order."""
    known = {*statement.node_labels, *statement.relationship_types}
    atoms = read_statement(text).atoms
    return list(
        dict.fromkeys(
            atom.name
            for n, atom in enumerate(atoms)
            if atom.is_word and atom.name in known and _stands_for_value(atoms, n)
        )
    )


def aliased(items: Iterable[Item]) -> list[tuple[str, str]]:
    """The items as `WITH` wants them: expression and name."""
    pairs: list[tuple[str, str]] = []
    for item in items:
        name = item.alias or alias_of(item.text)
        while any(name == other for _, other in pairs):
            name += "_"
        pairs.append((item.text, name))
    return pairs


def _stands_for_value(atoms: Sequence[Atom], n: int) -> bool:
    """Whether a name is used: it is no property, alias, or key of a map."""
    before = atoms[n - 1] if n else None
    if before is not None and (before.text == "." or before.is_keyword("AS")):
        return False
    is_key = before is not None and before.text in {"{", ","}
    return not (is_key and n + 1 < len(atoms) and atoms[n + 1].text == ":")


def _calls(atoms: Sequence[Atom], n: int) -> bool:
    return n + 1 < len(atoms) and atoms[n + 1].text == "("


def _having(statement: Statement, projection: Clause, having: Clause) -> list[Edit]:
    condition = statement.body(having)
    pairs = aliased(statement.items(projection))
    shown = [name for _, name in pairs]
    for expression in aggregates_in(condition):
        name = next((n for e, n in pairs if normal(e) == normal(expression)), None)
        if name is None:
            name = alias_of(expression)
            pairs.append((expression, name))
        condition = condition.replace(expression, name)
    listed = ", ".join(e if e == n else f"{e} AS {n}" for e, n in pairs)
    first = f"WITH {listed} WHERE {condition} RETURN {', '.join(shown)} "
    return [(projection.start, projection.end, first), (having.start, having.end, " ")]


def _grouped(statement: Statement, head: str, condition: str, rest: str) -> Repaired:
    expressions = aggregates_in(condition)
    counted = {name for one in expressions for name in variables_in(statement, one)}
    names = {one: statement.free_name(alias_of(one)) for one in expressions}
    for expression, name in names.items():
        condition = condition.replace(expression, name)
        rest = re.sub(re.escape(expression) + r"(\s+AS\s+\w+)?", rf"{name}\1", rest)
    keys = [name for name in variables_in(statement, rest) if name not in counted]
    if not keys:
        return Repaired(statement.cypher)
    listed = ", ".join([*keys, *(f"{expression} AS {name}" for expression, name in names.items())])
    cypher = f"{head.strip()} WITH {listed} WHERE {condition} {rest.strip()}"
    return Repaired(cypher, ("an aggregate in WHERE was put into WITH before it",))


def _averaged(
    statement: Statement, match: Clause, condition: str, found: re.Match[str]
) -> Repaired:
    """`p.price > avg(p.price)` compares each with all of them: two passes."""
    variable, name, operator, function = found.groups()
    value = statement.free_name(f"{function.lower()}_{name}")
    first = f"{statement.text(match)} WITH {function.lower()}({variable}.{name}) AS {value} "
    cypher = statement.cypher.replace(condition, f"{variable}.{name} {operator} {value}", 1)
    note = "the aggregate over all is worked out before what is compared with it"
    return Repaired(first + cypher, (note,))
