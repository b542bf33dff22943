"""Answers without documents: small talk, the model alone, and polite refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableLambda

from langchain_graft.chains.answer import create_answer_step
from langchain_graft.chains.inputs import question_of
from langchain_graft.chains.prompts import TALK_PROMPT
from langchain_graft.chains.staged import create_staged_chain
from langchain_graft.language import language_of
from langchain_graft.models.asking import require_variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import BasePromptTemplate

    from langchain_graft.chains.types import RagInput, RagOutput

NO_DOCUMENTS: Runnable[Any, dict[str, Any]] = RunnableLambda(
    lambda _: {"context": [], "left_out": [], "warnings": []}, name="no_documents"
)
"""In the place of retrieval: none were looked for."""

REASONS = {
    "en": "I can not answer that: I only answer questions about the documents.",
    "zh": "我无法回答这个问题：我只回答与文档内容有关的问题。",
}


def create_plain_chain(
    model: BaseChatModel, *, prompt: BasePromptTemplate[Any] = TALK_PROMPT
) -> Runnable[str | RagInput, RagOutput]:
    """A chain that looks nothing up: the model answers alone.

    It gives what `create_rag_chain` gives, with no documents and no citations; a mark such as `[1]`
    never leaves.

    Args:
        model: Any chat model.
        prompt: With the variable `input`; it may use `chat_history` and `language_rule`. The
            default is for small talk, and states no facts.
    """
    require_variables(prompt, "input")
    answering = create_answer_step(model, prompt, needs_context=False)
    return create_staged_chain(NO_DOCUMENTS, last=answering, name="plain_chain")


def create_refusing_chain(
    reason: str | Mapping[str, str] = REASONS,
) -> Runnable[str | RagInput, RagOutput]:
    """A chain that refuses, in the same shape as an answer; no model is asked.

    Args:
        reason: What it says; by language ("en", "zh"), or the same in all.

    Raises:
        ValueError: There is nothing to say in one of the languages.
    """
    reasons = {"en": reason, "zh": reason} if isinstance(reason, str) else dict(reason)
    if not all(reasons.get(language) for language in REASONS):
        msg = f"reason must be a text, or one each for {list(REASONS)!r}, not {reason!r}"
        raise ValueError(msg)

    def refuse(state: Mapping[str, Any]) -> dict[str, Any]:
        return {"answer": reasons[language_of(question_of(state))], "citations": []}

    return create_staged_chain(
        NO_DOCUMENTS, last=RunnableLambda(refuse, name="refuse"), name="refusing_chain"
    )
