"""The assistant of a retrieval chat: asked with documents, its reply read piece by piece."""

from __future__ import annotations

import re
from contextlib import aclosing, closing
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
)

from langchain_graft.agents.code_executor import code_blocks
from langchain_graft.agents.events import Asked, Piece
from langchain_graft.agents.graph_node import GraphNode
from langchain_graft.agents.langgraph_extra import get_stream_writer, push_message
from langchain_graft.agents.prompts import (
    RETRIEVE_CODE_PROMPT,
    RETRIEVE_DEFAULT_PROMPT,
    RETRIEVE_QA_PROMPT,
)
from langchain_graft.agents.retrieve_config import PLACES
from langchain_graft.agents.retrieve_reply import (
    ReplyReader,
    asks_for_update,
    update_context,
    without_tool_words,
)
from langchain_graft.chains.answer import LANGUAGE_RULES
from langchain_graft.chains.answerable import create_answerable_check
from langchain_graft.chains.context import numbered_sources
from langchain_graft.chains.prompts import PLAIN_RAG_PROMPT
from langchain_graft.chains.refusal import refusal
from langchain_graft.language import language_of
from langchain_graft.models.asking import NOT_FOR_THE_USER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import Runnable, RunnableConfig
    from langchain_core.tools import BaseTool
    from langgraph.types import StreamWriter

    from langchain_graft.agents.code_executor import CodeExecutor
    from langchain_graft.agents.retrieve_config import RetrieveConfig

_PROMPTS = {
    "qa": RETRIEVE_QA_PROMPT,
    "code": RETRIEVE_CODE_PROMPT,
    "default": RETRIEVE_DEFAULT_PROMPT,
}
_PLACE = re.compile("|".join(map(re.escape, PLACES)))


class Assistant:
    """What the assistant is asked and what its reply comes to; the node is `create_assistant_node`.

    Args:
        model: The chat model.
        config: The chat's settings.
        executor: What runs code, if anything does.
        tools: What it may call.
    """

    def __init__(
        self,
        model: BaseChatModel,
        config: RetrieveConfig,
        *,
        executor: CodeExecutor | None,
        tools: Sequence[BaseTool],
    ) -> None:
        self.config = config
        self.asks_by = _asks_by(model, config)
        self._check = create_answerable_check(model) if self.asks_by == "check" else None
        offered = [*tools, *([update_context] if self.asks_by == "tool" else [])]
        asked: Runnable[Any, BaseMessage] = model.bind_tools(offered) if offered else model
        self.model = asked.with_config(tags=[NOT_FOR_THE_USER])  # what it asks for is not shown
        self._runs_code = executor is not None and config.task == "code"
        self._tools = {one.name for one in tools}

    def check_of(self, state: Mapping[str, Any]) -> Runnable[Mapping[str, Any], bool] | None:
        """What tells whether the documents hold the answer; not when others have spoken since."""
        return None if state["pending"] else self._check

    def variables(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """What the prompts are filled with."""
        question = state["question"]
        return {
            "input": question,
            "sources": without_tool_words(numbered_sources(state["context"])),
            "refusal": refusal(question),
            "language_rule": LANGUAGE_RULES[language_of(question)],
        }

    def messages(self, variables: Mapping[str, Any], state: Mapping[str, Any]) -> list[BaseMessage]:
        """What the model is asked: the prompt, and what was said since."""
        if self.config.prompt is None:
            plain = self._check and self.config.task == "qa"
            prompt = PLAIN_RAG_PROMPT if plain else _PROMPTS[self.config.task]
            first = prompt.format_messages(**variables)
        else:
            first = [HumanMessage(_filled(self.config.prompt, variables, state))]
        if self.asks_by == "tool" and self.config.update_context:
            hint = f"To ask for other documents, call the tool {update_context.name}."
            first = [SystemMessage(hint), *(one for one in first if one.type != "system")]
        return [*first, *state["pending"]]

    def reader(self, state: Mapping[str, Any]) -> ReplyReader:
        """What a reply goes through: code is left as it is."""
        documents = None if self.config.task == "code" else state["context"]
        return ReplyReader(documents, question=state["question"])

    def read(self, reply: BaseMessage, shown: str, state: Mapping[str, Any]) -> dict[str, Any]:
        """What a reply comes to."""
        told = {"reply": shown, "rounds": state["rounds"] + 1}
        if asks_for_update(reply, refusing=self.config.task == "qa"):
            return told | {"reply": ""} | self._asking("update")
        calls = reply.tool_calls if isinstance(reply, AIMessage) else []
        if calls and self._tools:
            return told | {"verdict": "act", "pending": [*state["pending"], _kept(reply)]}
        if self._runs_code and code_blocks(shown):
            return told | {"verdict": "act"}
        prefix = self.config.answer_prefix.upper()
        if prefix and prefix not in shown.upper():
            return told | self._asking("append")
        return told | {"verdict": "answer"}

    def not_there(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """What it comes to when the sources are found not to hold the answer."""
        return {"reply": "", "rounds": state["rounds"] + 1, **self._asking("update")}

    def _asking(self, how: str) -> dict[str, Any]:
        if self.config.update_context:
            return {"verdict": how}
        return {"verdict": "answer", "ended": "no_update" if how == "update" else ""}


def create_assistant_node(  # noqa: C901 (the same step twice, sync and async)
    assistant: Assistant,
) -> GraphNode:
    """The node in which the assistant is asked."""

    def ask(state: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        tell, variables = _begun(assistant, state)
        check = assistant.check_of(state)
        if check and not check.invoke(variables, config):
            return assistant.not_there(state)
        reader, said = assistant.reader(state), list[Any]()
        messages = assistant.messages(variables, state)
        with closing(assistant.model.stream(messages, config)) as pieces:  # type: ignore[type-var]
            for piece in pieces:
                said.append(piece)
                if text := reader.push(str(piece.text)):
                    _tell(tell, reader, text)
        return _ended(assistant, reader, said, state)

    async def aask(state: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        tell, variables = _begun(assistant, state)
        check = assistant.check_of(state)
        if check and not await check.ainvoke(variables, config):
            return assistant.not_there(state)
        reader, said = assistant.reader(state), list[Any]()
        messages = assistant.messages(variables, state)
        async with aclosing(assistant.model.astream(messages, config)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                said.append(piece)
                if text := reader.push(str(piece.text)):
                    _tell(tell, reader, text)
        return _ended(assistant, reader, said, state)

    return GraphNode(ask, aask)


def _begun(assistant: Assistant, state: Mapping[str, Any]) -> tuple[StreamWriter, dict[str, Any]]:
    tell = get_stream_writer()
    tell(Asked(state["rounds"] + 1, state["context"]))
    return tell, assistant.variables(state)


def _ended(
    assistant: Assistant, reader: ReplyReader, said: Sequence[Any], state: Mapping[str, Any]
) -> dict[str, Any]:
    """What is held back is told only when it is an answer's."""
    held = reader.finish()
    whole: BaseMessage = reduce(add, said) if said else AIMessage("")
    told = assistant.read(whole, reader.text.strip(), state)
    if held and told["verdict"] != "update":
        _tell(get_stream_writer(), reader, held)
    return {**told, "reply_id": reader.id}


def _tell(tell: StreamWriter, reader: ReplyReader, text: str) -> None:
    """Pass on the next words: as an event, and where messages are streamed, as one of them."""
    tell(Piece(text))
    push_message(AIMessageChunk(content=text, id=reader.id), state_key=None)


def _asks_by(model: BaseChatModel, config: RetrieveConfig) -> str:
    if config.asks_by != "auto":
        return config.asks_by
    offered = getattr(model, "offers_logprobs", False) and config.prompt is None
    return "check" if offered and config.task == "qa" else "line"


def _filled(prompt: str, variables: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """AutoGen's places filled, in one pass: documents may have places of their own."""
    names = [str(one.metadata.get("source_id") or one.id or "") for one in state["context"]]
    values = (variables["input"], variables["sources"], ", ".join(names))
    by_place = dict(zip(PLACES, values, strict=True))
    return _PLACE.sub(lambda place: by_place[place[0]], prompt)


def _kept(reply: BaseMessage) -> AIMessage:
    """A reply as a plain message, for the checkpoint and the next prompt."""
    calls = reply.tool_calls if isinstance(reply, AIMessage) else []
    return AIMessage(content=str(reply.text), tool_calls=calls)
