"""Sections to chunks: by structure first, then by size in tokens, between sentences."""

from __future__ import annotations

import itertools
import math
import re
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_graft.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_graft.knowledge_base.readers.section import ReadDocument, Section
    from langchain_graft.models.tokens import TokenCounter

_SMALL = 0.25
_MOST_HEADING = 0.25
_WORD = re.compile(r"\s?(?:[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]|[^\s\u2e80-\u9fff]{1,32})")


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A passage as it is indexed."""

    text: str
    """What comes back."""
    embedded_text: str
    """What is searched: the text under its document's title and headings, or its question."""
    heading: str | None = None
    page: int | None = None
    row: int | None = None
    question: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


class _Piece(NamedTuple):
    """A sentence with the white space before it, and its tokens."""

    text: str
    tokens: int
    start: int


def chunk_document(
    document: ReadDocument, *, title: str, count_tokens: TokenCounter, chunk_tokens: int
) -> list[Chunk]:
    """Cut a document into passages of at most `chunk_tokens` tokens, title and headings counted.

    A section that fits is one chunk; a small one is joined with the next; a long one is cut between
    sentences into as few chunks as will do, of about equal size, at the end of a paragraph where
    that leaves the chunk at least half as long. Only a sentence that is longer than a chunk is cut
    inside.

    Args:
        document: What a reader gave.
        title: The document's title.
        count_tokens: The embedder's tokenizer.
        chunk_tokens: Most tokens of a chunk's `embedded_text`.
    """
    chunks = []
    for section in _merged(document.sections, _SMALL * chunk_tokens, count_tokens):
        above = _above(title, section, count_tokens, chunk_tokens)
        asked = _beginning(section.question or "", count_tokens, chunk_tokens)
        room = chunk_tokens - (count_tokens([above])[0] if above else 0) - 1
        packed = _packed(_pieces(section.text, count_tokens, room), room)
        chunks += [_chunk(section, pieces, above, asked) for pieces in packed]
    return chunks


def _chunk(section: Section, pieces: Sequence[_Piece], above: str, asked: str) -> Chunk:
    text = _joined_text(pieces)
    return Chunk(
        text=text,
        embedded_text=asked or (f"{above}\n{text}" if above else text),
        heading=section.heading,
        page=_page(section, pieces[0].start),
        row=section.row,
        question=section.question,
        metadata=section.metadata,
    )


def _merged(
    sections: Sequence[Section], small: float, count_tokens: TokenCounter
) -> Iterator[Section]:
    """Sections of prose that are too small to stand alone, joined with the one behind them."""
    held: Section | None = None
    for section in sections:
        is_prose = section.row is None and section.question is None
        if held is not None and is_prose and held.metadata == section.metadata:
            section = _joined(held, section)  # noqa: PLW2901
        elif held is not None:
            yield held
        held = section if is_prose and _is_small(section, small, count_tokens) else None
        if held is None:
            yield section
    if held is not None:
        yield held


def _is_small(section: Section, small: float, count_tokens: TokenCounter) -> bool:
    return len(section.text) < 8 * small and count_tokens([section.text])[0] < small


def _joined(first: Section, second: Section) -> Section:
    between = f"\n\n{second.heading}\n\n" if second.heading else "\n\n"
    shift = len(first.text) + len(between)
    return replace(
        first,
        text=first.text + between + second.text,
        pages=(*first.pages, *((offset + shift, page) for offset, page in second.pages)),
    )


def _above(title: str, section: Section, count_tokens: TokenCounter, chunk_tokens: int) -> str:
    """Title and headings, as far as they take no more than a quarter of the chunk."""
    names = [title, section.heading if section.heading != title else None]
    above = " > ".join(name for name in names if name)
    return above if count_tokens([above])[0] <= _MOST_HEADING * chunk_tokens else ""


def _beginning(text: str, count_tokens: TokenCounter, room: int) -> str:
    """As much of the text as fits."""
    return _joined_text(next(_packed(_pieces(text, count_tokens, room), room), []))


def _joined_text(pieces: Sequence[_Piece]) -> str:
    return "".join(piece.text for piece in pieces).strip()


def _pieces(text: str, count_tokens: TokenCounter, room: int) -> list[_Piece]:
    spans = sentence_spans(text)
    ends = [0, *(span.end for span in spans)]
    texts = [text[start:end] for start, end in itertools.pairwise(ends)]
    pieces = []
    counts = count_tokens(texts) if texts else []
    for start, sentence, tokens in zip(ends, texts, counts, strict=False):
        if tokens <= room:
            pieces.append(_Piece(sentence, tokens, start))
        else:
            pieces += _cut(sentence, start, count_tokens, room)
    return pieces


def _cut(sentence: str, start: int, count_tokens: TokenCounter, room: int) -> Iterator[_Piece]:
    """A sentence that fits in no chunk, between words; a word that fits in none, in halves."""
    words = [(start + found.start(), found[0]) for found in _WORD.finditer(sentence)]
    if len(words) == 1:
        (start, word), middle = words[0], len(words[0][1]) // 2
        words = [(start, word[:middle]), (start + middle, word[middle:])]
    counts = count_tokens([word for _, word in words])
    for (start, word), tokens in zip(words, counts, strict=True):
        if tokens <= room or len(word) == 1:
            yield _Piece(word, tokens, start)
        else:
            yield from _cut(word, start, count_tokens, room)


def _packed(pieces: Sequence[_Piece], room: int) -> Iterator[list[_Piece]]:
    """Runs of pieces that fit, of about equal size: a short rest at the end is found badly."""
    left = sum(piece.tokens for piece in pieces)
    chunk: list[_Piece] = []
    used = 0
    for piece in pieces:
        share = left / max(math.ceil(left / room), 1)
        if chunk and (used + piece.tokens > room or used + piece.tokens / 2 > share):
            kept = _until_paragraph(chunk, used)
            yield chunk[:kept]
            left -= sum(other.tokens for other in chunk[:kept])
            chunk = chunk[kept:]
            used = sum(other.tokens for other in chunk)
        chunk.append(piece)
        used += piece.tokens
    if chunk:
        yield chunk


def _until_paragraph(chunk: Sequence[_Piece], used: int) -> int:
    """How many pieces stand before the last new paragraph in the chunk's second half."""
    tokens = used
    for n in range(len(chunk) - 1, 0, -1):
        tokens -= chunk[n].tokens
        if 2 * tokens < used:
            break
        if "\n\n" in chunk[n].text[: len(chunk[n].text) - len(chunk[n].text.lstrip())]:
            return n
    return len(chunk)


def _page(section: Section, start: int) -> int | None:
    if not section.pages:
        return None
    found = bisect_right([offset for offset, _ in section.pages], start)
    return section.pages[max(found - 1, 0)][1]
