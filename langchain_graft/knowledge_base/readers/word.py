"""Word documents (docx): headings, lists and tables as Markdown."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from langchain_graft.errors import MissingExtraError, SourceError
from langchain_graft.knowledge_base.readers.html import to_markdown
from langchain_graft.knowledge_base.readers.markdown import first_heading, markdown_sections
from langchain_graft.knowledge_base.readers.section import ReadDocument

if TYPE_CHECKING:
    from pathlib import Path

try:
    import mammoth
except ImportError as error:
    raise MissingExtraError("documents") from error

MOST_UNPACKED_BYTES = 1 << 30
_ENCRYPTED = b"\xd0\xcf\x11\xe0"
_CORE = "docProps/core.xml"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_CREATED = "{http://purl.org/dc/terms/}created"


def read_word(path: Path) -> ReadDocument:
    """A docx file: a section per heading.

    Raises:
        SourceError: It is no docx, is protected by a password, or unpacks to over a gigabyte.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > MOST_UNPACKED_BYTES:
                msg = f"it unpacks to {unpacked / 1e9:.1f} GB, more than a document does"
                raise SourceError(msg)
            title, created = _properties(archive)
        with path.open("rb") as file:
            html = mammoth.convert_to_html(file, convert_image=_no_image).value
    except (zipfile.BadZipFile, KeyError, ET.ParseError, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # the file's; mammoth's own have no number
            raise
        raise SourceError(_why(path)) from error
    text = to_markdown(html)
    return ReadDocument(
        sections=markdown_sections(text), title=first_heading(text) or title, date=created
    )


def _no_image(_: object) -> list[object]:
    return []


def _properties(archive: zipfile.ZipFile) -> tuple[str | None, str | None]:
    if _CORE not in archive.namelist():
        return None, None
    root = ET.fromstring(archive.read(_CORE))  # noqa: S314
    return root.findtext(_TITLE) or None, root.findtext(_CREATED) or None


def _why(path: Path) -> str:
    with path.open("rb") as file:
        if file.read(4) == _ENCRYPTED:
            return "it is protected by a password or an old .doc. Save it as .docx without password"
    return "it is no readable docx. Open it in Word and save it again"
