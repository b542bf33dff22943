"""What a chat tells while it works: one small dataclass per kind of event."""

from __future__ import annotations

from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from langchain_core.documents import Document
    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph

    from langchain_graft.chains.types import Citation


@dataclass(frozen=True)
class Event:
    """Something that happened in a chat."""


@dataclass(frozen=True)
class Retrieved(Event):
    """An index was asked."""

    query: str
    k: int
    """How many documents were asked for."""
    found: int
    """How many of those that came had not been shown."""


@dataclass(frozen=True)
class Asked(Event):
    """The assistant was asked, with these documents before it."""

    round: int
    documents: list[Document]


@dataclass(frozen=True)
class Piece(Event):
    """The next words of an answer, on their way."""

    text: str


@dataclass(frozen=True)
class Updated(Event):
    """The assistant wanted other documents, or more."""

    how: str
    """"next" of the ranking, "wider" search, "appended" by an answer on the way, "nothing" left."""
    documents: list[Document]
    """Those that are new."""


@dataclass(frozen=True)
class Acted(Event):
    """A tool was called, or code was run by the executor that was given."""

    name: str
    """The tool's, or "code"."""
    output: str
    worked: bool


@dataclass(frozen=True)
class Spoke(Event):
    """An agent of a group has answered."""

    agent: str
    answer: str
    supported: bool
    """Whether the critic lets it stand."""


@dataclass(frozen=True)
class Waiting(Event):
    """A person is asked; `Command(resume=...)` on the same thread goes on."""

    value: Any


@dataclass(frozen=True)
class Answered(Event):
    """The end of a turn."""

    answer: str
    citations: list[Citation]
    context: list[Document]
    ended: str
    """Why: "answered", "nothing_left", "max_rounds", "human", ..."""


def stream_events(
    chat: CompiledStateGraph[Any, Any, Any, Any], given: Any, config: RunnableConfig | None = None
) -> Iterator[Event]:
    """A turn of a chat as its events, as they come.

    Args:
        chat: Of `create_retrieve_chat` or `create_group_chat`.
        given: What `chat.invoke` takes: `{"input": question}`, a `Command`, or None to go on.
        config: With `{"configurable": {"thread_id": ...}}` where the chat has a saver.
    """
    with closing(chat.stream(given, config, stream_mode=["custom", "updates"])) as chunks:  # type: ignore[type-var]
        for chunk in chunks:
            yield from _events(chunk)


async def astream_events(
    chat: CompiledStateGraph[Any, Any, Any, Any], given: Any, config: RunnableConfig | None = None
) -> AsyncIterator[Event]:
    """Like `stream_events`."""
    stream = chat.astream(given, config, stream_mode=["custom", "updates"])
    async with aclosing(stream) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            for event in _events(chunk):
                yield event


def _events(chunk: Any) -> Iterator[Event]:
    mode, value = chunk
    if mode == "custom" and isinstance(value, Event):
        yield value
    elif mode == "updates":
        for interrupt in value.get("__interrupt__", ()):
            yield Waiting(interrupt.value)
