"""A chat model on torch: a causal language model of transformers behind its chat template."""

from __future__ import annotations

import json
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import (
    agenerate_from_stream,
    generate_from_stream,
)
from langchain_core.messages import AIMessageChunk, convert_to_openai_messages
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables.config import run_in_executor
from pydantic import ConfigDict, Field, model_validator

from langchain_graft.models.compute import compute_pool
from langchain_graft.models.reply import Piece, Sampling
from langchain_graft.models.structured import create_json_output
from langchain_graft.models.tool_calls import (
    BEGUN,
    AskedTools,
    ToolCallReader,
    tool_parameters,
)
from langchain_graft.models.transformers import TransformersEngine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import ChatResult
    from langchain_core.runnables import Runnable
    from langchain_core.tools import BaseTool


_NO_TOOLS = AskedTools()


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the model is computed with for one request."""

    variant: Hashable = None
    """As `TransformersEngine.generate` takes it."""
    on_end: Callable[[], object] | None = None
    """Called when nothing more is computed for the request."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """What `response_metadata` says of it."""


class TransformersChatModel(BaseChatModel):
    """A chat model of transformers, run by a `TransformersEngine`.

    Streaming, token usage, logprobs (`bind(logprobs=True, top_logprobs=n)`), JSON schema
    (`with_structured_output`), grammars (`bind(extra_body={"grammar": gbnf})`) and tools
    (`bind_tools`) work; images do not. A prompt that does not fit raises `ContextTooLongError`.
    Control words in a message, such as `<|im_end|>`, are read as plain words. Closing a stream, or
    cancelling a task, stops the model after the current token.

    Make one with `load_chat_model("hf:...")` or `TransformersChatModel.of_engine`.
    """

    engine: TransformersEngine = Field(exclude=True, repr=False)
    model: str
    """What `response_metadata["model_name"]` says."""
    max_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: list[str] | None = None

    model_config = ConfigDict(arbitrary_types_allowed=True, populate_by_name=True)

    @classmethod
    def of_engine(cls, engine: TransformersEngine, **settings: Any) -> Self:
        """The chat model that an engine runs.

        Args:
            engine: It may be shared with other models and scorers.
            settings: Fields, such as `max_tokens`, `temperature`, `top_p`, `seed` and `stop`.

        Raises:
            ValueError: A setting is wrong.
        """
        return cls(**({"engine": engine, "model": engine.name} | settings))

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._sampling(None, {})
        if self.custom_get_token_ids is None:
            self.custom_get_token_ids = self.engine.tokenizer.ids
        return self

    @property
    def takes_grammars(self) -> bool:
        """Yes: `bind(extra_body={"grammar": gbnf})` constrains a reply."""
        return True

    @property
    def offers_logprobs(self) -> bool:
        """Yes: chains may ask for the probabilities of tokens."""
        return True

    @property
    def _llm_type(self) -> str:
        return "transformers"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "weights_digest": self.engine.digest,
            "dtype": self.engine.settings.quantization or self.engine.dtype,
            "context_tokens": self.engine.context_tokens,
            **{name: getattr(self, name) for name in ("max_tokens", "temperature", "top_p")},
            "seed": self.seed,
            "stop": self.stop,
        }

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """No: an engine can not be written down."""
        return False

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        params: dict[str, Any] = super()._get_invocation_params(stop or self.stop, **kwargs)
        return params

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        tools, sampling = AskedTools.of(kwargs), self._sampling(stop, kwargs)
        prompt, reader = self._prompt(messages, tools), tools.reader()
        grammar = {"json_schema": tools.schema} if tools.schema else kwargs.get("extra_body")
        asked = self._asked(kwargs)
        reply = self.engine.generate(
            prompt,
            sampling,
            grammar=grammar,
            variant=asked.variant,
            on_end=asked.on_end,
        )
        with closing(reply) as pieces:
            for piece in pieces:
                chunk = self._chunk(piece, len(prompt), asked.told, reader)
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        tools, sampling = AskedTools.of(kwargs), self._sampling(stop, kwargs)
        prompt = await run_in_executor(compute_pool(), self._prompt, messages, tools)
        reader = tools.reader()
        grammar = {"json_schema": tools.schema} if tools.schema else kwargs.get("extra_body")
        asked = await run_in_executor(compute_pool(), self._asked, kwargs)
        reply = self.engine.agenerate(
            prompt,
            sampling,
            grammar=grammar,
            variant=asked.variant,
            on_end=asked.on_end,
        )
        async with aclosing(reply) as pieces:
            async for piece in pieces:
                chunk = self._chunk(piece, len(prompt), asked.told, reader)
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
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

    def get_num_tokens_from_messages(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool] | None = None,
        **_: Any,
    ) -> int:
        """Number of tokens of the messages, and of tools, in the model's own chat template."""
        return len(self._prompt(messages, AskedTools.of({"tools": tools})))

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: dict[str, Any] | str | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """A model that may call tools.

        Which it calls, and whether, a small model decides badly. A call that it has to make is
        written under the tools' schemas, by constrained decoding.

        Args:
            tools: Functions, tools, pydantic classes or OpenAI's descriptions.
            tool_choice: None or `auto`: it may; `any` (`required`, true): it calls one of them; a
                tool's name: that one; `none`: it is not told of them.
            kwargs: Further arguments of each call.

        Raises:
            ValueError: There is no such tool.
        """
        return self.bind(**tool_parameters(tools, tool_choice), **kwargs)

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **_: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """A model whose answers have that JSON schema, by constrained decoding.

        Args:
            schema: A JSON schema, a pydantic class or a TypedDict.
            include_raw: Give `{"raw", "parsed", "parsing_error"}` instead of the parsed value.
        """
        return create_json_output(self, schema, include_raw=include_raw)

    def _asked(self, kwargs: Mapping[str, Any]) -> Asked:  # noqa: ARG002 (a variant's own)
        """What the model is computed with for a call; off the event loop, it may take a while."""
        return Asked()

    def _prompt(self, messages: Sequence[BaseMessage], tools: AskedTools = _NO_TOOLS) -> list[int]:
        plain = convert_to_openai_messages(list(messages), text_format="string")
        for message in plain:
            message["content"] = message.get("content") or ""
            if not isinstance(message["content"], str):
                msg = f"This model reads text only, not {message['content']!r}"
                raise ValueError(msg)  # noqa: TRY004 (a wrong value, as in other chat models)
            for call in message.get("tool_calls", ()):
                call["function"]["arguments"] = json.loads(call["function"]["arguments"])
        return self.engine.tokenizer.chat_ids(
            plain, tools.tools, begun=BEGUN if tools.forced else ""
        )

    def _sampling(self, stop: Sequence[str] | None, asked: Mapping[str, Any]) -> Sampling:
        """The fields, or what a call asks for instead."""
        chosen = {
            name: asked.get(name, getattr(self, name))
            for name in ("max_tokens", "temperature", "top_p", "seed")
        }
        logprobs = asked.get("top_logprobs") or 0 if asked.get("logprobs") else None
        stop = [stop] if isinstance(stop, str) else stop or self.stop or ()
        return Sampling(**chosen, stop=tuple(stop), top_logprobs=logprobs)

    def _chunk(
        self, piece: Piece, input_tokens: int, more: Mapping[str, Any], reader: ToolCallReader
    ) -> ChatGenerationChunk:
        text, calls = reader.push(piece.text, last=piece.finish_reason is not None)
        told: dict[str, Any] = {"logprobs": {"content": piece.logprobs}} if piece.logprobs else {}
        if not piece.finish_reason:
            return ChatGenerationChunk(
                message=AIMessageChunk(content=text, tool_call_chunks=calls, response_metadata=told)
            )
        ended = piece.finish_reason == "stop"
        reason = "tool_calls" if ended and reader.found else piece.finish_reason
        told |= {"model_name": self.model, "finish_reason": reason, **more}
        usage = UsageMetadata(
            input_tokens=input_tokens,
            output_tokens=piece.output_tokens,
            total_tokens=input_tokens + piece.output_tokens,
        )
        message = AIMessageChunk(
            content=text,
            tool_call_chunks=calls,
            response_metadata=told,
            usage_metadata=usage,
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message)
