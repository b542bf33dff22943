"""The chains over a graph that a command makes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_graft.cli.graph_options import SCHEMES, open_graph, open_neo4j

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from langchain_core.documents import Document
    from langchain_core.language_models import BaseChatModel
    from langchain_core.retrievers import RetrieverLike
    from langchain_core.runnables import Runnable

    from langchain_graft.graph.graph_retriever import GraphRetriever

GRAPH_CHAINS = ("graph", "text2cypher", "overview")
SUMMARIES = "communities.jsonl"


def graph_chain(
    arguments: argparse.Namespace,
    model: BaseChatModel,
    retriever: RetrieverLike | None,
    settings: dict[str, Any],
) -> Runnable[Any, Any]:
    """The one of `GRAPH_CHAINS` that was asked for; without a retriever it has the graph alone.

    Raises:
        ValueError: A filter was asked for, and the chain reads no passages.
    """
    from langchain_graft import chains  # noqa: PLC0415

    if arguments.chain == "graph":
        graph = _retriever(arguments, open_graph(arguments.graph, arguments.kb))
        return chains.create_graph_rag_chain(model, graph, retriever=retriever, **settings)
    if arguments.filter:
        msg = f"--filter chooses passages, and --chain {arguments.chain} reads none: leave it out"
        raise ValueError(msg)
    if arguments.chain == "text2cypher":
        return chains.create_text2cypher_chain(model, open_neo4j(arguments.graph))
    summaries = _summaries(arguments, open_graph(arguments.graph, arguments.kb), model)
    return chains.create_graph_overview_chain(model, summaries, **settings)


def default_router(
    arguments: argparse.Namespace,
    model: BaseChatModel,
    retriever: RetrieverLike,
    settings: dict[str, Any],
) -> Runnable[Any, Any]:
    """The router, over the graph too that was named, or that the knowledge base has built."""
    from langchain_graft.chains import create_default_router  # noqa: PLC0415
    from langchain_graft.knowledge_base.manifest import GRAPH  # noqa: PLC0415

    if not (arguments.graph or (arguments.kb / GRAPH).exists()):
        return create_default_router(model, retriever, **settings)
    store = open_graph(arguments.graph, arguments.kb)
    schema = store.schema()
    if not schema.nodes:
        return create_default_router(model, retriever, **settings)
    graph = _retriever(arguments, store)
    sums_up = schema.relationships and not arguments.filter and store.chunk_ids(limit=1)
    summaries = _summaries(arguments, store, model) if sums_up else ()
    return create_default_router(model, retriever, graph=graph, summaries=summaries, **settings)


def _retriever(arguments: argparse.Namespace, store: Any) -> GraphRetriever:
    from langchain_graft.graph import GraphRetriever  # noqa: PLC0415
    from langchain_graft.retrievers.filters import matches  # noqa: PLC0415

    where = arguments.filter
    passes = (lambda one: matches(where, one.metadata)) if where else None
    return GraphRetriever(store=store, k=arguments.k, passes=passes)


def _summaries(
    arguments: argparse.Namespace, store: Any, model: BaseChatModel
) -> Callable[[], list[Document]]:
    """What sums the graph's communities up; what was summed up before is kept in a file."""

    def make() -> list[Document]:
        from langchain_graft.cli.console import progress  # noqa: PLC0415
        from langchain_graft.errors import GraphError  # noqa: PLC0415
        from langchain_graft.graph import create_community_summaries  # noqa: PLC0415

        path = summaries_file(arguments.graph, arguments.kb)
        path.parent.mkdir(parents=True, exist_ok=True)
        with progress() as on_progress:
            made = create_community_summaries(store, model, path=path, on_progress=on_progress)
        if not made:
            msg = (
                "The graph has no community of three things that passages tie together, so there "
                "is nothing to sum up: ask with --chain graph or rag-fusion"
            )
            raise GraphError(msg)
        return made

    return make


def summaries_file(spec: str | None, folder: Path | None) -> Path:
    """Where the summaries of a graph are kept: beside it, or for a Neo4j in the cache."""
    if spec and spec.partition("://")[0] in SCHEMES:
        from langchain_graft.models.cache_folder import cache_folder  # noqa: PLC0415

        digest = hashlib.sha256(spec.encode()).hexdigest()[:16]
        return cache_folder() / "communities" / f"{digest}.jsonl"
    path = Path(spec or str(folder))
    return path / SUMMARIES if path.is_dir() else path.with_suffix(f".{SUMMARIES}")
