"""The scores of Self-RAG, from probabilities to numbers (Asai et al. 2023, section 3.3)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from langchain_graft.chains.self_rag.vocabulary import (
    CONTINUE,
    FULLY,
    LABELS,
    NO_RETRIEVAL,
    PARTIALLY,
    RELEVANT,
    RETRIEVE,
    UTILITY,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_graft.chains.self_rag.vocabulary import Aspect

UTILITY_VALUES = (-1.0, -0.5, 0.0, 0.5, 1.0)


def distribution(given: Mapping[str, float], aspect: Aspect) -> dict[str, float]:
    """The probabilities of an aspect's labels, made to sum to 1.

    A label that is missing, negative, infinite or NaN has none.

    Returns:
        By label, in the vocabulary's order; empty where nothing is known.
    """
    known = {label: _probability(given.get(label, 0.0)) for label in LABELS[aspect]}
    if not (most := max(known.values())):
        return {}
    parts = {label: value / most for label, value in known.items()}
    return {label: part / sum(parts.values()) for label, part in parts.items()}


def retrieve_probability(given: Mapping[str, float], *, midway: bool = False) -> float | None:
    """p(R) / (p(R) + p(N)), of probabilities and never of their logarithms.

    Midway, `[Continue to Use Evidence]` speaks for evidence too: (p(R) + p(C)) over all three.

    Args:
        given: Probabilities by label.
        midway: Whether the answer has begun.

    Returns:
        None where neither is known.
    """
    known = distribution(given, "retrieve")
    for_it = known.get(RETRIEVE, 0.0) + (known.get(CONTINUE, 0.0) if midway else 0.0)
    total = for_it + known.get(NO_RETRIEVAL, 0.0)
    return for_it / total if total > 0 else None


def relevance_score(given: Mapping[str, float]) -> float:
    """p(Relevant) / (p(Relevant) + p(Irrelevant)), from 0 to 1; 0 where nothing is known."""
    return distribution(given, "relevance").get(RELEVANT, 0.0)


def support_score(given: Mapping[str, float]) -> float:
    """(p(Fully) + p(Partially) / 2) of all three, from 0 to 1; 0 where nothing is known."""
    known = distribution(given, "support")
    return known.get(FULLY, 0.0) + 0.5 * known.get(PARTIALLY, 0.0)


def utility_score(given: Mapping[str, float]) -> float:
    """The mean of -1, -0.5, 0, 0.5, 1 for utilities 1 to 5, from -1 to 1; 0 where none is known."""
    known = distribution(given, "utility")
    return sum(
        value * known.get(label, 0.0) for label, value in zip(UTILITY, UTILITY_VALUES, strict=True)
    )


def fluency(logprobs: Sequence[float]) -> float:
    """exp(mean log-probability) of a segment's tokens, from 0 to 1; 0 for none."""
    finite = [min(one, 0.0) for one in logprobs if not math.isnan(one)]
    return math.exp(sum(finite) / len(finite)) if finite else 0.0


def path_score(segments: Iterable[float]) -> float:
    """The mean of the segments' scores: neither length nor two bad ones make a path good.

    A product, as elsewhere, makes something good of two negative scores.

    Returns:
        Minus infinity for none.
    """
    scores = list(segments)
    return sum(scores) / len(scores) if scores else -math.inf


def _probability(value: float) -> float:
    return value if math.isfinite(value) and value > 0 else 0.0
