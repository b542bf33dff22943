"""The statement in a model's reply: without fences, chat marks and what is said around it."""

from __future__ import annotations

import json
import re

_FENCE = re.compile(
    r"```[ \t]*(?:cypher|sql|neo4j|json)?[ \t]*\n?(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE
)
_MARK = re.compile(
    r"<[|｜][^|｜<>\n]{1,40}[|｜]>|</?s>|\[/?INST\]|</?(?:cypher|answer|query)>", re.IGNORECASE
)
_LABEL = re.compile(
    r"^\W*(?:the\s+)?(?:cypher(?:\s+(?:statement|query))?|query|answer|statement|output|"
    r"Cypher\s*(?:语句|查询)|查询语句|答案|查询)\W{0,3}\s*[:：]\s*",
    re.IGNORECASE,
)
_START = re.compile(
    r"(?<![\w.])(?:(?:EXPLAIN|PROFILE)\s+)?(?:CYPHER\s+\d+\s+)?"
    r"(?:OPTIONAL\s+MATCH|MATCH|UNWIND|WITH|CALL|RETURN|CREATE|MERGE|LOAD\s+CSV|FOREACH|SHOW|USE|"
    r"DROP|ALTER|GRANT|SELECT)\b(?=[\s({'\"\[*`\d]|$)",
)
_AFTER = re.compile(
    r"\n\s*\n(?=\s*(?:[A-Z][a-z]+\b(?! *\()|This\b|Note\b|Explanation\b|The\b|这|该|说明|注|解释))"
    r"|\n\s*(?=(?:Question|Explanation|Note|Answer|Input|Human|User|问题|说明|解释)\s*[:：])"
)
_NONE = re.compile(
    r"^\W*(?:none|null|n/a|unanswerable|无法回答|不能回答|没有)\W*(?:\n|$)", re.IGNORECASE
)


def cypher_of_reply(reply: str) -> str:
    """The statement in a reply; empty where there is none, or where it says NONE.

    Of several statements it is the first one.
    """
    text = _MARK.split(reply.strip(), maxsplit=1)[0].strip() or _MARK.sub(" ", reply)
    if fenced := _FENCE.search(text):
        text = fenced[1].strip() or text
    text = _of_json(text)
    while label := _LABEL.match(text):
        text = text[label.end() :]
    text = _bare(text)
    if _NONE.match(text):
        return ""
    start = _START.search(text) or _START.search(text.upper())
    if start is None:
        return ""
    text = _AFTER.split(text[start.start() :], maxsplit=1)[0]
    return _bare(_first(text))


def _bare(text: str) -> str:
    """Without the quotes around it; one that ends a name, as in AS `birth year`, stays."""
    text = text.strip().lstrip("`").strip()
    while text.endswith("``") or (text.endswith("`") and text.count("`") % 2):
        text = text[:-1].rstrip()
    return text


def _of_json(text: str) -> str:
    """A statement that came as `{"cypher": "..."}`."""
    if not text.startswith("{"):
        return text
    try:
        found = json.loads(text)
    except ValueError:
        return text
    strings = [one for one in found.values() if isinstance(one, str)]
    return strings[0] if strings else text


def _first(text: str) -> str:
    """Up to the first semicolon that stands in no string."""
    quote = ""
    for n, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote and text[n - 1] != "\\" else quote
        elif letter in "'\"`":
            quote = letter
        elif letter == ";":
            return text[:n]
    return text
