"""Readers: a file to the sections of its document, by the file's ending."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_graft.errors import SourceError
from langchain_graft.knowledge_base.readers.section import ReadDocument, Section

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SUFFIXES", "ReadDocument", "Section", "read_file"]

_PLAIN = (".txt", ".text", ".log", ".rst")
_MARKDOWN = (".md", ".markdown", ".mdx")
_HTML = (".html", ".htm", ".xhtml")
_TABLES = (".csv", ".tsv")
_RECORDS = (".jsonl", ".ndjson", ".json")

SUFFIXES = frozenset({*_PLAIN, *_MARKDOWN, *_HTML, *_TABLES, *_RECORDS, ".pdf", ".docx"})
"""Endings of the files that can be read."""


def read_file(path: Path, *, ocr: bool = False) -> ReadDocument:
    """Read a document by its file's ending; the libraries of other kinds are not loaded.

    Args:
        path: The file.
        ocr: Read scanned PDF pages by optical character recognition.

    Raises:
        SourceError: It can not be read; the message says why and what to do.
        OSError: It is gone, or not ours to read.
    """
    suffix = path.suffix.lower()
    if suffix == ".pdf":
        from langchain_graft.knowledge_base.readers.pdf import read_pdf  # noqa: PLC0415

        return read_pdf(path, ocr=ocr)
    if suffix == ".docx":
        from langchain_graft.knowledge_base.readers.word import read_word  # noqa: PLC0415

        return read_word(path)
    if suffix in _HTML:
        from langchain_graft.knowledge_base.readers.html import read_html  # noqa: PLC0415

        return read_html(path)
    if suffix in (*_TABLES, *_RECORDS):
        from langchain_graft.knowledge_base.readers import tables  # noqa: PLC0415

        return tables.read_csv(path) if suffix in _TABLES else tables.read_jsonl(path)
    if suffix in (*_PLAIN, *_MARKDOWN):
        from langchain_graft.knowledge_base.readers import markdown  # noqa: PLC0415

        return markdown.read_plain(path) if suffix in _PLAIN else markdown.read_markdown(path)
    msg = f"files ending in {suffix!r} can not be read; there are {', '.join(sorted(SUFFIXES))}"
    raise SourceError(msg)
