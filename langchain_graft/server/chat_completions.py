"""A chain's run as OpenAI's chat completion: one object, or a stream of chunks."""

from __future__ import annotations

import json
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from langchain_graft.server.error_reply import error_reply

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from langchain_graft.server.chain_run import ChainRun

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What is the same in all that is sent of one answer."""

    model: str
    """As it was asked for."""
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    async def whole(self, run: ChainRun) -> dict[str, Any]:
        """The answer in one object."""
        async with aclosing(run.pieces()) as pieces:
            async for _ in pieces:
                pass
        message = {"role": "assistant", "content": run.answer, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": run.finish_reason}
        return {
            **self._head("chat.completion"),
            "choices": [{**choice, "logprobs": None}],
            "usage": run.usage(),
            "graft": run.extension(),
        }

    async def events(
        self,
        run: ChainRun,
        *,
        with_usage: bool,
        on_end: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[bytes]:
        """The answer as server-sent events.

        The first comes with the answer's first piece, so that what fails before it has a status
        of its own; what fails later is the last event.
        """
        async with aclosing(run.pieces()) as pieces:
            first = await anext(pieces, "")
            yield self._chunk({"role": "assistant", "content": first})
            try:
                async for piece in pieces:
                    yield self._chunk({"content": piece})
            except Exception as error:  # noqa: BLE001 (the status is sent: it is told in the stream)
                yield b"data: " + error_reply(error).body() + b"\n\n"
                return
        on_end()
        yield self._chunk({}, finish_reason=run.finish_reason, graft=run.extension())
        if with_usage:
            yield event(
                {**self._head("chat.completion.chunk"), "choices": [], "usage": run.usage()}
            )
        yield DONE

    def _chunk(
        self, delta: dict[str, str], *, finish_reason: str | None = None, **more: Any
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return event({**self._head("chat.completion.chunk"), "choices": [choice], **more})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def as_bytes(value: Any) -> bytes:
    """JSON in UTF-8; what is no JSON value is told by its text."""
    told = json.dumps(value, ensure_ascii=False, default=str)
    return told.encode("utf-8", "replace")


def event(value: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + as_bytes(value) + b"\n\n"
