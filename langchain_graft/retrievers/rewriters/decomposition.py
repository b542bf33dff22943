"""A question of several parts, part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_graft.retrievers.prompts import DECOMPOSITION_EXAMPLES, DECOMPOSITION_PROMPT
from langchain_graft.retrievers.rewriters.rewriter import create_line_rewriter

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import BasePromptTemplate
    from langchain_core.runnables import Runnable

    from langchain_graft.retrievers.query import Query


def create_decomposition_rewriter(
    model: BaseChatModel,
    max_queries: int = 4,
    *,
    prompt: BasePromptTemplate[Any] = DECOMPOSITION_PROMPT,
    weight: float = 1.0,
) -> Runnable[str, list[Query]]:
    """A rewriter that gives the independent sub-questions of a question, none of a simple one.

    A single sub-question is taken to mean that the question is simple.

    Args:
        model: Any chat model.
        max_queries: Most sub-questions, from 2 to 20.
        prompt: With the variable `input`, perhaps `n` (which is `max_queries`), `examples`
            (messages) and `language_rule`.
        weight: Of each query when rankings are fused.

    Raises:
        ValueError: `max_queries` or `weight` is out of range, or the prompt lacks a variable.
    """
    if max_queries < 2:  # noqa: PLR2004
        msg = f"max_queries must be 2 or more, not {max_queries!r}"
        raise ValueError(msg)

    def several(queries: list[Query]) -> list[Query]:
        return queries if len(queries) > 1 else []

    rewriter = create_line_rewriter(
        model,
        prompt,
        name="split_question",
        n=max_queries,
        examples=DECOMPOSITION_EXAMPLES,
        weight=weight,
    )
    return (rewriter | several).with_config(run_name="rewrite_decomposition")
