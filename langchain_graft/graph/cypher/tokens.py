r"""Cypher in tokens, as Neo4j reads it; where a reader could be misled it is refused.

Cypher 5 replaces `\uXXXX` everywhere before it reads, Cypher 25 inside strings and names only. So
an escape of an ASCII character (a hidden quote, a hidden keyword) is refused wherever it stands:
then the two see the same.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from langchain_graft.errors import CypherRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["word", "name", "string", "parameter", "number", "symbol", "space", "comment", "end"]

_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_NUMBER = re.compile(
    r"0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|(?:\d[\d_]*(?:\.\d[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d[\d_]*)?"
)
_QUOTED = {
    "'": re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL),
    '"': re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL),
    "`": re.compile(r"`(?:[^`]|``)*`", re.DOTALL),
}
_STRING_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_STRING_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_SYMBOLS = ("..", "=~", "<>", "<=", ">=", "::", "||")
_ALIKE = {
    **dict.fromkeys("⟨〈﹤＜", "<"),
    **dict.fromkeys("⟩〉﹥＞", ">"),
    **dict.fromkeys("\u00ad‐‑‒–—―−﹘﹣－", "-"),
}
"""Signs that Neo4j takes for parts of an arrow."""
_ASCII_SYMBOLS = frozenset("()[]{}<>=+-*/%^.,:;|&!$?@#~")
_LINE_ENDS = re.compile(r"[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_LINE = re.compile(r"//[^\r\n]*")
_ASCII = 0x80


@dataclass(frozen=True)
class Token:
    """A piece of a statement."""

    kind: Kind
    text: str
    """As it stands; the texts of all tokens together are the statement."""
    start: int
    value: str
    """What it means: a keyword in capitals for a word, the plain text of a string or a name."""

    @property
    def end(self) -> int:
        """The place behind its last character."""
        return self.start + len(self.text)


def tokenize(cypher: str) -> list[Token]:
    """The tokens of a statement.

    Raises:
        CypherRefusedError: A string, name or comment has no end, or there is a character that no
            reading statement needs: invisible ones, and escapes that hide ASCII.
    """
    for escape in _ESCAPE.finditer(cypher):
        if int(escape[1], 16) < _ASCII:
            msg = f"The escape {escape[0]} hides a plain character. Write the character itself"
            raise CypherRefusedError(msg, cypher=cypher)
    return list(_tokens(cypher))


def significant(tokens: list[Token]) -> list[Token]:
    """The tokens that mean something: neither spaces nor comments."""
    return [token for token in tokens if token.kind not in ("space", "comment")]


def without_comments(cypher: str) -> str:
    """The statement without its comments; as it is where it can not be read."""
    try:
        tokens = tokenize(cypher)
    except CypherRefusedError:
        return cypher
    return "".join(" " if token.kind == "comment" else token.text for token in tokens).strip()


def _tokens(cypher: str) -> Iterator[Token]:
    place = 0
    while place < len(cypher):
        token = _read(cypher, place)
        yield token
        place = token.end


def _read(cypher: str, place: int) -> Token:
    sign = cypher[place]
    if sign.isspace():
        return _space(cypher, place)
    if cypher.startswith(("//", "/*"), place):
        return _comment(cypher, place)
    if sign in _QUOTED:
        return _quoted(cypher, place)
    return _word(cypher, place) or _dollar_or_number(cypher, place) or _symbol(cypher, place)


def _dollar_or_number(cypher: str, place: int) -> Token | None:
    if cypher[place] == "$":
        return _parameter(cypher, place)
    number = None if cypher.startswith("..", place) else _NUMBER.match(cypher, place)
    return Token("number", number[0], place, number[0]) if number else None


def _space(cypher: str, place: int) -> Token:
    end = place
    while end < len(cypher) and cypher[end].isspace():
        end += 1
    return Token("space", cypher[place:end], place, " ")


def _comment(cypher: str, place: int) -> Token:
    if cypher.startswith("//", place):
        found = _LINE.match(cypher, place)
        text = found[0] if found else ""
    else:
        end = cypher.find("*/", place + 2)
        if end < 0:
            msg = "The comment /* has no end"
            raise CypherRefusedError(msg, cypher=cypher)
        text = cypher[place : end + 2]
    if _LINE_ENDS.search(text) or "\\u" in text or "/*" in text[2:]:
        msg = "A comment holds signs that readers understand differently. Leave the comment out"
        raise CypherRefusedError(msg, cypher=cypher)
    return Token("comment", text, place, "")


def _quoted(cypher: str, place: int) -> Token:
    quote = cypher[place]
    found = _QUOTED[quote].match(cypher, place)
    if not found:
        msg = f"The quote {quote} at {_where(cypher, place)} has no end"
        raise CypherRefusedError(msg, cypher=cypher)
    inside = found[0][1:-1]
    if quote == "`":
        plain = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), inside.replace("``", "`"))
        return Token("name", found[0], place, plain)
    return Token("string", found[0], place, _STRING_ESCAPE.sub(_plain, inside))


def _plain(escape: re.Match[str]) -> str:
    if escape[1]:
        return chr(int(escape[1], 16))
    return _STRING_ESCAPES.get(escape[2], escape[2])


def _word(cypher: str, place: int) -> Token | None:
    end = place
    while end < len(cypher):
        escape = _ESCAPE.match(cypher, end)
        sign = chr(int(escape[1], 16)) if escape else cypher[end]
        if not _is_letter(sign) and (end == place or not _continues(sign)):
            break
        end = escape.end() if escape else end + 1
    word = cypher[place:end]
    return Token("word", word, place, _keyword(word)) if word else None


def _is_letter(sign: str) -> bool:
    return sign == "_" or sign.isalpha() or unicodedata.category(sign) == "Nl"


def _continues(sign: str) -> bool:
    return unicodedata.category(sign) in ("Nd", "Mn", "Mc", "Pc")


def _keyword(word: str) -> str:
    """In capitals, look-alikes too: `ｃｒｅａｔｅ`, `ſet`."""
    plain = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), word)
    return unicodedata.normalize("NFKC", plain).upper()


def _parameter(cypher: str, place: int) -> Token | None:
    after = place + 1
    if cypher.startswith("`", after):
        name = _quoted(cypher, after)
        return Token("parameter", "$" + name.text, place, name.value)
    end = after
    while end < len(cypher) and (_is_letter(cypher[end]) or _continues(cypher[end])):
        end += 1
    text = cypher[after:end]
    return Token("parameter", "$" + text, place, text) if text else None


def _symbol(cypher: str, place: int) -> Token:
    for symbol in _SYMBOLS:
        if cypher.startswith(symbol, place):
            return Token("symbol", symbol, place, symbol)
    sign = cypher[place]
    if sign in _ASCII_SYMBOLS or sign in _ALIKE:
        return Token("symbol", sign, place, _ALIKE.get(sign, sign))
    msg = (
        f"The character U+{ord(sign):04X} ({unicodedata.name(sign, 'no name')}) at "
        f"{_where(cypher, place)} has no place outside of a string"
    )
    raise CypherRefusedError(msg, cypher=cypher)


def _where(cypher: str, place: int) -> str:
    before = cypher[:place]
    line = before.count("\n") + 1
    return f"line {line}, column {place - before.rfind(chr(10))}"
