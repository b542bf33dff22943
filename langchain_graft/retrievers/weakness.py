"""Does a first search look weak? Signals that cost nothing, and the thresholds they are held to."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.documents import Document

_TOP = 10


@dataclass(frozen=True, kw_only=True)
class Signals:
    """What a first search looks like; None where it can not be told."""

    top_score: float | None = None
    """Score of the first document of the first retriever."""
    margin: float | None = None
    """How far that lies above the mean of the next nine."""
    overlap: float | None = None
    """Share of the first ten documents that two retrievers have in common, from 0 to 1."""
    is_empty: bool = False
    """Whether no retriever found anything."""


@dataclass(frozen=True, kw_only=True)
class Weakness:
    """Thresholds: a search is weak when one of its signals lies below its own, or finds nothing.

    What they should be depends on the embedder and the documents: measure it (`calibrate`, `graft
    eval --calibrate`). The defaults ask nothing of scores, which mean something else in every
    embedder, only that meaning and words agree on a fifth of what they find.
    """

    top_score: float | None = None
    margin: float | None = None
    overlap: float | None = 0.2

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not math.isfinite(value):
                msg = f"{name} must be a number or None, not {value!r}"
                raise ValueError(msg)

    def reasons(self, signals: Signals) -> list[str]:
        """Which signals lie below their thresholds; none when the search looks good."""
        if signals.is_empty:
            return ["nothing found"]
        return [
            f"{name} {found:.3g} < {least:.3g}"
            for name, least in asdict(self).items()
            if least is not None and (found := getattr(signals, name)) is not None and found < least
        ]

    @property
    def needs_two(self) -> bool:
        """Whether only two retrievers can show a weakness."""
        return self.overlap is not None and self.top_score is None and self.margin is None

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Weakness:
        """What `dataclasses.asdict` wrote; unknown names are left out."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in given.items() if name in known})


def signals_of(rankings: Sequence[Sequence[Document]]) -> Signals:
    """The signals of one question's rankings, one per retriever; an empty first one has none.

    The first retriever should be the one by meaning, with `metadata["score"]`.
    """
    scores = [document.metadata.get("score") for document in rankings[0][:_TOP]] if rankings else []
    known = [float(score) for score in scores if isinstance(score, int | float)]
    rest = known[1:]
    return Signals(
        top_score=known[0] if known else None,
        margin=known[0] - math.fsum(rest) / len(rest) if rest else None,
        overlap=_overlap(rankings),
        is_empty=bool(rankings) and not any(rankings),
    )


def _overlap(rankings: Sequence[Sequence[Document]]) -> float | None:
    """Of the first two rankings."""
    if len(rankings) < 2:  # noqa: PLR2004 (two of them)
        return None
    first, second = ({_key(document) for document in of[:_TOP]} for of in rankings[:2])
    fewest = min(len(first), len(second))
    return len(first & second) / fewest if fewest else 0.0


def _key(document: Document) -> str:
    return document.id or document.page_content
