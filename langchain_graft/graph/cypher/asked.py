"""What a question asks for, by rule: how many, ranked or not, whole things or their names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from langchain_graft.graph.schema import NodeType, Property

Wanted = Literal["whole", "name", "open"]

_WORDS = "one two three four five six seven eight nine ten".split()
_HAN = "一二三四五六七八九十"
_COUNT = r"(?P<n>\d{1,3}|one|two|three|four|five|six|seven|eight|nine|ten|twenty)"
_HAN_COUNT = r"\d{1,3}|[一二三四五六七八九十两]"
_TOP = re.compile(
    r"\b(?:top|first|last|any|best|worst|limit(?:ed)?(?: it)? to(?: the)?(?: top| first)?)\s+"
    rf"{_COUNT}\b"
    r"|^\W*(?:(?:please\s+)?(?:list|name|find|show|give(?: me)?|identify|get|retrieve|display"
    r"|return|which|what(?: are)?|who are))\s+(?:me\s+)?(?:the\s+|any\s+)?"
    rf"{_COUNT.replace('<n>', '<m>')}\s+[a-z]",
    re.IGNORECASE,
)
_TOP_HAN = re.compile(
    rf"前\s*(?P<n>{_HAN_COUNT})\s*[个名位部条家项种]?"
    rf"|列出\s*(?P<m>{_HAN_COUNT})\s*[个名位部条家项种]"
)
_RANKS = re.compile(
    r"\b(?:most|least|fewest|highest|lowest|largest|smallest|biggest|longest|shortest|oldest"
    r"|youngest|earliest|latest|newest|cheapest|best|worst|greatest|maximum|minimum|top|rank\w*"
    r"|(?:\w{3,}est))\b|最|排名|前\s*(?:\d|[一二三四五六七八九十])",
    re.IGNORECASE,
)
_NO_RANK = re.compile(
    r"\b(?:at least|at most|latest news|interest|request|forest|west|guest|test|rest)\b",
    re.IGNORECASE,
)
_NAMES = re.compile(
    r"\b(?:names?|titles?)\b\s+(?:of|for)\b|^\W*name\b|的(?:名字|名称|标题)", re.IGNORECASE
)
_WHOLE = re.compile(
    r"^\W*(?:please\s+)?(?:list|find|show|get|retrieve|display|give|fetch|select|return|identify"
    r"|which)\b|\b(?:details?|all information|everything)\b"
    r"|详细|所有信息|^\W*(?:列出|找出|显示|查找|哪些|有哪些)",
    re.IGNORECASE,
)
_WHO = re.compile(r"^\W*(?:who|whose|whom)\b|谁", re.IGNORECASE)
_BESIDES = re.compile(
    r"\b(?:and|with|along with|including|as well as)\s+(?:their|its|his|her|the)\b"
    r"|以及|及其|和(?:它|他|她)们?的",
    re.IGNORECASE,
)


def limit_asked(question: str) -> int | None:
    """How many rows a question wants: "top 5", "first three", "name 3 movies", "前5名"."""
    found = _TOP.search(question) or _TOP_HAN.search(question)
    if found is None:
        return None
    text = (found["n"] or found["m"]).lower()
    if text.isdigit():
        return int(text) or None
    if text in _HAN:
        return _HAN.index(text) + 1
    return {"twenty": 20, "两": 2}.get(text) or _WORDS.index(text) + 1


def is_ranking(question: str) -> bool:
    """Whether a question ranks: the most, the oldest, top 5 by rating."""
    return bool(_RANKS.search(_NO_RANK.sub(" ", question)))


def wanted(question: str) -> Wanted:
    """Whether whole things are asked for ("List the products ..."), names, or neither is clear.

    What is asked besides by name ("and their prices") leaves it open.
    """
    if _NAMES.search(question) or _WHO.search(question):
        return "name"
    if _BESIDES.search(question) or (is_ranking(question) and not _only_counted(question)):
        return "open"
    return "whole" if _WHOLE.search(question) else "open"


def identifying_property(node: NodeType) -> Property | None:
    """The property that says which one it is: its name or title, else what is unique."""
    return max(node.properties, key=lambda one: _identifies(one, node), default=None)


def is_code(name: str) -> bool:
    """Whether a property is a key rather than a name: `id`, `supplierID`, `country_code`."""
    return (
        re.search(r"(?:^|[a-z_])(?:ID|Id|Code|Key)$|^(?:id|code|key)$|_(?:id|code|key)$", name)
        is not None
    )


def _only_counted(question: str) -> bool:
    """`top 5 products that are discontinued`: "top" that ranks by nothing."""
    rest = re.sub(
        r"\btop\b|前\s*(?:\d+|[一二三四五六七八九十])", " ", question, flags=re.IGNORECASE
    )
    return not is_ranking(rest) and not re.search(r"\bby\b|按", rest, re.IGNORECASE)


def _identifies(one: Property, node: NodeType) -> float:
    name, label = one.name.lower().replace("_", ""), node.label.lower().replace("_", "")
    score = 1.5 * one.unique + 0.5 * (one.type == "STRING")
    if name in {"name", "title", label + "name", label + "title", "名称", "姓名", "名字", "标题"}:
        score += 6
    elif name.endswith(("name", "title")):
        score += 3
    elif name in {"id", label + "id", "code", label + "code", "key"}:
        score += 2
    position = [other.name for other in node.properties].index(one.name)
    return score - position / 100 - 4 * one.type.startswith("LIST")
