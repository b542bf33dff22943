"""Whether two names can be one thing's, by rule, and why. English and Chinese."""

from __future__ import annotations

import re
import unicodedata
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Literal, NamedTuple

from langchain_graft.han import HAN, HAN_CLASS, simplified

Reason = Literal[
    "said to be the same",
    "same name",
    "same name without its form",
    "initials",
    "part of the name",
    "abbreviation",
    "spelling",
    "near in meaning",
]

SAID: Reason = "said to be the same"
NEAR: Reason = "near in meaning"

_HAN_CHARACTER = re.compile(rf"[{HAN_CLASS}]")
_POSSESSIVE = re.compile(r"['’`]s\b")
_NOT_WORD = re.compile(r"[^\w\s&+#]|_")
_DOTTED = re.compile(r"\b(?:[^\W\d_]\.\s?){2,}")
_FORMS = frozenset(
    "inc incorporated corp corporation co company ltd limited llc plc gmbh ag sa nv bv kk oy ab "
    "spa holdings group".split()
)
_TITLES = frozenset(
    "mr mrs ms dr prof professor sir lord lady president king queen saint st rev captain general "
    "senator judge".split()
)
_ARTICLES = frozenset("the a an".split())
_SMALL = frozenset("of and the for de la du von van in on at &".split())
_HAN_FORMS = re.compile(
    r"(?:股份有限公司|有限责任公司|集团公司|有限公司|总公司|集团|公司|电脑公司|计算机公司)\Z"
)
_HAN_TITLES = re.compile(r"(?:先生|女士|小姐|教授|博士|院士|老师|总裁|总经理|董事长|同志)\Z")
_GENERIC = frozenset("computer computers records university college school party".split())
_ROMAN = frozenset("i ii iii iv v vi vii viii ix x xi xii".split())
_GENERATION = frozenset("jr junior sr senior".split())
_SHORT_NAMES = {
    short: full
    for full, shorts in {
        "william": "bill will billy",
        "robert": "bob rob bobby",
        "richard": "dick rick rich",
        "edward": "ed ted eddie",
        "james": "jim jimmy",
        "john": "jack johnny",
        "charles": "chuck charlie",
        "margaret": "peggy meg",
        "elizabeth": "liz beth betty",
        "anthony": "tony",
        "henry": "harry hank",
        "joseph": "joe",
        "theodore": "ted",
    }.items()
    for short in shorts.split()
}
_SPELLING = 0.86
_SHORTEST_SPELLING = 5
_SHORTEST_SURNAME = 3
_SHORTEST_ACRONYM = 2
_HAN_FULL = 4


class NameMatch(NamedTuple):
    """Why two names can be one thing's, and how likely that alone makes it (0 to 1)."""

    reason: Reason
    prior: float


@lru_cache(maxsize=100_000)
def plain_name(name: str) -> str:
    """A name in its plainest form: "the U.S." is "us", 喬布斯先生 is 乔布斯.

    Without case, width, punctuation, article, title, possessive; in simplified characters.
    """
    text = simplified(unicodedata.normalize("NFKC", name))
    text = _DOTTED.sub(lambda found: re.sub(r"[.\s]", "", found[0]) + " ", text)
    text = _NOT_WORD.sub(" ", _POSSESSIVE.sub("", text)).casefold()
    words = text.split()
    while len(words) > 1 and words[0] in _ARTICLES | _TITLES:
        words = words[1:]
    plain = " ".join(words)
    plain = re.sub(rf"(?<=[{HAN_CLASS}])\s+(?=[{HAN_CLASS}])", "·", plain)
    return _HAN_TITLES.sub("", plain) or plain


@lru_cache(maxsize=100_000)
def core_name(name: str) -> str:
    """The plain name without a legal form: "Apple Computer, Inc." is "apple computer"."""
    words = plain_name(name).split()
    while len(words) > 1 and words[-1] in _FORMS:
        words = words[:-1]
    core = " ".join(words)
    while (shorter := _HAN_FORMS.sub("", core)) not in ("", core):
        core = shorter
    return core


def initials(name: str) -> str:
    """The first letters of a name's words, small words left out; empty for fewer than two."""
    words = [word for word in plain_name(name).split() if word not in _SMALL]
    return "".join(word[0] for word in words) if len(words) > 1 else ""


def match_names(  # noqa: C901, PLR0911  # one return a rule
    one: str, other: str, *, kind: str = ""
) -> NameMatch | None:
    """Whether two names can be one thing's.

    Args:
        one: A name.
        other: Another.
        kind: What both are, as `kind_of` says; only persons go by a part of their names.

    Returns:
        The strongest reason; None where there is none.
    """
    first, second = plain_name(one), plain_name(other)
    if first == second:
        return NameMatch("same name", _same_name_prior(one, other, kind))
    if _numbers(first) != _numbers(second):
        return _without_number(first, second, kind)
    if core_name(one) == core_name(other):
        return NameMatch("same name without its form", 0.56)
    if kind in ("person", "") and (found := _match_persons(first, second)):
        return found
    if kind != "person":
        if _abbreviates(one, other):
            return NameMatch("abbreviation", 0.55)
        if _is_head(core_name(one), core_name(other)):
            return NameMatch("part of the name", 0.5)
        if _is_tail(core_name(one), core_name(other)):
            return NameMatch("part of the name", 0.45)
    is_slip = _is_spelling(first, second) and (kind != "person" or _is_slip(first, second))
    return NameMatch("spelling", 0.5) if is_slip else None


def names_conflict(one: str, other: str) -> bool:
    """Whether two persons' full names share the last word but can not be one's: J. F. and R. F."""
    first, second = plain_name(one).split(), plain_name(other).split()
    both_full = min(len(first), len(second)) > 1
    return both_full and first[-1] == second[-1] and match_names(one, other, kind="person") is None


def _same_name_prior(one: str, other: str, kind: str) -> float:
    """Two persons of a name are often two; two machines of a name and number are one."""
    if one.isupper() != other.isupper() and one.isascii():
        return 0.4  # WHO and The Who
    prior = 0.5 if kind == "person" else 0.56
    return prior + 0.15 if _is_distinctive(plain_name(one)) else prior


def _is_distinctive(plain: str) -> bool:
    return len(plain.split()) > 2 or bool(_numbers(plain)) or len(_HAN_CHARACTER.findall(plain)) > 3  # noqa: PLR2004


def _numbers(plain: str) -> tuple[str, ...]:
    """What tells models and parts apart: digits, Roman numerals behind a word, plus signs."""
    words = plain.split()
    digits = re.findall(r"\d+|[+#]", plain)
    roman = [word for n, word in enumerate(words) if n and word in _ROMAN]
    return (*digits, *roman)


def _match_persons(one: str, other: str) -> NameMatch | None:  # noqa: PLR0911  # the same
    if HAN.search(one) or HAN.search(other):
        part, whole = sorted((one, other), key=len)
        parts = whole.split("·")
        is_part = len(parts) > 1 and part in (parts[-1], parts[0])
        return NameMatch("part of the name", 0.45) if is_part else None
    first = [word for word in one.split() if word not in _GENERATION]
    second = [word for word in other.split() if word not in _GENERATION]
    short, long = sorted((first, second), key=len)
    if not short:
        return None
    if short[-1] != long[-1]:
        return NameMatch("part of the name", 0.4) if _is_called(short, long) else None
    if len(short) == 1:
        return NameMatch("part of the name", 0.5)
    if _given_names_agree(short[:-1], long[:-1]):
        return NameMatch("initials", 0.6)
    return NameMatch("initials", 0.5) if set(short) < set(long) else None


def _is_called(short: list[str], long: list[str]) -> bool:
    """Whether one word is the other's given name, or begins its first or last name: Woz."""
    if len(short) > 1 or short == long:
        return False
    [word] = short
    if len(long) > 1 and word == long[0]:
        return True
    return len(word) >= _SHORTEST_SURNAME and any(w.startswith(word) for w in (long[0], long[-1]))


def _given_names_agree(short: list[str], long: list[str]) -> bool:
    """Whether each given name or initial of the shorter one stands in the longer one, in order."""
    if len(short) == 1 and short[0] == "".join(word[0] for word in long):
        return True  # J. R. R.
    place = 0
    for word in short:
        while place < len(long) and not _stands_for(word, long[place]):
            place += 1
        if place == len(long):
            return False
        place += 1
    return _stands_for(short[0], long[0])


def _stands_for(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    if len(short) == 1:
        return long.startswith(short)
    same_stem = len(short) > 3 and short[:3] == long[:3]  # noqa: PLR2004  # Steve, Stephen, Steven
    return same_stem or _SHORT_NAMES.get(short, short) == _SHORT_NAMES.get(long, long)


def _abbreviates(one: str, other: str) -> bool:
    """Whether one of two names is an abbreviation of the other, behind words that both have."""
    if _is_abbreviation(one, other) or _is_abbreviation(other, one):
        return True
    first, second = one.split(), other.split()
    while first and second and plain_name(first[0]) == plain_name(second[0]):
        first, second = first[1:], second[1:]
    if not first or not second or len(first) == len(one.split()):
        return False
    rest, whole = " ".join(first), " ".join(second)
    return _is_abbreviation(rest, whole) or _is_abbreviation(whole, rest)


def _without_number(one: str, other: str, kind: str) -> NameMatch | None:
    """The Altair of the Altair 8800: one name without the number that ends the other."""
    short, long = sorted((one.split(), other.split()), key=len)
    is_head = (
        long[: len(short)] == short
        and len(long) == len(short) + 1
        and not _numbers(" ".join(short))
    )
    return NameMatch("part of the name", 0.4) if is_head and kind == "creation" else None


def _is_abbreviation(short: str, long: str) -> bool:
    """IBM of International Business Machines, 北大 of 北京大学."""
    letters, full = plain_name(short).replace(" ", ""), plain_name(long)
    if HAN.fullmatch(letters[:1]):
        return _is_han_abbreviation(letters, core_name(long))
    written = re.sub(r"[.\s]", "", unicodedata.normalize("NFKC", short))
    if len(letters) < _SHORTEST_ACRONYM or written != written.upper() or len(written) > 6:  # noqa: PLR2004
        return False
    every = "".join(word[0] for word in full.split()) if " " in full else ""
    return letters in {initials(long), initials(core_name(long)), every} - {""}


def _is_han_abbreviation(short: str, long: str) -> bool:
    """Two to six characters of the full name, in order, the first one first."""
    if not 2 <= len(short) <= 6 or len(long) < max(_HAN_FULL, len(short) * 3 / 2):  # noqa: PLR2004
        return False
    if not all(map(HAN.match, short)) or short[0] != long[0]:
        return False
    rest = iter(long)
    return all(character in rest for character in short)


def _is_head(one: str, other: str) -> bool:
    """Apple of Apple Computer, Stanford of Stanford University, 苹果 of 苹果电脑."""
    short, long = sorted((one, other), key=len)
    if HAN.search(short):
        return len(short) > 1 and long.startswith(short)
    words, whole = short.split(), long.split()
    return whole[: len(words)] == words and set(whole[len(words) :]) <= _GENERIC


def _is_tail(one: str, other: str) -> bool:
    """PARC of Xerox PARC: the last words."""
    short, long = sorted((one.split(), other.split()), key=len)
    return len(short) < len(long) and long[-len(short) :] == short and not set(short) & _GENERIC


def _is_slip(one: str, other: str) -> bool:
    """Whether persons' names differ in the spelling of words alone, by no initial."""
    first, second = one.split(), other.split()
    pairs = zip(first, second, strict=False)
    agree = all(a == b or min(len(a), len(b)) > 2 for a, b in pairs)  # noqa: PLR2004
    return len(first) == len(second) and agree


def _is_spelling(one: str, other: str) -> bool:
    if min(len(one), len(other)) < _SHORTEST_SPELLING or HAN.search(one + other):
        return False
    if one.replace(" ", "") == other.replace(" ", ""):
        return True
    if one[0] != other[0]:
        return False
    return SequenceMatcher(None, one, other, autojunk=False).ratio() >= _SPELLING
