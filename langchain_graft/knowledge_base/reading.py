"""A document to the chunks that are indexed: what a reading process does for one file."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError, SourceError
from langchain_graft.knowledge_base.chunking import chunk_document
from langchain_graft.knowledge_base.readers import ReadDocument, read_file

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_graft.knowledge_base.settings import IngestSettings
    from langchain_graft.models.tokens import TokenCounter

_LANGUAGE_SAMPLE = 400
_HAN = re.compile(r"[\u4e00-\u9fff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_HANGUL = re.compile(r"[\uac00-\ud7af]")


@dataclass(frozen=True, kw_only=True)
class ReadChunk:
    """A chunk on its way into the journal."""

    text: str
    embedded_text: str
    metadata: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Chunker:
    """How documents are cut; plain data, so that it can be sent to another process."""

    settings: IngestSettings
    counter: TokenCounter

    def read(self, path: Path) -> tuple[str, list[ReadChunk]]:
        """Read and cut a file.

        Returns:
            The sha256 of its bytes, and its chunks.

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
        return digest, self.cut(document, name=path.stem, date=changed)

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
        title = document.title or name
        shared = {
            "title": title,
            "date": document.date or date,
            "language": document.language or detect_language(document.sections[0].text),
        }
        chunks = chunk_document(
            document,
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
                        "heading": chunk.heading,
                        "page": chunk.page,
                        "row": chunk.row,
                        "question": chunk.question,
                    }.items()
                    if value is not None
                },
            )
            for chunk in chunks
        ]


def detect_language(text: str) -> str:
    """A text's language as a two-letter code: by script where that tells, else by its letters."""
    sample = text[:_LANGUAGE_SAMPLE]
    for script, code in ((_KANA, "ja"), (_HANGUL, "ko"), (_HAN, "zh")):
        if len(script.findall(sample)) > 0.1 * len(sample):
            return code
    try:
        import py3langid
    except ImportError as error:
        raise MissingExtraError("documents") from error
    return str(py3langid.classify(sample)[0])
