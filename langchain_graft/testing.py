"""Fakes for tests without weights, network or keys: shipped, imported by no module of ours."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any
from zlib import crc32

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.chat_models import (
    agenerate_from_stream,
    generate_from_stream,
)
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import Field, PrivateAttr

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.runnables import Runnable

    from langchain_graft.testing_graph_store import GraphStoreTests as GraphStoreTests  # noqa: PLC0414 (for mypy, which sees no __getattr__)

_PIECE = re.compile(r"\s*\S+(?:\s+\Z)?")
_WORD = re.compile(r"[\u3400-\u9fff]|\w+")


class ScriptedChatModel(BaseChatModel):
    """A chat model that says its script, reply by reply, and fails when the script has run out.

    Replies are streamed word by word. `asked` holds the messages of every call, and `spoken` the
    number of pieces that left, so that a test can see whether a stream was stopped.

    Example:
        >>> model = ScriptedChatModel(script=["Hello there."])
        >>> model.invoke("Hi").text
        'Hello there.'
    """

    script: list[str | AIMessage] = Field(default_factory=list)
    reply: Callable[[str], str | AIMessage | None] | None = None
    """Chooses a reply by the prompt's text, whatever the order of the calls; where it gives None,
    the script goes on."""
    model: str = "scripted"
    _asked: list[list[BaseMessage]] = PrivateAttr(default_factory=list)
    _spoken: list[str] = PrivateAttr(default_factory=list)
    _calls: itertools.count[int] = PrivateAttr(default_factory=itertools.count)

    @property
    def asked(self) -> list[list[BaseMessage]]:
        """The messages of every call so far."""
        return self._asked

    @property
    def spoken(self) -> int:
        """How many pieces have left so far."""
        return len(self._spoken)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "script": [str(reply) for reply in self.script]}

    def bind_tools(
        self, tools: Sequence[Any], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Tools are taken and not used: a scripted `AIMessage` may hold tool calls."""
        return self.bind(tools=tools, **kwargs)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002
        run_manager: CallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self._pieces(messages):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            self._spoken.append(chunk.text)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._pieces(messages):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            self._spoken.append(chunk.text)
            yield chunk

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))

    def _pieces(self, messages: list[BaseMessage]) -> list[ChatGenerationChunk]:
        self._asked.append(list(messages))
        reply = self.reply("\n".join(str(one.text) for one in messages)) if self.reply else None
        if reply is None:
            reply = self._next_of_script()
        message = AIMessage(content=reply) if isinstance(reply, str) else reply
        words = _PIECE.findall(message.text) or [message.text]
        pieces = [AIMessageChunk(content=word) for word in words[:-1]]
        last = AIMessageChunk(
            content=words[-1],
            tool_call_chunks=[
                {"name": c["name"], "args": json.dumps(c["args"]), "id": c["id"], "index": n}
                for n, c in enumerate(message.tool_calls)
            ],
            response_metadata={**message.response_metadata, "model_name": self.model},
            usage_metadata=_usage(messages, words),
        )
        return [ChatGenerationChunk(message=piece) for piece in [*pieces, last]]

    def _next_of_script(self) -> str | AIMessage:
        number = next(self._calls)
        if number >= len(self.script):
            msg = f"The script has {len(self.script)} replies; this was call {number + 1}"
            raise AssertionError(msg)
        return self.script[number]


class HashEmbeddings(Embeddings):
    """Vectors in which texts with the same words lie near each other; no weights, same everywhere.

    Every word (every Chinese character) adds 1 at the place that its checksum names.

    Args:
        dimension: Length of the vectors.
    """

    def __init__(self, dimension: int = 64) -> None:
        self.dimension = dimension
        self.digest = f"hash-{dimension}"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector of length 1 per text."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """A vector of length 1."""
        vector = [1e-6] * self.dimension
        for word in _WORD.findall(text.lower()):
            vector[crc32(word.encode()) % self.dimension] += 1.0
        length = sum(value * value for value in vector) ** 0.5
        return [value / length for value in vector]


def _usage(messages: Sequence[BaseMessage], words: Sequence[str]) -> UsageMetadata:
    read = sum(len(str(message.text).split()) for message in messages)
    return UsageMetadata(
        input_tokens=read, output_tokens=len(words), total_tokens=read + len(words)
    )


def __getattr__(name: str) -> object:
    if name != "GraphStoreTests":  # it needs pytest, which the fakes do not
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return import_module("langchain_graft.testing_graph_store").GraphStoreTests
