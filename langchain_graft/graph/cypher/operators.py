"""SQL's operators as Cypher writes them: LIKE, BETWEEN, NOT IN, IN (...), !=, YEAR(...)."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from langchain_graft.graph.cypher.edits import Edit, Repaired, edited
from langchain_graft.graph.cypher.statement import read_statement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_graft.graph.cypher.atoms import Atom
    from langchain_graft.graph.schema import Schema

_SYMBOLS = {("!", "="): "<>", ("=", "="): "=", ("&", "&"): "AND"}
_NEGATED = ("IN", "CONTAINS", "STARTS", "ENDS", "LIKE", "ILIKE", "BETWEEN", "EXISTS")
_LITERAL = {"string", "number"}
_BEFORE_OPERAND = tuple(
    "WHERE AND OR XOR NOT WHEN THEN ELSE CASE RETURN WITH DISTINCT BY IN".split()
)


def mend_operators(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """`!=`, `==`, `&&`, `x NOT IN ...` and `IN (...)` as Cypher writes them."""
    atoms = read_statement(cypher).atoms
    edits: list[Edit] = []
    for n, (one, other) in enumerate(itertools.pairwise(atoms)):
        if (one.text, other.text) in _SYMBOLS and one.end == other.start:
            edits.append((one.start, other.end, _SYMBOLS[one.text, other.text]))
        elif one.is_keyword("IN") and other.text == "(" and n + 2 < len(atoms):
            end = closing(atoms, n + 1)
            if atoms[n + 2].kind in _LITERAL and end is not None:
                edits += [(other.start, other.end, "["), (atoms[end].start, atoms[end].end, "]")]
        elif (
            one.is_keyword("NOT")
            and other.is_keyword(*_NEGATED)
            and n
            and _is_operand(atoms[n - 1])
        ):
            begin = atoms[operand_before(atoms, n - 1)].start
            edits += [(begin, begin, "NOT "), (one.start, other.start, "")]
    return _repaired(cypher, edits, "SQL's operators were written as Cypher's")


def mend_like(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """`x LIKE '%a%'` becomes `x CONTAINS 'a'`, and so on; ILIKE without regard to case."""
    atoms = read_statement(cypher).atoms
    edits: list[Edit] = []
    for n, atom in enumerate(atoms):
        if not atom.is_keyword("LIKE", "ILIKE") or not 0 < n < len(atoms) - 1:
            continue
        pattern = atoms[n + 1]
        if pattern.kind != "string":
            continue
        operator, inner = _like(pattern.text[1:-1])
        quote = pattern.text[0]
        value = f"{quote}{inner}{quote}"
        begin = atoms[operand_before(atoms, n - 1)].start
        if atom.is_keyword("ILIKE"):
            edits += [(begin, begin, "toLower("), (atoms[n - 1].end, atom.end, f") {operator}")]
            value = f"toLower({value})"
        else:
            edits.append((atom.start, atom.end, operator))
        edits.append((pattern.start, pattern.end, value))
    return _repaired(cypher, edits, "LIKE was written as Cypher's own operator")


def mend_between(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """`x BETWEEN a AND b` becomes `a <= x <= b`."""
    atoms = read_statement(cypher).atoms
    edits: list[Edit] = []
    for n, atom in enumerate(atoms):
        if not atom.is_keyword("BETWEEN") or not n or atoms[n - 1].text == ".":
            continue
        middle = next((m for m in range(n + 1, len(atoms)) if atoms[m].is_keyword("AND")), None)
        if middle is None or middle == n + 1 or middle + 1 >= len(atoms):
            continue
        begin = atoms[operand_before(atoms, n - 1)].start
        low = cypher[atoms[n + 1].start : atoms[middle - 1].end]
        value = cypher[begin : atoms[n - 1].end]
        high = cypher[atoms[middle].end : (end := atoms[operand_after(atoms, middle + 1)].end)]
        edits.append((begin, end, f"{low} <= {value} <= {high.strip()}"))
    return _repaired(cypher, edits, "BETWEEN was written as two comparisons")


def closing(atoms: Sequence[Atom], n: int) -> int | None:
    """The bracket that closes the one at `n`."""
    depth = 0
    for m in range(n, len(atoms)):
        depth += (atoms[m].text in {"(", "[", "{"}) - (atoms[m].text in {")", "]", "}"})
        if not depth:
            return m
    return None


def operand_before(atoms: Sequence[Atom], n: int) -> int:
    """Where the operand that ends at `n` begins: `a`, `a.b`, `f(a)`."""
    if atoms[n].text in {")", "]"}:
        depth = 0
        while n >= 0:
            depth += (atoms[n].text in {")", "]"}) - (atoms[n].text in {"(", "["})
            if not depth:
                break
            n -= 1
        n -= n > 0 and atoms[n - 1].is_word and not atoms[n - 1].is_keyword("WHERE", "AND", "OR")
    while n > 1 and atoms[n - 1].text == ".":
        n -= 2
    return max(n, 0)


def operand_after(atoms: Sequence[Atom], n: int) -> int:
    """Where the operand that begins at `n` ends: `-1`, `'a'`, `a.b`, `f(a)`, `(a + b)`."""
    n += atoms[n].text in {"-", "+"}
    if n < len(atoms) and atoms[n].text in {"(", "["}:
        return closing(atoms, n) or n
    while n + 2 < len(atoms) and atoms[n + 1].text == "." and atoms[n + 2].is_word:
        n += 2
    if n + 1 < len(atoms) and atoms[n].is_word and atoms[n + 1].text == "(":
        n = closing(atoms, n + 1) or n
    return min(n, len(atoms) - 1)


def _is_operand(atom: Atom) -> bool:
    return (
        atom.kind in {"string", "number", "parameter"}
        or atom.text in {")", "]"}
        or (atom.is_word and not atom.is_keyword(*_BEFORE_OPERAND))
    )


def _like(pattern: str) -> tuple[str, str]:
    inner = pattern.strip("%")
    if "%" in inner or (re.search(r"(?<!\\)_", inner) and "_" in pattern and "%" not in pattern):
        regex = re.escape(pattern).replace("%", ".*").replace("_", ".").replace("\\", "\\\\")
        return "=~", regex
    starts, ends = pattern.startswith("%"), pattern.endswith("%")
    operator = {
        (True, True): "CONTAINS",
        (False, True): "STARTS WITH",
        (True, False): "ENDS WITH",
    }.get((starts, ends), "=")
    return operator, inner


def _repaired(cypher: str, edits: list[Edit], note: str) -> Repaired:
    return Repaired(edited(cypher, edits), (note,)) if edits else Repaired(cypher)
