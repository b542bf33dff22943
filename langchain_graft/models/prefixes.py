"""What was read before: the beginnings that prompts have in common are read once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

LEAST_TOKENS = 24
"""A shorter beginning is read again: that takes no longer than looking after it."""


class Prefixes:
    """States of token rows that have ended, the ones last used; not to be used by two threads.

    Args:
        most_tokens: Of all rows together; 0: nothing is kept.
    """

    def __init__(self, most_tokens: int) -> None:
        self._most = most_tokens
        self._kept: list[tuple[Hashable, list[int], Any]] = []  # the last used last

    def wants(self, variant: Hashable, ids: Sequence[int]) -> bool:
        """Whether a row is worth keeping: it fits, and no row begins with it."""
        if not LEAST_TOKENS <= len(ids) <= self._most:
            return False
        return not any(
            other == variant and common(ids, known) == len(ids) for other, known, _ in self._kept
        )

    def keep(self, variant: Hashable, ids: Sequence[int], states: Any) -> None:
        """Keep a row's states; those with which it begins, and the oldest ones, go."""
        self._kept = [
            one for one in self._kept if one[0] != variant or common(one[1], ids) < len(one[1])
        ]
        self._kept.append((variant, list(ids), states))
        while sum(len(known) for _, known, _ in self._kept) > self._most:
            self._kept.pop(0)

    def longest(
        self,
        variant: Hashable,
        ids: Sequence[int],
        others: Sequence[tuple[Sequence[int], Any]] = (),
    ) -> tuple[int, Any]:
        """The most tokens with which a row of the same variant begins, and that row's states.

        Args:
            variant: What the rows were computed with.
            ids: The row to be read.
            others: Further rows, which are not kept here, with their states.
        """
        best: tuple[int, Any] = (0, None)
        for known, states in others:
            if (length := common(ids, known)) > best[0]:
                best = length, states
        for n, (other, known, states) in enumerate(self._kept):
            if other == variant and (length := common(ids, known)) > best[0]:
                best, used = (length, states), n
        if best[0] < LEAST_TOKENS:
            return 0, None
        if not isinstance(best[1], int):
            self._kept.append(self._kept.pop(used))
        return best

    def forget(self, variant: Hashable) -> None:
        """Drop all rows of a variant."""
        self._kept = [one for one in self._kept if one[0] != variant]


def common(some: Sequence[int], others: Sequence[int]) -> int:
    """Tokens with which both begin."""
    most = min(len(some), len(others))
    if some[:most] == others[:most]:
        return most
    return next(n for n in range(most) if some[n] != others[n])
