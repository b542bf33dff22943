"""Does a passage hold what a sentence says? By words, numbers and names, without a model."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from langchain_graft.sentences import Span, sentence_spans

HOLDS = 0.5
"""Least score of a support that holds (benchmarks/citations.py shows what it lets through)."""
ASKED_WEIGHT = 0.25
"""How much a claim's word counts that stood in the question already."""

_MARK = re.compile(r"\[\d{1,3}\]")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_STOP_WORDS = frozenset(
    (
        "a an and are as at be been by did do does for from had has have he her his how i if in "
        "into is it its no not of on or our out she so than that the their them then there these "
        "they this those to up was we were what when where which who whom whose why will with "
        "would "
        "you your about after also before between both but can could during each its itself more "
        "most other over such under while according document documents source sources answer "
    ).split()
)
_STOP_HAN = frozenset("的了是在和与及或也都而则这那它他她其被把将从到于之以为有个等所")
_HAN_DIGITS = "零一二三四五六七八九"
_HAN_NUMBER = re.compile(r"[二三四五六七八九]?十[一二三四五六七八九]?|[二三四五六七八九]")
_NAME = re.compile(r"(?<=[\w,;:] )[\"'“‘(]*[A-Z][^\W_]+")
_NEGATED = re.compile(
    r"\b(?:not|never|cannot|no longer|[a-z]+n['’]t)\s+(?:[\w'’-]+\s+){0,3}[\w'’-]+"
    r"|(?:不(?![仅但同断久少过管])|没|未|并非)[\u4e00-\u9fff]{1,8}",
    re.IGNORECASE,
)
_WINDOW_SENTENCES = 3
_EQUAL = 1e-9


class Support(NamedTuple):
    """The part of a passage that comes nearest to a claim."""

    span: Span
    score: float
    """Weighted share of the claim's content that stands there, from 0 to 1."""
    holds: bool


def find_support(
    claim: str, passage: str, *, question: str = "", about: str = ""
) -> Support | None:
    """The sentences of a passage that say what the claim says.

    The claim's content words (English by stem, Chinese by pairs of characters) are looked up in
    every run of up to three sentences; those that stood in the question count `ASKED_WEIGHT`, the
    others, which are what the claim adds, 1. The run with the largest share is the support, the
    shorter one where two are equal. It holds when

    - the share is `HOLDS` or more,
    - every number and every name in Latin letters of the claim stands in the passage, in the
      question or in `about`,
    - what the claim says of a word is not what the run denies, or the reverse: a word behind a
      negation does not match one that stands without.

    Where claim and passage are in different scripts, only numbers and Latin words are compared.

    Args:
        claim: A sentence; citation marks in it are passed over.
        passage: The document's text.
        question: What the claim answers.
        about: The passage's title and headings, whose words count as said in every sentence.

    Returns:
        None when the claim has no content to look for, or nothing of it stands in the passage.
    """
    claim = _MARK.sub(" ", claim)
    weights = _weights(claim, passage, question)
    spans = sentence_spans(passage)
    said = [_content(passage[start:end]) for start, end in spans]
    if not weights.keys() & set().union(*said):
        return None
    score, first, last = _best_run(weights, said, _content(about))
    span = Span(spans[first].start, spans[last].end)
    known = f"{passage} {about} {question}"
    holds = (
        score >= HOLDS
        and _numbers(claim) <= _numbers(known)
        and (_differ_in_script(claim, passage) or _names(claim) <= _content(known))
        and not _contradict(claim, passage[span.start : span.end])
    )
    return Support(span, score, holds=holds)


def _weights(claim: str, passage: str, question: str) -> dict[str, float]:
    """The claim's words and how much each counts."""
    wanted = _content(claim)
    if _differ_in_script(claim, passage):
        wanted = {word for word in wanted if word.isascii()}
    asked = _content(question)
    if wanted <= asked:
        return dict.fromkeys(wanted, 1.0)
    return {word: ASKED_WEIGHT if word in asked else 1.0 for word in wanted}


def _best_run(
    weights: dict[str, float], said: list[set[str]], given: set[str]
) -> tuple[float, int, int]:
    """The score of the best run of sentences, its first and its last sentence."""
    total = sum(weights.values())
    best = (0.0, 0, 0)
    for length in range(1, min(_WINDOW_SENTENCES, len(said)) + 1):
        for first in range(len(said) - length + 1):
            found = given.union(*said[first : first + length])
            score = sum(weight for word, weight in weights.items() if word in found) / total
            if score > best[0] + _EQUAL:
                best = (score, first, first + length - 1)
    return best


def _differ_in_script(claim: str, passage: str) -> bool:
    return bool(_HAN.search(claim)) != bool(_HAN.search(passage))


def _names(text: str) -> set[str]:
    """Words with a capital letter that do not begin a sentence."""
    return _content(" ".join(_NAME.findall(text)))


def _contradict(one: str, other: str) -> bool:
    """Whether a word is denied by one text and not by the other."""
    (denied, told), (other_denied, other_told) = map(_denied_and_told, (one, other))
    return bool(denied & other_told or told & other_denied)


def _denied_and_told(text: str) -> tuple[set[str], set[str]]:
    """Words that stand only behind a negation, and words that stand only elsewhere."""
    denied = _content(" ".join(_NEGATED.findall(text)))
    told = _content(_NEGATED.sub(" ", text))
    return denied - told, told - denied


def _content(text: str) -> set[str]:
    """What a text is about: stems of its words, its numbers, pairs of Chinese characters."""
    text = unicodedata.normalize("NFKC", text).lower()
    latin = (word for word in _WORD.findall(_HAN.sub(" ", text)) if word not in _STOP_WORDS)
    han = (pair for run in _HAN.findall(text) for pair in _pairs(run))
    return {*map(_stem, latin), *han, *_numbers(text)}


def _stem(word: str) -> str:
    """A word without its ending: plural, past, -ing, -ly, and what comes after six letters."""
    word = word.replace("’", "'").split("'")[0]
    for ending in ("ing", "ed", "es", "ly", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) > 2:  # noqa: PLR2004
            word = word[: -len(ending)]
            break
    return word[:6]


def _pairs(run: str) -> list[str]:
    """Pairs of neighbouring characters, those of function words left out; a single one alone."""
    if len(run) == 1:
        return [run]
    pairs = [run[n : n + 2] for n in range(len(run) - 1)]
    return [pair for pair in pairs if not _STOP_HAN & set(pair)]


def _numbers(text: str) -> set[str]:
    """The numbers in a text, also small ones written in Chinese characters."""
    text = unicodedata.normalize("NFKC", text)
    digits = {found.replace(",", "").rstrip(".") for found in _NUMBER.findall(text)}
    return digits | {str(_han_number(found[0])) for found in _HAN_NUMBER.finditer(text)}


def _han_number(text: str) -> int:
    """A number below 100 such as 四, 十二 or 三十."""
    tens, ten, ones = text.rpartition("十")
    return (10 * (_HAN_DIGITS.index(tens) if tens else 1) if ten else 0) + (
        _HAN_DIGITS.index(ones) if ones else 0
    )
