"""Small slips: a value in a map that is bound nowhere, functions of other languages."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from langchain_graft.graph.cypher.conditions import conditions_of, without_condition
from langchain_graft.graph.cypher.edits import Edit, Repaired, edited
from langchain_graft.graph.cypher.operators import closing
from langchain_graft.graph.cypher.statement import NodePattern, read_statement

if TYPE_CHECKING:
    from langchain_graft.graph.cypher.statement import Statement
    from langchain_graft.graph.schema import Schema

_FUNCTIONS = {"LEN": "size", "LENGTH": "size", "LCASE": "toLower", "UCASE": "toUpper"}
_FUNCTIONS |= {"LOWER": "toLower", "UPPER": "toUpper", "IFNULL": "coalesce", "NVL": "coalesce"}
_VALUES = {"true", "false", "null"}


def mend_unbound_entries(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """`[:REVIEWED {rating: r}] ... r > 90` becomes `[x:REVIEWED] ... x.rating > 90`.

    A map's value that is a name bound nowhere stands for the property; it is asked of its owner
    where the name is used, and goes from the map.
    """
    statement = read_statement(cypher)
    bound = {*statement.node_labels, *statement.relationship_types}
    for part in statement.parts:
        for entry in part.entries:
            value = cypher[entry.start : entry.end].strip("{} ")
            if not re.fullmatch(r"[A-Za-z_]\w*", value) or value.lower() in _VALUES:
                continue
            if value in bound or statement.is_given(value):
                continue
            edits: list[Edit] = []
            name = part.variable.text if part.variable else statement.free_name("x")
            uses = [
                atom
                for n, atom in enumerate(statement.atoms)
                if atom.is_word
                and atom.name == value
                and not entry.start <= atom.start < entry.end
                and statement.atoms[n - 1].text != "."
                and (n + 1 == len(statement.atoms) or statement.atoms[n + 1].text != ":")
            ]
            if uses and part.variable is None:
                opening = (
                    part.start + 1
                    if isinstance(part, NodePattern)
                    else cypher.index("[", part.start) + 1
                )
                edits.append((opening, opening, name))
            edits += [(one.start, one.end, f"{name}.{entry.key.text}") for one in uses]
            mended = edited(cypher, edits)
            shift = [
                c
                for c in conditions_of(mended)
                if c.kind == "entry" and c.text == cypher[entry.key.start : entry.end]
            ]
            if shift:
                mended = without_condition(mended, shift[0])
            return Repaired(mended, (f"a value that is bound nowhere: {entry.key.text}: {value}",))
    return Repaired(cypher)


def mend_functions(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """`length(m.title)`, `LOWER(x)`, `size((p)-->())`, `size(m)` of a thing, as Cypher has them."""
    statement = read_statement(cypher)
    atoms, edits = statement.atoms, []
    single = {*statement.node_labels} | {
        one.variable.name for one in statement.relationships if one.variable and not one.long
    }
    single -= _repeated(statement)
    for n, atom in enumerate(atoms[:-1]):
        name = _FUNCTIONS.get(atom.text.upper()) if atom.is_word else None
        if name is None and not atom.is_keyword("SIZE", "COUNT"):
            continue
        counted = statement.atoms[n + 2].name if n + 3 < len(atoms) else ""
        if (
            atom.is_keyword("SIZE", "LENGTH")
            and counted in single
            and not statement.is_given(counted)
            and atoms[n + 1].text == "("
            and atoms[n + 3].text == ")"
        ):
            edits.append((atom.start, atom.end, "count"))
            continue
        if atoms[n + 1].text != "(" or (n and atoms[n - 1].text == "."):
            continue
        end = closing(atoms, n + 1)
        inner = [
            one
            for one in statement.patterns
            if n + 2 < len(atoms) and one.start == atoms[n + 2].start
        ]
        if inner and end and inner[0].relationships:
            edits += [
                (atom.start, atoms[n + 1].end, "COUNT { "),
                (atoms[end].start, atoms[end].end, " }"),
            ]
        elif name and atom.text != name and (name != "size" or _of_value(cypher, atoms[n + 1].end)):
            edits.append((atom.start, atom.end, name))
    mended = edited(cypher, edits)
    return Repaired(mended, ("functions were written as Cypher's",) if mended != cypher else ())


def _repeated(statement: Statement) -> set[str]:
    """The variables of patterns in brackets: `((x)-->(y)){1,3}` makes lists of them."""
    starts = {
        inner.start
        for outer, inner in itertools.pairwise(statement.atoms)
        if outer.text == inner.text == "("
    }
    repeated = [one for one in statement.patterns if one.start in starts]
    variables = [node.variable for one in repeated for node in one.nodes]
    variables += [step.variable for one in repeated for step in one.relationships]
    return {variable.name for variable in variables if variable}


def _of_value(cypher: str, start: int) -> bool:
    """Whether what is measured is a property: of paths `length` is right."""
    return re.match(r"\s*\w+\s*\.\s*\w+\s*\)", cypher[start:]) is not None
