"""Tables and records: a section per row; question-answer pairs by their question."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import SourceError
from langchain_graft.knowledge_base.readers.section import OUR_METADATA, ReadDocument, Section
from langchain_graft.knowledge_base.readers.text import clean, decode

if TYPE_CHECKING:
    from pathlib import Path

QUESTION_KEYS = ("question", "ask", "query", "问题", "问")
ANSWER_KEYS = ("answer", "response", "答案", "回答", "答")
TEXT_KEYS = ("text", "content", "page_content", "body", "正文", "内容")
TITLE_KEYS = ("title", "标题", "题目")
_DELIMITERS = ",;\t|"
_MOST_FIELD_CHARACTERS = 10_000_000


def read_csv(path: Path) -> ReadDocument:
    """A table with a header row: each row as "column: value" lines, or as question and answer."""
    text = decode(path.read_bytes()).lstrip("\r\n")
    header = text.split("\n", 1)[0]
    is_tsv = path.suffix.lower() == ".tsv"
    delimiter = "\t" if is_tsv else max(_DELIMITERS, key=header.count)
    csv.field_size_limit(_MOST_FIELD_CHARACTERS)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        names, *rows = [line for line in lines if line] or [[]]
    except csv.Error as error:
        msg = f"it is no readable table: {error}. Save it again as CSV"
        raise SourceError(msg) from error
    sections = [row_section(_record(names, row), n) for n, row in enumerate(rows, 1)]
    return ReadDocument(sections=[section for section in sections if section.text])


def read_jsonl(path: Path) -> ReadDocument:
    """JSON lines, a list or one object: each record as text, as question and answer, or row."""
    sections = [row_section(record, n) for n, record in _records(decode(path.read_bytes()))]
    return ReadDocument(sections=[section for section in sections if section.text])


def row_section(row: Mapping[str, Any], number: int) -> Section:
    """One record as a section.

    A record with a question and an answer is found by its question and gives its answer; one with a
    text (and a title) is that text, its other columns below it; any other is its "key: value"
    lines. Columns that are not the text, the answer or their heading can be filtered by.
    """
    cells = {clean(str(key)): value for key, value in row.items()}
    question, answer = _named(cells, QUESTION_KEYS), _named(cells, ANSWER_KEYS)
    if question and answer:
        return Section(
            text=_plain(cells.pop(answer)),
            question=_plain(cells.pop(question)),
            row=number,
            metadata=_scalars(cells),
        )
    text, title = _named(cells, TEXT_KEYS), _named(cells, TITLE_KEYS)
    if not text:
        return Section(text=_lines(cells), row=number, metadata=_scalars(cells))
    body, heading = _plain(cells.pop(text)), _plain(cells.pop(title)) if title else None
    return Section(
        text=f"{body}\n\n{_lines(cells)}".strip(),
        heading=heading,
        row=number,
        metadata=_scalars(cells),
    )


def _named(cells: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    """The column, in any case, that goes by the first of these names and is not empty."""
    names = {name.lower(): name for name in cells}
    found = (names[key] for key in keys if key in names)
    return next((name for name in found if _plain(cells[name])), None)


def _lines(cells: Mapping[str, Any]) -> str:
    pairs = ((name, _plain(value)) for name, value in cells.items())
    return "\n".join(f"{name}: {value}" for name, value in pairs if value)


def _scalars(cells: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """What can be filtered by; a column that is called like metadata of ours gets a "column_"."""
    return {
        f"column_{name}" if name in OUR_METADATA else name: (
            clean(value) if isinstance(value, str) else value
        )
        for name, value in cells.items()
        if isinstance(value, str | int | float | bool) and value != ""
    }


def _record(names: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """A row by its columns' names; a column without a name of its own goes by its number."""
    record: dict[str, str] = {}
    columns = itertools.zip_longest(map(clean, names), cells, fillvalue="")
    for number, (name, cell) in enumerate(columns, 1):
        record[name if name and name not in record else f"{name}({number})"] = cell
    return record


def _records(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    records: Iterator[tuple[int, Any]]
    try:
        whole = json.loads(text)
        records = enumerate(whole if isinstance(whole, list) else [whole], 1)
    except (ValueError, RecursionError):
        lines = enumerate(text.split("\n"), 1)
        records = ((number, _loads(line, number)) for number, line in lines if line.strip())
    for number, record in records:
        if not isinstance(record, Mapping):
            msg = f"record {number} is no JSON object but {type(record).__name__}"
            raise SourceError(msg)
        yield number, record


def _loads(text: str, number: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"line {number} is no JSON ({error}). Mend or remove the line"
        raise SourceError(msg) from error


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return clean(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
