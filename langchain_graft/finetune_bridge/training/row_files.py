"""Rows to learn from in files: a JSON object a line."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import TrainingDataError
from langchain_graft.finetune_bridge.training.rows import Row, RowT, distinct_rows, row_as_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


def read_rows(path: Path | str, kind: type[RowT]) -> list[RowT]:
    """Rows of a file, a JSON object a line; each once.

    A column that is not known is refused: a misspelt one would be missing without a word.

    Raises:
        TrainingDataError: A line is no such row, or there are none; the message names it.
    """
    path = Path(path)
    rows = []
    for number, values in _lines(path):
        where = f"{path.name}, line {number}"
        rows.append(_row(values, kind, where))
    if not rows:
        msg = f"{str(path)!r} holds no rows. A line is {_shape(kind)}"
        raise TrainingDataError(msg)
    return distinct_rows(rows)


def write_rows(path: Path | str, rows: Iterable[Row]) -> None:
    """Write rows as `read_rows` takes them, whole or not at all.

    Raises:
        TrainingDataError: The file can not be written.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.new")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(f"{row_as_json(row)}\n" for row in rows)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        msg = f"Can not write {str(path)!r}: {error.strerror or error}"
        raise TrainingDataError(msg) from error


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, _object(line, f"{path.name}, line {number}")
    except FileNotFoundError as error:
        msg = f"No such file: {str(path)!r}"
        raise TrainingDataError(msg) from error
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{str(path)!r} can not be read behind line {number}: {error}"
        raise TrainingDataError(msg) from error


def _object(line: str, where: str) -> Mapping[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        msg = f"{where}: no JSON ({error}). Every line is one object"
        raise TrainingDataError(msg) from error
    if not isinstance(values, dict):
        msg = f"{where}: {values!r:.80} is no JSON object"
        raise TrainingDataError(msg)
    return values


def _row(values: Mapping[str, Any], kind: type[RowT], where: str) -> RowT:
    known = {part.name: part.default is MISSING for part in fields(kind)}
    missing = [name for name, needed in known.items() if needed and name not in values]
    if missing or (unknown := sorted(values.keys() - known.keys())):
        told = f"lacks {', '.join(map(repr, missing))}" if missing else f"has {unknown!r}"
        msg = f"{where}: the row {told}; its columns are {list(values)!r}, expected {_shape(kind)}"
        raise TrainingDataError(msg)
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        msg = f"{where}: {error}"
        raise TrainingDataError(msg) from error


def _shape(kind: type[Row]) -> str:
    names = [part.name if part.default is MISSING else f"[{part.name}]" for part in fields(kind)]
    return f"an object with {', '.join(names)}"
