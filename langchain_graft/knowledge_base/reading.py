"""A document to the chunks that are indexed: what a reading process does for one file."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_graft.errors import MissingExtraError, SourceError
from langchain_graft.knowledge_base.chunking import chunk_document
from langchain_graft.knowledge_base.readers import ReadDocument, Section, read_file
from langchain_graft.knowledge_base.readers.text import clean

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_graft.knowledge_base.settings import IngestSettings
    from langchain_graft.models.tokens import TokenCounter

_LANGUAGE_SAMPLE = 400
_FEWEST_LETTERS = 20
_LONGEST_NAME = 500
_TAG = re.compile(r"([A-Za-z]{2,3})(?:[-_]|\Z)")
_BY_SCRIPT = {
    "ja": re.compile(r"[\u3040-\u30ff]"),
    "ko": re.compile(r"[\uac00-\ud7af]"),
    "zh": re.compile(r"[\u4e00-\u9fff]"),
}


@dataclass(frozen=True, kw_only=True)
class ReadChunk:
    """A chunk on its way into the journal."""

    text: str
    embedded_text: str
    metadata: dict[str, Any]


class Read(NamedTuple):
    """A file as it was read."""

    digest: str
    """Sha256 of its bytes."""
    chunks: list[ReadChunk]
    unread: str = ""
    """Which of its parts could not be read, and why; '' when all of it was."""


@dataclass(frozen=True, kw_only=True)
class Chunker:
    """How documents are cut; plain data, so that it can be sent to another process."""

    settings: IngestSettings
    counter: TokenCounter

    def read(self, path: Path) -> Read:
        """Read and cut a file.

        Raises:
            SourceError: It can not be read, is too large, or holds no text.
            OSError: It is gone, or not ours to read.
        """
        size = path.stat().st_size
        if size > self.settings.max_file_mb * 1_000_000:
            msg = (
                f"it has {size / 1e6:.0f} MB, more than the limit of {self.settings.max_file_mb}. "
                "Split it, or make the knowledge base with a larger max_file_mb"
            )
            raise SourceError(msg)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        document = read_file(path, ocr=self.settings.ocr)
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
        chunks = self.cut(document, name=path.stem, date=changed)
        return Read(digest, chunks, document.unread)

    def cut(self, document: ReadDocument, *, name: str, date: str | None = None) -> list[ReadChunk]:
        """Cut a document, and give each chunk the document's metadata.

        Args:
            document: What a reader gave.
            name: Its title, if it has none of its own.
            date: Its date, if it has none of its own.

        Raises:
            SourceError: It holds no text, or too much.
        """
        characters = sum(len(section.text) for section in document.sections)
        if not characters:
            msg = "it holds no text. Remove it, or put something in it"
            raise SourceError(msg)
        if characters > self.settings.max_text_mb * 1_000_000:
            msg = (
                f"it holds {characters / 1e6:.0f} million characters of text, more than the limit "
                f"of {self.settings.max_text_mb}. Split it, or make the knowledge base with a "
                "larger max_text_mb"
            )
            raise SourceError(msg)
        title = _name(document.title) or name
        shared = {"title": title, "date": _name(document.date) or date}
        chunks = chunk_document(
            replace(document, sections=_with_languages(document)),
            title=title,
            count_tokens=self.counter,
            chunk_tokens=self.settings.chunk_tokens,
        )
        return [
            ReadChunk(
                text=chunk.text,
                embedded_text=chunk.embedded_text,
                metadata={
                    key: value
                    for key, value in {
                        **chunk.metadata,
                        **shared,
                        "heading": _name(chunk.heading),
                        "page": chunk.page,
                        "row": chunk.row,
                        "question": chunk.question,
                    }.items()
                    if value is not None
                },
            )
            for chunk in chunks
        ]


def _name(text: str | None) -> str | None:
    """A title, date or heading as it can be kept with each chunk."""
    return clean(text[:_LONGEST_NAME]) or None if text else None


def _with_languages(document: ReadDocument) -> list[Section]:
    """The sections, each with its language: the document's own word for it, or what it looks like.

    A section of prose that is too short to tell is taken for the language of the whole document;
    rows of a table may be of different ones.
    """
    said = _TAG.match(document.language or "")
    beginning = "\n".join(s.text[:_LANGUAGE_SAMPLE] for s in document.sections[:_LANGUAGE_SAMPLE])
    whole = said[1].lower() if said else detect_language(beginning)

    def language(section: Section) -> str:
        text = f"{section.question or ''}\n{section.text}"
        by_itself = section.row is not None or whole in _BY_SCRIPT
        return whole if said else detect_language(text, otherwise="en" if by_itself else whole)

    return [
        replace(section, metadata={**section.metadata, "language": language(section)})
        for section in document.sections
    ]


def detect_language(text: str, *, otherwise: str = "en") -> str:
    """A text's language as a two-letter code: by script where that tells, else by its letters.

    Args:
        text: Of which the beginning is looked at.
        otherwise: What it is when it has too few letters to tell.
    """
    sample = text[:_LANGUAGE_SAMPLE]
    letters = sum(map(str.isalpha, sample))
    for code, script in _BY_SCRIPT.items():
        if len(script.findall(sample)) > 0.1 * letters:
            return code
    if letters < _FEWEST_LETTERS:
        return otherwise
    try:
        import py3langid
    except ImportError as error:
        raise MissingExtraError("documents") from error
    return str(py3langid.classify(sample)[0])
