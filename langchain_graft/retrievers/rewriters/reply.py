"""The queries in a model's reply, whatever else it said."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from langchain_core.utils.json import parse_partial_json

from langchain_graft.reply_text import LIST_MARKER, plain_reply
from langchain_graft.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_CHARACTERS = 300
"""A longer line is no query."""
_MOST_READ = 10_000

_JSON = re.compile(r"[\[{]\s*[\"'\[{]")
_QUOTED = re.compile(r"\"([^\"\n]+)\"|'([^'\n]+)'(?=\s*[,\]])")
_INLINE_NUMBER = re.compile(r"(?<=[?？.。;；])\s*(?=\(?[1-9]\d?[.)、）]\s*\D)")
_LABEL = re.compile(
    r"""\A\s*(?:
        (?:[\w-]+\s){0,3}?(?:query|queries|question|sub-?question|version|rewrite|rewriting
          |paraphrase|alternative|perspective|search|q|passage)\b\s*(?:\d{1,2}|[a-z](?=\s*[:：]))?
      | [\u4e00-\u9fff]{0,6}(?:查询|问题|提问|改写|版本|问|段落)
        \s*(?:\d{1,2}|[一二三四五六七八九十])?
    )\s*[:：]\s*""",
    re.IGNORECASE | re.VERBOSE,
)
_ORIGINAL = re.compile(r"\s*[\"'*]*(?:the\s+)?(?:original|原始?|初始).{0,16}?[:：]", re.IGNORECASE)
_PREAMBLE = re.compile(
    r"""\A\s*(?:
        (?:sure|certainly|of\ course|okay|ok|absolutely)\b\s*[!,.:]
      | (?:here|below|these|the\ following)\b[^?？]*[:.]?\s*$
      | (?:note|explanation|answer|a|comment|remark)\s*[:：]
      | (?:I|we)\s+(?:hope|can|have|will|would|am|do|can't|cannot|apologi[sz]e)\b[^?？]*$
      | I['’]m\b | as\ an\ AI\b | sorry\b | let\ me\s+know\b | unfortunately\b | feel\ free\b
      | (?:注|注意|说明|解释|答|答案|回答)\s*[:：] | 当然 | 好的
      | 以下 | 下面 | 这些 | 上述 | 希望 | 抱歉 | 对不起 | 很遗憾 | 作为(?:一个)?(?:AI|人工智能)
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_ASKS = re.compile(
    r"""\b(?:what|who|whom|whose|when|where|which|why|how)\b
      | ^\s*(?:tell|describe|explain|list|find|name|give|show|compare|identify|search|discuss)\b
      | 谁|什么|哪|何|几|多少|怎|为啥|吗|呢|请|介绍|说说|列出|描述|解释|比较""",
    re.IGNORECASE | re.VERBOSE,
)
_STATES = re.compile(
    r"\b(?:is|are|was|were|be|been|has|have|had|did|does|can|could|will|would|may|must)\b"
    r"|\b[a-z]{2,}ed\b|[是为有在了于由]",
    re.IGNORECASE,
)
_NONE = re.compile(r"\W*(?:none|no|nothing|n/?a|null|simple|无|没有|不需要|无需)\W*", re.IGNORECASE)
_BEHIND = re.compile(r"(?<=[?？])[^?？]*$")
_WRAPPING = " \t\r\f\v\u3000\"'`*_“”‘’「」『』,，;；"


def read_queries(reply: str, *, n: int, original: str = "") -> list[str]:
    """The queries that a model's reply lists, in order.

    Lists in any dress are read: lines, numbers, bullets, quotes, code fences, JSON that may be cut
    or broken. What is no query is left out: what the model says before and behind the list,
    answers, lines of more than `MOST_CHARACTERS` characters, the original question, and what was
    there already (case, width, punctuation and white space aside).

    Args:
        reply: What the model said.
        n: Most queries.
        original: The question that was given to it.
    """
    seen = {_key(original), ""}
    queries: list[str] = []
    for line in _lines(reply[:_MOST_READ], several=n > 1):
        query = _query(line)
        if _key(query) in seen or len(query) > MOST_CHARACTERS or _is_none(query):
            continue
        seen.add(_key(query))
        queries.append(query)
    return queries[:n]


def read_passage(reply: str) -> str:
    """The text that a model's reply gives, without what it says before; empty for a refusal."""
    text = plain_reply(reply[:_MOST_READ]).strip()
    first, _, rest = text.partition("\n")
    if rest and (_PREAMBLE.match(first) or first.rstrip(" *").endswith((":", "："))):
        text = rest
    text = _LABEL.sub("", text.strip(_WRAPPING + "\n#"), count=1).strip(_WRAPPING)
    return "" if _PREAMBLE.match(text) else " ".join(text.split())


def says_none(reply: str) -> bool:
    """Whether a reply says that there is nothing to list."""
    return _is_none(reply.strip())


def _is_none(text: str) -> bool:
    return bool(_NONE.fullmatch(text))


def _lines(reply: str, *, several: bool) -> list[str]:
    """The lines that may be queries; where some of them are list items, those and questions."""
    text = plain_reply(reply)
    if (listed := _json_strings(text)) is not None:
        return listed
    lines = [line for line in _INLINE_NUMBER.sub("\n", text).splitlines() if line.strip()]
    marked = [line for line in lines if LIST_MARKER.match(line)]
    if len(marked) > 1:
        lines = [line for line in lines if line in marked or line.rstrip().endswith(("?", "？"))]
    lines = [line for line in lines if not _is_talk(line)]
    return [part for line in lines for part in _parts(line)] if several else lines


def _parts(line: str) -> list[str]:
    """A line of several questions, one by one."""
    parts = sentences(line)
    whole = not all(part.endswith(("?", "？")) for part in parts)
    return [line] if whole else parts


def _is_talk(line: str) -> bool:
    """Whether a line is about the list, or an answer, and no query."""
    bare = LIST_MARKER.sub("", line, count=1).strip(_WRAPPING)
    if _ORIGINAL.match(bare) or _PREAMBLE.match(bare):
        return True
    if bare.endswith((":", "：")) or not any(map(str.isalnum, bare)):
        return True
    answers = bare.endswith((".", "。", "!", "！")) and _STATES.search(bare)
    return bool(answers) and not _ASKS.search(bare)


def _query(line: str) -> str:
    """A line without what stands around the query."""
    text, before = line, None
    while text != before:  # a number may stand before a label, and quotes around both
        before = text
        text = _LABEL.sub("", LIST_MARKER.sub("", text.strip(_WRAPPING), count=1), count=1)
    if "?" in text or "？" in text:
        text = _BEHIND.sub("", text)
    return " ".join(text.strip(_WRAPPING).split())


def _json_strings(text: str) -> list[str] | None:
    """The strings of the JSON in a text; None when there is none."""
    if not (found := _JSON.search(text)):
        return None
    try:
        strings = [*_strings(parse_partial_json(text[found.start() :]))]
    except (ValueError, RecursionError):
        strings = []
    if not strings:
        quoted = (one or other for one, other in _QUOTED.findall(text[found.start() :]))
        strings = [piece for piece in quoted if " " in piece or not piece.isascii()]
    return strings or None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        parts: Iterable[Any] = value.values() if isinstance(value, dict) else value
        for part in parts:
            yield from _strings(part)


def _key(text: str) -> str:
    """What two texts share that are one query."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in folded if character.isalnum())
