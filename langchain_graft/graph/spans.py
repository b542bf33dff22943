"""Where a text says something: a name's places in it, and the sentences that hold two of them."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from langchain_graft.han import HAN, simplified
from langchain_graft.sentences import Span, sentence_spans

_MOST_PLACES = 5
"""A name's first places in a chunk; more of them say nothing new."""
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−", "-") | dict.fromkeys("‘’ʼ`´", "'"))
_QUOTES = str.maketrans(dict.fromkeys("“”„«»「」『』《》〈〉*_", '"'))
_MIDDLE_DOTS = str.maketrans(dict.fromkeys("•・‧∙‧．", "·"))
_LETTER = re.compile(r"[^\W_]")
_ARTICLE = re.compile(r"\A(?:the|a|an)\s+", re.IGNORECASE)
_SHORTEST_SURNAME = 3


class _Folded(NamedTuple):
    """A text in plain form, and where each of its characters comes from."""

    text: str
    origins: tuple[int, ...]


class SourceText:
    """A chunk's text, in which names are looked for.

    Args:
        text: The text that the places count in.
        above: What stands over it: its document's title, its heading.
    """

    def __init__(self, text: str, *, above: str = "") -> None:
        self.text = text
        self._above = above
        self._sentences = sentence_spans(text)
        self._found: dict[str, tuple[Span, ...]] = {}

    def places(self, name: str) -> tuple[Span, ...]:
        """Where a name stands: as it is written, or else in another form.

        Case, width, script and punctuation may differ then. Without "the" it counts as well. A
        person whom only the title or heading calls by the full name stands where the text has the
        last word of it.
        """
        if name not in self._found:
            self._found[name] = self._look_for(name)
        return self._found[name]

    def is_above(self, name: str) -> bool:
        """Whether the title or heading names it."""
        return bool(_places(self._above, name))

    def sentences_with(self, *places: Span) -> Span:
        """The shortest run of whole sentences that all these places lie in."""
        start, end = min(place.start for place in places), max(place.end for place in places)
        for sentence in self._sentences:
            if sentence.start <= start < sentence.end:
                start = sentence.start
            if sentence.start < end <= sentence.end:
                end = sentence.end
        return Span(start, end)

    def shortest_evidence(self, one: str, other: str) -> Span | None:
        """The sentences that hold both names, closest together; None where one of them is missing.

        For a name that only stands above the text, the sentence with the other one.
        """
        firsts, seconds = self.places(one), self.places(other)
        if firsts and seconds:
            pairs = [(a, b) for a in firsts for b in seconds]
            apart = [pair for pair in pairs if not _overlap(*pair)] or pairs
            return self.sentences_with(*min(apart, key=_distance))
        known = firsts or seconds
        if known and self.is_above(other if firsts else one):
            return self.sentences_with(known[0])
        return None

    def _look_for(self, name: str) -> tuple[Span, ...]:
        if found := _places(self.text, name):
            return found
        surname = name.replace("·", " ").split()[-1:]
        if not surname or len(surname[0]) < _SHORTEST_SURNAME or surname[0] == name:
            return ()
        return _places(self.text, surname[0]) if self.is_above(name) else ()


def _places(text: str, name: str) -> tuple[Span, ...]:
    bare = _ARTICLE.sub("", name.strip())
    for wanted in dict.fromkeys((name.strip(), bare)):
        if wanted and (found := _exact(text, wanted)):
            return found
    return _normalised(text, bare)


def _exact(text: str, name: str) -> tuple[Span, ...]:
    spans = (Span(*found.span()) for found in re.finditer(re.escape(name), text))
    return tuple(span for span in spans if _is_whole(text, span))[:_MOST_PLACES]


def _normalised(text: str, name: str) -> tuple[Span, ...]:
    wanted = _fold(name).text.strip('" ')
    if not wanted or not _LETTER.search(wanted):
        return ()
    folded = _fold(text)
    spans = [
        Span(folded.origins[found.start()], folded.origins[found.end() - 1] + 1)
        for found in re.finditer(re.escape(wanted), folded.text)
    ]
    return tuple(span for span in spans if _is_whole(text, span))[:_MOST_PLACES]


@lru_cache(maxsize=64)
def _fold(text: str) -> _Folded:
    """Without case, width, script, kinds of quotes and dashes, and runs of white space."""
    characters: list[str] = []
    origins: list[int] = []
    for place, character in enumerate(simplified(text)):
        plain = unicodedata.normalize("NFKC", character).casefold()
        plain = plain.translate(_DASHES).translate(_QUOTES).translate(_MIDDLE_DOTS)
        for one in plain:
            blank = one.isspace()
            if blank and (not characters or characters[-1] == " "):
                continue
            characters.append(" " if blank else one)
            origins.append(place)
    return _Folded("".join(characters), tuple(origins))


def _is_whole(text: str, span: Span) -> bool:
    """Whether it begins and ends between words; Chinese has no borders to see."""
    return _is_border(text, span.start) and _is_border(text, span.end)


def _is_border(text: str, place: int) -> bool:
    before, after = text[place - 1 : place] if place else "", text[place : place + 1]
    if not (_LETTER.match(before) and _LETTER.match(after)):
        return True
    return bool(HAN.match(before) or HAN.match(after))


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


def _distance(pair: tuple[Span, Span]) -> int:
    one, other = sorted(pair)
    return max(0, other.start - one.end)
