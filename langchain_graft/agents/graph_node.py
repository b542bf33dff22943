"""A node of a graph, sync and async, without the costs of a step of a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableConfig, ensure_config

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Work = Callable[[dict[str, Any], RunnableConfig], dict[str, Any]]
    AsyncWork = Callable[[dict[str, Any], RunnableConfig], Awaitable[dict[str, Any]]]


class GraphNode(Runnable[Any, dict[str, Any]]):
    """Two functions from a state and a config to what changes; LangGraph traces the node.

    `RunnableLambda` would look at their signatures, and trace them once more, at each call.

    Args:
        work: The node's work.
        awork: The same, async; None: it waits for nothing, and is done on the event loop.
    """

    def __init__(self, work: Work, awork: AsyncWork | None = None) -> None:
        self._work = work
        self._awork = awork

    def invoke(
        self,
        input: dict[str, Any],  # noqa: A002 (LangChain's name)
        config: RunnableConfig | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """What changes."""
        return self._work(input, ensure_config(config))

    async def ainvoke(
        self,
        input: dict[str, Any],  # noqa: A002 (LangChain's name)
        config: RunnableConfig | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """What changes."""
        if self._awork is None:
            return self._work(input, ensure_config(config))
        return await self._awork(input, ensure_config(config))

    def then(self, other: GraphNode) -> GraphNode:
        """This node's work and another's on what it left, as one: a step and a checkpoint less.

        The other one sees what this one changed, put in place: `messages` are not added up between.
        """

        def work(state: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
            changed = self.invoke(state, config)
            return {**changed, **other.invoke({**state, **changed}, config)}

        async def awork(state: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
            changed = await self.ainvoke(state, config)
            return {**changed, **await other.ainvoke({**state, **changed}, config)}

        return GraphNode(work, awork)
