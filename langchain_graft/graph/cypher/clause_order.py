"""Clauses where Cypher wants them: a RETURN at the end, ORDER BY and LIMIT behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_graft.graph.cypher.edits import Repaired, edited
from langchain_graft.graph.cypher.statement import read_statement

if TYPE_CHECKING:
    from langchain_graft.graph.cypher.statement import Statement
    from langchain_graft.graph.schema import Schema

_BEHIND = ("ORDER", "SKIP", "OFFSET", "LIMIT")


def mend_missing_return(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """`WITH p ORDER BY ... LIMIT 3` at the end becomes RETURN; without any, nodes are returned."""
    statement = read_statement(cypher)
    said = any(atom.is_keyword("RETURN") for atom in statement.atoms)
    if said or not statement.clauses or statement.last("CALL", "FINISH", "UNION"):
        return Repaired(cypher)
    last = statement.last("WITH", "MATCH")
    if last is not None and last.keyword == "WITH":
        after = {one.keyword for one in statement.clauses if one.start > last.start}
        names = [item.alias or item.text for item in statement.items(last)]
        if "WHERE" in after:
            mended = f"{cypher.rstrip().rstrip(';')} RETURN {', '.join(names)}"
        else:
            mended = edited(cypher, [(last.start, last.body, "RETURN")])
        return Repaired(mended, ("a missing RETURN was put in",))
    names = _named(statement)
    if not names:
        return Repaired(cypher)
    behind = next((one for one in statement.clauses if one.keyword in _BEHIND), None)
    place = behind.start if behind else len(cypher.rstrip().rstrip(";"))
    mended = f"{cypher[:place].rstrip()} RETURN {', '.join(names)} {cypher[place:].rstrip(';')}"
    return Repaired(mended.strip(), ("a missing RETURN was put in",))


def mend_clause_order(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """ORDER BY, SKIP, LIMIT behind RETURN or WITH, in this order; WHERE before RETURN, once."""
    statement = read_statement(cypher)
    if statement.last("UNION", "CALL"):
        return Repaired(cypher)
    parts = [(one.keyword, cypher[one.start : one.end].strip()) for one in statement.clauses]
    ordered = _where_before_return(_one_where(_behind_projection(parts)))
    if ordered == parts:
        return Repaired(cypher)
    head = cypher[: statement.clauses[0].start]
    mended = head + " ".join(text for _, text in ordered)
    return Repaired(mended, ("the clauses were put into Cypher's order",))


Parts = list[tuple[str, str]]


def _behind_projection(parts: Parts) -> Parts:
    """What stands behind a MATCH goes behind the next projection; what is there, into order."""
    ordered: Parts = []
    waiting: Parts = []
    projected = False
    for n, (keyword, text) in enumerate(parts):
        if keyword in _BEHIND:
            waiting.append((keyword, text))
            following = parts[n + 1][0] if n + 1 < len(parts) else ""
            if projected and following not in _BEHIND:
                ordered += _sorted(waiting)
                waiting = []
            continue
        if waiting and projected:
            ordered += _sorted(waiting)
            waiting = []
        ordered.append((keyword, text))
        projected = keyword in {"WITH", "RETURN"} or (projected and keyword in _BEHIND)
        if projected and waiting and (n + 1 == len(parts) or parts[n + 1][0] not in _BEHIND):
            ordered += _sorted(waiting)
            waiting = []
    return ordered + _sorted(waiting)


def _sorted(parts: Parts) -> Parts:
    kept = {keyword: (keyword, text) for keyword, text in parts}
    return [kept[keyword] for keyword in _BEHIND if keyword in kept]


def _one_where(parts: Parts) -> Parts:
    joined: Parts = []
    for keyword, text in parts:
        if keyword == "WHERE" and joined and joined[-1][0] == "WHERE":
            joined[-1] = ("WHERE", f"{joined[-1][1]} AND {text[5:].strip()}")
        else:
            joined.append((keyword, text))
    return joined


def _where_before_return(parts: Parts) -> Parts:
    for n, (keyword, _) in enumerate(parts):
        if keyword == "WHERE" and n and parts[n - 1][0] == "RETURN":
            return _one_where([*parts[: n - 1], parts[n], parts[n - 1], *parts[n + 1 :]])
    return parts


def _named(statement: Statement) -> list[str]:
    return list(
        dict.fromkeys(node.variable.text for node in statement.nodes if node.variable is not None)
    )
