"""PDF: the text of its pages put back into paragraphs; scanned pages by OCR."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from langchain_graft.errors import MissingExtraError, SourceError
from langchain_graft.knowledge_base.readers.section import ReadDocument, Section
from langchain_graft.knowledge_base.readers.text import clean

try:
    import pypdfium2
except ImportError as error:
    raise MissingExtraError("documents") from error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pypdfium2 import PdfDocument, PdfPage

_PASSWORD_ERROR = 4
_OCR_DPI = 200
_OCR_ADVICE = "Read it with OCR: pip install 'langchain-graft[ocr]', then graft ingest --ocr"
_MOST_NAMED = 10
_REPEATED = 0.6
_SHORT = 0.6
_FULL = 0.9
_PAGE_NUMBER = re.compile(
    r"(?:page\s*|第\s*|[-–—]\s*)?\d{1,4}(?:\s*(?:/|of)\s*\d{1,4})?(?:\s*页|\s*[-–—])?",
    re.IGNORECASE,
)
_END = re.compile(r"[.!?。！？…]['\"”’」』）)\]]*$")
_STOP = re.compile(r"[.!?:;,。！？：；，、…]['\"”’」』）)\]]*$")
_ITEM = re.compile(r"[•●▪◦*–-]\s|\d{1,2}[.)、]\s*\D|[（(]\d{1,2}[）)]")
_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")


def read_pdf(path: Path, *, ocr: bool = False) -> ReadDocument:
    """A PDF: a section per heading, each with the pages it stands on.

    Pages without text that are not blank are read by `ocr`, or named in the document's `unread`.

    Args:
        path: The file.
        ocr: Read them by optical character recognition (English and Chinese).

    Raises:
        SourceError: It is damaged, needs a password, or none of its pages has text.
    """
    if path.stat().st_size == 0:
        msg = "it is empty (0 bytes). Download or export it again"
        raise SourceError(msg)
    document = _open(path)
    try:
        pages = [_page_text(page) for page in document]
        scanned = [n for n, text in enumerate(pages) if not text and not _is_blank(document[n])]
        if scanned and ocr:
            read = _ocr_reader()
            for n in scanned:
                pages[n] = read(document[n])
        details = document.get_metadata_dict()
    finally:
        document.close()
    if not any(pages):
        advice = "OCR found none either" if ocr else _OCR_ADVICE
        msg = f"none of its pages has text: it seems to be scanned. {advice}"
        raise SourceError(msg)
    return ReadDocument(
        sections=_sections(_without_running_lines([page.split("\n") for page in pages])),
        title=details.get("Title") or None,
        date=_date(details.get("CreationDate", "")),
        unread=f"{_named(scanned)} no text: {_OCR_ADVICE}" if scanned and not ocr else "",
    )


def _open(path: Path) -> PdfDocument:
    try:
        return pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == _PASSWORD_ERROR or "assword" in str(error):
            msg = "it is protected by a password. Save it without one and ingest it again"
        else:
            msg = f"it is no readable PDF ({error}). Download or export it again"
        raise SourceError(msg) from error


def _page_text(page: PdfPage) -> str:
    textpage = page.get_textpage()
    try:
        return clean(textpage.get_text_bounded())
    finally:
        textpage.close()
        page.close()


def _is_blank(page: PdfPage) -> bool:
    try:
        return next(page.get_objects(max_depth=1), None) is None
    finally:
        page.close()


def _named(pages: list[int]) -> str:
    """Pages that are counted from 0, for a reader: "pages 2, 5 have"."""
    if len(pages) == 1:
        return f"page {pages[0] + 1} has"
    more = f" and {len(pages) - _MOST_NAMED} more" if len(pages) > _MOST_NAMED else ""
    return f"pages {', '.join(str(n + 1) for n in pages[:_MOST_NAMED])}{more} have"


def _ocr_reader() -> Callable[[PdfPage], str]:
    try:
        from rapidocr_onnxruntime import RapidOCR  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("ocr") from error
    engine = RapidOCR()

    def read(page: PdfPage) -> str:
        picture = page.render(scale=_OCR_DPI / 72).to_numpy()
        lines, _ = engine(picture)
        page.close()
        return clean("\n".join(line[1] for line in lines or []))

    return read


def _without_running_lines(pages: list[list[str]]) -> list[list[str]]:
    """The pages without page numbers and without headers and footers that repeat."""

    def shape(line: str) -> str:
        return re.sub(r"\d+", "#", line.strip())

    edges = Counter(
        edge for page in pages for edge in {shape(line) for line in [*page[:2], *page[-2:]]}
    )
    least = max(3, _REPEATED * len(pages))

    def runs(line: str) -> bool:
        return bool(_PAGE_NUMBER.fullmatch(line.strip())) or edges[shape(line)] >= least

    kept = []
    for page in pages:
        lines = list(page)
        while lines and (not lines[0].strip() or runs(lines[0])):
            lines.pop(0)
        while lines and (not lines[-1].strip() or runs(lines[-1])):
            lines.pop()
        kept.append(lines)
    return kept


def _sections(pages: list[list[str]]) -> list[Section]:
    """The pages' lines as sections under their headings, broken lines joined to paragraphs."""
    lines = [(n, line.strip()) for n, page in enumerate(pages, 1) for line in page]
    widest = max((len(line) for _, line in lines), default=0)
    padded = ["", *(line for _, line in lines), ""]
    sections: list[Section] = []
    heading: str | None = None
    text = ""
    starts: list[tuple[int, int]] = []
    for (page, line), before, after in zip(lines, padded, padded[2:], strict=False):
        if _is_heading(before, line, after, widest):
            sections += _section(text, heading, starts)
            heading, text, starts = line, "", []
        elif line:
            text += _between(text, before, line, widest)
            if not starts or starts[-1][1] != page:
                starts.append((len(text), page))
            text += line
    return [*sections, *_section(text, heading, starts)]


def _section(text: str, heading: str | None, starts: list[tuple[int, int]]) -> list[Section]:
    return [Section(text=text, heading=heading, pages=tuple(starts))] if text else []


def _is_heading(before: str, line: str, after: str, widest: int) -> bool:
    """A short line without a full stop between the end of one paragraph and a longer line."""
    is_short = 0 < len(line) < min(_SHORT * widest, len(after))
    stands_alone = not before or bool(_END.search(before))
    return is_short and stands_alone and not _STOP.search(line) and not _ITEM.match(line)


def _ends_paragraph(line: str, widest: int) -> bool:
    return bool(_END.search(line)) and len(line) < _FULL * widest


def _between(text: str, before: str, line: str, widest: int) -> str:
    """What stands between the text so far, whose last line was `before`, and the next line."""
    if not text:
        return ""
    if not before or _ends_paragraph(before, widest) or _ITEM.match(line):
        return "\n" if _ITEM.match(line) else "\n\n"
    return "" if _WIDE.match(before[-1]) or _WIDE.match(line) else " "


def _date(stamp: str) -> str | None:
    found = re.match(r"D:(\d{4})(\d{2})?(\d{2})?", stamp)
    return "-".join(part for part in found.groups() if part) if found else None
