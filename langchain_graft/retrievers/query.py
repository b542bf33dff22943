"""What an index is asked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.embeddings import Embeddings


@dataclass(frozen=True)
class Query:
    """One query of a search."""

    text: str
    weight: float = 1.0
    """How much its ranking counts when rankings are fused."""
    passages: tuple[str, ...] = ()
    """Hypothetical answers, whose vectors are averaged with the query's (HyDE)."""

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            msg = f"A query is a text, not {self.text!r:.80}"
            raise TypeError(msg)
        if not (self.weight >= 0 and math.isfinite(self.weight)):
            msg = f"A query's weight must be 0 or more, not {self.weight!r}"
            raise ValueError(msg)
        object.__setattr__(self, "text", _whole(self.text))
        object.__setattr__(self, "passages", tuple(map(_whole, self.passages)))


def as_query(asked: str | Query) -> Query:
    """A plain question as a `Query`; a `Query` as it is."""
    return asked if isinstance(asked, Query) else Query(asked)


def embed_queries(embeddings: Embeddings, queries: Sequence[Query]) -> list[list[float]]:
    """One vector per query, all texts embedded in one batch where the embedder can.

    An embedder with a method `embed_queries` is asked once; any other once per query, because only
    its `embed_query` puts a query's prefix before the text. Passages are embedded as documents.
    The vector of a query with passages is the mean of theirs and its own (Gao et al. 2023, HyDE).
    """
    texts = [query.text for query in queries]
    batched = getattr(embeddings, "embed_queries", None)
    own = batched(texts) if batched else [embeddings.embed_query(text) for text in texts]
    passages = [passage for query in queries for passage in query.passages]
    if not passages:
        return list(own)
    others = iter(embeddings.embed_documents(passages))
    return [
        _mean([vector, *(next(others) for _ in query.passages)])
        for vector, query in zip(own, queries, strict=True)
    ]


def _whole(text: str) -> str:
    """The text as it can be encoded: half a surrogate pair, which a bad byte becomes, is none."""
    return text.encode(errors="replace").decode()


def _mean(vectors: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) / len(vectors) for column in zip(*vectors, strict=True)]
