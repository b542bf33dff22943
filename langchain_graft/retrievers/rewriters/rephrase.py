"""A question that found nothing, asked in other words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_graft.retrievers.prompts import REPHRASE_EXAMPLES, REPHRASE_PROMPT
from langchain_graft.retrievers.rewriters.rewriter import create_line_rewriter

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import BasePromptTemplate
    from langchain_core.runnables import Runnable

    from langchain_graft.retrievers.query import Query


def create_rephrase_rewriter(
    model: BaseChatModel,
    *,
    prompt: BasePromptTemplate[Any] = REPHRASE_PROMPT,
    weight: float = 1.0,
) -> Runnable[str, list[Query]]:
    """A rewriter that gives one other wording of a question whose search found nothing useful.

    Who calls it decides when a search was of no use.

    Args:
        model: Any chat model.
        prompt: With the variable `input`, perhaps `examples` (messages) and `language_rule`.
        weight: Of the query when rankings are fused.

    Raises:
        ValueError: `weight` is not above 0, or the prompt lacks a variable.
    """
    return create_line_rewriter(
        model,
        prompt,
        name="rewrite_rephrase",
        n=1,
        examples=REPHRASE_EXAMPLES,
        weight=weight,
    )
