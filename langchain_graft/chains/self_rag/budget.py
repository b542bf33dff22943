"""What an answer may spend, and what is done without when it runs short."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_graft.chains.self_rag.settings import SelfRagSettings
    from langchain_graft.chains.self_rag.vocabulary import Aspect


@dataclass(frozen=True, kw_only=True)
class Economy:
    """How a segment is searched for."""

    told: str
    """What is done without; empty: nothing."""
    width: int
    passages: int
    decides: bool
    """Whether a critic is asked to retrieve or not, where it decides."""
    judges: frozenset[Aspect]

    def calls(self, paths: int, judged_by_writer: frozenset[Aspect]) -> int:
        """Most drafts and judgements of one segment."""
        each = 1 + len(self.judges - judged_by_writer)
        return min(paths, self.width) * (self.decides + self.passages * each)


def economies(settings: SelfRagSettings) -> list[Economy]:
    """From all that was asked for to one draft, in the order in which things are done without.

    First the utility, then other beginnings of the answer, then other documents than the best, then
    the critic: words tell then what a document supports.
    """
    all_of: frozenset[Aspect] = frozenset({"relevance", "support", "utility"})
    decides = settings.retrieval == "adaptive"
    most = 1 if settings.retrieval == "never" else settings.passages

    def one(
        told: str, width: int, passages: int, judges: frozenset[Aspect], *, asks: bool = True
    ) -> Economy:
        return Economy(
            told=told, width=width, passages=passages, decides=decides and asks, judges=judges
        )

    less = all_of - {"utility"}
    return [
        one("", settings.width, most, all_of),
        one("utility was not judged", settings.width, most, less),
        one("one beginning of the answer was carried on, not several", 1, most, less),
        one("only the first document was read", 1, 1, less),
        one("no critic was asked, support was told by words", 1, 1, frozenset(), asks=False),
    ]


class Ledger:
    """What has been spent; times and tokens of calls to come are taken to be those so far.

    Args:
        settings: The limits, and what is done without.
        clock: Seconds, from any start.
    """

    def __init__(self, settings: SelfRagSettings, clock: Callable[[], float]) -> None:
        self._settings, self._clock = settings, clock
        self._started = clock()
        self.calls = self.tokens = 0

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self._clock() - self._started

    def spend(self, calls: int, tokens: int) -> None:
        """Count what was asked."""
        self.calls += calls
        self.tokens += tokens

    def left(self) -> float:
        """How many calls are still possible by all limits."""
        settings = self._settings
        left = [float(settings.max_calls - self.calls)]
        if settings.max_tokens is not None:
            left.append(_affordable(settings.max_tokens, self.tokens, self.calls))
        if settings.max_seconds is not None:
            left.append(_affordable(settings.max_seconds, self.seconds, self.calls))
        return min(left)

    def choose(
        self, paths: int, judged_by_writer: frozenset[Aspect], *, twice: bool = False
    ) -> Economy | None:
        """The fullest way to search for the next segment that can be paid; None: none can.

        Args:
            paths: How many answers are carried on.
            judged_by_writer: What costs no call.
            twice: Whether the relevance of as many documents again may be asked.
        """
        left = self.left()
        for economy in economies(self._settings):
            more = economy.width * economy.passages * 2 if twice and economy.judges else 0
            if economy.calls(paths, judged_by_writer) + more <= left:
                return economy
        return None


def _affordable(limit: float, spent: float, calls: int) -> float:
    """Calls for what is left; without limit before the first, if there is anything at all."""
    if spent >= limit:
        return 0.0
    if not calls or not spent:
        return float("inf")
    return (limit - spent) / (spent / calls)
