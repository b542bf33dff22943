"""Chains: Runnables that answer from documents, with citations that are checked."""

from typing import TYPE_CHECKING

from langchain_graft._lazy import lazy_exports

__all__ = [
    "ANSWERABLE_PROMPT",
    "CONDENSE_PROMPT",
    "PLAIN_RAG_PROMPT",
    "RAG_PROMPT",
    "Citation",
    "RagInput",
    "RagOutput",
    "create_answerable_check",
    "create_conversational_rag_chain",
    "create_rag_chain",
    "find_citations",
    "is_refusal",
]

if TYPE_CHECKING:
    from langchain_graft.chains.answerable import create_answerable_check
    from langchain_graft.chains.citations import find_citations
    from langchain_graft.chains.prompts import (
        ANSWERABLE_PROMPT,
        CONDENSE_PROMPT,
        PLAIN_RAG_PROMPT,
        RAG_PROMPT,
    )
    from langchain_graft.chains.rag import create_conversational_rag_chain, create_rag_chain
    from langchain_graft.chains.refusal import is_refusal
    from langchain_graft.chains.types import Citation, RagInput, RagOutput
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "ANSWERABLE_PROMPT": "prompts",
            "CONDENSE_PROMPT": "prompts",
            "PLAIN_RAG_PROMPT": "prompts",
            "Citation": "types",
            "RAG_PROMPT": "prompts",
            "RagInput": "types",
            "RagOutput": "types",
            "create_answerable_check": "answerable",
            "create_conversational_rag_chain": "rag",
            "create_rag_chain": "rag",
            "find_citations": "citations",
            "is_refusal": "refusal",
        },
    )
