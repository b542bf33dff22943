"""One thought, run sync or async: a generator asks for what it needs, a driver fetches it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from langchain_core.runnables.config import run_in_executor

from langchain_graft.errors import GraftError
from langchain_graft.graph.read_result import ROW_LIMIT, TIMEOUT_SECONDS
from langchain_graft.models.compute import compute_pool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_graft.graph.read_result import ReadResult
    from langchain_graft.graph.schema import Schema

Done = TypeVar("Done")


class ReadableGraph(Protocol):
    """A graph that is asked in Cypher: what text2cypher uses of `Neo4jGraphStore`."""

    def schema(self, *, refresh: bool = False) -> Schema:
        """Labels, relationship types and properties."""

    async def aschema(self, *, refresh: bool = False) -> Schema:
        """Like `schema`."""

    def read(
        self,
        cypher: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        row_limit: int = ROW_LIMIT,
    ) -> ReadResult:
        """Rows of a statement that only reads; any other is refused."""

    async def aread(
        self,
        cypher: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        row_limit: int = ROW_LIMIT,
    ) -> ReadResult:
        """Like `read`."""


@dataclass(frozen=True)
class GetSchema:
    """The graph's schema is needed."""

    refresh: bool = False


@dataclass(frozen=True)
class Read:
    """Rows are needed."""

    cypher: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    timeout_seconds: float = TIMEOUT_SECONDS
    row_limit: int = ROW_LIMIT


@dataclass(frozen=True)
class Ask:
    """A reply of the model is needed; its text comes back."""

    prompt: Any


@dataclass(frozen=True)
class Call:
    """Something is to be worked out that would block, such as vectors."""

    function: Callable[[], Any]


Steps = Generator[GetSchema | Read | Ask | Call, Any, Done]
"""Yields what it needs, is sent what came, returns when done; our errors are thrown into it."""


def run_steps(
    steps: Steps[Done],
    *,
    graph: ReadableGraph,
    model: Runnable[Any, str],
    config: RunnableConfig | None = None,
) -> Done:
    """Fetch what the steps ask for, one after another, until they are done."""
    came: Any = None
    error: GraftError | None = None
    while True:
        try:
            need = steps.throw(error) if error else steps.send(came)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        error = None
        try:
            came = _fetch(need, graph, model, config)
        except GraftError as raised:
            error = raised


async def arun_steps(
    steps: Steps[Done],
    *,
    graph: ReadableGraph,
    model: Runnable[Any, str],
    config: RunnableConfig | None = None,
) -> Done:
    """Like `run_steps`."""
    came: Any = None
    error: GraftError | None = None
    while True:
        try:
            need = steps.throw(error) if error else steps.send(came)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        error = None
        try:
            came = await _afetch(need, graph, model, config)
        except GraftError as raised:
            error = raised


def _fetch(
    need: object, graph: ReadableGraph, model: Runnable[Any, str], config: RunnableConfig | None
) -> Any:
    if isinstance(need, GetSchema):
        return graph.schema(refresh=need.refresh)
    if isinstance(need, Read):
        return graph.read(
            need.cypher,
            need.parameters,
            timeout_seconds=need.timeout_seconds,
            row_limit=need.row_limit,
        )
    if isinstance(need, Ask):
        return model.invoke(need.prompt, config)
    assert isinstance(need, Call)  # noqa: S101 (there is no other need)
    return need.function()


async def _afetch(
    need: object, graph: ReadableGraph, model: Runnable[Any, str], config: RunnableConfig | None
) -> Any:
    if isinstance(need, GetSchema):
        return await graph.aschema(refresh=need.refresh)
    if isinstance(need, Read):
        return await graph.aread(
            need.cypher,
            need.parameters,
            timeout_seconds=need.timeout_seconds,
            row_limit=need.row_limit,
        )
    if isinstance(need, Ask):
        return await model.ainvoke(need.prompt, config)
    assert isinstance(need, Call)  # noqa: S101 (there is no other need)
    return await run_in_executor(compute_pool(), need.function)
