"""Markdown, and plain text as Markdown without headings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError
from langchain_graft.knowledge_base.readers.section import ReadDocument, Section
from langchain_graft.knowledge_base.readers.text import clean, decode

if TYPE_CHECKING:
    from pathlib import Path

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_HEADING = re.compile(r"(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r"[ \t]*(```+|~~~+)")


def read_markdown(path: Path) -> ReadDocument:
    """A Markdown file: its front matter, then a section per heading."""
    text = clean(decode(path.read_bytes()))
    front, body = _front_matter(text)
    sections = markdown_sections(body)
    return ReadDocument(
        sections=sections,
        title=_text(front.get("title")) or first_heading(body),
        date=_text(front.get("date")),
        language=_text(front.get("lang", front.get("language"))),
    )


def read_plain(path: Path) -> ReadDocument:
    """A text file: one section."""
    return ReadDocument(sections=[Section(text=clean(decode(path.read_bytes())))])


def markdown_sections(text: str) -> list[Section]:
    """The text cut at its headings; each section knows the headings above it.

    The document's first heading of level 1 is its title and stands above none.
    """
    sections: list[Section] = []
    path: list[tuple[int, str]] = []
    lines: list[str] = []
    title = first_heading(text)
    fence: str | None = None

    def close() -> None:
        if body := "\n".join(lines).strip():
            above = [name for level, name in path if (level, name) != (1, title)]
            sections.append(Section(text=body, heading=" > ".join(above) or None))
        lines.clear()

    for line in text.split("\n"):
        fence = _fence_after(line, fence)
        heading = None if fence else _HEADING.match(line)
        if heading is None:
            lines.append(line)
            continue
        close()
        level = len(heading[1])
        path = [(other, name) for other, name in path if other < level]
        path.append((level, heading[2]))
    close()
    return sections


def first_heading(text: str) -> str | None:
    """The first heading, when it is of level 1."""
    found = next((m for m in map(_HEADING.match, text.split("\n")) if m), None)
    return found[2] if found and len(found[1]) == 1 else None


def _fence_after(line: str, fence: str | None) -> str | None:
    mark = _FENCE.match(line)
    if mark is None:
        return fence
    if fence is None:
        return mark[1]
    return None if mark[1].startswith(fence) else fence


def _front_matter(text: str) -> tuple[dict[str, Any], str]:
    found = _FRONT_MATTER.match(text)
    if not found:
        return {}, text
    try:
        import yaml  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("documents") from error
    try:
        front = yaml.load(found[1], Loader=yaml.BaseLoader)  # noqa: S506  # all values are text
    except (yaml.YAMLError, RecursionError):
        return {}, text
    return (front, text[found.end() :]) if isinstance(front, dict) else ({}, text)


def _text(value: Any) -> str | None:
    """A value of the front matter; lists and mappings are none that we know."""
    return clean(value) or None if isinstance(value, str) else None
