"""Which of several answers is the best one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_graft.chains.self_rag.paths import Level, Path

_AROUND = ".,;:!?\"'()。，！？；：「」“”"


def grown(path: Path, level: Level) -> list[Path]:
    """The path with each of the candidates that can be carried on; of equal ones the best."""
    best: dict[str, int] = {}
    for n, one in enumerate(level.candidates):
        key = one.text.casefold()
        if not one.dropped and (key not in best or one.score > level.candidates[best[key]].score):
            best[key] = n
    return [path.with_segment(level, n) for n in best.values()]


def best_first(paths: Sequence[Path]) -> list[Path]:
    """By score, those without a segment last; of equal ones, that comes first which came first."""
    return sorted(paths, key=lambda path: -path.score if path.segments else math.inf)


def by_answer(paths: Sequence[Path]) -> list[Path]:
    """Those of the answer whose segments score highest together first, the best of them first.

    All candidates count, those too that say what another one says.
    """
    levels = {id(path.levels[-1].candidates): path.levels[-1] for path in paths if path.segments}
    totals: dict[str, float] = {}
    for level in levels.values():
        for one in level.candidates:
            if not one.dropped:
                key = answer_key(one.text)
                totals[key] = totals.get(key, 0.0) + one.score
    return sorted(
        best_first(paths),
        key=lambda path: -totals[answer_key(path.text)] if path.segments else math.inf,
    )


def answer_key(text: str) -> str:
    """What tells an answer of a closed question from others: its words, in small letters."""
    return " ".join(word.strip(_AROUND) for word in text.casefold().split()).strip()
