"""Literals as parameters: the values go beside the statement, not into it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_graft.graph.cypher.edits import Edit, edited
from langchain_graft.graph.cypher.literals import value_of
from langchain_graft.graph.cypher.statement import read_statement

if TYPE_CHECKING:
    from langchain_graft.graph.cypher.atoms import Atom
    from langchain_graft.graph.cypher.statement import Statement

_COMPARING = {"=", "<", ">", ">=", "<="}


def with_parameters(cypher: str) -> tuple[str, dict[str, str | int | float]]:
    """The statement with `$name` in the place of its texts and compared numbers, and their values.

    A parameter is named for the property that it is compared with. Texts in columns stay, because
    they name the column.
    """
    statement = read_statement(cypher)
    values: dict[str, str | int | float] = {}
    edits: list[Edit] = []
    columns = [
        (clause.body, clause.end)
        for clause in statement.clauses
        if clause.keyword in {"RETURN", "WITH"}
    ]
    taken = {atom.text[1:] for atom in statement.atoms if atom.kind == "parameter"}
    for n, atom in enumerate(statement.atoms):
        if any(start <= atom.start < end for start, end in columns):
            continue
        if atom.kind == "string" or (atom.kind == "number" and _is_compared(statement, n)):
            value = value_of(atom)
            name = _name(statement, n, value, values, taken)
            values[name] = value
            edits.append((atom.start, atom.end, f"${name}"))
    return edited(cypher, edits), values


def _is_compared(statement: Statement, n: int) -> bool:
    before = statement.atoms[n - 1].text if n else ""
    after = statement.atoms[n + 1].text if n + 1 < len(statement.atoms) else ""
    entry = before == ":" and after in {",", "}"}
    ends = after in {"", ")", "}", ";"} or after.isalpha()
    return entry or (before in _COMPARING and ends)


def _name(
    statement: Statement,
    n: int,
    value: object,
    values: dict[str, str | int | float],
    taken: set[str],
) -> str:
    wish = _nearest_property(statement.atoms[:n]) or "value"
    number, name = 1, wish
    while name in taken or (name in values and values[name] != value):
        number += 1
        name = f"{wish}_{number}"
    return name


def _nearest_property(before: list[Atom]) -> str:
    """The last property's name before the literal, in its comparison or entry."""
    for n in range(len(before) - 1, max(len(before) - 14, 0), -1):
        atom = before[n]
        if atom.is_keyword("WHERE", "AND", "OR", "MATCH"):
            break
        dotted = before[n - 1].text == "."
        entry = n + 1 < len(before) and before[n + 1].text == ":" and before[n - 1].text in "{,"
        if atom.is_word and (dotted or entry) and re.fullmatch(r"[A-Za-z_]\w*", atom.name):
            return atom.name
    return ""
