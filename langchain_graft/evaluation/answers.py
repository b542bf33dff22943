"""How good an answer is: exact match and F1 in English and Chinese."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

from langchain_graft.han import HAN_CLASS, KANA_CLASS

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARK = re.compile(r"\[\d{1,3}\]")
_TOKEN = re.compile(rf"[{HAN_CLASS}{KANA_CLASS}]|\d+(?:[.,]\d+)*|[^\W\d_]+")
_HAN = re.compile(rf"[{HAN_CLASS}{KANA_CLASS}]")
_ARTICLES = frozenset({"a", "an", "the"})


def answer_tokens(text: str) -> list[str]:
    """An answer's tokens: English words without articles, numbers, single Chinese characters.

    As SQuAD (Rajpurkar et al. 2016) and CMRC 2018 (Cui et al. 2019) normalise answers, with
    full-width and half-width forms the same, and thousands' commas and citation marks left out.
    """
    text = unicodedata.normalize("NFKC", _MARK.sub(" ", text)).casefold()
    tokens = (token.replace(",", "") for token in _TOKEN.findall(text))
    return [token for token in tokens if token not in _ARTICLES]


def exact_match(answer: str, accepted: Sequence[str]) -> float:
    """1.0 when the answer is one of the accepted ones, after normalisation."""
    return float(any(answer_tokens(answer) == answer_tokens(one) for one in accepted))


def contains_answer(answer: str, accepted: Sequence[str]) -> float:
    """1.0 when the tokens of an accepted answer stand in the answer, next to one another."""
    return float(any(_stands_in(answer_tokens(one), answer_tokens(answer)) for one in accepted))


def answer_f1(answer: str, accepted: Sequence[str]) -> float:
    """The best F1 of the answer's tokens against an accepted answer's, from 0 to 1."""
    return max((_f1(answer_tokens(answer), answer_tokens(one)) for one in accepted), default=0.0)


def _stands_in(part: list[str], whole: list[str]) -> bool:
    starts = range(len(whole) - len(part) + 1)
    return bool(part) and any(whole[start : start + len(part)] == part for start in starts)


def _f1(answer: list[str], accepted: list[str]) -> float:
    common = sum((Counter(answer) & Counter(accepted)).values())
    if not common:
        return 0.0
    precision, recall = common / len(answer), common / len(accepted)
    return 2 * precision * recall / (precision + recall)
