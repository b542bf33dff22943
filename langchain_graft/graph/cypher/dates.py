"""Dates and their parts: functions of SQL, and a year where a whole date stands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_graft.graph.cypher.conditions import (
    conditions_of,
    with_condition,
    without_condition,
)
from langchain_graft.graph.cypher.edits import Edit, Repaired, edited
from langchain_graft.graph.cypher.literals import literals_of
from langchain_graft.graph.cypher.statement import read_statement
from langchain_graft.graph.schema_slice import escaped_name

if TYPE_CHECKING:
    from langchain_graft.graph.cypher.literals import Literal
    from langchain_graft.graph.schema import Schema

_YEAR = re.compile(r"(?:19|20)\d\d(?:-\d\d)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def mend_date_parts(cypher: str, schema: Schema, _question: str) -> Repaired:
    """`YEAR(o.date)` becomes `o.date.year`, or the first four characters where it is a text."""
    statement = read_statement(cypher)
    edits: list[Edit] = []
    for one in re.finditer(r"\b(YEAR|MONTH|DAY)\s*\(\s*(\w+)\.(\w+)\s*\)", cypher, re.IGNORECASE):
        if statement.is_text(one.start()):
            continue
        part, variable, name = one.groups()
        types = {
            known.type
            for label in statement.node_labels.get(variable, ())
            for known in getattr(schema.node(label), "properties", ())
            if known.name == name
        }
        if types == {"STRING"}:
            start, length = {"year": (0, 4), "month": (5, 2), "day": (8, 2)}[part.lower()]
            text = f"toInteger(substring({variable}.{name}, {start}, {length}))"
        else:
            text = f"{variable}.{name}.{part.lower()}"
        edits.append((one.start(), one.end(), text))
    note = "a part of a date was written as Cypher's"
    return Repaired(edited(cypher, edits), (note,)) if edits else Repaired(cypher)


def mend_years(cypher: str, schema: Schema, _question: str) -> Repaired:
    """`o.date = '1997'` becomes `o.date STARTS WITH '1997'` where dates are written as texts."""
    for literal in literals_of(cypher, schema):
        of, value = literal.compared, str(literal.value)
        if of is None or literal.operator != "=" or not _YEAR.fullmatch(value):
            continue
        if of.type != "STRING" or not any(map(_DATE.match, map(str, of.examples))):
            continue
        mended = _starting(cypher, literal, value)
        if mended is not None:
            return Repaired(mended, (f"a year is how a date begins: {of.name}",))
    return Repaired(cypher)


def _starting(cypher: str, literal: Literal, value: str) -> str | None:
    condition = next(
        (c for c in conditions_of(cypher) if c.start <= literal.atom.start < c.end), None
    )
    if condition is None or literal.compared is None:
        return None
    begins = f"STARTS WITH '{value}'"
    if literal.access is not None:
        start, end = literal.access.property.end, literal.atom.end
        return edited(cypher, [(start, end, f" {begins}")])
    parts = read_statement(cypher).parts
    part = next((one for one in parts if one.start <= condition.start < one.end), None)
    if part is None or part.variable is None:
        return None
    text = f"{part.variable.text}.{escaped_name(literal.compared.name)} {begins}"
    return without_condition(with_condition(cypher, text, at=part.start), condition)
