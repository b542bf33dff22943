"""What a question names, and which nodes of a graph that may be: by its words, or a model's."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable, RunnableLambda, RunnablePassthrough

from langchain_graft.graph.prompts import QUESTION_ENTITIES_PROMPT
from langchain_graft.graph.triples import names_of
from langchain_graft.han import HAN, simplified
from langchain_graft.models.asking import ask_aside, require_variables
from langchain_graft.reply_text import LIST_MARKER, plain_reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import BasePromptTemplate

    from langchain_graft.graph.types import FoundNode, Node

MOST_NAMES = 8
_MOST_HOMONYMS = 3
_LEAST_FIT = 0.3
_PART_FIT = 0.6
_LEAST_LETTERS = 3
_SHORTEST_HAN = 2

_QUOTED = re.compile(r"[\"“‘«《「『]([^\"”’»》」』]{2,80})[\"”’»》」』]")
_CAPITAL = r"(?:[A-Z][\w.'’&+-]*|\d[\w.-]*)"
_WITHIN = r"(?:of|the|and|de|la|von|van|der|&|-)"
_NAME = re.compile(rf"{_CAPITAL}(?:\s(?:{_WITHIN}\s){{0,2}}{_CAPITAL})*")
_JOINT = re.compile(r"\s(?:and|of|the|for|in|on|&)\s(?:the\s)?")
_ASKS = frozenset(
    "a an and are at can compare could describe did do does explain for from give has have how i "
    "if in is it list may name on or please show tell that the then they this to was were what "
    "when where which who whom whose why will with would".split()
)
_HAN_ASKS = re.compile(
    r"谁|什么|哪[里儿年些个位家种]?|何时|何地|多少|几|怎么样?|如何|为什么|吗|呢|请|告诉我?|介绍一?下?|关于"
    r"|的|了|是|在|和|与|及|或|由|被|把|从|到|对|为|有|之间|一切|所有|公司名?"
)
_REPLY_TOKENS = 64
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")


class Named(NamedTuple):
    """A node that the question may mean."""

    node: Node
    fit: float
    """Above 0, up to 1: the question has its whole name."""
    start: int
    """Where the question names it, in `normalized(question)`."""
    end: int


def written_names(text: str, *, most: int) -> list[str]:
    """What is written like a name in a text, in its order: capitalised runs, quoted words."""
    found = [(match.start(), match[1]) for match in _QUOTED.finditer(text)]
    found += [(m.start(), n) for m in _NAME.finditer(text) for n in _names_within(m[0])]
    parts = [part for _, name in sorted(found) for part in name.split(" and ")]
    named = [name for name in parts if not name.isdecimal()]
    return list(dict.fromkeys(_worth_asking(named)))[:most]


def candidate_names(question: str, *, most: int = MOST_NAMES) -> list[str]:
    """What may be names in a question: quoted, capitalised, or what a Chinese one asks about.

    The longest come first; then their parts ("Apple and Jobs", "Apple", "Jobs").
    """
    found = [match[1] for match in _QUOTED.finditer(question)]
    found += [name for match in _NAME.finditer(question) for name in _names_within(match[0])]
    for run in HAN.findall(question):
        found += _han_names(run)
    parts = [part for name in found for part in _JOINT.split(name) if part != name]
    return list(dict.fromkeys(_worth_asking([*found, *parts])))[:most]


def create_entity_step(
    model: BaseChatModel, *, prompt: BasePromptTemplate[Any] = QUESTION_ENTITIES_PROMPT
) -> Runnable[str, list[str]]:
    """A question to the names that a model finds in it, and those found by rule besides.

    Args:
        model: Any chat model; one short reply, a name per line.
        prompt: With the variable `input`.

    Raises:
        ValueError: The prompt lacks the variable.
    """
    require_variables(prompt, "input")
    asked = prompt | ask_aside(model, max_tokens=_REPLY_TOKENS) | StrOutputParser()

    def read(state: dict[str, str]) -> list[str]:
        lines = (LIST_MARKER.sub("", line) for line in plain_reply(state["reply"]).splitlines())
        given = _worth_asking(line for line in lines if line.strip().upper() != "NONE")
        return list(dict.fromkeys([*given[:MOST_NAMES], *candidate_names(state["input"])]))

    begin: Runnable[Any, Any] = RunnableLambda(lambda question: {"input": question})
    step = begin | RunnablePassthrough.assign(reply=asked) | read
    return step.with_config(run_name="ask_for_names")


def name_fit(question: str, node: Node) -> Named | None:
    """How well one of a node's names fits into the question; None: it is not named.

    1 for a whole name; less for a part of one, as much less as the part is shorter.

    Args:
        question: `normalized`.
        node: With a name and perhaps aliases.
    """
    fits = (_fit(question, normalized(name)) for name in names_of(node))
    best = max(
        (fit for fit in fits if fit), key=lambda fit: (fit[0], fit[2] - fit[1]), default=None
    )
    return Named(node, *best) if best else None


def choose_entities(
    question: str, found: Iterable[FoundNode], *, most: int = MOST_NAMES
) -> dict[str, float]:
    """The nodes that the question names, and what each weighs.

    Each name in the question weighs the same, however many nodes it may mean; among those a node
    weighs by how often the documents mention it. The longest names come first: where "Apple II"
    is one, "Apple" within it is none.

    Args:
        question: As it was asked.
        found: Nodes that were looked up for it; those that it does not name are left out.
        most: Most names.

    Returns:
        Weight by id, summing to 1, best first; empty when it names none of them.
    """
    asked = normalized(question)
    named = [fit for node in _distinct(found) if (fit := name_fit(asked, node))]
    named.sort(key=lambda one: (-(one.end - one.start) * one.fit, -_mentioned(one.node)))
    groups: dict[tuple[int, int], list[Named]] = {}
    for one in named:
        place = (one.start, one.end)
        if place in groups:
            if len(groups[place]) < _MOST_HOMONYMS and one.fit >= groups[place][0].fit / 2:
                groups[place].append(one)
        elif len(groups) < most and not any(s < one.end and one.start < e for s, e in groups):
            groups[place] = [one]
    weights: dict[str, float] = {}
    for group in groups.values():
        shares = [one.fit * _mentioned(one.node) for one in group]
        for one, share in zip(group, shares, strict=True):
            weights[one.node.id] = share / sum(shares) / len(groups)
    return weights


def normalized(text: str) -> str:
    """A text in which width, script and spaces do not count."""
    return " ".join(simplified(unicodedata.normalize("NFKC", text)).split())


def _names_within(run: str) -> list[str]:
    """A run of capitalised words without what only begins the question."""
    words = run.split()
    while words and words[0].casefold() in _ASKS:
        words = words[1:]
    return [" ".join(words)] if words else []


def _han_names(run: str) -> list[str]:
    """The parts of a Chinese run between the words that ask, as they are written."""
    asking = [place for found in _HAN_ASKS.finditer(simplified(run)) for place in found.span()]
    ends = [0, *asking, len(run)]
    parts = [run[start:end] for start, end in zip(ends[::2], ends[1::2], strict=True)]
    return [part for part in parts if len(part) >= _SHORTEST_HAN]


def _worth_asking(names: Iterable[str]) -> list[str]:
    cleaned = (name.strip(" .,;:!?'’-") for name in names)
    return [
        name.removesuffix("'s").removesuffix("’s")
        for name in cleaned
        if len(name) > 1 and name.casefold() not in _ASKS
    ]


def _distinct(found: Iterable[FoundNode]) -> list[Node]:
    return list({one.node.id: one.node for one in found}.values())


def _mentioned(node: Node) -> float:
    return 1.0 + math.log1p(len(node.mentions))


def _fit(question: str, name: str) -> tuple[float, int, int] | None:
    """How much of a name the question has, and where."""
    if HAN.search(name):
        return _han_fit(question, name)
    if not name or name.casefold() in _ASKS:
        return None
    if whole := _find(question, re.escape(name)):
        return 1.0, *whole.span()
    words = _WORD.findall(name)
    for size in range(len(words) - 1, 0, -1):
        parts = [words[first : first + size] for first in range(len(words) - size + 1)]
        fits = [fit for part in parts if (fit := _part_fit(question, part, words))]
        if fits:
            return max(fits)
    return None


def _part_fit(
    question: str, part: Sequence[str], words: Sequence[str]
) -> tuple[float, int, int] | None:
    """A part of a name: it must be written like one, unless the whole question is in small."""
    if all(word.casefold() in _ASKS or len(word) < _LEAST_LETTERS for word in part):
        return None
    found = _find(question, r"\W+".join(map(re.escape, part)))
    if not found or not (found[0][0].isupper() or question.islower()):
        return None
    share = sum(map(len, part)) / sum(map(len, words))
    return _PART_FIT * max(_LEAST_FIT, share), *found.span()


def _find(question: str, pattern: str) -> re.Match[str] | None:
    return re.search(rf"(?<!\w){pattern}(?!\w)", question, re.IGNORECASE)


def _han_fit(question: str, name: str) -> tuple[float, int, int] | None:
    """A Chinese name, or its longest part of two characters and more that asks nothing itself."""
    for size in range(len(name), 1, -1):
        for first in range(len(name) - size + 1):
            part = name[first : first + size]
            at = question.casefold().find(part.casefold())
            if at < 0 or _HAN_ASKS.fullmatch(part) or (size < len(name) and not HAN.search(part)):
                continue
            share = 1.0 if size == len(name) else _PART_FIT * max(_LEAST_FIT, size / len(name))
            return share, at, at + size
    return None
