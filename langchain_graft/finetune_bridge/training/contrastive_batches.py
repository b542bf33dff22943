"""Batches in which each query has to tell its own passage from the others'."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_graft.finetune_bridge.training.rows import split_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_graft.finetune_bridge.training.rows import EmbeddingRow
    from langchain_graft.finetune_bridge.training.settings import EmbeddingSettings

    Answers = Mapping[str, frozenset[str]]

_SHORTEST = 4
"""A last batch with fewer than a quarter of the rows teaches little: its rows wait for the next
epoch's order."""


@dataclass(frozen=True, kw_only=True)
class ContrastiveBatch:
    """Queries, and the passages among which they choose, each once."""

    queries: Sequence[str]
    passages: Sequence[str]
    own: Sequence[int]
    """Of each query: the place of its passage."""
    right_too: Sequence[tuple[int, int]]
    """Query and passage that some row pairs, though it is not the query's own here: neither right
    nor wrong."""


def learned_and_held(
    rows: Sequence[EmbeddingRow], settings: EmbeddingSettings
) -> tuple[list[EmbeddingRow], list[EmbeddingRow]]:
    """Rows to learn from, and those of `eval_share` to be judged by, which share nothing with them.

    Raises:
        ValueError: They hang together so that none can be held out.
    """
    if settings.eval_share == 0:
        return list(rows), []
    return split_rows(rows, share=settings.eval_share, seed=settings.seed)


def answers_of(rows: Iterable[EmbeddingRow]) -> dict[str, frozenset[str]]:
    """The passages that rows give to each query."""
    found = defaultdict(set)
    for row in rows:
        found[row.query].add(row.positive)
    return {query: frozenset(passages) for query, passages in found.items()}


def batch_places(
    rows: Sequence[EmbeddingRow], *, size: int, seed: int, epoch: int, group_rows: int = 1
) -> list[list[int]]:
    """Places of an epoch's rows, shuffled, in batches in which no query or passage is twice.

    Args:
        rows: What is learned from.
        size: Rows of a batch.
        seed: The same seed and epoch give the same batches.
        epoch: From 0.
        group_rows: Rows of a group that come one after another, at most.
    """
    waiting = _shuffled(rows, random.Random(f"{seed} {epoch}"), group_rows)  # noqa: S311 (no secret)
    batches: list[list[int]] = []
    while waiting:
        batch, waiting = _take(rows, waiting, size)
        batches.append(batch)
    whole = [batch for batch in batches if len(batch) * _SHORTEST >= size]
    return whole or batches


def make_batch(
    rows: Sequence[EmbeddingRow], answers: Answers, *, negatives: int, pool: Sequence[str] = ()
) -> ContrastiveBatch:
    """The batch of some rows.

    A passage that several rows name is there once; a text that is one row's negative and
    another's passage as well.

    Args:
        rows: Of the batch.
        answers: Of all rows (`answers_of`).
        negatives: Of a row that are taken, at most.
        pool: Passages that are there besides.
    """
    named = [row.positive for row in rows]
    named += [text for row in rows for text in row.negatives[:negatives]]
    places = {text: n for n, text in enumerate(dict.fromkeys([*named, *pool]))}
    right_too = [
        (n, places[text])
        for n, row in enumerate(rows)
        for text in sorted(answers.get(row.query, ()))
        if text in places and text != row.positive
    ]
    return ContrastiveBatch(
        queries=[row.query for row in rows],
        passages=list(places),
        own=[places[row.positive] for row in rows],
        right_too=right_too,
    )


def _shuffled(rows: Sequence[EmbeddingRow], draw: random.Random, group_rows: int) -> list[int]:
    """Places of rows at random, up to `group_rows` of a group together."""
    waiting = list(range(len(rows)))
    draw.shuffle(waiting)
    if group_rows == 1:
        return waiting
    pieces: list[list[int]] = []
    open_pieces: dict[str, list[int]] = {}
    for place in waiting:
        group = rows[place].group
        piece = open_pieces.get(group) if group else None
        if piece is None or len(piece) == group_rows:
            piece = []
            pieces.append(piece)
            open_pieces[group] = piece
        piece.append(place)
    draw.shuffle(pieces)
    return [place for piece in pieces for place in piece]


def _take(
    rows: Sequence[EmbeddingRow], waiting: list[int], size: int
) -> tuple[list[int], list[int]]:
    """A batch, and what is left for later ones."""
    batch: list[int] = []
    later: list[int] = []
    seen: set[tuple[str, str]] = set()
    for n, place in enumerate(waiting):
        keys = {("query", rows[place].query), ("passage", rows[place].positive)}
        if seen.isdisjoint(keys):
            batch.append(place)
            seen |= keys
        else:
            later.append(place)
        if len(batch) == size:
            return batch, later + waiting[n + 1 :]
    return batch, later
