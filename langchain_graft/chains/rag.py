"""Answers from documents, with checked citations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Unpack

from langchain_core.runnables import Runnable
from typing_extensions import TypedDict

from langchain_graft.chains.answer import create_answer_step
from langchain_graft.chains.answerable import create_answerable_check
from langchain_graft.chains.context import RETRIEVAL_SECONDS, create_retrieval_step
from langchain_graft.chains.packing import CountTokens, token_counter_of
from langchain_graft.chains.prompts import PLAIN_RAG_PROMPT, RAG_PROMPT
from langchain_graft.chains.staged import create_staged_chain
from langchain_graft.models.asking import require_variables

if TYPE_CHECKING:
    from langchain_core.documents.compressor import BaseDocumentCompressor
    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import BasePromptTemplate
    from langchain_core.retrievers import RetrieverLike

    from langchain_graft.chains.context import Order, RetrieverOf, Tell
    from langchain_graft.chains.types import RagInput, RagOutput

CONTEXT_TOKENS = 2000

Check = Runnable[Mapping[str, Any], bool]
Stage = Runnable[Mapping[str, Any], dict[str, Any]]


class RagSettings(TypedDict, total=False):
    """The settings that all chains share; `create_rag_chain` tells what they mean."""

    prompt: BasePromptTemplate[Any] | None
    compressor: BaseDocumentCompressor | None
    order: Order | None
    check: Check | Literal["auto"] | None
    context_tokens: int | None
    count_tokens: CountTokens | None
    attribute: bool
    retrieval_seconds: float | None


def create_rag_chain(  # noqa: PLR0913 (each is a choice of its own)
    model: BaseChatModel,
    retriever: RetrieverLike,
    *,
    prompt: BasePromptTemplate[Any] | None = None,
    compressor: BaseDocumentCompressor | None = None,
    order: Order | None = None,
    check: Check | Literal["auto"] | None = "auto",
    context_tokens: int | None = CONTEXT_TOKENS,
    count_tokens: CountTokens | None = None,
    attribute: bool = True,
    retrieval_seconds: float | None = RETRIEVAL_SECONDS,
) -> Runnable[str | RagInput, RagOutput]:
    """A chain that answers a question from the documents that a retriever finds.

    It takes a question, or `{"input": question}`, and gives `input`, `context`, `left_out` (what
    was found and had no room), `warnings`, `answer` and `citations`; `answer` marks its sentences
    with `[n]`, n counting `context` from 1. A stream brings `context` once, `answer` in pieces,
    `citations` once; their sum is what `invoke` gives. Closing a stream stops the model. `k`,
    `filter`, `weights` (of a retriever that fuses) and `budget` (tokens of all documents) can be
    set per call in `config["configurable"]`, and for the answer `temperature`, `top_p`, `seed` and
    `instructions` (put behind the prompt's system message).

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
        compressor: What is done to the documents before they are packed into the prompt: orders
            them anew, or leaves out what says little.
        order: Puts what was packed into another order, such as `lost_in_the_middle_order`; marks
            count that one. None: best first.
        check: Says from the prompt's variables whether the sources hold the answer. "auto": as told
            above; None: the model is not asked for it.
        context_tokens: Most tokens of all documents in the prompt; None: no limit.
        count_tokens: Text to its number of tokens; None: the model's own tokenizer where it has one
            on this machine, otherwise a cautious estimate.
        attribute: Give an answer's sentence without a mark the mark of the document that says it.
        retrieval_seconds: Most time for the retriever to answer; None: no limit.

    Example:
        >>> chain = create_rag_chain(load_chat_model("qwen2.5-coder-1.5b"), retriever)
        >>> chain.invoke("Who founded Apple?")["answer"]
        'Apple was founded by Steve Jobs, Steve Wozniak and Ronald Wayne. [1]'
    """
    settings = RagSettings(
        prompt=prompt,
        compressor=compressor,
        order=order,
        check=check,
        context_tokens=context_tokens,
        count_tokens=count_tokens,
        attribute=attribute,
        retrieval_seconds=retrieval_seconds,
    )
    retrieval, answering = create_grounded_stages(model, retriever, **settings)
    return create_staged_chain(retrieval, last=answering, name="rag_chain")


def create_grounded_stages(
    model: BaseChatModel,
    retriever: RetrieverLike | RetrieverOf,
    *,
    tell: Tell | None = None,
    **settings: Unpack[RagSettings],
) -> tuple[Stage, Stage]:
    """The two stages in which a chain with documents ends: retrieve, then answer.

    Args:
        model: As for `create_rag_chain`.
        retriever: As for `create_retrieval_step`.
        tell: As for `create_retrieval_step`.
        settings: As for `create_rag_chain`.
    """
    check, prompt = suited(model, settings.get("check", "auto"), settings.get("prompt"))
    retrieval = create_grounded_retrieval_step(model, retriever, tell=tell, **settings)
    attribute = settings.get("attribute", True)
    return retrieval, create_answer_step(model, prompt, check=check, attribute=attribute)


def create_grounded_retrieval_step(
    model: BaseChatModel,
    retriever: RetrieverLike | RetrieverOf,
    *,
    tell: Tell | None = None,
    **settings: Unpack[RagSettings],
) -> Stage:
    """`create_retrieval_step` from a chain's settings."""
    return create_retrieval_step(
        retriever,
        budget=settings.get("context_tokens", CONTEXT_TOKENS),
        count_tokens=settings.get("count_tokens") or token_counter_of(model),
        compressor=settings.get("compressor"),
        order=settings.get("order"),
        timeout_seconds=settings.get("retrieval_seconds", RETRIEVAL_SECONDS),
        tell=tell,
    )


def suited(
    model: BaseChatModel,
    check: Check | Literal["auto"] | None,
    prompt: BasePromptTemplate[Any] | None,
) -> tuple[Check | None, BasePromptTemplate[Any]]:
    """The check and the prompt that suit the model, where they were not given."""
    if check == "auto":
        offered = getattr(model, "offers_logprobs", False)
        check = create_answerable_check(model) if offered else None
    prompt = prompt or (PLAIN_RAG_PROMPT if check else RAG_PROMPT)
    require_variables(prompt, "sources", "input")
    return check, prompt
