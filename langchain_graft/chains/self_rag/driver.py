"""Does what the search asks for: the same loop twice, sync and async."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_graft.chains.inputs import question_of
from langchain_graft.chains.self_rag.paths import document_key
from langchain_graft.chains.self_rag.roles import Critic, Draft, Search, Writer
from langchain_graft.chains.self_rag.search import Found, SelfRagSearch

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from langchain_core.documents import Document
    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_graft.chains.self_rag.correction import RetrievalCorrection
    from langchain_graft.chains.self_rag.paths import Level
    from langchain_graft.chains.self_rag.settings import SelfRagSettings

    Retrieval = Runnable[Mapping[str, Any], dict[str, Any]]


T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """What all searches of one answer gave beside the documents."""

    left_out: dict[Any, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)

    def take(self, found: Sequence[Mapping[str, Any]]) -> list[list[Document]]:
        """The documents of each query; what else was told is kept."""
        for one in found:
            self.shown.update(document_key(document) for document in one["context"])
            self.left_out.update({(of["document_id"] or id(of)): of for of in one["left_out"]})
            self.warnings.extend(w for w in one["warnings"] if w not in self.warnings)
        return [one["context"] for one in found]

    @property
    def without_room(self) -> list[Any]:
        """What was left out of all searches, or cut."""
        return [
            one
            for one in self.left_out.values()
            if one["reason"] == "cut" or one["document_id"] not in self.shown
        ]


@dataclass(frozen=True, kw_only=True)
class Driver:
    """Who is asked what.

    Args:
        retrieval: From a chain's state to `context`, `left_out` and `warnings`.
        fallback: The same where the first one finds nothing good; None: there is none.
    """

    writer: Writer
    critic: Critic
    retrieval: Retrieval
    fallback: Retrieval | None = None
    correction: RetrievalCorrection | None = None

    def search(
        self, state: Mapping[str, Any], settings: SelfRagSettings, config: RunnableConfig
    ) -> tuple[Found, Retrieved]:
        """The answer to a question."""
        return self._run(self._thinking(state, settings).run(), state, config)

    def route(
        self, state: Mapping[str, Any], settings: SelfRagSettings, config: RunnableConfig
    ) -> tuple[Level | None, Retrieved]:
        """Whether a question needs documents, and which."""
        return self._run(self._thinking(state, settings).route(), state, config)

    async def asearch(
        self, state: Mapping[str, Any], settings: SelfRagSettings, config: RunnableConfig
    ) -> tuple[Found, Retrieved]:
        """Like `search`."""
        return await self._arun(self._thinking(state, settings).run(), state, config)

    async def aroute(
        self, state: Mapping[str, Any], settings: SelfRagSettings, config: RunnableConfig
    ) -> tuple[Level | None, Retrieved]:
        """Like `route`."""
        return await self._arun(self._thinking(state, settings).route(), state, config)

    def _run(
        self, thinking: Generator[Any, Any, T], state: Mapping[str, Any], config: RunnableConfig
    ) -> tuple[T, Retrieved]:
        retrieved, answer = Retrieved(), None
        try:
            while True:
                answer = self._do(thinking.send(answer), state, config, retrieved)
        except StopIteration as ended:
            return ended.value, retrieved

    async def _arun(
        self, thinking: Generator[Any, Any, T], state: Mapping[str, Any], config: RunnableConfig
    ) -> tuple[T, Retrieved]:
        retrieved, answer = Retrieved(), None
        try:
            while True:
                answer = await self._ado(thinking.send(answer), state, config, retrieved)
        except StopIteration as ended:
            return ended.value, retrieved

    def _thinking(self, state: Mapping[str, Any], settings: SelfRagSettings) -> SelfRagSearch:
        return SelfRagSearch(
            question_of(state),
            settings,
            writes_judged=self.writer.judges,
            correction=self.correction,
            clock=time.monotonic,
        )

    def _do(
        self,
        request: Any,
        state: Mapping[str, Any],
        config: RunnableConfig,
        retrieved: Retrieved,
    ) -> Any:
        if isinstance(request, Search):
            source, asked = self._source(request), _queries(request, state)
            return retrieved.take(source.batch(asked, config))
        if isinstance(request[0], Draft):
            return self.writer.write(request, config)
        return self.critic.judge(request, config)

    async def _ado(
        self,
        request: Any,
        state: Mapping[str, Any],
        config: RunnableConfig,
        retrieved: Retrieved,
    ) -> Any:
        if isinstance(request, Search):
            source, asked = self._source(request), _queries(request, state)
            return retrieved.take(await source.abatch(asked, config))
        if isinstance(request[0], Draft):
            return await self.writer.awrite(request, config)
        return await self.critic.ajudge(request, config)

    def _source(self, request: Search) -> Retrieval:
        return self.fallback if request.fallback and self.fallback else self.retrieval


def _queries(request: Search, state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [{**state, "question": query} for query in request.queries]
