"""Conditions that a model wrote, as a filter over the fields that there are. Pure."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from langchain_graft.source_text import without_control_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from langchain_graft.retrievers.filters import Filter, Scalar

_COMPARISONS = {
    "==": "$eq",
    "=": "$eq",
    ":": "$eq",
    "!=": "$ne",
    "≠": "$ne",
    ">=": "$gte",
    "≥": "$gte",
    "<=": "$lte",
    "≤": "$lte",
    ">": "$gt",
    "<": "$lt",
    "in": "$in",
}
_WIDE = str.maketrans("：＝＞＜！", ":=><!")
_QUERY = re.compile(r"\s*[-*]?\s*[\"'`*]*(?:query|查询|检索)[\"'`*]*\s*[:=]\s*(.+)", re.IGNORECASE)
_LINE = re.compile(
    r"\s*[-*]?\s*[\"'`]*([^\s=!<>≥≤≠:\"'`]+)[\"'`]*\s*(==|!=|>=|<=|[=≠≥≤<>:]|(?<=\s)in(?=\W))\s*(.+?)\s*$",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[+-]?\d+(?:,\d{3})*(?:\.\d+)?")
_DIGITS = re.compile(r"\d|[零〇一二三四五六七八九十百千]")
_WRAPPING = " \t\"'`“”‘’[]()（）【】。;；"
_TRUE = frozenset({"true", "yes", "1", "是", "真"})
_FALSE = frozenset({"false", "no", "0", "否", "假"})
_MOST_CONDITIONS = 10
_MOST_VALUES = 20
_MOST_CHARACTERS = 4000


@dataclass(frozen=True)
class MetadataField:
    """One key of the documents' metadata, described to a model."""

    name: str
    description: str = ""
    type: Literal["text", "number", "boolean"] = "text"
    values: tuple[str, ...] = ()
    """All values that there are, of a text with few of them; a model's other ones are dropped."""

    def __post_init__(self) -> None:
        if not self.name or self.name.startswith("$") or re.search(r"\s", self.name):
            msg = f"A field's name is a word that does not begin with $, not {self.name!r}"
            raise ValueError(msg)
        if self.type not in ("text", "number", "boolean"):
            msg = f"A field's type is 'text', 'number' or 'boolean', not {self.type!r}"
            raise ValueError(msg)
        object.__setattr__(self, "values", tuple(map(str, self.values)))

    def __str__(self) -> str:
        """The field as a prompt shows it."""
        listed = f"one of {', '.join(self.values)}" if self.values else ""
        told = "; ".join(part for part in (self.description, listed) if part)
        return f"- {self.name} ({self.type})" + (f": {told}" if told else "")


def read_conditions(
    reply: str, fields: Sequence[MetadataField], *, question: str
) -> tuple[str, Filter]:
    """What a model's reply searches for, and its conditions as a filter.

    Dropped are conditions on unknown fields, values that a field does not have or that are of
    another type, comparisons of size between texts, numbers where the question has none, and texts
    (of fields without `values`) that do not stand in the question.

    Args:
        reply: Lines such as `query: dogs` and `year >= 1990`.
        fields: Those that there are.
        question: What was asked; it is the query where the reply has none.
    """
    lines = without_control_words(reply[:_MOST_CHARACTERS]).splitlines()
    queries = [
        found[1].strip(_WRAPPING)
        for line in lines
        if (found := _QUERY.match(line.translate(_WIDE)))
    ]
    known = {_folded(field.name): field for field in fields}
    parts: list[Filter] = []
    for line in lines:
        found = _LINE.match(line.translate(_WIDE))
        field = known.get(_folded(found[1])) if found else None
        if found and field and (part := _condition(field, found[2], found[3], question)):
            parts.append(part)
    parts = [part for n, part in enumerate(parts) if part not in parts[:n]][:_MOST_CONDITIONS]
    query = next(filter(None, queries), question)
    return query, ({"$and": parts} if len(parts) > 1 else parts[0] if parts else {})


def _condition(
    field: MetadataField, comparison: str, written: str, question: str
) -> Mapping[str, Any] | None:
    name = _COMPARISONS[comparison.lower()]
    if field.type != "number" and name not in ("$eq", "$ne", "$in"):
        return None
    texts = re.split(r"[,，、|]|\bor\b", written) if name == "$in" else [written]
    values = [value for text in texts for value in _values(field, text.strip(_WRAPPING), question)]
    if not values:
        return None
    if name == "$in":
        return {field.name: {"$in": values[:_MOST_VALUES]}}
    return {field.name: values[0] if name == "$eq" else {name: values[0]}}


def _values(field: MetadataField, text: str, question: str) -> Iterator[Scalar]:
    """The value that a text means for a field, if it means one."""
    folded = _folded(text)
    if field.type == "boolean":
        if folded in _TRUE | _FALSE:
            yield folded in _TRUE
    elif field.type == "number":
        if (number := _NUMBER.match(unicodedata.normalize("NFKC", text))) and _DIGITS.search(
            question
        ):
            digits = number[0].replace(",", "")
            yield float(digits) if "." in digits else int(digits)
    elif field.values:
        yield from (value for value in field.values if _folded(value) == folded)
    elif folded and folded in _folded(question):
        yield text


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
