"""Documents that are relevant and not alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from langchain_core.documents.compressor import BaseDocumentCompressor
from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import run_in_executor
from pydantic import ConfigDict, Field

from langchain_graft.errors import MissingExtraError
from langchain_graft.models.compute import compute_pool
from langchain_graft.retrievers.query import Query, embed_queries
from langchain_graft.retrievers.rerank import not_reranked, ranked
from langchain_graft.retrievers.unit_vectors import unit_vectors
from langchain_graft.source_text import source_text

try:
    import numpy as np
except ImportError as error:
    raise MissingExtraError("models") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.callbacks import Callbacks
    from langchain_core.documents import Document

RELEVANCE_WEIGHT = 0.7


class Picked(NamedTuple):
    """One choice of `maximal_marginal_relevance`."""

    number: int
    """Place among the vectors that were given."""
    score: float
    """Its marginal relevance when it was chosen."""


def maximal_marginal_relevance(
    query_vector: Sequence[float],
    vectors: Sequence[Sequence[float]],
    *,
    k: int,
    relevance_weight: float = RELEVANCE_WEIGHT,
) -> list[Picked]:
    """Choose vectors near the query and far from those chosen before.

    Next is the d of largest w * cos(d, query) - (1 - w) * max over chosen c of cos(d, c)
    (Carbonell and Goldstein, SIGIR 1998); for the first one the second part is 0. A negative cosine
    to what was chosen counts 0, so that scores never rise.

    Args:
        query_vector: float[dimension].
        vectors: float[count, dimension].
        k: How many are chosen; all if there are fewer.
        relevance_weight: The w, from 0 (variety alone) to 1 (relevance alone); the paper's lambda.

    Returns:
        In the order of choice; ties in the order given.

    Raises:
        ValueError: `k` or the weight is out of range, or a vector holds what is no finite number.
    """
    if k < 1 or not 0 <= relevance_weight <= 1:
        msg = f"k must be 1 or more, relevance_weight from 0 to 1, not {k!r}, {relevance_weight!r}"
        raise ValueError(msg)
    if not len(vectors):
        return []
    unit = unit_vectors([query_vector, *vectors])
    relevance = relevance_weight * (unit[1:] @ unit[0])
    nearest = np.zeros(len(vectors))  # to what was chosen so far
    picked: list[Picked] = []
    for _ in range(min(k, len(vectors))):
        scores = relevance - (1 - relevance_weight) * nearest
        best = int(np.argmax(scores))
        picked.append(Picked(best, float(scores[best])))
        relevance[best] = -np.inf
        nearest = np.maximum(nearest, unit[1:] @ unit[1 + best])
    return picked


class MMRReranker(BaseDocumentCompressor):
    """Puts documents that say something new before those that repeat, by their vectors.

    `metadata["rerank_score"]` is the marginal relevance. If the embedder fails the order stays,
    with a line in `metadata["warnings"]`.

    Example:
        >>> reranker = MMRReranker(embeddings=load_embeddings(), top_n=5)
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    embeddings: Embeddings
    """All documents are embedded in one batch."""
    top_n: int | None = Field(default=None, ge=1)
    """How many come out; None: all."""
    relevance_weight: float = Field(default=RELEVANCE_WEIGHT, ge=0, le=1)

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002
    ) -> list[Document]:
        """The documents in the order in which they are chosen."""
        if not documents:
            return []
        try:
            [asked] = embed_queries(self.embeddings, [Query(query)])
            vectors = self.embeddings.embed_documents([source_text(one) for one in documents])
            _check_count(vectors, documents)
            picked = maximal_marginal_relevance(
                asked,
                vectors,
                k=self.top_n or len(documents),
                relevance_weight=self.relevance_weight,
            )
        except Exception as error:  # noqa: BLE001 (the order that there is is good enough)
            return not_reranked(documents, error, top_n=self.top_n)
        return ranked([documents[one.number] for one in picked], [one.score for one in picked])

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Like `compress_documents`, off the event loop."""
        return await run_in_executor(
            compute_pool(), self.compress_documents, documents, query, callbacks
        )


def _check_count(vectors: Sequence[object], documents: Sequence[Document]) -> None:
    if len(vectors) != len(documents):
        msg = f"the embedder gave {len(vectors)} vectors for {len(documents)} documents"
        raise ValueError(msg)
