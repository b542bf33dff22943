"""The seam between an index and LangChain: many queries in one call, and the retriever over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, SupportsIndex, runtime_checkable

from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables.config import run_in_executor
from pydantic import Field

from langchain_graft.models.compute import compute_pool
from langchain_graft.retrievers.filters import (
    Filter,
    OwnFilter,
    both_filters,
    check_filter,
    matches,
)
from langchain_graft.retrievers.query import Query, as_query

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )
    from langchain_core.documents import Document

DEFAULT_K = 4
_WIDEN = 4


@runtime_checkable
class SearchIndex(Protocol):
    """Something that ranks documents for several queries in one call."""

    def search_many(
        self,
        queries: Sequence[Query],
        *,
        k: int,
        filter: Filter | None = None,  # noqa: A002
    ) -> list[list[Document]]:
        """Up to `k` documents per query, best first, with their score in `metadata["score"]`."""
        ...


class IndexRetriever(BaseRetriever):
    """A LangChain retriever over a `VectorIndex` or a `BM25Index`.

    `k` and `filter` can be given at construction and per call. A call's filter narrows the one
    given at construction and can not widen it, so that one is safe as a tenant's border.
    """

    index: SearchIndex
    k: int = Field(default=DEFAULT_K, ge=1)
    filter: OwnFilter = None

    def search_many(
        self,
        queries: Sequence[str | Query],
        *,
        k: int | None = None,
        filter: Filter | None = None,  # noqa: A002
    ) -> list[list[Document]]:
        """Rank documents for several queries: one embedding batch, one call of the index."""
        k, where = narrowed(self, k, filter)
        return self.index.search_many([as_query(query) for query in queries], k=k, filter=where)

    async def asearch_many(
        self,
        queries: Sequence[str | Query],
        *,
        k: int | None = None,
        filter: Filter | None = None,  # noqa: A002
    ) -> list[list[Document]]:
        """Like `search_many`, off the event loop."""
        return await run_in_executor(compute_pool(), self.search_many, queries, k=k, filter=filter)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002
        k: int | None = None,
        filter: Filter | None = None,  # noqa: A002
    ) -> list[Document]:
        return self.search_many([query], k=k, filter=filter)[0]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002
        k: int | None = None,
        filter: Filter | None = None,  # noqa: A002
    ) -> list[Document]:
        return (await self.asearch_many([query], k=k, filter=filter))[0]


def check_search(k: int, where: Filter | None) -> None:
    """Raise ValueError when `k` is no number from 1 or the filter is none of the dialect."""
    if not isinstance(k, SupportsIndex) or k.__index__() < 1:
        msg = f"k must be a whole number, 1 or more, not {k!r}"
        raise ValueError(msg)
    check_filter(where)


class _Narrowable(Protocol):
    """A retriever with settings that a call may narrow."""

    k: int
    filter: OwnFilter


def narrowed(retriever: _Narrowable, k: int | None, filter: Filter | None) -> tuple[int, Filter]:  # noqa: A002
    """What a call asks of a retriever: its own `k` unless another is given, and both filters.

    Raises:
        ValueError: `k` or the filter can not be used.
    """
    k = retriever.k if k is None else k
    where = both_filters(retriever.filter, filter)
    check_search(k, where)
    return k, where


def document_ids(documents: Sequence[Document]) -> list[str]:
    """The documents' ids.

    Raises:
        ValueError: One has none, or another one's.
    """
    ids = [document.id for document in documents]
    if not all(ids) or len(set(ids)) != len(ids):
        msg = "Every document needs an id of its own: Document(id=..., page_content=...)"
        raise ValueError(msg)
    return [str(id_) for id_ in ids]


def filtered(
    search: Callable[[int], Sequence[tuple[Document, float]]], *, k: int, where: Filter | None
) -> list[Document]:
    """The first `k` documents that pass the filter, searching wider while there are too few.

    Their score is put in last: the filter is asked about the metadata that was written.

    Args:
        search: Gives that many documents with their scores, best first; fewer or more only
            where it gives all there are.
        k: How many are wanted.
        where: The filter; a store's translation of it may have let more through.
    """
    wanted = k
    while True:
        found = search(wanted)
        passed = [hit for hit in found if matches(where, hit[0].metadata)]
        if len(passed) >= k or len(found) != wanted:
            return [_scored(document, score) for document, score in passed[:k]]
        wanted *= _WIDEN


def _scored(document: Document, score: float) -> Document:
    return document.model_copy(update={"metadata": {**document.metadata, "score": score}})
