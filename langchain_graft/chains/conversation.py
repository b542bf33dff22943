"""A conversation in front of a chain: questions are rewritten to be understood alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable, RunnableBranch, RunnableLambda, RunnablePassthrough

from langchain_graft.chains.inputs import conversation_text
from langchain_graft.chains.prompts import CONDENSE_PROMPT
from langchain_graft.chains.rag import RagSettings, create_rag_chain
from langchain_graft.chains.staged import create_staged_chain
from langchain_graft.models.asking import ask_aside, require_variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import BasePromptTemplate
    from langchain_core.retrievers import RetrieverLike

    from langchain_graft.chains.types import RagInput, RagOutput

_QUESTION_TOKENS = 256


def create_conversational_chain(
    model: BaseChatModel,
    chain: Runnable[Any, Any],
    *,
    condense_prompt: BasePromptTemplate[Any] = CONDENSE_PROMPT,
) -> Runnable[str | RagInput, RagOutput]:
    """Any chain, for a conversation: `{"input", "chat_history"}`.

    With a history the model first rewrites the question so that it can be understood alone; that is
    what the chain is asked, and it is in the output as `question`.

    Args:
        model: Rewrites the question.
        chain: Any chain of ours.
        condense_prompt: With the variables `conversation` and `input`.

    Example:
        >>> chain = create_conversational_chain(model, create_rag_fusion_chain(model, retriever))
    """
    require_variables(condense_prompt, "conversation", "input")

    return create_staged_chain(
        _create_condense_step(model, condense_prompt),
        last=lambda state: (chain, {**state, "input": state["question"]}),
        name="conversational_chain",
    )


def create_conversational_rag_chain(
    model: BaseChatModel,
    retriever: RetrieverLike,
    *,
    condense_prompt: BasePromptTemplate[Any] = CONDENSE_PROMPT,
    **settings: Unpack[RagSettings],
) -> Runnable[str | RagInput, RagOutput]:
    """Like `create_rag_chain`, for a conversation (`create_conversational_chain`).

    Args:
        model: Any chat model.
        retriever: Any LangChain retriever, or a Runnable from a question to documents.
        condense_prompt: With the variables `conversation` and `input`.
        settings: As for `create_rag_chain`.
    """
    chain = create_rag_chain(model, retriever, **settings)
    conversational = create_conversational_chain(model, chain, condense_prompt=condense_prompt)
    return conversational.with_config(run_name="conversational_rag_chain")


def _create_condense_step(
    model: BaseChatModel, prompt: BasePromptTemplate[Any]
) -> Runnable[Mapping[str, Any], dict[str, Any]]:
    def as_it_is(state: dict[str, Any]) -> dict[str, Any]:
        return {"question": state["input"]}

    def with_conversation(state: dict[str, Any]) -> dict[str, Any]:
        return {**state, "conversation": conversation_text(state["chat_history"])}

    def one_line(question: str) -> str:
        return " ".join(question.split()).strip("\"' ")

    quiet = ask_aside(model, max_tokens=_QUESTION_TOKENS)
    rewrite = RunnableLambda(with_conversation) | prompt | quiet | StrOutputParser() | one_line
    fallback = RunnablePassthrough.assign(rewritten=rewrite) | RunnableLambda(
        lambda state: {"question": state["rewritten"] or state["input"]}
    )
    branch: Runnable[Any, dict[str, Any]] = RunnableBranch(
        (lambda state: not state["chat_history"], RunnableLambda(as_it_is)), fallback
    )
    return branch.with_config(run_name="condense_question")
