"""The more general question behind a question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_graft.retrievers.prompts import STEP_BACK_EXAMPLES, STEP_BACK_PROMPT
from langchain_graft.retrievers.rewriters.rewriter import create_line_rewriter

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import BasePromptTemplate
    from langchain_core.runnables import Runnable

    from langchain_graft.retrievers.query import Query


def create_step_back_rewriter(
    model: BaseChatModel,
    *,
    prompt: BasePromptTemplate[Any] = STEP_BACK_PROMPT,
    weight: float = 1.0,
) -> Runnable[str, list[Query]]:
    """A rewriter that asks for what lies behind the question (Zheng et al. 2023, Take a Step Back).

    "Which team did Thierry Audel play for from 2007 to 2008?" becomes "Which teams did Thierry
    Audel play for in his career?": what a document is about, rather than one fact in it.

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
        name="rewrite_step_back",
        n=1,
        examples=STEP_BACK_EXAMPLES,
        weight=weight,
    )
