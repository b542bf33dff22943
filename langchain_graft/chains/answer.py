"""The answering step: a model's stream in, checked pieces and citations out."""

from __future__ import annotations

from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage, SystemMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableGenerator, RunnableLambda
from langchain_core.runnables.utils import AddableDict

from langchain_graft.chains.citations import CitedAnswer, find_citations
from langchain_graft.chains.context import numbered_sources
from langchain_graft.chains.inputs import question_of
from langchain_graft.chains.refusal import refusal
from langchain_graft.language import language_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessageChunk
    from langchain_core.prompt_values import PromptValue

SAMPLING = ("temperature", "top_p", "seed")
"""What of a call's `configurable` the model is told when it answers."""
INSTRUCTIONS = "instructions"
"""In a call's `configurable`: what its caller adds to the prompt's system message."""
LANGUAGE_RULES = {
    "en": "Answer in the language of the question.",
    "zh": "用中文回答 (answer in Chinese).",
}


def create_answer_step(  # noqa: C901 (the same step twice, sync and async)
    model: BaseChatModel,
    prompt: Runnable[dict[str, Any], PromptValue],
    *,
    check: Runnable[Mapping[str, Any], bool] | None = None,
    attribute: bool = True,
    needs_context: bool = True,
) -> Runnable[Mapping[str, Any], dict[str, Any]]:
    """A step that passes on what comes, then streams `answer` in pieces, then `citations` once.

    It loops over the model's stream itself, so that closing the chain's stream stops the model at
    the next token. Without documents that it needs, or when `check` says no, the answer is the
    refusal. The call's `config["configurable"]` may have `temperature`, `top_p` and `seed`, for a
    model that takes them, and `instructions`, which are put behind the prompt's system message.

    Args:
        model: The chat model.
        prompt: With any of the variables `sources`, `input`, `refusal`, `language_rule`,
            `chat_history` and what else the state has.
        check: Says from the same variables whether the sources hold the answer.
        attribute: Give sentences without a mark the mark of the document that says it.
        needs_context: Refuse when there are no documents.
    """

    def answer(chunks: Iterator[dict[str, Any]], config: RunnableConfig) -> Iterator[AddableDict]:
        state = AddableDict()
        for chunk in chunks:
            state += AddableDict(chunk)
            yield AddableDict(chunk)
        variables = _variables(state)
        if (needs_context and not state["context"]) or (
            check and not check.invoke(variables, config)
        ):
            yield _refused(state)
            return
        reader = _reader(state, attribute=attribute)
        generate = _generating(prompt, model, config)
        with closing(generate.stream(variables, config)) as pieces:  # type: ignore[type-var]
            for piece in pieces:
                yield from _given(reader, piece)
        yield from _ended(reader, state)

    async def aanswer(
        chunks: AsyncIterator[dict[str, Any]], config: RunnableConfig
    ) -> AsyncIterator[AddableDict]:
        state = AddableDict()
        async for chunk in chunks:
            state += AddableDict(chunk)
            yield AddableDict(chunk)
        variables = _variables(state)
        if (needs_context and not state["context"]) or (
            check and not await check.ainvoke(variables, config)
        ):
            yield _refused(state)
            return
        reader = _reader(state, attribute=attribute)
        generate = _generating(prompt, model, config)
        async with aclosing(generate.astream(variables, config)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                for given in _given(reader, piece):
                    yield given
        for given in _ended(reader, state):
            yield given

    return RunnableGenerator(answer, aanswer, name="answer_with_citations")  # type: ignore[arg-type]


def _generating(
    prompt: Runnable[dict[str, Any], PromptValue], model: BaseChatModel, config: RunnableConfig
) -> Runnable[dict[str, Any], BaseMessageChunk]:
    """What writes the answer, as the call wants it written."""
    given = config.get("configurable", {})
    sampling = {name: given[name] for name in SAMPLING if given.get(name) is not None}
    told: Runnable[dict[str, Any], Any] = prompt
    if instructions := given.get(INSTRUCTIONS):
        told = prompt | RunnableLambda(
            lambda value: _instructed(value.to_messages(), str(instructions)), name="instructions"
        )
    asked = model.bind(**sampling) if sampling else model
    return (told | asked).with_config(run_name="generate")  # type: ignore[return-value]


def _instructed(messages: list[BaseMessage], instructions: str) -> list[BaseMessage]:
    if messages and isinstance(messages[0], SystemMessage):
        return [SystemMessage(f"{messages[0].text}\n\n{instructions}"), *messages[1:]]
    return [SystemMessage(instructions), *messages]


def _reader(state: Mapping[str, Any], *, attribute: bool) -> CitedAnswer:
    return CitedAnswer(state["context"], question=question_of(state), attribute=attribute)


def _variables(state: Mapping[str, Any]) -> dict[str, Any]:
    question = question_of(state)
    return {
        **state,
        "input": question,
        "sources": numbered_sources(state["context"]),
        "refusal": refusal(question),
        "language_rule": LANGUAGE_RULES[language_of(question)],
    }


def _given(reader: CitedAnswer, piece: BaseMessageChunk) -> Iterator[AddableDict]:
    if text := reader.push(str(piece.text)):
        yield AddableDict(answer=text)


def _ended(reader: CitedAnswer, state: Mapping[str, Any]) -> Iterator[AddableDict]:
    """The last piece, even when it is empty: the key is always there; then the citations."""
    yield AddableDict(answer=reader.finish())
    citations = find_citations(reader.text, state["context"], question=question_of(state))
    yield AddableDict(citations=citations)


def _refused(state: Mapping[str, Any]) -> AddableDict:
    return AddableDict(answer=refusal(question_of(state)), citations=[])
