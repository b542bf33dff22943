"""Does a passage hold what a sentence says? By words, numbers and names, without a model."""

from __future__ import annotations

import re
from typing import NamedTuple

from langchain_graft.han import HAN
from langchain_graft.sentences import Span, sentence_spans
from langchain_graft.wording import content_words, numbers_in

HOLDS = 0.5
"""Least score of a support that holds (benchmarks/citations.py shows what it lets through)."""
ASKED_WEIGHT = 0.25
"""How much a claim's word counts that stood in the question already."""

_MARK = re.compile(r"\[\d{1,3}\]")
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
    said = [content_words(passage[start:end]) for start, end in spans]
    if not weights.keys() & set().union(*said):
        return None
    score, first, last = _best_run(weights, said, content_words(about))
    span = Span(spans[first].start, spans[last].end)
    known = f"{passage} {about} {question}"
    holds = (
        score >= HOLDS
        and numbers_in(claim) <= numbers_in(known)
        and (_differ_in_script(claim, passage) or _names(claim) <= content_words(known))
        and not _contradict(claim, passage[span.start : span.end])
    )
    return Support(span, score, holds=holds)


def _weights(claim: str, passage: str, question: str) -> dict[str, float]:
    """The claim's words and how much each counts."""
    wanted = content_words(claim)
    if _differ_in_script(claim, passage):
        wanted = {word for word in wanted if word.isascii()}
    asked = content_words(question)
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
    return bool(HAN.search(claim)) != bool(HAN.search(passage))


def _names(text: str) -> set[str]:
    """Words with a capital letter that do not begin a sentence."""
    return content_words(" ".join(_NAME.findall(text)))


def _contradict(one: str, other: str) -> bool:
    """Whether a word is denied by one text and not by the other."""
    (denied, told), (other_denied, other_told) = map(_denied_and_told, (one, other))
    return bool(denied & other_told or told & other_denied)


def _denied_and_told(text: str) -> tuple[set[str], set[str]]:
    """Words that stand only behind a negation, and words that stand only elsewhere."""
    denied = content_words(" ".join(_NEGATED.findall(text)))
    told = content_words(_NEGATED.sub(" ", text))
    return denied - told, told - denied
