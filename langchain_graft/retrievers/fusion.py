"""Several rankings into one, by the reciprocal of each document's rank. Pure: it asks nobody."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from langchain_core.documents import Document

CONSTANT = 60


class Share(NamedTuple):
    """What one ranking adds to a document's score."""

    ranking: int
    """Place of the ranking among those that are fused, from 0."""
    rank: int
    """Of the document in it, from 1."""
    score: float


class Fused(NamedTuple):
    """One document of a fused ranking."""

    key: Hashable
    score: float
    shares: tuple[Share, ...]
    """In the order of the rankings; their scores sum up to `score`."""


class Contribution(TypedDict):
    """What one query to one retriever added to a document's score: `metadata["contributions"]`."""

    query: str
    retriever: str
    rank: int
    score: float


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """What one retriever found for one query."""

    documents: Sequence[Document]
    """Best first."""
    weight: float = 1.0
    query: str = ""
    retriever: str = ""


def reciprocal_rank_fusion(
    rankings: Sequence[Sequence[Hashable]],
    *,
    weights: Sequence[float] | None = None,
    constant: float = CONSTANT,
) -> list[Fused]:
    """Fuse rankings by the reciprocal of each document's rank.

    score(d) = sum over rankings of weight / (constant + rank of d), rank counting from 1
    (Cormack, Clarke and Buettcher, SIGIR 2009, where all weights are 1). A ranking without d adds
    nothing; one that holds d several times counts its best rank alone.

    Args:
        rankings: Document ids, best first.
        weights: One per ranking, 0 or more; None: all 1. A ranking of weight 0 is left out.
        constant: Damping of the top ranks, 0 or more; the paper's `k`.

    Returns:
        Highest score first; ties in order of first sight.

    Raises:
        ValueError: The constant or a weight is negative or no number, or a weight is missing.
    """
    weights = [1.0] * len(rankings) if weights is None else list(weights)
    check_weights(weights, count=len(rankings))
    if not (constant >= 0 and math.isfinite(constant)):
        msg = f"constant must be 0 or more, not {constant!r}"
        raise ValueError(msg)
    shares: dict[Hashable, list[Share]] = {}
    for number, (ranking, weight) in enumerate(zip(rankings, weights, strict=True)):
        if not weight:
            continue
        best = {key: rank for rank, key in reversed(list(enumerate(ranking, 1)))}
        for key in dict.fromkeys(ranking):
            share = Share(number, best[key], weight / (constant + best[key]))
            shares.setdefault(key, []).append(share)
    fused = [
        Fused(key, math.fsum(share.score for share in of), tuple(of)) for key, of in shares.items()
    ]
    return sorted(fused, key=lambda one: -one.score)


def fuse_documents(
    rankings: Sequence[Ranking], *, constant: float = CONSTANT, id_key: str | None = None
) -> list[Document]:
    """Fuse rankings of documents.

    Two documents are the same when they have the same `id`; where there is none, the same
    `metadata[id_key]`; where there is neither, the same text. Of several the first one that is seen
    comes out, as a copy, with the fused `score` and its `contributions` in the metadata.

    Args:
        rankings: What retrievers found.
        constant: As for `reciprocal_rank_fusion`.
        id_key: Name of the metadata that identifies a document without an id.
    """
    keys = _keys(rankings, id_key)
    first: dict[Hashable, Document] = {}
    for ranking, of in zip(rankings, keys, strict=True):
        for key, document in zip(of, ranking.documents, strict=True):
            first.setdefault(key, document)
    fused = reciprocal_rank_fusion(
        keys, weights=[ranking.weight for ranking in rankings], constant=constant
    )
    return [_scored(first[one.key], one, rankings) for one in fused]


def check_weights(weights: Sequence[float], *, count: int) -> None:
    """Raise ValueError unless there are `count` weights, each a number of 0 or more."""
    if len(weights) != count:
        msg = f"{count} weights are needed, one each; {len(weights)} were given: {weights!r}"
        raise ValueError(msg)
    for weight in weights:
        if not (weight >= 0 and math.isfinite(weight)):
            msg = f"A weight must be 0 or more, not {weight!r}"
            raise ValueError(msg)


def _keys(rankings: Sequence[Ranking], id_key: str | None) -> list[list[Hashable]]:
    """A key for every document. One without an id gets that of a named one with the same text."""
    documents = [list(ranking.documents) for ranking in rankings]
    named = [[_own_key(document, id_key) for document in of] for of in documents]
    if all(key is not None for of in named for key in of):
        return [list(of) for of in named]
    by_text = {
        _text_key(document): key
        for document, key in _flat(zip(documents, named, strict=True))
        if key is not None
    }
    return [
        [key or by_text.get(_text_key(document), _text_key(document)) for document, key in pairs]
        for pairs in (zip(*of, strict=True) for of in zip(documents, named, strict=True))
    ]


def _flat(
    pairs: Iterable[tuple[Sequence[Document], Sequence[Hashable]]],
) -> list[tuple[Document, Hashable]]:
    flat = [pair for documents, keys in pairs for pair in zip(documents, keys, strict=True)]
    return flat[::-1]  # a dict made of it keeps the first of each text


def _own_key(document: Document, id_key: str | None) -> Hashable | None:
    if document.id:
        return ("id", document.id)
    value = document.metadata.get(id_key) if id_key else None
    return None if value is None else (id_key, str(value))


def _text_key(document: Document) -> Hashable:
    return ("text", hashlib.sha256(document.page_content.encode(errors="replace")).digest())


def _scored(document: Document, fused: Fused, rankings: Sequence[Ranking]) -> Document:
    contributions = [
        Contribution(
            query=rankings[share.ranking].query,
            retriever=rankings[share.ranking].retriever,
            rank=share.rank,
            score=share.score,
        )
        for share in fused.shares
    ]
    added = {"score": fused.score, "contributions": contributions}
    return document.model_copy(update={"metadata": {**document.metadata, **added}})
