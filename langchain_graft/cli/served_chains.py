"""The chains that a server has: all that its knowledge base and graph can answer by."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from langchain_graft.cli.graph_options import SCHEMES, open_graph
from langchain_graft.cli.options import CHAINS, make_chain

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import Runnable

    from langchain_graft.graph import GraphRetriever
    from langchain_graft.knowledge_base import KnowledgeBase


def served_chains(
    arguments: argparse.Namespace, kb: KnowledgeBase, model: BaseChatModel
) -> dict[str, Runnable[Any, Any]]:
    """The chains by name, each for a conversation."""
    from langchain_graft.chains import create_conversational_chain  # noqa: PLC0415

    chains = {}
    for name in CHAINS:
        if name == arguments.chain or _can_answer(name, arguments):
            asked = argparse.Namespace(**{**vars(arguments), "chain": name})
            chain = make_chain(asked, kb, model)
            chains[name] = create_conversational_chain(model, chain)
    return chains


def embeddings_name(kb: KnowledgeBase) -> str:
    """What a client calls a knowledge base's embedder."""
    from langchain_graft.knowledge_base.manifest import read_manifest  # noqa: PLC0415

    return read_manifest(kb.folder).embeddings or "embeddings"


def neo4j_address(arguments: argparse.Namespace) -> str | None:
    """The Neo4j that was named, or that of NEO4J_URI; None: there is none."""
    spec = arguments.graph or os.environ.get("NEO4J_URI")
    return spec if spec and spec.partition("://")[0] in SCHEMES else None


def graph_retriever(arguments: argparse.Namespace) -> GraphRetriever | None:
    """Finds what the graph has on a question; None: there is no graph."""
    from langchain_graft.graph import GraphRetriever  # noqa: PLC0415
    from langchain_graft.retrievers.filters import matches  # noqa: PLC0415

    if not has_graph(arguments):
        return None
    where, store = arguments.filter, open_graph(arguments.graph, arguments.kb)
    passes = (lambda one: matches(where, one.metadata)) if where else None
    return GraphRetriever(store=store, k=arguments.k, passes=passes)


def has_graph(arguments: argparse.Namespace) -> bool:
    """Whether a graph was named, or the knowledge base has built one."""
    from langchain_graft.knowledge_base.manifest import GRAPH  # noqa: PLC0415

    return bool(arguments.graph) or (arguments.kb / GRAPH).exists()


def _can_answer(name: str, arguments: argparse.Namespace) -> bool:
    if name == "text2cypher":
        return bool(neo4j_address(arguments)) and not arguments.filter
    if name == "overview":
        return has_graph(arguments) and not arguments.filter
    return name != "graph" or has_graph(arguments)
