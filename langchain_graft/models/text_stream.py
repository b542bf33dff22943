"""Tokens to text, piece by piece: whole characters only, up to a stop string."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_UNFINISHED = "\ufffd"
_LONGEST_CHARACTER = 4
"""Bytes of a character in UTF-8, each of which may be a token."""


class TextStream:
    """The text of a growing row of tokens, each character once, when it is certain.

    Held back are the tokens of an unfinished character, and the beginning of what may become a stop
    string. The text ends before the first stop string.

    Args:
        decode: Token ids to text.
        stop: Texts at which it ends.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stop = [text for text in stop if text]
        self._ids: list[int] = []
        self._start = 0  # decoded again with every token: what it is beside decides a token's blank
        self._read = 0
        self._held = ""
        self.stopped = False
        """Whether a stop string has come."""

    def push(self, token: int) -> str:
        """Take a token; the text that is certain by now."""
        self._ids.append(token)
        return self._pass_on(self._characters(last=False), last=False)

    def finish(self) -> str:
        """The rest, when no token is to come."""
        return self._pass_on(self._characters(last=True), last=True)

    def _characters(self, *, last: bool) -> str:
        before = self._decode(self._ids[self._start : self._read])
        text = self._decode(self._ids[self._start :])
        waiting = len(self._ids) - self._read < _LONGEST_CHARACTER
        if text.endswith(_UNFINISHED) and waiting and not last:
            return ""
        self._start, self._read = self._read, len(self._ids)
        return text[len(before) :]

    def _pass_on(self, text: str, *, last: bool) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        found = [place for place in (text.find(stop) for stop in self._stop) if place >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        cut = len(text) if last else len(text) - self._begun(text)
        self._held = text[cut:]
        return text[:cut]

    def _begun(self, text: str) -> int:
        """Characters at the end that begin a stop string."""
        longest = max((len(stop) - 1 for stop in self._stop), default=0)
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stop):
                return length
        return 0
