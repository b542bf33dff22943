"""RAG-Fusion: the question is asked in several ways, and what is found is fused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from langchain_core.runnables import Runnable

from langchain_graft.chains.context import RETRIEVAL_SECONDS
from langchain_graft.chains.rag import RagSettings, create_grounded_stages
from langchain_graft.chains.staged import create_staged_chain
from langchain_graft.retrievers.fusion_retriever import FusionRetriever
from langchain_graft.retrievers.index import DEFAULT_K
from langchain_graft.retrievers.rewriters.multi_query import create_multi_query_rewriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.documents import Document
    from langchain_core.language_models import BaseChatModel
    from langchain_core.retrievers import RetrieverLike

    from langchain_graft.chains.types import RagInput, RagOutput
    from langchain_graft.retrievers.query import Query
    from langchain_graft.retrievers.weakness import Weakness

N_QUERIES = 4


def create_rag_fusion_chain(
    model: BaseChatModel,
    retriever: RetrieverLike | Sequence[RetrieverLike],
    *,
    rewriter: Runnable[str, list[Query]] | None = None,
    n_queries: int = N_QUERIES,
    original_weight: float | None = None,
    weakness: Weakness | None = None,
    **settings: Unpack[RagSettings],
) -> Runnable[str | RagInput, RagOutput]:
    """Like `create_rag_chain`, over what the question and its rewrites find in all retrievers.

    The rankings are fused by weighted reciprocal rank (`FusionRetriever`; Rackauckas 2024). The
    output also has `queries`: those that found the documents, as far as they are known. A rewriter
    or a retriever that fails is passed over, and `warnings` says so.

    Args:
        model: Any chat model; it writes the other queries, too.
        retriever: One or several. A `FusionRetriever`, such as `kb.retriever("hybrid")`, keeps its
            own settings where no others are given here.
        rewriter: A question into other queries; None: `create_multi_query_rewriter`.
        n_queries: How many other queries that one writes.
        original_weight: What the question counts beside each of them; None: what
            `FusionRetriever` has for it.
        weakness: Rewrite only when the first search looks weak; None: always.
        settings: As for `create_rag_chain`.

    Example:
        >>> chain = create_rag_fusion_chain(model, [kb.retriever("vector"), kb.retriever("bm25")])
    """
    own = retriever.rewriter if isinstance(retriever, FusionRetriever) else None
    rewriter = rewriter or own or create_multi_query_rewriter(model, n=n_queries)
    given = {"rewriter": rewriter, "original_weight": original_weight, "weakness": weakness}
    fused = with_settings(
        retriever,
        {name: value for name, value in given.items() if value is not None},
        timeout_seconds=settings.get("retrieval_seconds", RETRIEVAL_SECONDS),
    )
    retrieval, answering = create_grounded_stages(model, fused, tell=_queries, **settings)
    return create_staged_chain(retrieval, last=answering, name="rag_fusion_chain")


def with_settings(
    retriever: RetrieverLike | Sequence[RetrieverLike],
    given: Mapping[str, Any],
    *,
    timeout_seconds: float | None,
) -> FusionRetriever:
    """A `FusionRetriever` with these settings: of one or several retrievers, or of its own kind.

    It gives as many documents as the first one does by itself.

    Raises:
        ValueError: There is no retriever, or a setting can not be used.
    """
    if isinstance(retriever, FusionRetriever):
        return type(retriever)(**{**dict(retriever), **given})
    retrievers = [retriever] if isinstance(retriever, Runnable) else list(retriever)
    if not retrievers:
        msg = "No retriever was given, at least one is needed"
        raise ValueError(msg)
    k: int = getattr(retrievers[0], "k", DEFAULT_K)
    return FusionRetriever(retrievers=retrievers, k=k, timeout_seconds=timeout_seconds, **given)


def _queries(documents: Sequence[Document]) -> dict[str, Any]:
    shares = (share for one in documents for share in one.metadata.get("contributions", ()))
    return {"queries": list(dict.fromkeys(share["query"] for share in shares))}
