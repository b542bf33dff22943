"""The same question asked in several ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_graft.retrievers.prompts import MULTI_QUERY_EXAMPLES, MULTI_QUERY_PROMPT
from langchain_graft.retrievers.rewriters.rewriter import create_line_rewriter

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import BasePromptTemplate
    from langchain_core.runnables import Runnable

    from langchain_graft.retrievers.query import Query


def create_multi_query_rewriter(
    model: BaseChatModel,
    n: int = 4,
    *,
    prompt: BasePromptTemplate[Any] = MULTI_QUERY_PROMPT,
    weight: float = 1.0,
) -> Runnable[str, list[Query]]:
    """A rewriter that asks in other words, more specifically, more generally, with other names.

    It corrects spelling, and keeps the question's language. RAG-Fusion searches with all of them
    (Raudaschl 2023; beyond four queries nothing was gained).

    Args:
        model: Any chat model.
        n: Most queries, from 1 to 20.
        prompt: With the variable `input`, perhaps `n`, `examples` (messages) and `language_rule`.
        weight: Of each query when rankings are fused.

    Raises:
        ValueError: `n` or `weight` is out of range, or the prompt lacks a variable.
    """
    return create_line_rewriter(
        model,
        prompt,
        name="rewrite_multi_query",
        n=n,
        examples=MULTI_QUERY_EXAMPLES,
        weight=weight,
    )
