"""What people see: progress bars, tables, and JSON for machines."""

from __future__ import annotations

import json
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError

try:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.table import Table
    from rich.text import Text
except ImportError as error:
    raise MissingExtraError("knowledge-base") from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from langchain_core.documents import Document

    from langchain_graft.models.pull import OnProgress


class _PlainConsole(Console):
    """Shows other people's text as it is; a closed pipe is left to `main`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, **settings)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


OUT = _PlainConsole()
ERR = _PlainConsole(stderr=True)
_TERMINAL_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_MEGABYTE = 1_000_000
_EXCERPT = 160
_NARROW = 24
_MOST_PATHS = 5


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


@contextmanager
def progress() -> Iterator[OnProgress]:
    """Bars on stderr, one per label, for what long work tells; they go when it is done."""
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=ERR, transient=ERR.is_terminal) as bars:

        def tell(label: str, done: int, total: int | None) -> None:
            if total == 0:
                return
            is_download = label.startswith("pull")
            step = _MEGABYTE if is_download else 1
            if label not in tasks:
                tasks[label] = bars.add_task(label, unit="MB" if is_download else "")
            rounded = None if total is None else -(-total // step)
            bars.update(tasks[label], completed=-(-done // step), total=rounded)

        yield tell


def print_table(title: str, names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout."""
    table = Table(title=Text(printable(title)), title_justify="left", header_style="bold")
    for position, name in enumerate(names):
        widest = max((len(str(row[position])) for row in rows), default=0)
        table.add_column(name, overflow="fold", no_wrap=widest <= _NARROW)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else printable(str(cell)) for cell in row))
    OUT.print(table)


def print_sources(context: Sequence[Document], citations: Sequence[Any]) -> None:
    """The documents that an answer cites, with the words that it stands on."""
    if not citations:
        OUT.print(Text("No sources cited.", style="dim"))
        return
    rows = []
    for citation in citations:
        document = context[citation["marker"] - 1]
        held = citation["verified"]
        rows.append(
            (
                f"[{citation['marker']}]",
                f"{document.metadata.get('source_id', document.id)}{_place(document)}",
                _excerpt(citation["cited_text"]) or "-",
                Text("verified", style="green") if held else Text("not verified", style="red"),
            )
        )
    print_table("Sources", ("", "document", "quote", "check"), rows)


def printable(text: str) -> str:
    """A text without the characters that steer a terminal."""
    return _TERMINAL_CONTROL.sub("", text)


def print_told(output: Mapping[str, Any]) -> None:
    """What a chain gives beside the answer: its sources, what is amiss, what had no room."""
    print_sources(output["context"], output["citations"])
    for warning in output["warnings"]:
        ERR.print(Text(printable(f"Warning: {warning}"), style="yellow"))
    if left_out := output["left_out"]:
        names = dict.fromkeys(
            str(one["source_id"] or one["document_id"] or "?") for one in left_out
        )
        tokens = sum(one["tokens"] for one in left_out)
        OUT.print(
            Text(
                printable(f"Left out, {tokens} tokens over --context-tokens: {', '.join(names)}"),
                style="dim",
            )
        )


def print_way(chunk: Mapping[str, Any]) -> None:
    """How the answer is come by, as far as a chunk of a chain's stream says it."""
    for line in _way(chunk):
        OUT.print(Text(printable(line), style="dim"))


def as_json(value: Any) -> Any:
    """What a chain gives, as plain values."""
    if isinstance(value, list):
        return [as_json(one) for one in value]
    if isinstance(value, dict):
        return {key: as_json(one) for key, one in value.items()}
    return document_as_json(value) if hasattr(value, "page_content") else value


def document_as_json(document: Document) -> dict[str, Any]:
    """A document as plain values."""
    return {
        "id": document.id,
        "page_content": document.page_content,
        "metadata": document.metadata,
    }


def _way(output: Mapping[str, Any]) -> list[str]:
    lines = [f"Route: {output['route']}"] if "route" in output else []
    lines += [f"Searched: {' | '.join(queries)}"] if (queries := output.get("queries")) else []
    lines += [f"Path: {path['text']}" for path in output.get("paths", ())[:_MOST_PATHS]]
    if cypher := output.get("cypher"):
        lines.append(f"Cypher: {cypher}")
    if step_back := output.get("step_back_question"):
        lines.append(f"Step back: {step_back}")
    return lines + [
        f"Step: {step['question']} {step['answer'] or '-'}" for step in output.get("steps", ())
    ]


def _place(document: Document) -> str:
    metadata = document.metadata
    if page := metadata.get("page"):
        return f", page {page}"
    if row := metadata.get("row"):
        return f", row {row}"
    return f", {heading}" if (heading := metadata.get("heading")) else ""


def _excerpt(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _EXCERPT else line[: _EXCERPT - 1] + "…"
