"""Names that something else than a pattern gives: aliases, loops, comprehensions, YIELD, paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_graft.graph.cypher.atoms import Atom

_ENDS_YIELD = ("WHERE", "RETURN", "WITH", "MATCH", "OPTIONAL", "UNWIND", "CALL", "ORDER", "LIMIT")


def given_names(atoms: Sequence[Atom]) -> list[Atom]:
    """Each place where a name is given to a value, in order; `m AS m` gives nothing new."""
    found: list[Atom] = []
    yielding = False
    for n, atom in enumerate(atoms):
        if not atom.is_word:
            continue
        yielding = atom.is_keyword("YIELD") or (yielding and not atom.is_keyword(*_ENDS_YIELD))
        before, after = atoms[n - 1] if n else None, atoms[n + 1] if n + 1 < len(atoms) else None
        if before is None or atom.is_keyword("YIELD"):
            continue
        alias = before.is_keyword("AS") and not _is_itself(atoms, n)
        loop = before.text in {"[", "(", ",", "|"} and after is not None and after.is_keyword("IN")
        if alias or loop or (yielding and not atom.is_keyword("AS")) or _equals(atoms, n):
            found.append(atom)
    return found


def _is_itself(atoms: Sequence[Atom], n: int) -> bool:
    """`m AS m`."""
    same = n > 1 and atoms[n - 2].is_word and atoms[n - 2].name == atoms[n].name
    return same and (n == 2 or atoms[n - 3].text != ".")  # noqa: PLR2004


def _equals(atoms: Sequence[Atom], n: int) -> bool:
    """`LET x = 1`, `MATCH path = (a)-->(b)`, `reduce(total = 0, ...)`."""
    if n + 1 == len(atoms) or atoms[n + 1].text != "=":
        return False
    if atoms[n - 1].is_keyword("LET", "MATCH") or atoms[n - 1].text == ",":
        return True
    return atoms[n - 1].text == "(" and n > 1 and atoms[n - 2].is_keyword("REDUCE")
