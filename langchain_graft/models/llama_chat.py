"""A chat model on a local GGUF file: `ChatOpenAI`'s protocol over a llama.cpp child process."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import ConfigDict, Field

from langchain_graft.errors import ContextTooLongError, MissingExtraError, ModelServerError
from langchain_graft.models.llama_server import HOST, LlamaServer, LlamaSettings, shared_server
from langchain_graft.models.structured import create_json_output

try:
    import httpx
    import openai
    from langchain_openai.chat_models.base import BaseChatOpenAI, _convert_message_to_dict
except ImportError as error:
    raise MissingExtraError("models") from error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult
    from langchain_core.runnables import Runnable
    from langchain_core.tools import BaseTool


class LlamaCppChatModel(BaseChatOpenAI):
    """A GGUF model on this machine, served by llama.cpp in a child process.

    The child starts with the first request and is shared by all models of this process that name
    the same file and settings. Streaming, token usage, logprobs, tools, JSON schema
    (`with_structured_output`) and grammars (`bind(extra_body={"grammar": gbnf})`) work. A prompt
    that does not fit raises `ContextTooLongError`.

    Make one with `load_chat_model("gguf:...")` or `LlamaCppChatModel.from_file`.
    """

    server: LlamaServer = Field(exclude=True, repr=False)
    weights_digest: str
    """Sha256 of the weights, or what else tells two files apart; part of every cache key."""

    model_config = ConfigDict(arbitrary_types_allowed=True, populate_by_name=True)

    @classmethod
    def from_file(
        cls,
        path: Path | str,
        *,
        digest: str | None = None,
        server: LlamaSettings | None = None,
        timeout_seconds: float = 600.0,
        **settings: Any,
    ) -> Self:
        """The chat model in a GGUF file.

        Args:
            path: The file.
            digest: What identifies its weights; None: its path, size and time of change.
            server: How llama.cpp runs it.
            timeout_seconds: Most time between two pieces of an answer, reading the prompt included.
            settings: Fields of langchain_openai's `BaseChatOpenAI`, such as `max_tokens`.

        Raises:
            FileNotFoundError: No such file.
        """
        path = Path(path).expanduser().resolve(strict=True)
        status = path.stat()
        child = shared_server(path, server or LlamaSettings())
        # No connection is kept: one would outlive the model, or the event loop that opened it.
        limits: Any = httpx.Limits(max_keepalive_connections=0)
        defaults = {"temperature": 0.0, "max_retries": 1, "stream_usage": True, "model": path.stem}
        return cls(
            server=child,
            weights_digest=digest or f"{path}:{status.st_size}:{status.st_mtime_ns}",
            base_url=f"http://{HOST}/v1",
            api_key=child.api_key,
            timeout=timeout_seconds,
            use_responses_api=False,
            http_socket_options=(),
            custom_get_token_ids=lambda text: _tokenize(child, text),
            http_client=openai.DefaultHttpxClient(
                trust_env=False, limits=limits, event_hooks={"request": [_address(child)]}
            ),
            http_async_client=openai.DefaultAsyncHttpxClient(
                trust_env=False, limits=limits, event_hooks={"request": [_aaddress(child)]}
            ),
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
        return "llama-cpp"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**super()._identifying_params, "weights_digest": self.weights_digest}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """No: a child process can not be written down."""
        return False

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        params = super()._get_invocation_params(stop, **kwargs)
        return {**params, "weights_digest": self.weights_digest}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self._our_errors():
            return super()._generate(messages, stop, run_manager, **kwargs)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self._our_errors():
            return await super()._agenerate(messages, stop, run_manager, **kwargs)

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        with self._our_errors():
            yield from super()._stream(*args, **kwargs)

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        with self._our_errors():
            async for chunk in super()._astream(*args, **kwargs):
                yield chunk

    @contextmanager
    def _our_errors(self) -> Iterator[None]:
        try:
            yield
        except openai.BadRequestError as error:
            if limit := _context_error(error):
                raise limit from error
            raise
        except openai.APITimeoutError:
            raise
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, ModelServerError):
                raise error.__cause__ from error
            msg = (
                f"The server of {self.server.model.name!r} died while it answered; the next "
                f"request starts it again. Its last words:\n{self.server.last_words()}"
            )
            raise ModelServerError(msg) from error

    def get_num_tokens_from_messages(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool] | None = None,  # noqa: ARG002
        **_: Any,
    ) -> int:
        """Number of tokens of the messages in the model's own chat template; tools not counted."""
        plain = [_convert_message_to_dict(message) for message in messages]
        prompt = self.server.ask("/apply-template", {"messages": plain})["prompt"]
        return self.get_num_tokens(prompt)

    def with_structured_output(  # type: ignore[override]
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **_: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """A model whose answers have that JSON schema, by constrained decoding.

        Args:
            schema: A JSON schema, a pydantic class or a TypedDict.
            include_raw: Give `{"raw", "parsed", "parsing_error"}` instead of the parsed value.
        """
        return create_json_output(self, schema, include_raw=include_raw)


def _address(server: LlamaServer) -> Callable[[httpx.Request], None]:
    """Start the server if need be, and send the request to the port that it has now."""

    def send_to(request: httpx.Request) -> None:
        request.url = request.url.copy_with(host=HOST, port=server.ensure_running())

    return send_to


def _aaddress(server: LlamaServer) -> Callable[[httpx.Request], Any]:
    async def send_to(request: httpx.Request) -> None:
        port = await asyncio.to_thread(server.ensure_running)
        request.url = request.url.copy_with(host=HOST, port=port)

    return send_to


def _tokenize(server: LlamaServer, text: str) -> list[int]:
    tokens: list[int] = server.ask("/tokenize", {"content": text})["tokens"]
    return tokens


def _context_error(error: openai.BadRequestError) -> ContextTooLongError | None:
    body = error.body if isinstance(error.body, dict) else {}
    if body.get("type") != "exceed_context_size_error":
        return None
    return ContextTooLongError(tokens=body["n_prompt_tokens"], limit=body["n_ctx"])
