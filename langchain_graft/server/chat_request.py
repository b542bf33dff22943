"""What a client asks of `/v1/chat/completions`, as far as it is used here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from langchain_graft.chains.answer import INSTRUCTIONS, SAMPLING
from langchain_graft.chains.inputs import MOST_QUESTION_CHARACTERS, as_input
from langchain_graft.retrievers.index import check_search
from langchain_graft.server.api_request import ApiRequest
from langchain_graft.server.error_reply import refuse

_MOST_MESSAGES = 2000
_SPOKEN = {"user": "human", "assistant": "ai", "tool": "ai", "function": "ai"}
_INSTRUCTING = ("system", "developer")
_NOT_DONE = ("tools", "functions", "logprobs")


class _Tolerant(BaseModel):
    """A part of a request; what is not known here is not used."""

    model_config = ConfigDict(extra="allow")


class ContentPart(_Tolerant):
    """A part of a message."""

    type: StrictStr
    text: StrictStr | None = None


class ChatMessage(_Tolerant):
    """A message."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: StrictStr | list[ContentPart] | None = None

    def text(self, place: str) -> str:
        """What it says.

        Args:
            place: Where it stands, for the error.

        Raises:
            RefusedRequest: It holds more than text.
        """
        if not isinstance(self.content, list):
            return self.content or ""
        if other := [one.type for one in self.content if one.type not in ("text", "refusal")]:
            message = f"A message holds text here, not {other[0]!r:.80}"
            raise refuse(message, param=f"{place}.content")
        return "\n".join(one.text for one in self.content if one.text)


class ResponseFormat(_Tolerant):
    """In which form a reply is wanted: as text, here."""

    type: Literal["text"] = "text"


class StreamOptions(_Tolerant):
    """How a reply is streamed."""

    include_usage: StrictBool | None = None


class GraftOptions(BaseModel):
    """Settings of this call that OpenAI's API has no names for."""

    model_config = ConfigDict(extra="forbid")

    k: Annotated[StrictInt, Field(ge=1, le=100)] | None = None
    """Passages."""
    filter: dict[str, Any] | None = None
    """Only passages with this metadata."""
    adapter: Annotated[StrictStr, Field(min_length=1, max_length=200)] | None = None
    """An adapter on the chain's chat model."""


def _listed(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


_Stops = Annotated[
    list[Annotated[StrictStr, Field(min_length=1, max_length=1000)]], Field(max_length=4)
]


class ChatRequest(ApiRequest):
    """A conversation that waits for its next message."""

    model: StrictStr
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=_MOST_MESSAGES)]
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    max_tokens: Annotated[StrictInt, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[StrictInt, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: StrictInt | None = None
    stop: Annotated[_Stops | None, BeforeValidator(_listed)] = None
    response_format: ResponseFormat | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    logprobs: StrictBool | None = None
    graft: GraftOptions | None = None

    @property
    def most_tokens(self) -> int | None:
        """Most tokens of the answer."""
        return self.max_completion_tokens or self.max_tokens

    def chain_input(self) -> dict[str, Any]:
        """The last message as a question, those before it as its history.

        What a tool has said is read as said by the assistant.

        Raises:
            RefusedRequest: The last one is not a user's, or can not be asked; or something is
                wanted that no chain does.
        """
        for name in _NOT_DONE:
            if getattr(self, name):
                message = f"{name} can not be given here: the chain alone decides what it calls"
                raise refuse(message, param=name)
        place = f"messages.{len(self.messages) - 1}"
        last = self.messages[-1]
        if last.role != "user":
            message = f"The last message has to be the user's, not the {last.role}'s"
            raise refuse(message, param=place)
        texts = [(one.role, one.text(f"messages.{n}")) for n, one in enumerate(self.messages)]
        history = [(_SPOKEN[role], text) for role, text in texts[:-1] if role in _SPOKEN and text]
        try:
            return as_input({"input": texts[-1][1], "chat_history": history})
        except ValueError as error:
            raise refuse(str(error), param=f"{place}.content") from error

    def instructions(self) -> str:
        """What the messages of the system and the developer say, one below the other.

        Raises:
            RefusedRequest: It is too long.
        """
        texts = [
            one.text(f"messages.{n}")
            for n, one in enumerate(self.messages)
            if one.role in _INSTRUCTING
        ]
        text = "\n\n".join(one for one in texts if one.strip())
        if len(text) > MOST_QUESTION_CHARACTERS:
            message = (
                f"The system's messages have {len(text)} characters, at most "
                f"{MOST_QUESTION_CHARACTERS} are taken"
            )
            raise refuse(message, param="messages")
        return text

    def answering(self) -> dict[str, Any]:
        """How the answer is to be written: what `create_answer_step` reads."""
        sampling = {name: getattr(self, name) for name in SAMPLING}
        wanted = {**sampling, INSTRUCTIONS: self.instructions() or None}
        return {name: value for name, value in wanted.items() if value is not None}

    def settings(self) -> dict[str, Any]:
        """The call's `configurable`.

        Raises:
            RefusedRequest: The filter is none.
        """
        options = self.graft or GraftOptions()
        try:
            check_search(options.k or 1, options.filter)
        except ValueError as error:
            raise refuse(str(error), param="graft.filter") from error
        given = {"k": options.k, "filter": options.filter, "adapter": options.adapter}
        return {name: value for name, value in given.items() if value is not None}
