"""What the proxy does for the assistant: calls tools, and hands code to the executor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables.config import run_in_executor

from langchain_graft.agents.code_executor import code_blocks
from langchain_graft.agents.events import Acted
from langchain_graft.agents.graph_node import GraphNode
from langchain_graft.agents.langgraph_extra import get_stream_writer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.runnables import RunnableConfig
    from langchain_core.tools import BaseTool

    from langchain_graft.agents.code_executor import CodeExecutor

_MOST_OUTPUT_CHARACTERS = 4000
_MOST_CALLS = 8


def create_action_node(executor: CodeExecutor | None, tools: Sequence[BaseTool]) -> GraphNode:
    """The node in which tools are called, or else the reply's code is run by the executor.

    A process that is killed here does it again when the conversation is taken up.
    """
    known = {tool.name: tool for tool in tools}

    def act(state: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        if not (calls := _calls(state)):
            return _coded(state, _run(executor, state["reply"]))
        return _called(state, [_call(known, call, config) for call in calls])

    async def aact(state: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        if not (calls := _calls(state)):
            return _coded(state, await run_in_executor(None, _run, executor, state["reply"]))
        return _called(state, [await _acall(known, call, config) for call in calls])

    return GraphNode(act, aact)


def _call(known: Mapping[str, BaseTool], call: Any, config: RunnableConfig) -> ToolMessage:
    try:
        message: ToolMessage = known[call["name"]].invoke(call, config)
    except Exception as error:  # noqa: BLE001 (told to the assistant, who may do better)
        return _failed(call, error, known)
    return message


async def _acall(known: Mapping[str, BaseTool], call: Any, config: RunnableConfig) -> ToolMessage:
    try:
        message: ToolMessage = await known[call["name"]].ainvoke(call, config)
    except Exception as error:  # noqa: BLE001 (told to the assistant, who may do better)
        return _failed(call, error, known)
    return message


def _calls(state: Mapping[str, Any]) -> list[Any]:
    last = state["pending"][-1] if state["pending"] else None
    return last.tool_calls[:_MOST_CALLS] if isinstance(last, AIMessage) else []


def _failed(call: Mapping[str, Any], error: Exception, known: Mapping[str, Any]) -> ToolMessage:
    told = str(error) if call["name"] in known else f"No tool {call['name']!r}: {sorted(known)!r}"
    return ToolMessage(
        told or type(error).__name__,
        tool_call_id=call["id"] or "",
        name=call["name"],
        status="error",
    )


def _called(state: Mapping[str, Any], results: Sequence[ToolMessage]) -> dict[str, Any]:
    """The tools' messages, one for each call that was made: models insist on that."""
    last = state["pending"][-1]
    short = [
        ToolMessage(
            str(one.text)[:_MOST_OUTPUT_CHARACTERS],
            tool_call_id=one.tool_call_id,
            name=one.name,
            status=one.status,
        )
        for one in results
    ]
    done = [_done(str(one.name), str(one.text), worked=one.status != "error") for one in short]
    asked = AIMessage(content=last.content, tool_calls=last.tool_calls[: len(short)])
    return {
        "pending": [*state["pending"][:-1], asked, *short],
        "executed": [*state["executed"], *done],
        "verdict": "asked",
    }


def _run(executor: CodeExecutor | None, reply: str) -> tuple[int, str]:
    if executor is None:
        return 1, "No executor was given: nothing was run"
    try:
        result = executor.execute_code_blocks(code_blocks(reply))
    except Exception as error:  # noqa: BLE001 (told to the assistant, who may do better)
        return 1, f"{type(error).__name__}: {error}"
    return int(result.exit_code), str(result.output)


def _coded(state: Mapping[str, Any], result: tuple[int, str]) -> dict[str, Any]:
    """What running the code came to; where it worked, that is the end."""
    exit_code, output = result[0], result[1][:_MOST_OUTPUT_CHARACTERS]
    done = {"executed": [*state["executed"], _done("code", output, worked=exit_code == 0)]}
    if exit_code == 0:
        return {**done, "verdict": "answer", "ended": "executed"}
    said = f"exitcode: {exit_code} (execution failed)\nCode output: {output}"
    pending = [*state["pending"], AIMessage(state["reply"]), HumanMessage(said)]
    return {**done, "verdict": "asked", "pending": pending}


def _done(name: str, output: str, *, worked: bool) -> dict[str, Any]:
    get_stream_writer()(Acted(name, output, worked))
    return {"name": name, "worked": worked, "output": output}
