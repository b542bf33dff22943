"""A text in units that can be left out, what is never left out, and the text without some of them.

Pure: texts and offsets in, offsets out.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left
from typing import TYPE_CHECKING, Literal, NamedTuple

from langchain_graft.sentences import Span, sentence_spans

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

UnitKind = Literal["sentence", "phrase"]

_NUMBER = re.compile(
    r"\d|[¹²³⁴-⁹½¼¾]|[零二三四五六七八九十百千万亿两]|\b[IVX]{2,}\b"
    r"|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven"
    r"|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundreds?|thousands?|[mb]illions?"
    r"|dozens?|twice|half)\b",
    re.IGNORECASE,
)
_NEGATION = re.compile(
    r"\b(?:not|no|nor|never|none|nobody|nothing|nowhere|neither|cannot|without|unless|except"
    r"|hardly|barely|[a-z]+n['’]t)\b"
    r"|不(?![仅但同断久少过管])|[没未莫勿]|并非|除非|无(?![线数论])|别[^的人名墅处]|非(?![常洲凡])",
    re.IGNORECASE,
)
_QUOTE = re.compile(r"[\"“”«»„「」『』《》]|(?<!\w)['‘](?=\w)[^'’\n]{1,80}(?<=\w)['’](?!\w)")
_MARK = re.compile(r"[\[［【][^\]］】\n]{1,30}[\]］】]")
_CLAUSE = re.compile(
    r"[,;:](?=\s)|[，；：]|\s[–—](?=\s)|——"
    r"|\s(?=(?:but|which|who|whose|whom|where|because|although|though|while|whereas)\s)"
)
_TOGETHER = re.compile(
    r"\([^()]*\)|\[[^\[\]]*\]|（[^（）]*）|“[^“”]*”|\"[^\"\n]*\"|「[^「」]*」|《[^《》]*》"
)
_TAIL = re.compile(
    r"(?<![.!?。！？…;；])[.!?。！？…;；]++[\"'”’)\]」』】）]*+(?:\s*\[\d{1,3}\])*[.。]?\Z"
)
_OPENING = re.compile(r"[\s,;:，；：–—]*")
_WORD = re.compile(r"[\u3400-\u9fff]{2}|[^\W_]+")
_LEAST_WORDS = 3


class Sentence(NamedTuple):
    """A sentence and its units, in order."""

    span: Span
    units: tuple[Span, ...]


def is_guarded(text: str) -> bool:
    """Whether a unit may not be left out: numbers, negations, quotation marks, citation marks."""
    guards = (_NUMBER, _NEGATION, _QUOTE, _MARK)
    return any(guard.search(text) for guard in guards)


def has_negation(text: str) -> bool:
    """Whether a text denies something, as far as its words show it."""
    return bool(_NEGATION.search(text))


def number_words(text: str) -> set[str]:
    """Digits, and words for numbers."""
    return {found.lower() for found in _NUMBER.findall(text)}


def sentences_of(text: str, kind: UnitKind) -> list[Sentence]:
    """The sentences of a text with their units.

    Phrases begin at a comma, a colon, a dash or a word such as "which", in Chinese at ，；：, but
    not within brackets or quotation marks, and have three words or more. The punctuation that
    opens a phrase belongs to it, the full stop belongs to none.
    """
    spans = sentence_spans(text)
    return [Sentence(span, _phrases(text, span) if kind == "phrase" else (span,)) for span in spans]


def guarded_units(text: str, sentence: Sentence) -> set[Span]:
    """The units that may not be left out; the last one with what stands behind the full stop."""
    ends = [*(unit.end for unit in sentence.units[:-1]), sentence.span.end]
    pairs = zip(sentence.units, ends, strict=True)
    return {unit for unit, end in pairs if is_guarded(text[unit.start : end])}


def left_out(text: str, sentences: Sequence[Sentence], kept: Collection[Span]) -> list[Span]:
    """What of a text is left out when only some of its units are kept.

    The text without it reads on: between two sentences stands the widest of the gaps that were
    there, a sentence without its last phrase has its full stop, and one without its first does not
    begin with a comma.

    Args:
        text: The text.
        sentences: As `sentences_of` gives them.
        kept: The units that stay.

    Returns:
        Spans in order, none touching the next; nothing where all units are kept.
    """
    inside = [span for one in sentences for span in _left_out_phrases(text, one.units, kept)]
    return _joined(sorted([*_left_out_sentences(text, sentences, kept), *inside]))


def without(text: str, spans: Sequence[Span]) -> str:
    """The text without these parts, which are in order and do not overlap."""
    borders = [0, *itertools.chain.from_iterable(spans), len(text)]
    return "".join(text[start:end] for start, end in zip(borders[::2], borders[1::2], strict=True))


def _phrases(text: str, span: Span) -> tuple[Span, ...]:
    sentence = text[span.start : span.end]
    tail = _TAIL.search(sentence)
    end = tail.start() if tail and tail.start() else len(sentence)
    closed = [found.span() for found in _TOGETHER.finditer(sentence)]
    words = [found.start() for found in _WORD.finditer(sentence)]

    def is_phrase(start: int, stop: int) -> bool:
        return bisect_left(words, stop) - bisect_left(words, start) >= _LEAST_WORDS

    borders = [0]
    for at in (found.start() for found in _CLAUSE.finditer(sentence, 0, end)):
        before = bisect_left(closed, (at,)) - 1
        is_inside = before >= 0 and at < closed[before][1]
        if not is_inside and is_phrase(borders[-1], at):
            borders.append(at)
    if len(borders) > 1 and not is_phrase(borders[-1], end):
        borders.pop()
    pairs = itertools.pairwise([*borders, end])
    return tuple(Span(span.start + a, span.start + b) for a, b in pairs)


def _left_out_sentences(
    text: str, sentences: Sequence[Sentence], kept: Collection[Span]
) -> Iterator[Span]:
    """Runs of sentences, each with all the gaps around it but the widest."""
    whole = [one.span for one in sentences]
    stay = [one.span for one in sentences if any(unit in kept for unit in one.units)]
    if len(stay) == len(whole):
        return
    if not stay or stay[0] != whole[0]:
        yield Span(0, stay[0].start if stay else len(text))
    for before, after in itertools.pairwise(stay):
        run = [span for span in whole if before.start <= span.start <= after.start]
        gaps = [Span(a.end, b.start) for a, b in itertools.pairwise(run)]
        widest = max(gaps, key=lambda gap: text.count("\n", *gap))
        yield from (Span(before.end, widest.start), Span(widest.end, after.start))
    if stay and stay[-1] != whole[-1]:
        yield Span(stay[-1].end, len(text))


def _left_out_phrases(text: str, units: Sequence[Span], kept: Collection[Span]) -> Iterator[Span]:
    """Within a sentence of which something stays: the others, and a comma that would come first."""
    stay = [unit for unit in units if unit in kept]
    if stay:
        yield from (unit for unit in units if unit not in kept)
    if stay and stay[0] != units[0] and (found := _OPENING.match(text, *stay[0])):
        yield Span(*found.span())


def _joined(spans: Sequence[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in spans:
        if span.start == span.end:
            continue
        if joined and joined[-1].end >= span.start:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined
