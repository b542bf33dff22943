"""RAG-Fusion: several queries to several retrievers, and what they find as one ranking."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

from langchain_core.documents.compressor import BaseDocumentCompressor
from langchain_core.retrievers import BaseRetriever, RetrieverLike
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import run_in_executor
from pydantic import Field, model_validator

from langchain_graft.errors import RetrievalError
from langchain_graft.models.compute import compute_pool
from langchain_graft.retrievers.filters import Filter, OwnFilter
from langchain_graft.retrievers.fusion import CONSTANT, check_weights
from langchain_graft.retrievers.fusion_search import FusionSearch, names_of
from langchain_graft.retrievers.index import DEFAULT_K, narrowed
from langchain_graft.retrievers.many import asearch_many, search_many
from langchain_graft.retrievers.query import Query, as_query
from langchain_graft.retrievers.rerank import not_reranked
from langchain_graft.retrievers.together import (
    acall_together,
    ainvoke_each,
    call_together,
    invoke_each,
)
from langchain_graft.retrievers.weakness import Weakness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )
    from langchain_core.documents import Document

FETCH_K = 50
ORIGINAL_WEIGHT = 5.0
TIMEOUT_SECONDS = 60.0
REWRITER_TIMEOUT_SECONDS = 120.0
_logger = logging.getLogger(__name__)


class FusionRetriever(BaseRetriever):
    """Queries times retrievers, fused by weighted reciprocal rank.

    score(d) = sum over (query, retriever) of w_query * w_retriever / (60 + rank), with the question
    and its rewrites as queries (Rackauckas 2024, RAG-Fusion; Cormack, Clarke and Buettcher 2009). A
    retriever with `search_many`, as ours have, is asked all queries in one call, any other in one
    call per query; all work at the same time.

    A retriever that fails or takes too long is left out, and so is a rewriter or reranker that
    fails: `metadata["warnings"]` says so. `metadata["score"]` is the fused score, `contributions`
    what each query to each retriever added to it.

    With `weakness` the question itself is searched first, and rewritten only when that looks weak:
    easy questions cost no call of the model.

    Example:
        >>> hybrid = FusionRetriever(retrievers=[by_meaning, by_words], k=5)
        >>> fusion = FusionRetriever(
        ...     retrievers=[by_meaning, by_words], rewriter=create_multi_query_rewriter(model)
        ... )
    """

    retrievers: list[RetrieverLike] = Field(min_length=1)
    weights: list[float] | None = None
    """One per retriever; None: all 1."""
    rewriter: Runnable[str, list[Query]] | None = None
    """A question into other queries; None: the question alone is searched."""
    original_weight: float = Field(default=ORIGINAL_WEIGHT, ge=0)
    """What the question counts; a rewrite counts what the rewriter gives it, usually 1.

    The default was chosen on training queries (benchmarks/fusion_quality.py --choose): what a small
    model writes drifts, and harms at lower weights.
    """
    weakness: Weakness | None = None
    """When to rewrite; None: always."""
    k: int = Field(default=DEFAULT_K, ge=1)
    fetch_k: int = Field(default=FETCH_K, ge=1)
    """Documents of each ranking that are fused, and of the fused one that are reranked; `k` if that
    is more."""
    filter: OwnFilter = None
    """Held through every query and retriever; a call's filter narrows it."""
    reranker: BaseDocumentCompressor | None = None
    """Puts the fused documents into another order."""
    constant: float = Field(default=CONSTANT, ge=0)
    id_key: str | None = None
    """Name of the metadata that identifies documents without an id."""
    timeout_seconds: float | None = Field(default=TIMEOUT_SECONDS, gt=0)
    """Most time for all retrievers together to answer."""
    rewriter_timeout_seconds: float | None = Field(default=REWRITER_TIMEOUT_SECONDS, gt=0)
    """Most time to rewrite a question; of several at once, times their number."""

    @model_validator(mode="after")
    def _one_weight_each(self) -> Self:
        self._weights_of(self.weights)
        return self

    @model_validator(mode="after")
    def _weakness_shows(self) -> Self:
        if self.weakness and self.weakness.needs_two and len(self.retrievers) == 1:
            msg = "One retriever overlaps with none: set top_score or margin of its Weakness"
            raise ValueError(msg)
        return self

    def search_many(
        self,
        queries: Sequence[str | Query],
        *,
        k: int | None = None,
        filter: Filter | None = None,  # noqa: A002
        weights: Sequence[float] | None = None,
        config: RunnableConfig | None = None,
    ) -> list[list[Document]]:
        """Documents for several questions; each retriever is asked for all of them in one call.

        Args:
            queries: The questions.
            k: Documents per question; None: the retriever's own.
            filter: Narrows the retriever's own.
            weights: One per retriever, in the place of its own.
            config: For the rewriter, and for retrievers that are asked one by one.

        Raises:
            RetrievalError: No retriever answered.
            ValueError: `k`, the filter or the weights can not be used.
        """
        k, where = narrowed(self, k, filter)
        ask: dict[str, Any] = {"k": max(k, self.fetch_k), "filter": where, "config": config}
        weights = self._weights_of(weights)
        search = self._begin(queries)

        def find() -> None:
            if asked := search.pending():
                calls = [lambda one=one: search_many(one, asked, **ask) for one in self.retrievers]
                search.take(asked, call_together(calls, timeout_seconds=self.timeout_seconds))

        if self.rewriter and self.weakness:
            find()
        if self.rewriter and (numbers := self._to_rewrite(search)):
            texts = [as_query(queries[number]).text for number in numbers]
            limit = self._rewriting_seconds(len(texts))
            rewritten = invoke_each(self.rewriter, texts, config, timeout_seconds=limit)
            _rewrite(search, numbers, rewritten)
        find()
        found = self._fused(search, weights)
        pairs = zip(found, queries, strict=True)
        return [list(self._rerank(of, query, k, config))[:k] for of, query in pairs]

    async def asearch_many(
        self,
        queries: Sequence[str | Query],
        *,
        k: int | None = None,
        filter: Filter | None = None,  # noqa: A002
        weights: Sequence[float] | None = None,
        config: RunnableConfig | None = None,
    ) -> list[list[Document]]:
        """Like `search_many`, with tasks in the place of threads."""
        k, where = narrowed(self, k, filter)
        ask: dict[str, Any] = {"k": max(k, self.fetch_k), "filter": where, "config": config}
        weights = self._weights_of(weights)
        search = self._begin(queries)

        async def find() -> None:
            if asked := search.pending():
                calls = [asearch_many(one, asked, **ask) for one in self.retrievers]
                timeout = self.timeout_seconds
                search.take(asked, await acall_together(calls, timeout_seconds=timeout))

        if self.rewriter and self.weakness:
            await find()
        if self.rewriter and (numbers := self._to_rewrite(search)):
            texts = [as_query(queries[number]).text for number in numbers]
            limit = self._rewriting_seconds(len(texts))
            rewritten = await ainvoke_each(self.rewriter, texts, config, timeout_seconds=limit)
            _rewrite(search, numbers, rewritten)
        await find()
        found = await run_in_executor(compute_pool(), self._fused, search, weights)
        pairs = zip(found, queries, strict=True)
        return [list(await self._arerank(of, query, k, config))[:k] for of, query in pairs]

    def _weights_of(self, given: Sequence[float] | None) -> Sequence[float]:
        chosen = self.weights if given is None else given
        weights = [1.0] * len(self.retrievers) if chosen is None else chosen
        check_weights(weights, count=len(self.retrievers))
        if not any(weights):
            msg = f"One weight at least must be above 0, not {weights!r}: nothing would be found"
            raise ValueError(msg)
        return weights

    def _rewriting_seconds(self, count: int) -> float | None:
        return self.rewriter_timeout_seconds and count * self.rewriter_timeout_seconds

    def _begin(self, queries: Sequence[str | Query]) -> FusionSearch:
        questions = [as_query(query) for query in queries]
        weighted = [Query(q.text, self.original_weight, q.passages) for q in questions]
        return FusionSearch(weighted, names=names_of(self.retrievers))

    def _to_rewrite(self, search: FusionSearch) -> list[int]:
        """Numbers of the questions to rewrite: all, or those whose search looks weak."""
        if not self.weakness:
            return list(range(len(search)))
        if search.is_unanswered:  # there is nobody to ask again
            return []
        weakness = self.weakness
        return [n for n, signals in enumerate(search.signals()) if weakness.reasons(signals)]

    def _fused(self, search: FusionSearch, weights: Sequence[float]) -> list[list[Document]]:
        for warning in search.warnings:
            _logger.warning("%s", warning)
        if search.is_unanswered:
            raise RetrievalError(search.warnings)
        return search.fused(weights, constant=self.constant, id_key=self.id_key)

    def _rerank(
        self, documents: list[Document], query: str | Query, k: int, config: RunnableConfig | None
    ) -> Sequence[Document]:
        if not self.reranker:
            return documents
        given, text = documents[: max(k, self.fetch_k)], as_query(query).text
        callbacks = (config or {}).get("callbacks")
        try:
            return self.reranker.compress_documents(given, text, callbacks)
        except Exception as error:  # noqa: BLE001 (the order that there is is good enough)
            return not_reranked(given, error)

    async def _arerank(
        self, documents: list[Document], query: str | Query, k: int, config: RunnableConfig | None
    ) -> Sequence[Document]:
        if not self.reranker:
            return documents
        given, text = documents[: max(k, self.fetch_k)], as_query(query).text
        callbacks = (config or {}).get("callbacks")
        try:
            return await self.reranker.acompress_documents(given, text, callbacks)
        except Exception as error:  # noqa: BLE001
            return not_reranked(given, error)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **asked: Any
    ) -> list[Document]:
        config: RunnableConfig = {"callbacks": run_manager.get_child()}
        return self.search_many([query], config=config, **asked)[0]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **asked: Any
    ) -> list[Document]:
        config: RunnableConfig = {"callbacks": run_manager.get_child()}
        return (await self.asearch_many([query], config=config, **asked))[0]


def _rewrite(
    search: FusionSearch, numbers: Sequence[int], rewritten: Sequence[list[Query] | Exception]
) -> None:
    for number, rewrites in zip(numbers, rewritten, strict=True):
        search.rewrite(number, rewrites)
