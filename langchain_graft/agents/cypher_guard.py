"""A guard before the tools that run Cypher, as middleware of LangChain's `create_agent`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import ToolMessage

from langchain_graft.errors import CypherRefusedError, MissingExtraError
from langchain_graft.graph.cypher.guard import (
    READ_FUNCTIONS,
    READ_PROCEDURES,
    check_read_only,
    with_limit,
)

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState
except ImportError as error:
    raise MissingExtraError("agents") from error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection
    from collections.abc import Set as AbstractSet

    from langchain_core.messages import ToolCall
    from langgraph.prebuilt.tool_node import ToolCallRequest
    from langgraph.types import Command

CYPHER_ARGUMENTS = ("cypher", "cypher_query", "statement")


class CypherGuardMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Lets a tool run a model's Cypher only if it is understood and only reads.

    What is refused is told to the model as the tool's error; the tool is not called. The guard is
    that of text2cypher (`graph.cypher.guard.check_read_only`): what is let through is listed. The
    tool should still use a READ session, and bounds of time and memory, of its own.

    Args:
        arguments: Names of arguments that hold a statement.
        tools: The tools that run Cypher: a call of one without a statement is refused, too. None:
            every tool's arguments of these names are looked at.
        limit: Most rows: put into a statement that has none or more, where that is sure.
        procedures: Names that may be called, in lower case.
        functions: The same of functions.

    Raises:
        ValueError: `arguments` is empty, or `limit` below 1.

    Example:
        >>> guard = CypherGuardMiddleware(["query"], tools=["read_neo4j_cypher"], limit=100)
        >>> create_agent(model, tools, middleware=[guard])
    """

    def __init__(
        self,
        arguments: Collection[str] = CYPHER_ARGUMENTS,
        *,
        tools: Collection[str] | None = None,
        limit: int | None = None,
        procedures: AbstractSet[str] = READ_PROCEDURES,
        functions: AbstractSet[str] = READ_FUNCTIONS,
    ) -> None:
        super().__init__()
        if not arguments or isinstance(arguments, str) or (limit is not None and limit < 1):
            msg = (
                "arguments has to name at least one argument, in a list, and limit to be 1 or "
                f"more, not {arguments!r} and {limit!r}"
            )
            raise ValueError(msg)
        self._arguments = tuple(arguments)
        self._tools = None if tools is None else frozenset(tools)
        self._limit = limit
        self._allowed = {"procedures": procedures, "functions": functions}

    def wrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
    ) -> ToolMessage | Command[Any]:
        """Call the tool, or say why not."""
        checked = self._checked(request)
        return checked if isinstance(checked, ToolMessage) else handler(checked)

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """Call the tool, or say why not."""
        checked = self._checked(request)
        return checked if isinstance(checked, ToolMessage) else await handler(checked)

    def _checked(self, request: ToolCallRequest) -> ToolCallRequest | ToolMessage:
        call = request.tool_call
        if self._tools is not None and call["name"] not in self._tools:
            return request
        given = {name: call["args"][name] for name in self._arguments if name in call["args"]}
        if self._tools is not None and not given:
            return _refused(call, f"It has no statement in {' or '.join(self._arguments)}")
        try:
            statements = {name: self._statement(one) for name, one in given.items()}
        except CypherRefusedError as error:
            return _refused(call, error.reason)
        changed: ToolCall = {**call, "args": {**call["args"], **statements}}
        return request.override(tool_call=changed)

    def _statement(self, given: object) -> str:
        if not isinstance(given, str):
            msg = f"A statement is a text, not {type(given).__name__}"
            raise CypherRefusedError(msg, cypher=repr(given))
        check_read_only(given, **self._allowed)
        return given if self._limit is None else with_limit(given, self._limit)


def _refused(call: ToolCall, why: str) -> ToolMessage:
    return ToolMessage(
        f"Refused, nothing was run: {why}. Write one statement that only reads.",
        tool_call_id=call["id"] or "",
        name=call["name"],
        status="error",
    )
