"""langchain-graft: graph, retrieval, agents and fine-tuning as LangChain parts.

The parts live in subpackages; what they export is loaded when it is first touched:

    retrievers       query in, ranked documents out
    chains           Runnables that answer, with citations that are checked
    models           chat models and embeddings by name
    evaluation       metrics with intervals
    knowledge_base   one folder that is ingested, asked and measured
"""

from typing import TYPE_CHECKING

from langchain_graft._lazy import lazy_exports

__all__ = [
    "FusionRetriever",
    "GraftError",
    "KnowledgeBase",
    "create_conversational_rag_chain",
    "create_rag_chain",
    "create_rag_fusion_chain",
    "load_chat_model",
    "load_embeddings",
]

__version__ = "0.1.0"

if TYPE_CHECKING:
    from langchain_graft.chains import (
        create_conversational_rag_chain,
        create_rag_chain,
        create_rag_fusion_chain,
    )
    from langchain_graft.errors import GraftError
    from langchain_graft.knowledge_base import KnowledgeBase
    from langchain_graft.models import load_chat_model, load_embeddings
    from langchain_graft.retrievers import FusionRetriever
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "FusionRetriever": "retrievers",
            "GraftError": "errors",
            "KnowledgeBase": "knowledge_base",
            "create_conversational_rag_chain": "chains",
            "create_rag_chain": "chains",
            "create_rag_fusion_chain": "chains",
            "load_chat_model": "models",
            "load_embeddings": "models",
        },
    )
