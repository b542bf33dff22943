"""Slips of the pen: a bracket that is missing, a comparison in a map, words of SQL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_graft.graph.cypher.conditions import Condition, with_condition, without_condition
from langchain_graft.graph.cypher.edits import Repaired
from langchain_graft.graph.cypher.statement import read_statement

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_graft.graph.schema import Schema

_VALUE = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?)"""
_OPEN_NODE = re.compile(
    r"(\(\w*(?::\w+)?(?:\s*\{[^{}]*\})?)\s+(?=(?:RETURN|WHERE|WITH|ORDER|LIMIT)\b)(?![^(]*?\)\s*-)",
    re.IGNORECASE,
)
_COMPARED = re.compile(rf"([{{,]\s*\w+)\s*(>=|<=|<>|>|<)\s*(?={_VALUE})")
_COMPARING = re.compile(r"(>=|<=|<>|>|<)\s*(.+)", re.DOTALL)
_OR_VALUE = re.compile(
    rf"(\b\w+\.\w+)\s*=\s*({_VALUE})((?:\s+OR\s+{_VALUE}(?=\s|$))+)", re.IGNORECASE
)
_IS_VALUE = re.compile(rf"\bIS\s+(?={_VALUE})", re.IGNORECASE)
_TOP = re.compile(r"\bRETURN\s+(DISTINCT\s+)?TOP\s+(\d+)\s+", re.IGNORECASE)
_EXISTS = re.compile(r"(\bNOT\s+)?\bEXISTS\s*\(\s*(\w+\.\w+)\s*\)", re.IGNORECASE)


def mend_brackets(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """`(m:Movie RETURN m` and `RETURN m)`: the bracket that is missing, or one too many."""
    opened = _depth(cypher)
    mended = cypher
    if opened > 0:
        mended = _OPEN_NODE.sub(r"\1) ", cypher, count=1)
    elif opened < 0 and cypher.rstrip(" ;").endswith(")"):
        mended = cypher.rstrip(" ;")[:-1].rstrip(" ;")
    if mended == cypher or abs(_depth(mended)) >= abs(opened):
        return Repaired(cypher)
    return Repaired(mended, ("the brackets were closed",))


def mend_compared_entries(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """`(p:Person {born > 1960})` becomes `(p:Person) WHERE p.born > 1960`."""
    text = _outside_strings(_COMPARED, lambda found: f"{found[1]}: {found[2]} ", cypher)
    statement = read_statement(text)
    for part in statement.parts:
        for entry in part.entries:
            found = _COMPARING.match(text[entry.start : entry.end])
            if found is None or part.variable is None:
                continue
            asked = f"{part.variable.text}.{entry.key.text} {found[1]} {found[2]}"
            written = Condition(entry.key.start, entry.end, "", "entry")
            mended = without_condition(with_condition(text, asked, at=part.start), written)
            return Repaired(mended, (f"a comparison in a map: {asked}",))
    return Repaired(cypher)


def mend_words_of_sql(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """`= 'a' OR 'b'`, `IS 1999`, `RETURN TOP 5`, `EXISTS(p.born)` as Cypher says them."""
    mended = _outside_strings(_OR_VALUE, _listed, cypher)
    mended = _outside_strings(_IS_VALUE, lambda _: "= ", mended)
    mended = _outside_strings(_EXISTS, _is_there, mended)
    if top := _TOP.search(mended):
        head = _outside_strings(_TOP, lambda found: f"RETURN {found[1] or ''}", mended)
        mended = f"{head.rstrip(' ;')} LIMIT {top[2]}" if head != mended else mended
    return Repaired(mended, ("words of SQL",) if mended != cypher else ())


def _listed(found: re.Match[str]) -> str:
    values = [found[2], *re.findall(_VALUE, found[3])]
    return f"{found[1]} IN [{', '.join(values)}]"


def _is_there(found: re.Match[str]) -> str:
    return f"{found[2]} IS {'' if found[1] else 'NOT '}NULL"


def _outside_strings(
    pattern: re.Pattern[str], write: Callable[[re.Match[str]], str], cypher: str
) -> str:
    statement = read_statement(cypher)
    return pattern.sub(
        lambda found: found[0] if statement.is_text(found.start()) else write(found), cypher
    )


def _depth(cypher: str) -> int:
    symbols = [one.text for one in read_statement(cypher).atoms if one.kind == "symbol"]
    return symbols.count("(") - symbols.count(")")
