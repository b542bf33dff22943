"""The reflection tokens of Self-RAG, and texts that have them."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

Aspect = Literal["retrieve", "relevance", "support", "utility"]

RETRIEVE, NO_RETRIEVAL, CONTINUE = "[Retrieval]", "[No Retrieval]", "[Continue to Use Evidence]"
RELEVANT, IRRELEVANT = "[Relevant]", "[Irrelevant]"
FULLY, PARTIALLY = "[Fully supported]", "[Partially supported]"
UNSUPPORTED = "[No support / Contradictory]"
UTILITY = tuple(f"[Utility:{n}]" for n in range(1, 6))
PARAGRAPH, PARAGRAPH_END = "<paragraph>", "</paragraph>"

LABELS: MappingProxyType[Aspect, tuple[str, ...]] = MappingProxyType(
    {
        "retrieve": (RETRIEVE, NO_RETRIEVAL, CONTINUE),
        "relevance": (RELEVANT, IRRELEVANT),
        "support": (FULLY, PARTIALLY, UNSUPPORTED),
        "utility": UTILITY,
    }
)
"""What a critic decides between, by aspect (Asai et al., Self-RAG, 2023, table 1)."""
REFLECTION_TOKENS = tuple(label for labels in LABELS.values() for label in labels)
"""The 13 of them; nothing else of a vocabulary is ever read."""

_ASPECT_OF = {label: aspect for aspect, labels in LABELS.items() for label in labels}
_TOKEN = re.compile("|".join(map(re.escape, (*REFLECTION_TOKENS, PARAGRAPH, PARAGRAPH_END))))
_ANY_CASE = re.compile(_TOKEN.pattern, re.IGNORECASE)
_GONE = "\0"
"""Where a token was."""
_GAP = re.compile(rf"[ \t]*{_GONE}(?:[ \t]*{_GONE})*(?=[\s.,;:!?)]|\Z)")
_MOST_LAYERS = 8
_PARTS_OF_TOKENS = re.compile(r"[\[\]<>]")


class Part(NamedTuple):
    """A piece of a text with reflection tokens."""

    kind: Aspect | Literal["text", "passage"]
    text: str
    """The token itself; the words; or what stands between `<paragraph>` and its end."""
    closed: bool = True
    """Of a passage: whether its end was there."""


def read_reflection(text: str) -> list[Part]:
    """The parts of a text in order; `write_reflection` of them is that text again.

    Inside a passage nothing is a token: it ends at the next `</paragraph>`, or with the text. An
    end without a beginning, and brackets that are none of the tokens, are words.
    """
    parts: list[Part] = []
    place = 0
    while place < len(text):
        found = _TOKEN.search(text, place)
        begin = found.start() if found else len(text)
        if found and found[0] == PARAGRAPH_END:
            begin = found.end()
        if begin > place:
            _add_text(parts, text[place:begin])
        place = begin
        if found is None or found[0] == PARAGRAPH_END:
            continue
        if found[0] == PARAGRAPH:
            end = text.find(PARAGRAPH_END, found.end())
            inside = text[found.end() :] if end < 0 else text[found.end() : end]
            parts.append(Part("passage", inside, closed=end >= 0))
            place = len(text) if end < 0 else end + len(PARAGRAPH_END)
        else:
            parts.append(Part(_ASPECT_OF[found[0]], found[0]))
            place = found.end()
    return parts


def write_reflection(parts: Iterable[Part]) -> str:
    """The text that parts make."""
    return "".join(
        f"{PARAGRAPH}{part.text}{PARAGRAPH_END if part.closed else ''}"
        if part.kind == "passage"
        else part.text
        for part in parts
    )


def without_reflection(text: str) -> str:
    """The words of a text: no tokens, in whatever case, no passages, and no space before them."""
    parts = read_reflection(text.replace(_GONE, ""))
    words = "".join(part.text if part.kind == "text" else _GONE for part in parts)
    words = _closed_up(words)
    for _ in range(_MOST_LAYERS):  # what is left may make another one
        if (left := _closed_up(_ANY_CASE.sub(_GONE, words))) == words:
            return words
        words = left
    return _PARTS_OF_TOKENS.sub(" ", words)


def _closed_up(text: str) -> str:
    """The text without the spaces that a token behind them leaves."""
    return _GAP.sub("", text).replace(_GONE, "")


def _add_text(parts: list[Part], text: str) -> None:
    if parts and parts[-1].kind == "text":
        parts[-1] = Part("text", parts[-1].text + text)
    else:
        parts.append(Part("text", text))
