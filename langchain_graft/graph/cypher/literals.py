"""The literals of a statement, the property that each is compared with, and where it came from."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_graft.graph.cypher.conditions import Condition, conditions_of, without_condition
from langchain_graft.graph.cypher.edits import Repaired
from langchain_graft.graph.cypher.names import properties_of
from langchain_graft.graph.cypher.resolve import labels_of, variable_labels
from langchain_graft.graph.cypher.statement import CLAUSES, NodePattern, read_statement
from langchain_graft.graph.cypher.tokens import tokenize
from langchain_graft.graph.schema_slice import mentions
from langchain_graft.wording import content_words, numbers_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_graft.graph.cypher.atoms import Atom
    from langchain_graft.graph.cypher.statement import Access, Statement
    from langchain_graft.graph.schema import Property, Schema

_COMPARING = {"=", "<", ">"}
_WORDS = ("CONTAINS", "STARTS", "ENDS", "IN")
_SAME_VALUE = {
    "",
    "IN",
    "NOT",
    "AND",
    "OR",
    "WHERE",
    "TOLOWER",
    "TOUPPER",
    "LOWER",
    "UPPER",
    "TRIM",
}
"""What may stand before a bracket around a value that is still compared with a property."""
_NUMBER_WORDS = {
    "one two three four five six seven eight nine ten eleven twelve".split()[n]: str(n + 1)
    for n in range(12)
} | {"once": "1", "single": "1", "twice": "2", "both": "2", "pair": "2", "dozen": "12"}
_SEVERAL = re.compile(r"\b(multiple|several|many|more than once|at least)\b|多|几", re.IGNORECASE)
_DECADE = re.compile(r"\b(\d{2,4})(?:'|’)?s\b|(\d{2,4})\s*年代")
_LARGE = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "billion": 1e9, "千": 1e3}
_LARGE |= {"万": 1e4, "百万": 1e6, "亿": 1e8}
_SCALED = re.compile(r"(\d+(?:\.\d+)?)\s*(thousand|million|billion|百万|[kKmM千万亿])(?![a-z])")
_IN_QUOTES = re.compile(r"['\"“‘「]([^'\"“”‘’「」]{3,80})['\"”’」]")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*(?:%|percent|per cent)")


@dataclass(frozen=True)
class Literal:
    """A string or number in a statement."""

    atom: Atom
    compared: Property | None
    """What it is compared with, as far as the schema knows it."""
    owner: str | None
    """The label or type that has the property."""
    access: Access | None
    """`variable.property`, where it is compared with one; None in a pattern's map."""
    operator: str
    """`=`, `<`, `CONTAINS` ...; `=` in a pattern's map, empty elsewhere."""

    @property
    def value(self) -> str | int | float:
        """What it stands for."""
        return value_of(self.atom)


def literals_of(  # noqa: C901, PLR0912 (maps and comparisons)
    cypher: str, schema: Schema
) -> list[Literal]:
    """The strings and numbers that something is compared with, in order."""
    statement = read_statement(cypher)
    labels = variable_labels(statement, schema)
    found: dict[int, Literal] = {}
    for part in statement.parts:
        if isinstance(part, NodePattern):
            owners, known = labels_of(part, statement, schema), None
            known = properties_of(schema, labels=owners)
        else:
            owners = tuple(type_.name for type_ in part.types)
            known = properties_of(schema, types=owners)
        for entry in part.entries:
            owner = owners[0] if owners else None
            for atom in _literal_atoms(statement, entry.start, entry.end):
                found[atom.start] = Literal(atom, known.get(entry.key.name), owner, None, "=")
    for segment in _segments(statement):
        accesses = [
            one
            for one in statement.accesses
            if segment[0].start <= one.variable.start <= segment[-1].start
        ]
        operator = _operator(segment)
        access = accesses[0] if len(accesses) == 1 else None
        owners = ()
        if access:
            owners = labels.get(access.variable.name, ()) or statement.relationship_types.get(
                access.variable.name, ()
            )
        known = properties_of(schema, labels=owners) | properties_of(schema, types=owners)
        for atom in segment:
            if atom.kind in {"string", "number"} and atom.start not in found and operator:
                plainly = access and _is_plain(segment, access.variable, access.property)
                property_ = known.get(access.property.name) if access and plainly else None
                property_ = property_ if _is_plain(segment, atom, atom) else None
                owner = owners[0] if owners else None
                found[atom.start] = Literal(atom, property_, owner, access, operator)
    return [found[start] for start in sorted(found)]


def drop_foreign_literals(
    cypher: str, schema: Schema, question: str, *, allowed: Iterable[object] = ()
) -> Repaired:
    """Conditions whose literal comes from nowhere go: a small model copies what it has seen.

    A literal has an origin when the question says it, when it was looked up for the question, or
    when it is worked out of a number in the question (a decade, a percentage, thousands).

    Args:
        cypher: The statement.
        schema: What there is.
        question: What was asked.
        allowed: Values that were looked up.
    """
    known = {plain(str(one)) for one in allowed}
    notes = []
    while condition := _said_once_asked_twice(cypher, schema, question):
        notes.append(f"said once, asked twice: {condition.text} was left out")
        cypher = without_condition(cypher, condition)
    for condition in conditions_of(cypher)[::-1]:
        literals = [
            one
            for one in literals_of(cypher, schema)
            if condition.start <= one.atom.start < condition.end
        ]
        foreign = [one for one in literals if not has_origin(one, question, known)]
        if foreign and len(foreign) == len(literals):
            told = foreign[0].atom.text
            notes.append(f"the question does not mention {told}: {condition.text} was left out")
            cypher = without_condition(cypher, condition)
    return Repaired(cypher, tuple(notes))


def _only_text(condition: Condition, cypher: str, schema: Schema) -> str | None:
    """The text that a condition asks something to equal, if that is all that it says."""
    inside = [
        one
        for one in literals_of(cypher, schema)
        if condition.start <= one.atom.start < condition.end
    ]
    if len(inside) != 1 or inside[0].operator != "=" or inside[0].atom.kind != "string":
        return None
    return plain(str(inside[0].value))


def _said_once_asked_twice(cypher: str, schema: Schema, question: str) -> Condition | None:
    """Of conditions with one text that the question says once: the one that it speaks of least."""
    words = content_words(question)
    by_text: dict[str, list[Condition]] = {}
    for condition in conditions_of(cypher):
        text = _only_text(condition, cypher, schema) or ""
        if len(text) >= _SAID_ONCE and f" {plain(question)} ".count(f" {text} ") == 1:
            by_text.setdefault(text, []).append(condition)
    twice = next((same for same in by_text.values() if len(same) > 1), [])

    def spoken_of(condition: Condition) -> int:
        return mentions(re.split(r"[=:]", condition.text)[0].split(".")[-1], words)

    return min(twice[::-1], key=spoken_of, default=None)


def has_origin(literal: Literal, question: str, known: Iterable[str] = ()) -> bool:
    """Whether a literal comes from the question, or from what was looked up for it."""
    value = literal.value
    if isinstance(value, str) and re.fullmatch(r"-?\d+(?:\.\d+)?", value):
        return f"{float(value):g}" in _numbers(question) or _said(value, question)
    if isinstance(value, str):
        return _said(value, question) or plain(value) in known
    arithmetic = literal.operator in {"", "%", "arithmetic"}
    return arithmetic or f"{value:g}" in _numbers(question) or plain(str(value)) in known


def value_of(atom: Atom) -> str | int | float:
    """What a literal's token stands for."""
    if atom.kind == "number":
        written = atom.text.replace("_", "")
        if re.match(r"0[xXoO]", written):
            return int(written, 0)
        return float(written) if re.search(r"[.eE]", written) else int(written)
    return tokenize(atom.text)[0].value


def plain(text: str) -> str:
    """A text for comparison: case, width, accents and punctuation do not count."""
    text = unicodedata.normalize("NFKD", text).casefold()
    text = "".join(letter for letter in text if not unicodedata.combining(letter))
    return " ".join(re.findall(r"\w+", text))


_SAID_ONCE = 4


def _said(value: str, question: str) -> bool:
    """Whether the question says a text: its words one after another, or all that carry meaning."""
    wanted, said = plain(value), plain(question)
    if not wanted or f" {wanted} " in f" {said} ":
        return True
    if not wanted.isascii() and wanted.replace(" ", "") in said.replace(" ", ""):
        return True
    if len(wanted) > 3 and wanted in said:  # noqa: PLR2004 (a stem: "act" for "actors")
        return True
    if re.match(r"\d{4}-\d\d", value):  # a date: of its year, the question has to speak
        return value[:4] in _numbers(question)
    words = content_words(value)
    quoted = [plain(one) for one in _IN_QUOTES.findall(question)]
    around = any(one and f" {one} " in f" {wanted} " for one in quoted)  # 'romp': "A solid romp"
    return around or (bool(words) and words <= content_words(question))


def _numbers(question: str) -> set[str]:
    """The numbers that a question says, and those that follow from them."""
    found = {f"{float(one):g}" for one in numbers_in(question)} | {"0", "1"}
    words = re.findall(r"[a-z]+", question.lower())
    found |= {_NUMBER_WORDS[word] for word in words if word in _NUMBER_WORDS}
    if _SEVERAL.search(question):
        found.add("2")
    for decade in _DECADE.finditer(question):
        first = int(decade[1] or decade[2])
        years = [first] if first > 99 else [1900 + first, 2000 + first]  # noqa: PLR2004
        found |= {str(year + n) for year in years for n in (-1, 0, 9, 10, 99, 100)}
    found |= {f"{float(n) * _LARGE[of.lower()]:g}" for n, of in _SCALED.findall(question)}
    found |= {f"{int(float(n) * _LARGE[of.lower()])}" for n, of in _SCALED.findall(question)}
    found |= {f"{float(one) / 100:g}" for one in _PERCENT.findall(question)}
    whole = [float(one) for one in found if re.fullmatch(r"\d+", one)]
    return found | {f"{one + step:g}" for one in whole for step in (-1, 1) if one >= 2}  # noqa: PLR2004


def _literal_atoms(statement: Statement, start: int, end: int) -> list[Atom]:
    return [
        atom
        for atom in statement.atoms
        if start <= atom.start < end and atom.kind in {"string", "number"}
    ]


def _segments(statement: Statement) -> list[Sequence[Atom]]:
    """The comparisons of all WHERE clauses, also those in subqueries."""
    found: list[list[Atom]] = []
    inside = False
    for n, atom in enumerate(statement.atoms):
        before = statement.atoms[n - 1] if n else None
        joined = before is not None and before.is_keyword("STARTS", "ENDS")
        if atom.is_keyword("WHERE", "WHEN"):
            inside = True
            found.append([])
        elif atom.is_keyword(*CLAUSES, "THEN") and not joined and before and before.text != ".":
            inside = False
        elif inside and atom.is_keyword("AND", "OR", "XOR", "NOT"):
            found.append([])
        elif inside:
            found[-1].append(atom)
    return [segment for segment in found if segment]


def _is_plain(segment: Sequence[Atom], first: Atom, last: Atom) -> bool:
    """Whether it is compared itself: in no call that makes another value of it, nor an index."""
    calls: list[str] = []
    for n, atom in enumerate(segment):
        before = segment[n - 1] if n else None
        if atom is first:
            break
        if atom.text in {"(", "["}:
            calls.append(before.text.upper() if before and before.is_word else "")
        elif atom.text in {")", "]"} and calls:
            calls.pop()
    after = segment[segment.index(last) + 1 :]
    indexed = first is not last and bool(after) and after[0].text == "["
    return not indexed and all(one in _SAME_VALUE for one in calls)


def _operator(segment: Sequence[Atom]) -> str:
    words = [atom.text.upper() for atom in segment]
    if any(one in {"%", "*", "+", "-", "/"} for one in words):
        return "arithmetic"
    word = next((one for one in words if one in _WORDS), None)
    if word:
        return word
    symbols = "".join(one for one in words if one in _COMPARING)
    return symbols[:2]
