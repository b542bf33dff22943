"""One run of a chain for a client: the answer piece by piece, and what it stands on."""

from __future__ import annotations

import math
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.runnables.utils import AddableDict

from langchain_graft.models.tokens import estimate_tokens
from langchain_graft.server.stop_sequences import StopReader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from uuid import UUID

    from langchain_core.outputs import LLMResult
    from langchain_core.runnables import Runnable

_TOLD_ELSEWHERE = ("input", "chat_history", "answer", "context")


class ModelCalls(BaseCallbackHandler):
    """What all calls of models in one run took, and the adapter that answered last."""

    def __init__(self) -> None:
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.adapter: str | None = None

    def on_llm_end(
        self, response: LLMResult, *, run_id: UUID, parent_run_id: UUID | None = None, **_: Any
    ) -> None:
        """See LangChain."""
        del run_id, parent_run_id
        for generation in response.generations[0][:1] if response.generations else ():
            message = getattr(generation, "message", None)
            usage = getattr(message, "usage_metadata", None) or {}
            self.prompt_tokens += usage.get("input_tokens", 0)
            self.completion_tokens += usage.get("output_tokens", 0)
            self.adapter = getattr(message, "response_metadata", {}).get("adapter", self.adapter)


class ChainRun:
    """A chain that is asked once.

    Args:
        chain: Any chain of ours.
        given: Its input.
        settings: The call's `configurable`.
        most_tokens: The answer ends where it has so many, by estimate; None: where it ends.
        stop: The answer ends before the first of these texts.
    """

    def __init__(
        self,
        chain: Runnable[Any, Any],
        given: Mapping[str, Any],
        *,
        settings: Mapping[str, Any],
        most_tokens: int | None,
        stop: Sequence[str] = (),
    ) -> None:
        self._chain = chain
        self._given = given
        self._calls = ModelCalls()
        self._config: Any = {"configurable": dict(settings), "callbacks": [self._calls]}
        self._most_tokens = most_tokens
        self._output = AddableDict()
        self._stop = StopReader(stop)
        self.answer = ""
        """What there is of it."""
        self.finish_reason = "stop"

    async def pieces(self) -> AsyncGenerator[str]:
        """The answer as it comes; closing it stops the chain."""
        async with aclosing(self._chain.astream(self._given, self._config)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                self._output += chunk
                if piece := self._left(self._stop.push(chunk.get("answer") or "")):
                    yield piece
                if self._stop.stopped:
                    return
                if self._is_long():
                    self.finish_reason = "length"
                    return
        if piece := self._left(self._stop.finish()):
            yield piece

    def _left(self, piece: str) -> str:
        self.answer += piece
        return piece

    def _is_long(self) -> bool:
        most = self._most_tokens
        return most is not None and estimate_tokens(self.answer) >= most

    def usage(self) -> dict[str, int]:
        """Tokens of all calls of models, as they told; estimated where they do not tell."""
        read, written = self._calls.prompt_tokens, self._calls.completion_tokens
        if not written:
            texts = [one.page_content for one in self._output.get("context", ())]
            read += estimate_tokens("\n".join([self._given["input"], *texts]))
            written = estimate_tokens(self.answer)
        return {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        }

    def extension(self) -> dict[str, Any]:
        """What a chain gives beside the answer: `sources`, `citations` and how it was come by."""
        sources = [
            {"marker": number, **plain_value(one)}
            for number, one in enumerate(self._output.get("context", ()), 1)
        ]
        rest = {
            key: plain_value(one) for key, one in self._output.items() if key not in _TOLD_ELSEWHERE
        }
        adapter = {"adapter": self._calls.adapter} if self._calls.adapter else {}
        return {"sources": sources, **rest, **adapter}


def plain_value(value: Any) -> Any:
    """What a chain gives, as plain values."""
    if isinstance(value, Document):
        named = {"document_id": value.id, "source_id": value.metadata.get("source_id")}
        return {**named, "text": value.page_content, "metadata": plain_value(value.metadata)}
    if isinstance(value, dict):
        return {key: plain_value(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(one) for one in value]
    is_no_number = isinstance(value, float) and not math.isfinite(value)
    return None if is_no_number else value  # JSON has no NaN
