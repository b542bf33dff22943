"""Answers on their way: segments with their scores, and the trace that tells how they came."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from langchain_graft.chains.self_rag.formulas import (
    distribution,
    path_score,
    relevance_score,
    support_score,
    utility_score,
)
from langchain_graft.chains.self_rag.vocabulary import UNSUPPORTED, without_reflection
from langchain_graft.chains.types import SegmentCandidate, SelfRagSegment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.documents import Document

    from langchain_graft.chains.self_rag.roles import Probabilities
    from langchain_graft.chains.self_rag.settings import SelfRagSettings
    from langchain_graft.chains.self_rag.vocabulary import Aspect

_MARK = re.compile(r"\s?[\[【［]\s*\d{1,3}(?:\s*[,，、;；-]\s*\d{1,3})*\s*[\]】］]")
_ASPECTS: tuple[Aspect, ...] = ("relevance", "support", "utility")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A segment that may become part of the answer."""

    text: str
    document: Document | None = None
    fluency: float = 0.0
    ended: bool = True
    judged: Mapping[Aspect, Probabilities] = field(default_factory=dict)
    score: float = -math.inf
    dropped: str = ""
    """Why it is not carried on."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """How one segment was come by."""

    query: str = ""
    decision: str
    """ "retrieve", "continue" (with the documents there are) or "none"."""
    probability: float | None = None
    """That of retrieving; None: nobody was asked, or could tell."""
    probabilities: Probabilities = field(default_factory=dict)
    correction: str = ""
    economy: str = ""
    documents: tuple[Document, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    chosen: int = -1


@dataclass(frozen=True, kw_only=True)
class Path:
    """An answer as far as it goes."""

    segments: tuple[Candidate, ...] = ()
    levels: tuple[Level, ...] = ()

    @property
    def text(self) -> str:
        """The answer without marks and tokens."""
        return joined([segment.text for segment in self.segments])

    @property
    def score(self) -> float:
        """The mean of the segments' scores."""
        return path_score(segment.score for segment in self.segments)

    @property
    def ended(self) -> bool:
        """Whether its last segment is its end."""
        return bool(self.segments) and self.segments[-1].ended

    def with_segment(self, level: Level, number: int) -> Path:
        """The answer with one more segment, the candidate of that number."""
        return Path(
            segments=(*self.segments, level.candidates[number]),
            levels=(*self.levels, replace(level, chosen=number)),
        )


def scored(candidate: Candidate, settings: SelfRagSettings) -> Candidate:
    """The candidate with its score: fluency + w_rel s_rel + w_sup s_sup + w_use s_use.

    Without a document, nothing is relevant and nothing is supported: those two are 0.
    """
    judged = candidate.judged
    fluency = candidate.fluency if 0 <= candidate.fluency <= 1 else 0.0  # NaN is in no range
    score = fluency + settings.weight_utility * utility_score(judged.get("utility", {}))
    dropped = candidate.dropped
    if candidate.document is not None:
        support = judged.get("support", {})
        score += settings.weight_relevance * relevance_score(judged.get("relevance", {}))
        score += settings.weight_support * support_score(support)
        if settings.drop_contradicted and _is_contradicted(support):
            dropped = dropped or "its passage does not support it"
    return replace(candidate, fluency=fluency, score=score, dropped=dropped)


def clean(text: str) -> str:
    """What a model wrote, as part of an answer: without tokens and marks of its own."""
    return re.sub(r"\s+", " ", _MARK.sub("", without_reflection(text))).strip()


def joined(texts: Sequence[str]) -> str:
    """Segments as one text; Chinese ones without a space between."""
    whole = ""
    for text in texts:
        apart = whole and not (ord(whole[-1]) > 0x2E80 or ord(text[0]) > 0x2E80)  # noqa: PLR2004
        whole += f" {text}" if apart else text
    return whole


def document_key(document: Document) -> str:
    """What tells a document from others of one search."""
    return document.id or document.page_content


def told(path: Path, settings: SelfRagSettings, markers: Mapping[str, int]) -> list[SelfRagSegment]:
    """The trace of an answer: each segment, what was decided, and what else it could have been.

    Args:
        path: The answer.
        settings: What the decisions were made by.
        markers: By `document_key` the number in the answer's context, from 1.
    """
    return [
        SelfRagSegment(
            text=level.candidates[level.chosen].text if level.chosen >= 0 else "",
            query=level.query,
            decision=level.decision,
            probability=level.probability,
            threshold=settings.threshold,
            retrieve=distribution(level.probabilities, "retrieve"),
            correction=level.correction,
            economy=level.economy,
            candidates=[
                _candidate(one, markers, chosen=n == level.chosen)
                for n, one in enumerate(level.candidates)
            ],
        )
        for level in path.levels
    ]


def _candidate(
    candidate: Candidate, markers: Mapping[str, int], *, chosen: bool
) -> SegmentCandidate:
    document = candidate.document
    judged = {aspect: candidate.judged.get(aspect, {}) for aspect in _ASPECTS}
    return SegmentCandidate(
        text=candidate.text,
        document_id=document.id if document else None,
        marker=markers.get(document_key(document)) if document else None,
        fluency=candidate.fluency,
        relevance=distribution(judged["relevance"], "relevance"),
        support=distribution(judged["support"], "support"),
        utility=distribution(judged["utility"], "utility"),
        scores={
            "relevance": relevance_score(judged["relevance"]),
            "support": support_score(judged["support"]),
            "utility": utility_score(judged["utility"]),
        },
        score=candidate.score if math.isfinite(candidate.score) else None,
        chosen=chosen,
        dropped=candidate.dropped,
    )


def _is_contradicted(support: Probabilities) -> bool:
    known = distribution(support, "support")
    return bool(known) and max(known, key=known.__getitem__) == UNSUPPORTED
