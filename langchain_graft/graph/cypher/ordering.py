"""ORDER BY as the question means it: the right way round, and of what is still there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from langchain_graft.graph.cypher.aggregation import aggregates_in, normal
from langchain_graft.graph.cypher.edits import Repaired, edited
from langchain_graft.graph.cypher.statement import read_statement

if TYPE_CHECKING:
    from langchain_graft.graph.schema import Schema

_MUCH = (
    r"most|highest|largest|biggest|longest|greatest|best|maximum|expensive|heaviest|tallest"
    r"|最多|最高|最大|最长|最贵"
)
_LITTLE = r"fewest|lowest|smallest|shortest|cheapest|least|worst|minimum|最少|最低|最小|最短|最便宜"
_LATE = r"youngest|newest|latest|most recent(?:ly)?|最新|最年轻|最近"
_EARLY = r"oldest|earliest|最早|最老|年龄最大"
_MOMENT = re.compile(
    r"born|birth|date|year|time|released|founded|created|since|published|年|日期|时间",
    re.IGNORECASE,
)
_AGE = re.compile(r"\bage\b|年龄", re.IGNORECASE)
_KEY = re.compile(
    r"^(?P<key>.*?)(?:\s+(?P<way>ASC|DESC|ASCENDING|DESCENDING))?$", re.IGNORECASE | re.DOTALL
)


def mend_direction(cypher: str, _schema: Schema, question: str) -> Repaired:
    """`youngest` orders by the year of birth downwards, `cheapest` by the price upwards.

    Only where the question has superlatives of one direction, and the statement one key.
    """
    statement = read_statement(cypher)
    order = statement.last("ORDER")
    wanted = _direction(question, statement.body(order) if order else "")
    orders = [one for one in statement.clauses if one.keyword == "ORDER"]
    if order is None or wanted is None or len(orders) > 1 or "," in statement.body(order):
        return Repaired(cypher)
    match = _way_of(statement.body(order))
    if (match["way"] or "ASC").upper()[:3] == wanted[:3]:
        return Repaired(cypher)
    text = f" {match['key'].strip()}{' DESC' if wanted == 'DESC' else ''} "
    mended = edited(cypher, [(order.body, order.end, text)]).strip()
    return Repaired(mended, (f"order: {match['key'].strip()} {wanted}",))


def mend_grouped_ordering(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """What groups and distinct rows are ordered by is returned: else it is lost."""
    statement = read_statement(cypher)
    for n, order in enumerate(statement.clauses):
        projection = statement.clauses[n - 1] if n else order
        if order.keyword != "ORDER" or projection.keyword not in {"RETURN", "WITH"}:
            continue
        items = statement.items(projection)
        grouped = any(aggregates_in(item.text) for item in items)
        if not grouped and not statement.is_distinct(projection):
            continue
        told = {normal(item.text) for item in items} | {normal(item.alias or "") for item in items}
        keys = [
            f"{one.variable.text}.{one.property.text}"
            for part in statement.items(order)
            if normal(_way_of(part.text)["key"]) not in told
            for one in statement.accesses
            if part.start <= one.variable.start < part.end
        ]
        new = [
            key
            for key in keys
            if normal(key) not in told
            and normal(key.split(".")[0]) not in told
            and not aggregates_in(statement.body(order))
        ]
        if new and items:
            end = items[-1].end
            text = edited(cypher, [(end, end, "".join(f", {key}" for key in new))])
            return Repaired(text, ("what is ordered by is returned, too",))
    return Repaired(cypher)


def _way_of(key: str) -> re.Match[str]:
    """`p.born DESC` as key and way."""
    return cast("re.Match[str]", _KEY.match(key))


def _direction(question: str, key: str) -> str | None:
    much, little = _has(_MUCH, question), _has(_LITTLE, question)
    late, early = _has(_LATE, question), _has(_EARLY, question)
    if (late or early) and not (_MOMENT.search(key) or _AGE.search(key)):
        return None
    if late and _has(r"most recent(?:ly)?", question):
        much = _has(_MUCH, re.sub(r"most recent(?:ly)?", "", question, flags=re.IGNORECASE))
    if sum((much, little, late, early)) != 1:
        return None
    if _AGE.search(key) and (late or early):
        return "DESC" if early else "ASC"
    return "DESC" if much or late else "ASC"


def _has(words: str, question: str) -> bool:
    ascii_words = re.sub(r"\bat least\b|\bat most\b", " ", question, flags=re.IGNORECASE)
    return (
        re.search(rf"(?<![A-Za-z])(?:{words})(?![A-Za-z])", ascii_words, re.IGNORECASE) is not None
    )
