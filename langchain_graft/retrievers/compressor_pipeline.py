"""Several compressors as one, for what takes one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.documents.compressor import BaseDocumentCompressor
from pydantic import Field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.callbacks import Callbacks
    from langchain_core.documents import Document


class CompressorPipeline(BaseDocumentCompressor):
    """Compressors one after the other: what the first gives is what the second gets.

    Example:
        >>> pipeline = CompressorPipeline(compressors=[reranker, redundancy, self_information])
    """

    compressors: list[BaseDocumentCompressor] = Field(min_length=1)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """What the last one gives."""
        for compressor in self.compressors:
            documents = compressor.compress_documents(documents, query, callbacks)
        return documents

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Like `compress_documents`, each in its own asynchronous way."""
        for compressor in self.compressors:
            documents = await compressor.acompress_documents(documents, query, callbacks)
        return documents
