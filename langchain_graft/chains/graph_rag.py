"""Graph RAG: answers from what a graph has on the question, and from passages besides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from pydantic import Field

from langchain_graft.chains.context import RETRIEVAL_SECONDS
from langchain_graft.chains.rag import RagSettings, create_grounded_stages
from langchain_graft.chains.staged import create_staged_chain
from langchain_graft.graph.graph_retriever import GraphRetriever
from langchain_graft.retrievers.fusion_retriever import FusionRetriever
from langchain_graft.retrievers.index import DEFAULT_K

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.documents import Document
    from langchain_core.language_models import BaseChatModel
    from langchain_core.retrievers import RetrieverLike
    from langchain_core.runnables import Runnable

    from langchain_graft.chains.types import RagInput, RagOutput
    from langchain_graft.graph.store import GraphStore

GRAPH_WEIGHT = 1.0


def create_graph_rag_chain(
    model: BaseChatModel,
    store: GraphStore | GraphRetriever,
    *,
    retriever: RetrieverLike | None = None,
    graph_weight: float = GRAPH_WEIGHT,
    **settings: Unpack[RagSettings],
) -> Runnable[str | RagInput, RagOutput]:
    """Like `create_rag_chain`, over what a graph has on the question.

    Marks `[n]` count passages and things of the graph alike: a passage that triples stand on, or,
    where they stand on none, a thing with its triples, line by line. The output also has `paths`:
    how the graph leads from what the question names to the documents, best first, each with its
    `text`, its `triples` (with chunk and quote) and the `documents` that it stands on.

    With a `retriever` both rankings are fused (`FusionRetriever`), and what the graph does not know
    is found by the other one; `warnings` says so then. `weights` of a call are those of that
    retriever; given one more, the graph's come first.

    Args:
        model: Any chat model.
        store: The graph, or a `GraphRetriever` with settings of its own.
        retriever: Searches passages, such as `kb.retriever("vector")`; None: the graph alone.
        graph_weight: What the graph counts beside each retriever's 1.
        settings: As for `create_rag_chain`.

    Example:
        >>> chain = create_graph_rag_chain(model, kb.graph, retriever=kb.retriever())
        >>> output = chain.invoke("What have Pixar and NeXT to do with each other?")
        >>> output["paths"][0]["text"]
        'Steve Jobs founded NeXT; Steve Jobs bought Pixar'
    """
    graph = store if isinstance(store, GraphRetriever) else GraphRetriever(store=store)
    searched: RetrieverLike = graph
    if retriever is not None:
        searched = fused_with_graph(
            graph,
            retriever,
            graph_weight=graph_weight,
            timeout_seconds=settings.get("retrieval_seconds", RETRIEVAL_SECONDS),
        )
    retrieval, answering = create_grounded_stages(model, searched, tell=_paths, **settings)
    return create_staged_chain(retrieval, last=answering, name="graph_rag_chain")


def fused_with_graph(
    graph: GraphRetriever,
    retriever: RetrieverLike,
    *,
    graph_weight: float = GRAPH_WEIGHT,
    timeout_seconds: float | None = RETRIEVAL_SECONDS,
) -> FusionRetriever:
    """The graph and another retriever, fused; a `FusionRetriever` keeps its own settings.

    Args:
        graph: It fails where it knows nothing, so that the fusion can warn of it.
        retriever: One, or a `FusionRetriever` of several.
        graph_weight: What the graph counts beside each retriever's 1.
        timeout_seconds: Most time for all of them, where the retriever does not say.
    """
    graph = graph.model_copy(update={"fails_when_unknown": True, "name": graph.name or "graph"})
    if isinstance(retriever, FusionRetriever):
        own = dict(retriever)
        weights = own["weights"] or [1.0] * len(retriever.retrievers)
        own |= {
            "retrievers": [graph, *retriever.retrievers],
            "weights": [graph_weight, *weights],
            "graph_weight": graph_weight,
        }
        return _GraphFusion(**own)
    return _GraphFusion(
        retrievers=[graph, retriever],
        weights=[graph_weight, 1.0],
        graph_weight=graph_weight,
        k=getattr(retriever, "k", DEFAULT_K),
        timeout_seconds=timeout_seconds,
    )


class _GraphFusion(FusionRetriever):
    """A fusion whose first retriever is the graph, which keeps its weight when a call sets none."""

    graph_weight: float = Field(default=GRAPH_WEIGHT, ge=0)

    def _weights_of(self, given: Sequence[float] | None) -> Sequence[float]:
        if given is not None and len(given) == len(self.retrievers) - 1:
            given = [self.graph_weight, *given]
        return super()._weights_of(given)


def _paths(documents: Sequence[Document]) -> dict[str, Any]:
    """The paths that led to the documents, each once, best first."""
    by_text: dict[str, dict[str, Any]] = {}
    for document in documents:
        for path in document.metadata.get("paths", ()):
            told = by_text.setdefault(path["text"], {**path, "documents": []})
            told["documents"].append(document.id)
    return {"paths": sorted(by_text.values(), key=lambda path: -path["score"])}
