"""How well a name fits a text: words, and pairs of Chinese characters, small slips forgiven."""

from __future__ import annotations

import re
import unicodedata
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from langchain_graft.han import HAN_CLASS, KANA_CLASS, simplified, traditional

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST_WORDS = 64
"""Words of a text that are looked up."""
_RUN = re.compile(rf"[{HAN_CLASS}{KANA_CLASS}]+|[^\W_]+")
_HAN = re.compile(rf"[{HAN_CLASS}{KANA_CLASS}]")
_FUNCTION_WORDS = frozenset("a an and at by for from in is of on or the to was with".split())
_FUNCTION_WORD, _CHARACTER = 0.2, 0.25
_FORGIVEN_FROM, _LIKE, _SLIP = 4, 0.75, 0.9
_GRAM = 3


def name_words(text: str) -> dict[str, float]:
    """The words of a text with what each tells, from 0 to 1, in their order.

    Case, width and accents do not count. A run of Chinese gives its characters and their pairs, in
    the script that they are written in.
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    plain = "".join(one for one in plain if not unicodedata.combining(one))
    words: dict[str, float] = {}
    for run in _RUN.findall(unicodedata.normalize("NFC", plain)):
        for word, weight in _han(run) if _HAN.match(run) else [(run, _weight(run))]:
            words.setdefault(word, weight)
    return words


def in_both_scripts(words: Iterable[str]) -> list[str]:
    """The words as they are, then in simplified and in traditional characters, each once."""
    written = list(words)
    return list(dict.fromkeys([*written, *map(simplified, written), *map(traditional, written)]))


def word_grams(words: Iterable[str]) -> list[str]:
    """The runs of three characters in words that a slip may be in, each once."""
    grams = (
        f" {word} "[n : n + _GRAM].replace(" ", "0")
        for word in words
        if len(word) >= _FORGIVEN_FROM
        for n in range(len(word))
    )
    return list(dict.fromkeys(grams))


def name_score(asked: Mapping[str, float], names: Iterable[str]) -> float:
    """How well the best of some names fits the words of a text, from 0 to 1.

    score = found * (1 + asked) / 2, with the share of the name that is in the text, and the share
    of the text that is in the name; 1 is the name itself, and a name within a question is over 0.5.
    喬布斯 and 乔布斯 are one name.
    """
    plain = {simplified(word): weight for word, weight in asked.items()}
    return max((_score(plain, name_words(simplified(name))) for name in names), default=0.0)


def _score(asked: Mapping[str, float], name: Mapping[str, float]) -> float:
    if not asked or not name:
        return 0.0
    found = {word: _found(word, asked) for word in name}
    shared = sum(weight * found[word] for word, weight in name.items())
    of_name = shared / sum(name.values())
    of_text = min(1.0, shared / sum(asked.values()))
    return round(of_name * (1 + of_text) / 2, 6)


def _found(word: str, asked: Mapping[str, float]) -> float:
    if word in asked:
        return 1.0
    if len(word) < _FORGIVEN_FROM or _HAN.match(word):
        return 0.0
    return max((_likeness(word, other) for other in asked), default=0.0)


def _likeness(word: str, other: str) -> float:
    if len(other) < _FORGIVEN_FROM or abs(len(word) - len(other)) > 2:  # noqa: PLR2004
        return 0.0
    if word[0] != other[0] and word[-1] != other[-1]:
        return 0.0
    ratio = SequenceMatcher(None, word, other, autojunk=False).ratio()
    return ratio * _SLIP if ratio >= _LIKE else 0.0


def _han(run: str) -> list[tuple[str, float]]:
    pairs = [(run[n : n + 2], 1.0) for n in range(len(run) - 1)]
    return [*pairs, *((one, _CHARACTER if pairs else 1.0) for one in run)]


def _weight(word: str) -> float:
    return _FUNCTION_WORD if word in _FUNCTION_WORDS else 1.0
