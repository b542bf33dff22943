"""Answers from documents, with checked citations: for one question, and in a conversation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable, RunnableBranch, RunnableLambda, RunnablePassthrough

from langchain_graft.chains.answer import create_answer_step
from langchain_graft.chains.answerable import NOT_FOR_THE_USER, create_answerable_check
from langchain_graft.chains.context import CountTokens, create_retrieval_step, token_counter_of
from langchain_graft.chains.inputs import as_input, conversation_text
from langchain_graft.chains.prompts import (
    CONDENSE_PROMPT,
    PLAIN_RAG_PROMPT,
    RAG_PROMPT,
    require_variables,
)
from langchain_graft.chains.types import RagInput, RagOutput

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import BasePromptTemplate
    from langchain_core.retrievers import RetrieverLike

CONTEXT_TOKENS = 2000

Check = Runnable[Mapping[str, Any], bool]


def create_rag_chain(  # noqa: PLR0913 (each is a choice of its own)
    model: BaseChatModel,
    retriever: RetrieverLike,
    *,
    prompt: BasePromptTemplate[Any] | None = None,
    check: Check | Literal["auto"] | None = "auto",
    context_tokens: int | None = CONTEXT_TOKENS,
    count_tokens: CountTokens | None = None,
    attribute: bool = True,
) -> Runnable[str | RagInput, RagOutput]:
    """A chain that answers a question from the documents that a retriever finds.

    It takes a question, or `{"input": question}`, and gives `input`, `context`, `answer` and
    `citations`; `answer` marks its sentences with `[n]`, n counting `context` from 1. A stream
    brings `context` once, `answer` in pieces, `citations` once; their sum is what `invoke` gives.
    Closing a stream stops the model. `k` and `filter` can be set per call in
    `config["configurable"]`.

    Where the documents do not hold the answer, the answer is a refusal (`is_refusal`). A model that
    offers logprobs (ours on llama.cpp do) is asked for that first, by `create_answerable_check`,
    and then for a plain answer, whose marks are put in here: small models do better so. Any other
    model is told in its prompt to mark its sentences and to refuse. When nothing is found at all
    the model is not asked.

    Args:
        model: Any chat model.
        retriever: Any LangChain retriever, or a Runnable from a question to documents.
        prompt: With the variables `sources` and `input`; it may use `refusal` (the sentence that
            says that the sources do not hold the answer), `language_rule` and `chat_history`. None:
            `PLAIN_RAG_PROMPT` where there is a check, otherwise `RAG_PROMPT`.
        check: Says from the prompt's variables whether the sources hold the answer. "auto": as told
            above; None: the model is not asked for it.
        context_tokens: Most tokens of all documents in the prompt; None: no limit.
        count_tokens: Text to its number of tokens; None: the model's own tokenizer where it has one
            on this machine, otherwise a cautious estimate.
        attribute: Give an answer's sentence without a mark the mark of the document that says it.

    Example:
        >>> chain = create_rag_chain(load_chat_model("qwen2.5-coder-1.5b"), retriever)
        >>> chain.invoke("Who founded Apple?")["answer"]
        'Apple was founded by Steve Jobs, Steve Wozniak and Ronald Wayne. [1]'
    """
    chain = (
        RunnableLambda(as_input, name="read_input")
        | RunnablePassthrough.assign(
            context=create_retrieval_step(
                retriever,
                budget=context_tokens,
                count_tokens=count_tokens or token_counter_of(model),
            )
        )
        | _create_answering(model, prompt, check, attribute=attribute)
    )
    return _named(chain, "rag_chain")


def create_conversational_rag_chain(  # noqa: PLR0913 (each is a choice of its own)
    model: BaseChatModel,
    retriever: RetrieverLike,
    *,
    prompt: BasePromptTemplate[Any] | None = None,
    condense_prompt: BasePromptTemplate[Any] = CONDENSE_PROMPT,
    check: Check | Literal["auto"] | None = "auto",
    context_tokens: int | None = CONTEXT_TOKENS,
    count_tokens: CountTokens | None = None,
    attribute: bool = True,
) -> Runnable[str | RagInput, RagOutput]:
    """Like `create_rag_chain`, for a conversation: `{"input", "chat_history"}`.

    With a history the model first rewrites the question so that it can be understood alone; that is
    what is searched and answered, and it is in the output as `question`.

    Args:
        model: Any chat model.
        retriever: Any LangChain retriever, or a Runnable from a question to documents.
        prompt: As for `create_rag_chain`.
        condense_prompt: With the variables `conversation` and `input`.
        check: As for `create_rag_chain`.
        context_tokens: Most tokens of all documents in the prompt; None: no limit.
        count_tokens: Text to its number of tokens.
        attribute: As for `create_rag_chain`.
    """
    require_variables(condense_prompt, "conversation", "input")
    chain = (
        RunnableLambda(as_input, name="read_input")
        | RunnablePassthrough.assign(question=_create_condense_step(model, condense_prompt))
        | RunnablePassthrough.assign(
            context=create_retrieval_step(
                retriever,
                budget=context_tokens,
                count_tokens=count_tokens or token_counter_of(model),
            )
        )
        | _create_answering(model, prompt, check, attribute=attribute)
    )
    return _named(chain, "conversational_rag_chain")


def _create_answering(
    model: BaseChatModel,
    prompt: BasePromptTemplate[Any] | None,
    check: Check | Literal["auto"] | None,
    *,
    attribute: bool,
) -> Runnable[Mapping[str, Any], dict[str, Any]]:
    if check == "auto":
        offered = getattr(model, "offers_logprobs", False)
        check = create_answerable_check(model) if offered else None
    prompt = prompt or (PLAIN_RAG_PROMPT if check else RAG_PROMPT)
    require_variables(prompt, "sources", "input")
    return create_answer_step(model, prompt, check=check, attribute=attribute)


def _create_condense_step(
    model: BaseChatModel, prompt: BasePromptTemplate[Any]
) -> Runnable[dict[str, Any], str]:
    def as_it_is(state: dict[str, Any]) -> str:
        return str(state["input"])

    def with_conversation(state: dict[str, Any]) -> dict[str, Any]:
        return {**state, "conversation": conversation_text(state["chat_history"])}

    def one_line(question: str) -> str:
        return " ".join(question.split()).strip("\"' ")

    quiet = model.with_config(tags=[NOT_FOR_THE_USER])
    rewrite = RunnableLambda(with_conversation) | prompt | quiet | StrOutputParser() | one_line
    fallback = RunnablePassthrough.assign(rewritten=rewrite) | RunnableLambda(
        lambda state: state["rewritten"] or state["input"]
    )
    return RunnableBranch(
        (lambda state: not state["chat_history"], RunnableLambda(as_it_is)), fallback
    ).with_config(run_name="condense_question")


def _named(chain: Runnable[Any, Any], name: str) -> Runnable[str | RagInput, RagOutput]:
    return chain.with_types(input_type=str | RagInput, output_type=RagOutput).with_config(  # type: ignore[arg-type]
        run_name=name
    )
