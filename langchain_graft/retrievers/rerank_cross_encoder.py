"""Documents in the order of a cross-encoder's scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.cross_encoders import BaseCrossEncoder
from langchain_core.documents.compressor import BaseDocumentCompressor
from langchain_core.runnables.config import run_in_executor
from pydantic import ConfigDict, Field

from langchain_graft.models.compute import compute_pool
from langchain_graft.retrievers.rerank import not_reranked, ranked
from langchain_graft.source_text import source_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.callbacks import Callbacks
    from langchain_core.documents import Document


class CrossEncoderReranker(BaseDocumentCompressor):
    """Reads each document together with the query, which is what two vectors can not do.

    `metadata["rerank_score"]` is the model's score. If the model fails the order stays, with a line
    in `metadata["warnings"]` (Nogueira and Cho 2019, Passage Re-ranking with BERT).

    Example:
        >>> reranker = CrossEncoderReranker(model=my_cross_encoder, top_n=5)
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: BaseCrossEncoder
    top_n: int | None = Field(default=None, ge=1)
    """How many come out; None: all."""

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002
    ) -> list[Document]:
        """The documents, best first; all pairs go to the model in one call."""
        if not documents:
            return []
        pairs = [(query, source_text(document)) for document in documents]
        try:
            scores = [float(score) for score in self.model.score(pairs)]
            return ranked(documents, scores, top_n=self.top_n)
        except Exception as error:  # noqa: BLE001 (the order that there is is good enough)
            return not_reranked(documents, error, top_n=self.top_n)

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Like `compress_documents`, off the event loop."""
        return await run_in_executor(
            compute_pool(), self.compress_documents, documents, query, callbacks
        )
