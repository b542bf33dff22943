"""`graft demo --graph`: a graph of a few documents, a question along it, and one in Cypher."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_core.language_models import BaseChatModel
    from rich.console import Console

    from langchain_graft.knowledge_base import KnowledgeBase

FILES = (
    "people/steve-jobs-early-years.md",
    "companies/next.md",
)
"""What a local model reads in a few minutes."""
QUESTION = "Tell me everything about Apple and Jobs."
CYPHER_QUESTION = "Where did Steve Jobs work?"
K = 8
CONTEXT_TOKENS = 1500


def build(folder: Path, corpus: Path, model: BaseChatModel, say: Console) -> KnowledgeBase:
    """The few documents as a knowledge base with its graph; a second run finds it made."""
    from langchain_graft.cli.console import progress  # noqa: PLC0415
    from langchain_graft.knowledge_base import KnowledgeBase  # noqa: PLC0415

    with progress() as on_progress:
        kb = KnowledgeBase.create(folder, exist_ok=True)
        kb.ingest(*(corpus / name for name in FILES), on_progress=on_progress)
        kb.build_graph(model, on_progress=on_progress)
    with closing(kb.graph) as graph:
        schema = graph.schema()
    nodes = sum(one.count or 0 for one in schema.nodes)
    ties = sum(one.count or 0 for one in schema.relationships)
    say.print(f"{nodes} things, {ties} relationships")
    return kb


def ask_along(kb: KnowledgeBase, model: BaseChatModel, ask: Any) -> dict[str, Any]:
    """Graph RAG: the graph and meaning, fused."""
    from langchain_graft.chains import create_graph_rag_chain  # noqa: PLC0415

    graph = kb.retriever("graph", k=K)
    chain = create_graph_rag_chain(
        model, graph, retriever=kb.retriever(k=K), context_tokens=CONTEXT_TOKENS
    )
    answer: dict[str, Any] = ask(chain, QUESTION)
    return answer


def ask_in_cypher(
    kb: KnowledgeBase, model: BaseChatModel, ask: Any, folder: Path
) -> dict[str, Any]:
    """text2cypher: the graph is copied into a Neo4j of its own, and the model writes Cypher."""
    from langchain_graft.chains.text2cypher import create_text2cypher_chain  # noqa: PLC0415
    from langchain_graft.cli.console import progress  # noqa: PLC0415
    from langchain_graft.graph.copying import copy_graph  # noqa: PLC0415
    from langchain_graft.graph.local_neo4j import LocalNeo4j  # noqa: PLC0415
    from langchain_graft.graph.neo4j_store import Neo4jGraphStore  # noqa: PLC0415

    with ExitStack() as stack:
        on_progress = stack.enter_context(progress())
        server = stack.enter_context(LocalNeo4j(folder, on_progress=on_progress))
        store = stack.enter_context(
            closing(Neo4jGraphStore(server.uri, user=server.user, password=server.password))
        )
        source = stack.enter_context(closing(kb.graph))
        copy_graph(source, store)
        answer: dict[str, Any] = ask(create_text2cypher_chain(model, store), CYPHER_QUESTION)
    return answer
