"""Intervals: how sure a mean, or a difference of means, is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from langchain_graft.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

try:
    import numpy as np
except ImportError as error:
    raise MissingExtraError("evaluation") from error

SAMPLES = 10_000
_BLOCK = 1_000


class Interval(NamedTuple):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


def mean_interval(values: Sequence[float], *, samples: int = SAMPLES, seed: int = 0) -> Interval:
    """The mean with its percentile bootstrap interval (Efron and Tibshirani 1993, 13.3).

    Args:
        values: One per question, at least one.
        samples: Resamples.
        seed: The same seed gives the same interval.

    Raises:
        ValueError: There are no values, or no resamples.
    """
    if samples < 1:
        msg = f"samples must be 1 or more, not {samples!r}"
        raise ValueError(msg)
    if not len(values):
        msg = "No values: the mean of nothing has no interval"
        raise ValueError(msg)
    array = np.asarray(values, dtype=np.float64)
    random = np.random.default_rng(seed)
    means = [
        array[random.integers(len(array), size=(min(_BLOCK, samples - start), len(array)))].mean(1)
        for start in range(0, samples, _BLOCK)
    ]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return Interval(float(array.mean()), float(low), float(high))


def paired_bootstrap(
    ours: Sequence[float], theirs: Sequence[float], *, samples: int = SAMPLES, seed: int = 0
) -> Interval:
    """The mean of `ours - theirs` over the same questions, with its 95 % interval.

    An interval above 0 says that ours is better on questions like these (Koehn 2004).

    Raises:
        ValueError: They are not of one length, or empty.
    """
    if len(ours) != len(theirs):
        msg = f"Pairs need two lists of one length, not {len(ours)} and {len(theirs)}"
        raise ValueError(msg)
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    return mean_interval(differences, samples=samples, seed=seed)
