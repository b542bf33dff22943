"""AutoGen's RetrieveChat as a graph: a proxy that retrieves, an assistant that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig

from langchain_graft.agents.actions import create_action_node
from langchain_graft.agents.assistant import Assistant, create_assistant_node
from langchain_graft.agents.code_executor import CodeExecutor, without_code
from langchain_graft.agents.events import Answered
from langchain_graft.agents.graph_node import GraphNode
from langchain_graft.agents.langgraph_extra import (
    END,
    START,
    StateGraph,
    get_stream_writer,
    interrupt,
)
from langchain_graft.agents.proxy import create_begin_node, create_proxy_node
from langchain_graft.agents.retrieve_config import RetrieveConfig, as_config
from langchain_graft.agents.retrieve_reply import is_update_line, update_context
from langchain_graft.agents.retrieve_state import RetrieveInput, RetrieveOutput, RetrieveState
from langchain_graft.chains.citations import find_citations
from langchain_graft.chains.packing import token_counter_of
from langchain_graft.chains.refusal import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.retrievers import RetrieverLike
    from langchain_core.tools import BaseTool
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph

_NODES_PER_ROUND = 4


def create_retrieve_chat(
    model: BaseChatModel,
    retriever: RetrieverLike | Callable[[RetrieveConfig], RetrieverLike],
    *,
    config: RetrieveConfig | Mapping[str, Any] = RetrieveConfig(),  # noqa: B008 (frozen)
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    executor: CodeExecutor | None = None,
    tools: Sequence[BaseTool] = (),
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """A chat that searches again where the documents do not hold the answer, and ends for sure.

    AutoGen 0.2's RetrieveChat: a proxy finds documents, an assistant answers from them or asks for
    others. It then gets the next ones of the ranking that it has not seen, and when there are none,
    those of a wider search, up to nine times as wide. With an `answer_prefix`, a reply without it
    is an answer on the way: its first sentence is searched, and what is found is put to the rest.

    Unlike AutoGen's: a reply asks for documents by a field of its own (`RetrieveConfig.asks_by`),
    and no document can; a conversation is in its checkpoint, none of it on an object; when nothing
    is left the answer is a refusal; sentences carry marks, which are checked; no code is run unless
    an executor is given, and none in this process.

    It takes `{"input": question}` or `{"messages": [...]}`, with `{"configurable": {"thread_id":
    ...}}` where there is a saver, and gives `answer`, `citations`, `context`, `ended` and the rest
    of `RetrieveOutput`. `stream_events` gives a turn as it goes; `stream_mode="messages"` has the
    assistant's words as a reader sees them, and no request for documents. `filter` and `weights`
    can be set per call in `config["configurable"]`, as in chains.

    Args:
        model: Any chat model.
        retriever: Any LangChain retriever, or a function that makes one from the config.
        config: Settings; or AutoGen's `retrieve_config`, unchanged.
        checkpointer: Where conversations are kept, such as an `open_sqlite_saver`; None: nowhere.
        executor: What runs the code of task "code", in a place of its own.
        tools: What the assistant may call; the proxy runs them.

    Raises:
        ValueError: A setting can not be used.

    Example:
        >>> chat = create_retrieve_chat(model, kb.retriever(), config={"task": "qa"})
        >>> chat.invoke({"input": "Who founded Apple?"})["answer"]
        'Apple was founded by Steve Jobs and Steve Wozniak. [1]'
    """
    config = as_config(config)
    _check(config, checkpointer, tools)
    if not isinstance(retriever, Runnable):
        retriever = retriever(config)
    count = config.count_tokens or token_counter_of(model)
    assistant = Assistant(model, config, executor=executor, tools=tools)
    graph = StateGraph(RetrieveState, input_schema=RetrieveInput, output_schema=RetrieveOutput)
    begin = create_begin_node(model, follow_ups=config.follow_ups)
    proxy = create_proxy_node(retriever, config, count)
    graph.add_node("begin", begin.then(proxy))
    graph.add_node("proxy", proxy)
    graph.add_node("assistant", create_assistant_node(assistant))
    graph.add_node("act", create_action_node(executor, tools))
    graph.add_node("person", _create_person_node(config.max_rounds))
    graph.add_node("finish", GraphNode(_finish))
    graph.add_edge(START, "begin")
    route = _create_route(config)
    graph.add_conditional_edges("begin", route, ["assistant", "person", "finish"])
    graph.add_conditional_edges("proxy", route, ["assistant", "person", "finish"])
    after = ["proxy", "act", "person", "finish"]
    graph.add_conditional_edges("assistant", route, after)
    graph.add_conditional_edges("act", route, ["assistant", "person", "finish"])
    graph.add_conditional_edges("person", _after_person, ["proxy", "act", "assistant", "finish"])
    graph.add_edge("finish", END)
    compiled = graph.compile(checkpointer=checkpointer, name="retrieve_chat")
    return compiled.with_config(recursion_limit=_NODES_PER_ROUND * config.max_rounds + 20)


def _check(config: RetrieveConfig, checkpointer: object, tools: Sequence[BaseTool]) -> None:
    if config.human_input != "NEVER" and checkpointer is None:
        msg = (
            f"human_input={config.human_input!r} needs a checkpointer, so that the chat can wait "
            "for a person: give one, such as langgraph.checkpoint.memory.InMemorySaver()"
        )
        raise ValueError(msg)
    if any(tool.name == update_context.name for tool in tools):
        msg = f"A tool can not be named {update_context.name!r}: the chat has one of that name"
        raise ValueError(msg)


def _create_route(config: RetrieveConfig) -> Callable[[RetrieveState], str]:
    def route(state: RetrieveState) -> str:
        """Where a turn goes after the proxy, the assistant or a tool."""
        verdict = state["verdict"]
        over = state["rounds"] >= config.max_rounds
        ends = verdict == "answer" or over
        replied = bool(state["rounds"]) and verdict != "asked"
        asks_person = ends or (config.human_input == "ALWAYS" and replied)
        if config.human_input != "NEVER" and asks_person:
            return "person"
        if ends:
            return "finish"
        return _NEXT[verdict]

    return route


_NEXT = {
    "update": "proxy",
    "append": "proxy",
    "act": "act",
    "asked": "assistant",
    "answer": "finish",
}


def _create_person_node(max_rounds: int) -> GraphNode:
    def ask(state: dict[str, Any], _: RunnableConfig) -> dict[str, Any]:
        """Nothing stands before the interrupt: the node begins anew when it goes on."""
        said = interrupt(
            {"question": state["question"], "reply": state["reply"], "verdict": state["verdict"]}
        )
        text = str(said or "").strip()
        if not text:
            over = state["rounds"] >= max_rounds
            return {"verdict": "answer", "ended": _ending(state)} if over else {"rounds": 0}
        if text.lower() == "exit":
            return {"verdict": "answer", "ended": "human"}
        if is_update_line(text):
            return {"verdict": "update", "ended": "", "rounds": 0}
        said_before = [AIMessage(state["reply"])] if state["reply"] else []
        pending = [*_answered(state["pending"]), *said_before, HumanMessage(text)]
        return {"verdict": "asked", "ended": "", "rounds": 0, "pending": pending}

    return GraphNode(ask)


def _answered(pending: Sequence[Any]) -> list[Any]:
    """What was said, less calls of tools that nobody answered."""
    cut = pending[-1:] and getattr(pending[-1], "tool_calls", None)
    return list(pending[:-1] if cut else pending)


def _after_person(state: RetrieveState) -> str:
    return _NEXT[state["verdict"]]


def _ending(state: Mapping[str, Any]) -> str:
    return state["ended"] or ("answered" if state["verdict"] == "answer" else "max_rounds")


def _finish(state: dict[str, Any], _: RunnableConfig) -> dict[str, Any]:
    """The end of a turn: the answer with its citations, and a small checkpoint."""
    question, context, ended = state["question"], state["context"], _ending(state)
    answer = state["reply"] or refusal(question)
    citations = find_citations(without_code(answer), context, question=question)
    get_stream_writer()(Answered(answer, citations, context, ended))
    return {
        "messages": [AIMessage(answer, id=(state["reply"] and state.get("reply_id")) or None)],
        "answer": answer,
        "citations": citations,
        "ended": ended,
        "found": [],
        "seen": [],
        "pending": [],
        "verdict": "asked",
    }
