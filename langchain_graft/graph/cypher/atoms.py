"""Tokens as the parser of patterns wants them: one symbol a piece, comments left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from langchain_graft.graph.cypher.tokens import significant, tokenize

Kind = Literal["word", "string", "number", "parameter", "symbol", "end"]


@dataclass(frozen=True)
class Atom:
    """A word, string, number, parameter or a single symbol, and where it stands."""

    kind: Kind
    text: str
    start: int
    end: int

    @property
    def is_word(self) -> bool:
        """A name or a keyword."""
        return self.kind == "word"

    @property
    def name(self) -> str:
        """A name without its backticks."""
        escaped = self.text.startswith("`")
        return self.text[1:-1].replace("``", "`") if escaped else self.text

    def is_keyword(self, *words: str) -> bool:
        """Whether it is one of these words, in capitals or not, without backticks."""
        return self.kind == "word" and self.text.upper() in words


def atoms_of(cypher: str) -> list[Atom]:
    """The statement's tokens that mean something; of symbols each character is one.

    Raises:
        CypherRefusedError: It can not be read as `tokenize` tells.
    """
    found = []
    for token in significant(tokenize(cypher)):
        if token.kind == "symbol":
            places = enumerate(token.text, token.start)
            found += [Atom("symbol", sign, place, place + 1) for place, sign in places]
        else:
            kind: Kind = "word" if token.kind in {"word", "name"} else token.kind  # type: ignore[assignment]
            found.append(Atom(kind, token.text, token.start, token.end))
    return found
