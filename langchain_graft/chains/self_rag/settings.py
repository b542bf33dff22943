"""How Self-RAG decides, searches, and what it may spend."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

Mode = Literal["short", "long", "closed"]
Retrieval = Literal["adaptive", "always", "never"]


@dataclass(frozen=True, kw_only=True)
class SelfRagSettings:
    """How Self-RAG decides, searches, and what it may spend; any field can be set per call."""

    mode: Mode = "short"
    """"short": one segment is the answer; "long": several, each with its own retrieval; "closed":
    one of few answers, the one whose segments score highest together."""
    retrieval: Retrieval = "adaptive"
    """When documents are looked for: where the critic says so, for each segment, or not at all."""
    threshold: float = 0.2
    """Retrieve where p(R) / (p(R) + p(N)) is above it; from 0 to 1."""
    weight_relevance: float = 1.0
    """Of p(Relevant) in a segment's score."""
    weight_support: float = 1.0
    weight_utility: float = 0.5
    width: int = 2
    """Most unfinished answers that are carried from one segment to the next."""
    depth: int = 6
    """Most segments of a long answer."""
    passages: int = 5
    """Most documents that a segment is written from, one each."""
    least_relevance: float = 0.0
    """No segment is written from a document of less relevance; 0: from all, as in the paper."""
    drop_contradicted: bool = False
    """Whether a segment is dropped that its passage most likely does not support."""
    segment_tokens: int = 100
    """Most tokens of a segment."""
    max_calls: int = 150
    """Most drafts and judgements of an answer together; 0: none."""
    max_tokens: int | None = None
    """Most tokens, read and written, as far as the model tells them; None: no limit."""
    max_seconds: float | None = 120.0
    """No call begins after it; None: no limit."""

    def __post_init__(self) -> None:
        for name, known in (("mode", get_args(Mode)), ("retrieval", get_args(Retrieval))):
            if getattr(self, name) not in known:
                msg = f"{name} must be one of {known!r}, not {getattr(self, name)!r}"
                raise ValueError(msg)
        for name in ("threshold", "least_relevance"):
            _check_number(name, getattr(self, name), most=1)
        for name in ("weight_relevance", "weight_support", "weight_utility", "max_seconds"):
            _check_number(name, getattr(self, name), or_none=name == "max_seconds")
        for name in ("width", "depth", "passages", "segment_tokens"):
            _check_whole(name, getattr(self, name), least=1)
        for name in ("max_calls", "max_tokens"):
            _check_whole(name, getattr(self, name), least=0, or_none=name == "max_tokens")

    @property
    def segments(self) -> int:
        """Most segments of an answer."""
        return self.depth if self.mode == "long" else 1

    def changed(self, asked: object) -> SelfRagSettings:
        """These with what a call asks for instead, as a mapping of fields.

        Raises:
            ValueError: It is no mapping, or has a field that there is none of or a wrong value.
        """
        if asked is None:
            return self
        known = [field.name for field in fields(self)]
        if not isinstance(asked, Mapping) or not asked.keys() <= set(known):
            msg = f"self_rag must be a mapping with some of {known!r}, not {asked!r:.200}"
            raise ValueError(msg)
        return replace(self, **asked)


def _check_number(name: str, value: Any, *, most: float = math.inf, or_none: bool = False) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if (value is None and or_none) or (number and math.isfinite(value) and 0 <= value <= most):
        return
    between = "be a number of 0 or more" if math.isinf(most) else f"lie between 0 and {most:g}"
    msg = f"{name} must {between}{' or None' * or_none}, not {value!r}"
    raise ValueError(msg)


def _check_whole(name: str, value: object, *, least: int, or_none: bool = False) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= least
    if not (whole or (value is None and or_none)):
        msg = (
            f"{name} must be a whole number of {least} or more{' or None' * or_none}, not {value!r}"
        )
        raise ValueError(msg)
