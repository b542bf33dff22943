"""Several retrieving agents in one chat: a manager, a critic, and who found what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from langchain_core.messages import AIMessage
from langchain_core.runnables.config import RunnableConfig, merge_configs

from langchain_graft.agents.critic import judged
from langchain_graft.agents.events import Answered, Spoke
from langchain_graft.agents.graph_node import GraphNode
from langchain_graft.agents.group_answer import final_answer, writer_state
from langchain_graft.agents.group_manager import (
    Manager,
    choice_variables,
    chosen,
    create_chooser,
    settle,
    waiting_agents,
)
from langchain_graft.agents.group_state import (
    GroupInput,
    GroupOutput,
    GroupState,
    fresh_group_turn,
)
from langchain_graft.agents.langgraph_extra import END, START, StateGraph, get_stream_writer
from langchain_graft.agents.prompts import GROUP_ANSWER_PROMPT
from langchain_graft.agents.proxy import create_begin_node
from langchain_graft.chains.answer import create_answer_step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.language_models import BaseChatModel
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph

    from langchain_graft.agents.group_agent import GroupAgent


def create_group_chat(
    agents: Sequence[GroupAgent],
    *,
    manager: Manager | Callable[[Mapping[str, Any]], str | None] = "round_robin",
    model: BaseChatModel | None = None,
    max_rounds: int = 10,
    enough: int = 1,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """A chat in which agents with sources of their own answer, one after another.

    The manager says who speaks; a critic checks each answer against its agent's documents
    (`chains.find_citations`). An agent whose answer does not stand hands over. It ends when
    `enough` answers stand, when nobody is left, or after `max_rounds`. The answer is the one that
    stands; where several do and there is a model, it is written anew from the documents that they
    cite. When none stands, it is the first that was given at all, its citations told as they are,
    or a refusal.

    It takes what `create_retrieve_chat` takes and gives `GroupOutput`: `found_by` says which agent
    found which cited documents. `stream_events` gives a turn as it goes.

    Args:
        agents: At least one; names are different.
        manager: "round_robin": in their order; "random"; "auto": the model chooses by their
            descriptions; "manual": a person does, by `Command(resume=name)`; or a function from
            the state to a name, None to end.
        model: Chooses for "auto", rewrites questions that follow others, and writes the answer
            where several stand.
        max_rounds: Most answers of agents to one question.
        enough: How many answers that stand are enough.
        checkpointer: Where conversations are kept; None: nowhere.

    Raises:
        ValueError: A setting can not be used.

    Example:
        >>> chat = create_group_chat(
        ...     [
        ...         create_retrieving_agent("vector", model, kb.retriever("vector")),
        ...         create_retrieving_agent("graph", model, kb.retriever("graph")),
        ...     ]
        ... )
        >>> chat.invoke({"input": "Who founded Apple?"})["found_by"]
        {'vector': ['apple.md-1']}
    """
    _check(agents, manager, model, max_rounds=max_rounds, enough=enough, saver=checkpointer)
    graph = StateGraph(GroupState, input_schema=GroupInput, output_schema=GroupOutput)
    graph.add_node("begin", create_begin_node(model, fresh=fresh_group_turn))
    graph.add_node("manager", _create_manager_node(agents, manager, model, max_rounds, enough))
    graph.add_node("agent", _create_agent_node(agents))
    graph.add_node("finish", _create_finish_node(model, max_rounds))
    graph.add_edge(START, "begin")
    graph.add_edge("begin", "manager")
    graph.add_conditional_edges("manager", _who_is_next, ["agent", "finish"])
    graph.add_edge("agent", "manager")
    graph.add_edge("finish", END)
    compiled = graph.compile(checkpointer=checkpointer, name="group_chat")
    return compiled.with_config(recursion_limit=2 * max_rounds + 20)


def _who_is_next(state: GroupState) -> str:
    return "agent" if state["speaker"] else "finish"


def _create_manager_node(
    agents: Sequence[GroupAgent],
    manager: Manager | Callable[[Mapping[str, Any]], str | None],
    model: BaseChatModel | None,
    max_rounds: int,
    enough: int,
) -> GraphNode:
    chooser = create_chooser(model) if manager == "auto" and model else None

    def settled(state: dict[str, Any]) -> str | None:
        """Who is next; None: the model is asked."""
        stand = sum(one["supported"] for one in state["contributions"])
        if stand >= enough or state["rounds"] >= max_rounds:
            return ""
        return settle(manager, state, agents, asks_model=chooser is not None)

    def manage(state: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        name = settled(state)
        if name is None and chooser:
            reply = chooser.invoke(choice_variables(state, agents), config)
            name = chosen(reply, waiting_agents(state, agents))
        return {"speaker": name}

    async def amanage(state: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        name = settled(state)
        if name is None and chooser:
            reply = await chooser.ainvoke(choice_variables(state, agents), config)
            name = chosen(reply, waiting_agents(state, agents))
        return {"speaker": name}

    return GraphNode(manage, amanage)


def _create_agent_node(agents: Sequence[GroupAgent]) -> GraphNode:
    by_name = {one.name: one for one in agents}

    def settings(agent: GroupAgent, config: RunnableConfig) -> RunnableConfig:
        configurable = {**config.get("configurable", {}), **agent.settings}
        return merge_configs(config, {"run_name": agent.name, "configurable": configurable})

    def speak(state: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        agent = by_name[state["speaker"]]
        return _spoken(agent, agent.chain.invoke(state["question"], settings(agent, config)), state)

    async def aspeak(state: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        agent = by_name[state["speaker"]]
        output = await agent.chain.ainvoke(state["question"], settings(agent, config))
        return _spoken(agent, output, state)

    return GraphNode(speak, aspeak)


def _spoken(agent: GroupAgent, output: Mapping[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    said = judged(agent.name, output, state["question"])
    get_stream_writer()(Spoke(agent.name, said["answer"], said["supported"]))
    return {"contributions": [*state["contributions"], said], "rounds": state["rounds"] + 1}


def _create_finish_node(model: BaseChatModel | None, max_rounds: int) -> GraphNode:
    write = create_answer_step(model, GROUP_ANSWER_PROMPT) if model else None

    def finish(state: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        asked = writer_state(state) if write else None
        written = write.invoke(asked, config) if write and asked else None
        return _finished(state, written, max_rounds)

    async def afinish(state: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        asked = writer_state(state) if write else None
        written = await write.ainvoke(asked, config) if write and asked else None
        return _finished(state, written, max_rounds)

    return GraphNode(finish, afinish)


def _finished(
    state: Mapping[str, Any], written: Mapping[str, Any] | None, max_rounds: int
) -> dict[str, Any]:
    made = final_answer(state, written, max_rounds=max_rounds)
    answer = made["answer"]
    get_stream_writer()(Answered(answer, made["citations"], made["context"], made["ended"]))
    return {**made, "messages": [AIMessage(answer)], "speaker": ""}


def _check(
    agents: Sequence[GroupAgent],
    manager: object,
    model: object,
    *,
    max_rounds: int,
    enough: int,
    saver: object,
) -> None:
    names = [one.name for one in agents]
    if not names or len({name.casefold() for name in names}) != len(names):
        msg = f"A group chat needs agents with different names, not {names!r}"
        raise ValueError(msg)
    if unknown := {name for one in agents for name in one.hands_to} - set(names):
        msg = f"hands_to names {sorted(unknown)!r}, which are not among the agents {names!r}"
        raise ValueError(msg)
    if not callable(manager) and manager not in get_args(Manager):
        known = ", ".join(get_args(Manager))
        msg = f"manager must be one of {known} or a function, not {manager!r}"
        raise ValueError(msg)
    if manager == "auto" and model is None:
        msg = "manager='auto' needs a model that chooses: create_group_chat(agents, model=...)"
        raise ValueError(msg)
    if manager == "manual" and saver is None:
        msg = "manager='manual' needs a checkpointer, so that the chat can wait for a person"
        raise ValueError(msg)
    if max_rounds < 1 or enough < 1:
        msg = f"max_rounds and enough must be 1 or more, not {max_rounds!r} and {enough!r}"
        raise ValueError(msg)
