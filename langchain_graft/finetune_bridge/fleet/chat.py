# ruff: noqa: A002 (LangChain's name)
"""A chat model whose answers come from a fleet of vLLM servers, each from one adapter version."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary

from langchain_core.runnables.config import ensure_config, run_in_executor
from pydantic import ConfigDict, Field, PrivateAttr

from langchain_graft.errors import MissingExtraError
from langchain_graft.finetune_bridge.fleet.attempts import Attempts
from langchain_graft.finetune_bridge.fleet.fleet import Fleet
from langchain_graft.models.structured import create_json_output

try:
    import openai
    from langchain_openai._compat import httpx
    from langchain_openai.chat_models.base import BaseChatOpenAI, _convert_message_to_dict
except ImportError as error:
    raise MissingExtraError("models") from error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult
    from langchain_core.runnables import Runnable, RunnableConfig
    from langchain_core.tools import BaseTool

    from langchain_graft.finetune_bridge.fleet.router import Lease, Route, Visit


class FleetChatModel(BaseChatOpenAI):
    """A chat model that asks one of several vLLM servers, with the adapter of each request.

    Which version an alias means is settled once, when a request comes; it stays loaded until the
    last piece of the answer, or until the stream is closed or thrown away, and stands in
    `response_metadata["adapter"]`. The server with the fewest requests is asked. One that has
    lost the adapter is given it again, one that can not be reached is passed over, as long as
    nothing of the answer was seen. Streaming, tools, logprobs, JSON schema
    (`with_structured_output`) and grammars (`bind(extra_body={"grammar": gbnf})`) work.

    Make one with `Fleet.chat_model`.
    """

    fleet: Fleet = Field(exclude=True, repr=False)
    adapter: str = "base"
    """`base`, `legal` or `legal@000003`; `config["configurable"]["adapter"]` asks for another."""

    _clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = PrivateAttr(
        default_factory=WeakKeyDictionary
    )

    model_config = ConfigDict(arbitrary_types_allowed=True, populate_by_name=True)

    @classmethod
    def of_fleet(cls, fleet: Fleet, *, adapter: str = "base", **settings: Any) -> Self:
        """The chat model; see `Fleet.chat_model`."""
        defaults = {"temperature": 0.0, "max_retries": 1, "stream_usage": True}
        return cls(
            fleet=fleet,
            adapter=adapter,
            model=fleet.base,
            base_url=f"{fleet.replicas[0].url}/v1",
            api_key="none",
            timeout=fleet.timeout_seconds,
            use_responses_api=False,
            http_socket_options=(),
            custom_get_token_ids=lambda text: _tokens(fleet, prompt=text),
            http_client=openai.DefaultHttpxClient(**_connections()),
            http_async_client=openai.DefaultAsyncHttpxClient(**_connections()),
            **(defaults | settings),
        )

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
        return "graft-fleet"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**super()._identifying_params, "adapter": self.adapter}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """No: a fleet can not be written down."""
        return False

    def _get_invocation_params(
        self, stop: list[str] | None = None, *, adapter: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """With the version, not the alias, and its folder: an answer is cached for what gave it."""
        with self.fleet.lease(adapter or self.adapter) as lease:
            params = super()._get_invocation_params(stop, **kwargs)
            return {**params, "adapter": lease.reference, "adapter_path": lease.adapter.path}

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Answer, with the adapter that `config` asks for, else the field's."""
        with self._asked(config, kwargs) as lease:
            return super().invoke(input, config, **kwargs, adapter=lease.reference)

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """As `invoke`."""
        with self._asked(config, kwargs) as lease:
            return await super().ainvoke(input, config, **kwargs, adapter=lease.reference)

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessageChunk]:
        """As `invoke`, piece by piece."""
        with self._asked(config, kwargs) as lease:
            yield from super().stream(input, config, **kwargs, adapter=lease.reference)

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessageChunk]:
        """As `stream`."""
        with self._asked(config, kwargs) as lease:
            pieces: Any = super().astream(input, config, **kwargs, adapter=lease.reference)
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece

    def stream_events(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        """As LangChain's, with the adapter that `config` asks for."""
        return super().stream_events(input, config, **self._named(config, kwargs))

    def astream_events(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        """As `stream_events`."""
        return super().astream_events(input, config, **self._named(config, kwargs))

    def _named(self, config: RunnableConfig | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        asked = ensure_config(config).get("configurable", {}).get("adapter", self.adapter)
        return {"adapter": asked, **kwargs}

    def _asked(self, config: RunnableConfig | None, kwargs: dict[str, Any]) -> Lease:
        """The adapter of a call; taken out of its arguments."""
        if "model" in kwargs:
            msg = f"Ask for an adapter by adapter=..., not by model={kwargs['model']!r}"
            raise ValueError(msg)
        named: str = self._named(config, kwargs)["adapter"]
        kwargs.pop("adapter", None)
        return self.fleet.lease(named)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        adapter: str | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with self.fleet.lease(adapter or self.adapter) as lease:
            attempts = Attempts(self.fleet, lease)
            while True:
                with self._visit(attempts) as visit:
                    try:
                        pieces: Any = BaseChatOpenAI._stream(  # noqa: SLF001 (our base's)
                            self._at(visit.route, lease), messages, stop, None, **kwargs
                        )
                        with closing(pieces):
                            for piece in pieces:
                                if attempts.sees(piece):
                                    _say(piece, lease)
                                if run_manager:
                                    run_manager.on_llm_new_token(piece.text, chunk=piece)
                                yield piece
                        attempts.check_whole(visit.route)
                        return  # noqa: TRY300 (an else would be far from it)
                    except (openai.APIError, httpx.TransportError) as error:
                        attempts.failed(visit.route, error)
                attempts.mend()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        *,
        adapter: str | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with self.fleet.lease(adapter or self.adapter) as lease:
            attempts = Attempts(self.fleet, lease)
            while True:
                with await self._avisit(attempts) as visit:
                    try:
                        pieces: Any = BaseChatOpenAI._astream(  # noqa: SLF001 (our base's)
                            self._aat(visit.route, lease), messages, stop, None, **kwargs
                        )
                        async with aclosing(pieces):
                            async for piece in pieces:
                                if attempts.sees(piece):
                                    _say(piece, lease)
                                if run_manager:
                                    await run_manager.on_llm_new_token(piece.text, chunk=piece)
                                yield piece
                        attempts.check_whole(visit.route)
                        return  # noqa: TRY300 (an else would be far from it)
                    except (openai.APIError, httpx.TransportError) as error:
                        attempts.failed(visit.route, error)
                await run_in_executor(None, attempts.mend)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        adapter: str | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self.fleet.lease(adapter or self.adapter) as lease:
            attempts = Attempts(self.fleet, lease)
            while True:
                with self._visit(attempts) as visit:
                    try:
                        model = self._at(visit.route, lease)
                        result = BaseChatOpenAI._generate(  # noqa: SLF001 (our base's)
                            model, messages, stop, run_manager, **kwargs
                        )
                        return _said(result, lease)
                    except (openai.APIError, httpx.TransportError) as error:
                        attempts.failed(visit.route, error)
                attempts.mend()

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        *,
        adapter: str | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self.fleet.lease(adapter or self.adapter) as lease:
            attempts = Attempts(self.fleet, lease)
            while True:
                with await self._avisit(attempts) as visit:
                    try:
                        model = self._aat(visit.route, lease)
                        result = await BaseChatOpenAI._agenerate(  # noqa: SLF001 (our base's)
                            model, messages, stop, run_manager, **kwargs
                        )
                        return _said(result, lease)
                    except (openai.APIError, httpx.TransportError) as error:
                        attempts.failed(visit.route, error)
                await run_in_executor(None, attempts.mend)

    def _visit(self, attempts: Attempts) -> Visit:
        while (visit := attempts.visit()) is None:
            time.sleep(0.01)
        return visit

    async def _avisit(self, attempts: Attempts) -> Visit:
        while (visit := attempts.visit()) is None:  # noqa: ASYNC110 (threads tell no event)
            await asyncio.sleep(0.01)
        return visit

    def _at(self, route: Route, lease: Lease) -> Self:
        """This model, speaking to one server about one adapter."""
        root = self.root_client.with_options(**_address(route))
        return self.model_copy(
            update={
                "model_name": lease.adapter.name,
                "root_client": root,
                "client": root.chat.completions,
            }
        )

    def _aat(self, route: Route, lease: Lease) -> Self:
        """As `_at`, from the event loop that runs: loops of two threads can not share a client."""
        loop = asyncio.get_running_loop()
        if (client := self._clients.get(loop)) is None:
            client = self._clients[loop] = openai.DefaultAsyncHttpxClient(**_connections())
        root = self.root_async_client.with_options(**_address(route), http_client=client)
        return self.model_copy(
            update={
                "model_name": lease.adapter.name,
                "root_async_client": root,
                "async_client": root.chat.completions,
            }
        )

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        body = dict(payload.get("extra_body") or {})
        if "json_schema" in body:
            shape = {"name": "answer", "schema": body.pop("json_schema")}
            body["response_format"] = {"type": "json_schema", "json_schema": shape}
        if "grammar" in body:
            body["structured_outputs"] = {"grammar": body.pop("grammar")}
        return {**payload, "extra_body": body} if body else payload

    def get_num_tokens_from_messages(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool] | None = None,  # noqa: ARG002
        **_: Any,
    ) -> int:
        """Number of tokens of the messages in the model's own chat template; tools not counted."""
        plain = [_convert_message_to_dict(message) for message in messages]
        return len(_tokens(self.fleet, messages=plain))

    def with_structured_output(  # type: ignore[override]
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **_: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """A model whose answers have that JSON schema, by constrained decoding.

        Args:
            schema: A JSON schema, a pydantic class or a TypedDict.
            include_raw: Give `{"raw", "parsed", "parsing_error"}` instead of the parsed value.
        """
        return create_json_output(self, schema, include_raw=include_raw)


def _connections() -> dict[str, Any]:
    """No connection is kept: one would outlive the model, or the event loop that opened it."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    return {"trust_env": False, "limits": limits}


def _address(route: Route) -> dict[str, Any]:
    return {"base_url": f"{route.replica.url}/v1", "api_key": route.replica.api_key or "none"}


def _say(piece: ChatGenerationChunk, lease: Lease) -> None:
    piece.message.response_metadata["adapter"] = lease.reference


def _said(result: ChatResult, lease: Lease) -> ChatResult:
    for generation in result.generations:
        generation.message.response_metadata["adapter"] = lease.reference
    return result


def _tokens(fleet: Fleet, **asked: Any) -> list[int]:
    return fleet.replicas[0].tokens({"model": fleet.base, **asked})
