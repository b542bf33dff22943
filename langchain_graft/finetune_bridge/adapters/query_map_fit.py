"""A query map is learned from pairs of queries and documents, in numpy, on a processor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_graft.errors import MissingExtraError

try:
    import numpy as np
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    Vectors = np.ndarray | Sequence[Sequence[float]]

FEWEST_PAIRS = 20
_SHARPNESS = 4.0
"""The softmax's temperature is the scores' spread divided by this: embedders' cosines lie closer
together or wider apart, as they were trained."""
_CANDIDATES = 8192
"""Documents among which a batch of queries chooses; of more, others are drawn each time."""
_BATCHES = 16
"""An epoch has so many, or more of `_LARGEST_BATCH`: few pairs would be few steps."""
_LARGEST_BATCH = 256
_MAX_EPOCHS = 100
_PATIENCE = 4
"""Epochs without a better loss before it stops."""
_HELD_OUT = 10
"""One document of so many, with its queries, is not learned from; of few documents more."""
_FEWEST_HELD_OUT = 10
_LEARNING_RATE = 5e-4
_DECAY, _SQUARE_DECAY, _TINY = 0.9, 0.999, 1e-8


def fit_low_rank(
    queries: Vectors, documents: Vectors, negatives: Vectors, *, rank: int, l2: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The `u` and `v` of `QueryMap.fit`, which says what they are.

    Raises:
        ValueError: The arrays do not fit each other, hold what is no number, or are too few.
    """
    pairs = _pairs(queries, documents, negatives, rank=rank, seed=seed)
    dimensions = pairs.queries.shape[1]
    start, _ = np.linalg.qr(pairs.random.standard_normal((dimensions, rank)))
    change = [np.zeros((dimensions, rank), np.float32), start.astype(np.float32)]
    learned, held = pairs.split()
    judged = pairs.candidates(held)
    sharpness = _SHARPNESS / _spread(pairs.queries[held], judged[0])
    best, kept, waited = np.inf, change, 0
    adam = _Adam(change)
    for _ in range(_MAX_EPOCHS):
        loss, _ = _loss(change, pairs.queries[held], *judged, sharpness)
        waited = waited + 1 if loss >= best else 0
        if loss < best:
            best, kept = loss, [part.copy() for part in change]
        if waited == _PATIENCE:
            break
        for batch in pairs.batches(learned):
            _, slopes = _loss(change, pairs.queries[batch], *pairs.candidates(batch), sharpness)
            adam.step([slope + l2 * part for slope, part in zip(slopes, change, strict=True)])
    return kept[0], kept[1]


@dataclass(frozen=True)
class _Pairs:
    """Queries and the documents among which they choose, each once; vectors of length 1."""

    queries: np.ndarray
    pool: np.ndarray
    own: np.ndarray
    """Of each query: the place of its document in the pool."""
    random: np.random.Generator

    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """Places of the queries to learn from, and of those of a tenth of the documents."""
        asked_for = self.random.permutation(np.unique(self.own))
        count = max(len(asked_for) // _HELD_OUT, min(_FEWEST_HELD_OUT, len(asked_for) // 3))
        held = np.isin(self.own, asked_for[:count])
        return np.flatnonzero(~held), np.flatnonzero(held)

    def batches(self, places: np.ndarray) -> list[np.ndarray]:
        """The places, shuffled."""
        order = self.random.permutation(places)
        size = min(_LARGEST_BATCH, max(1, len(order) // _BATCHES))
        return [order[start : start + size] for start in range(0, len(order), size)]

    def candidates(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Documents to choose from, and the place among them of each query's own."""
        if len(self.pool) <= _CANDIDATES:
            return self.pool, self.own[batch]
        drawn = self.random.choice(len(self.pool), _CANDIDATES, replace=False)
        places = np.union1d(drawn, self.own[batch])
        return self.pool[places], np.searchsorted(places, self.own[batch])


@dataclass
class _Adam:
    """Kingma and Ba, arXiv 1412.6980; it changes the parameters where they lie."""

    parameters: list[np.ndarray]
    steps: int = 0
    means: list[np.ndarray] = field(init=False)
    squares: list[np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        self.means = [np.zeros_like(part) for part in self.parameters]
        self.squares = [np.zeros_like(part) for part in self.parameters]

    def step(self, slopes: list[np.ndarray]) -> None:
        """One step down."""
        self.steps += 1
        for n, slope in enumerate(slopes):
            self.means[n] += (1 - _DECAY) * (slope - self.means[n])
            self.squares[n] += (1 - _SQUARE_DECAY) * (slope**2 - self.squares[n])
            mean = self.means[n] / (1 - _DECAY**self.steps)
            square = self.squares[n] / (1 - _SQUARE_DECAY**self.steps)
            self.parameters[n] -= _LEARNING_RATE * mean / (np.sqrt(square) + _TINY)


def _spread(queries: np.ndarray, documents: np.ndarray) -> float:
    """How far a query's scores lie apart."""
    return max(float((queries @ documents.T).std(axis=1).mean()), _TINY)


def _loss(
    change: list[np.ndarray],
    queries: np.ndarray,
    documents: np.ndarray,
    own: np.ndarray,
    sharpness: float,
) -> tuple[float, list[np.ndarray]]:
    """The softmax loss of choosing each query's own document, and its slopes for u and v."""
    u, v = change
    inner = queries @ v
    moved = queries + inner @ u.T
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    unit = moved / lengths
    scores = sharpness * (unit @ documents.T)
    scores -= scores.max(axis=1, keepdims=True)
    rows = np.arange(len(queries))
    right = scores[rows, own]
    chances = np.exp(scores, out=scores)
    sums = chances.sum(axis=1, keepdims=True)
    loss = float((np.log(sums[:, 0]) - right).mean())
    chances /= sums
    chances[rows, own] -= 1
    pull = sharpness / len(queries) * (chances @ documents)
    pull = (pull - (pull * unit).sum(axis=1, keepdims=True) * unit) / lengths
    return loss, [pull.T @ inner, queries.T @ (pull @ u)]


def _pairs(
    queries: Vectors, documents: Vectors, negatives: Vectors, *, rank: int, seed: int
) -> _Pairs:
    asked, found, others = (_rows(part) for part in (queries, documents, negatives))
    if asked.shape != found.shape or others.shape[1] != found.shape[1]:
        shapes = f"{asked.shape!r}, {found.shape!r} and {others.shape!r}"
        msg = f"Queries, their documents, and negatives do not fit each other: {shapes}"
        raise ValueError(msg)
    if len(asked) < FEWEST_PAIRS:
        msg = f"A map is not learned from {len(asked)} pairs; give {FEWEST_PAIRS} or more"
        raise ValueError(msg)
    if not 1 <= rank <= asked.shape[1]:
        msg = f"rank must lie from 1 to the {asked.shape[1]} dimensions, not {rank!r}"
        raise ValueError(msg)
    pool, own = np.unique(np.concatenate([found, others]), axis=0, return_inverse=True)
    own = own.reshape(-1)[: len(asked)]
    if (different := len(np.unique(own))) < FEWEST_PAIRS // 2:
        msg = f"The pairs have {different} different documents; give {FEWEST_PAIRS // 2} or more"
        raise ValueError(msg)
    return _Pairs(asked, pool, own, np.random.default_rng(seed))


def _rows(vectors: Vectors) -> np.ndarray:
    rows = np.asarray(vectors, dtype=np.float32)
    if rows.ndim != 2 or not np.isfinite(rows).all():  # noqa: PLR2004 (rows and columns)
        msg = f"Expected rows of finite numbers, not an array {rows.shape!r}"
        raise ValueError(msg)
    unit: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _TINY)
    return unit
