"""What a reader gives: a document as sections."""

from __future__ import annotations

from dataclasses import dataclass, field

OUR_METADATA = frozenset(
    ("title", "date", "language", "heading", "page", "row", "question", "source", "source_id")
)
"""Names that every chunk's metadata uses for itself."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a document that stands under one heading."""

    text: str
    heading: str | None = None
    """The path of headings above it, such as "History > Price"."""
    pages: tuple[tuple[int, int], ...] = ()
    """Pairs of offset in `text` and the page (from 1) that begins there."""
    row: int | None = None
    """Of a table, from 1."""
    question: str | None = None
    """What this is the answer to: the question is embedded, `text` comes back."""
    metadata: dict[str, str | int | float | bool] = field(default_factory=dict)
    """What else is known of it."""


@dataclass(frozen=True, kw_only=True)
class ReadDocument:
    """A document as a reader gives it."""

    sections: list[Section]
    title: str | None = None
    date: str | None = None
    """The document's own date, as ISO 8601."""
    language: str | None = None
    """The document's own word for it, as a BCP 47 tag."""
    unread: str = ""
    """Which of its parts could not be read, and why; '' when all of it was."""
