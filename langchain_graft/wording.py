"""What a text says, by rule: its content words and its numbers, in English and Chinese."""

import re
import unicodedata

from langchain_graft.han import HAN, simplified

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
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


def content_words(text: str) -> set[str]:
    """What a text is about: stems of its words, its numbers, pairs of simplified characters."""
    text = simplified(unicodedata.normalize("NFKC", text).lower())
    latin = (word for word in _WORD.findall(HAN.sub(" ", text)) if word not in _STOP_WORDS)
    han = (pair for run in HAN.findall(text) for pair in _pairs(run))
    return {*map(_stem, latin), *han, *numbers_in(text)}


_DOUBLED = frozenset(letter * 2 for letter in "bdgmnprt")


def _stem(word: str) -> str:
    """A word without its ending: plural, past, -ing, -ly, and what comes after six letters."""
    word = word.replace("’", "'").split("'")[0]
    for ending in ("ing", "ed", "es", "ly", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) > 2:  # noqa: PLR2004
            word = word[: -len(ending)]
            break
    if word[-2:] in _DOUBLED:
        word = word[:-1]
    return word[:6]


def _pairs(run: str) -> list[str]:
    """Pairs of neighbouring characters, those of function words left out; a single one alone."""
    if len(run) == 1:
        return [run]
    pairs = [run[n : n + 2] for n in range(len(run) - 1)]
    return [pair for pair in pairs if not _STOP_HAN & set(pair)]


def numbers_in(text: str) -> set[str]:
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
