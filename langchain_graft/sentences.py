"""Sentences of English and Chinese text, by rule, with their place in the text."""

import itertools
import re
from typing import NamedTuple

_ABBREVIATIONS = (
    "mr mrs ms dr prof st sr jr vs etc inc ltd co corp no fig vol pp ed eds al e.g i.e u.s u.k "
    "jan feb mar apr jun jul aug sep sept oct nov dec approx dept gen col sen rep gov "
).split()
_ABBREVIATION = re.compile(
    rf"(?:(?<!\w)(?:{'|'.join(map(re.escape, _ABBREVIATIONS))}|[A-Za-z])"
    r"|(?<![\w.,$€£¥])\d+)\.\Z",
    re.IGNORECASE,
)
_END = re.compile(
    r"""
    (?: [。！？；…]+ [”’」』）)\]】"']*          # Chinese: no space is needed behind
      | (?<![.!?])[.!?]++ ["'”’)\]]*+ (?= \s | \[\d | $ )   # Latin; each run is tried once
      | \n \s* \n \s* | \n (?= \s* (?: [-*#|•] | \d+[.)] ) )   # a paragraph, a list's item
    )
    (?: \s* (?: \[\d{1,3}\] )+ [.。]* )?         # marks behind the full stop belong to it
    """,
    re.VERBOSE,
)


class Span(NamedTuple):
    """A part of a text: `text[start:end]`."""

    start: int
    end: int


def sentence_spans(text: str) -> list[Span]:
    """The sentences of a text in order, without the white space around them.

    Citation marks such as `[2]` behind a full stop count to the sentence before them. A full stop
    after an abbreviation, an initial or a list's number ends none.
    """
    ends = [m.end() for m in _END.finditer(text) if not _is_abbreviated(text, m)]
    borders = [0, *ends, len(text)]
    spans = []
    for start, end in itertools.pairwise(borders):
        piece = text[start:end]
        if stripped := piece.strip():
            first = start + piece.index(stripped)
            spans.append(Span(first, first + len(stripped)))
    return spans


def sentences(text: str) -> list[str]:
    """The sentences of a text in order."""
    return [text[start:end] for start, end in sentence_spans(text)]


def _is_abbreviated(text: str, end: re.Match[str]) -> bool:
    if end[0] != ".":
        return False
    line = text[max(0, end.start() - 12) : end.start() + 1]
    if not (found := _ABBREVIATION.search(line)):
        return False
    behind = text[end.end() : end.end() + 100]
    return not _closes_a_sentence(found[0], behind.lstrip()[:1])


def _closes_a_sentence(word: str, following: str) -> bool:
    """Whether `1976.` or `C.` ends its sentence: a number may, when a capital letter follows."""
    long_number = len(word) > 3 and word[:-1].isdigit()  # noqa: PLR2004
    return not following or (long_number and not following.islower())
