"""Quotes inside strings: 'Something's Gotta Give' becomes "Something's Gotta Give"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_graft.errors import CypherRefusedError
from langchain_graft.graph.cypher.edits import Repaired
from langchain_graft.graph.cypher.roles import walk

if TYPE_CHECKING:
    from langchain_graft.graph.schema import Schema

_CURLY = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "＂": '"', "＇": "'"})
_ENDS_STRING = re.compile(
    r"\s*(?:$|[)\]},;=<>+|]|(?:AND|OR|XOR|RETURN|WITH|ORDER|LIMIT|SKIP|MATCH|OPTIONAL|WHERE|AS|IN|"
    r"WHEN|THEN|ELSE|END|STARTS|ENDS|CONTAINS|IS|UNION|UNWIND|CALL)\b)",
    re.IGNORECASE,
)


def mend_quotes(cypher: str, _schema: Schema, _question: str) -> Repaired:
    """Strings that hold the quote that they stand in are put into the other kind of quotes.

    A quote ends its string when what follows can follow a string; `Gotta` can not. Curly quotes
    that open a string are made plain ones.
    """
    if _is_whole(cypher):
        return Repaired(cypher)
    pieces, n = [], 0
    while n < len(cypher):
        letter = cypher[n]
        if letter in "‘“＂＇":
            letter = letter.translate(_CURLY)
            cypher = cypher[:n] + letter + _straight(cypher[n + 1 :])
        if letter not in "'\"":
            pieces.append(letter)
            n += 1
            continue
        end = _end(cypher, n)
        pieces.append(_string(cypher[n + 1 : end], letter))
        n = end + 1
    mended = "".join(pieces)
    notes = ("a quote inside a string was mended",) if mended != cypher else ()
    return Repaired(mended, notes)


def _is_whole(cypher: str) -> bool:
    """Whether it can be read as it stands: then its quotes are where they belong."""
    try:
        walk(cypher)
    except CypherRefusedError:
        return False
    return True


def _straight(text: str) -> str:
    """The curly quote that closes what was just opened as a plain one."""
    return re.sub("[’”]", lambda found: found.group().translate(_CURLY), text, count=1)


def _end(cypher: str, start: int) -> int:
    """Where the string that begins at `start` ends: at the first quote that can be its end."""
    quote, n = cypher[start], start + 1
    candidates = []
    while n < len(cypher):
        if cypher[n] == "\\":
            n += 2
            continue
        if cypher[n] == quote:
            if _ENDS_STRING.match(cypher, n + 1) and not _doubled(cypher, n):
                return n
            candidates.append(n)
        n += 1
    return candidates[0] if candidates else len(cypher)


def _doubled(cypher: str, n: int) -> bool:
    """SQL's way: 'It''s'."""
    return cypher[n + 1 : n + 2] == cypher[n] and cypher[n + 2 : n + 3].isalpha()


def _string(text: str, quote: str) -> str:
    inner = text.replace(quote * 2, quote)
    bare = re.sub(r"\\.", "", inner)
    if quote not in bare:
        return f"{quote}{text}{quote}"
    other = '"' if quote == "'" else "'"
    if other not in inner:
        return f"{other}{inner}{other}"
    return quote + re.sub(r"(?<!\\)" + quote, "\\" + quote, inner) + quote
