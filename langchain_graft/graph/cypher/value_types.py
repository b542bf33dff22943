"""Literals of the type that their property has: '5' for a text, 5 for a number, dates as dates."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_graft.graph.cypher.edits import Edit, Repaired, edited
from langchain_graft.graph.cypher.literals import Literal, literals_of
from langchain_graft.graph.cypher.names import properties_of
from langchain_graft.graph.cypher.resolve import variable_labels
from langchain_graft.graph.cypher.statement import read_statement

if TYPE_CHECKING:
    from langchain_graft.graph.schema import Property, Schema

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_MOMENTS = {
    "DATE": "date",
    "ZONED DATETIME": "datetime",
    "LOCAL DATETIME": "localdatetime",
    "DATE_TIME": "datetime",
}
_EQUAL = {"=", "<>", "IN"}
_SUMMED = re.compile(r"\b(avg|sum)\s*\(\s*(DISTINCT\s+)?(\w+)\.(\w+)\s*\)", re.IGNORECASE)
_ORDERED = re.compile(r"(\w+)\.(\w+)")


def mend_value_types(cypher: str, schema: Schema, _question: str) -> Repaired:
    """Each literal as its property's type wants it, where the other way never holds.

    A number beside a text that holds numbers is compared with `toFloat(...)`; a text beside a list
    is looked for in the list; a text beside a date becomes one.
    """
    edits: list[Edit] = []
    for literal in literals_of(cypher, schema):
        if literal.compared is not None:
            edits += _mended(literal, literal.compared, cypher)
    edits += _numbers_kept_as_text(cypher, schema)
    if not edits:
        return Repaired(cypher)
    told = sorted({f"{cypher[a:b]} -> {text}" for a, b, text in edits})
    return Repaired(edited(cypher, edits), tuple(f"value's type: {one}" for one in told))


def _mended(  # noqa: PLR0911 (a case for each type)
    literal: Literal, of: Property, cypher: str
) -> list[Edit]:
    atom, value = literal.atom, literal.value
    negative = cypher[: atom.start].rstrip().endswith("-")
    if of.type == "STRING" and not isinstance(value, str):
        if literal.operator in _EQUAL and not negative:
            return [(atom.start, atom.end, f"'{atom.text}'")]
        return _as_number(literal, of)
    if of.type in {"INTEGER", "FLOAT"} and isinstance(value, str) and _NUMBER.fullmatch(value):
        return [(atom.start, atom.end, value)]
    if of.type == "BOOLEAN" and str(value).lower() in {"true", "false", "1", "0", "yes", "no"}:
        truth = "true" if str(value).lower() in {"true", "1", "yes"} else "false"
        return [(atom.start, atom.end, truth)]
    if of.type in _MOMENTS and isinstance(value, str) and literal.operator:
        return _as_moment(literal, of, cypher)
    if of.type.startswith("LIST") and isinstance(value, str) and literal.access:
        return _in_list(literal, cypher)
    return []


def _as_number(literal: Literal, of: Property) -> list[Edit]:
    access = literal.access
    if access is None or not _holds_numbers(of) or literal.operator not in {"<", ">", "<=", ">="}:
        return []
    start, end = access.variable.start, access.property.end
    return [(start, end, f"toFloat({access.variable.text}.{access.property.text})")]


def _as_moment(literal: Literal, of: Property, cypher: str) -> list[Edit]:
    before = cypher[: literal.atom.start].rstrip()
    if before.endswith("(") or literal.operator not in {"=", "<>", "<", ">", "<=", ">="}:
        return []
    function, text = _MOMENTS[of.type], literal.atom.text
    if re.fullmatch(r".\d{4}.", text):
        text = f"{text[0]}{text[1:-1]}-01-01{text[0]}"
    return [(literal.atom.start, literal.atom.end, f"{function}({text})")]


def _in_list(literal: Literal, cypher: str) -> list[Edit]:
    access = literal.access
    if access is None:
        return []
    own = f"{access.variable.text}.{access.property.text}"
    between = cypher[access.property.end : literal.atom.start].strip()
    start, end = access.variable.start, literal.atom.end
    if between == "=":
        return [(start, end, f"{literal.atom.text} IN {own}")]
    if between.upper() in {"CONTAINS", "STARTS WITH", "ENDS WITH"}:
        inner = f"any(one IN {own} WHERE one {between.upper()} {literal.atom.text})"
        return [(start, end, inner)]
    return []


def _numbers_kept_as_text(cypher: str, schema: Schema) -> list[Edit]:
    """`avg(o.freight)` and `ORDER BY o.freight` where the freight is a text such as "32.38"."""
    statement = read_statement(cypher)
    labels = variable_labels(statement, schema)

    def texts(variable: str, name: str) -> bool:
        types = statement.relationship_types.get(variable, ())
        known = properties_of(schema, labels=labels.get(variable, ()), types=types)
        return name in known and known[name].type == "STRING" and _holds_numbers(known[name])

    edits: list[Edit] = [
        (one.start(3), one.end(4), f"toFloat({one[3]}.{one[4]})")
        for one in _SUMMED.finditer(cypher)
        if texts(one[3], one[4])
    ]
    for clause in statement.clauses:
        if clause.keyword == "ORDER":
            for one in _ORDERED.finditer(cypher, clause.body, clause.end):
                named = one[2].lower().endswith("id")
                if texts(one[1], one[2]) and not named and cypher[one.start() - 1] != "(":
                    edits.append((one.start(), one.end(), f"toFloat({one.group()})"))
    return edits


def _holds_numbers(of: Property) -> bool:
    told = [*of.values, *of.examples]
    return bool(told) and all(_NUMBER.fullmatch(str(one)) for one in told)
