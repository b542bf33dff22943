"""The proxy of a retrieval chat: begins a turn, and finds documents for the assistant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import HumanMessage

from langchain_graft.agents.events import Retrieved, Updated
from langchain_graft.agents.graph_node import GraphNode
from langchain_graft.agents.langgraph_extra import get_stream_writer
from langchain_graft.agents.retrieve_search import (
    Search,
    Searching,
    document_key,
    first_documents,
    further_documents,
    other_documents,
)
from langchain_graft.agents.retrieve_state import fresh_turn
from langchain_graft.chains.inputs import as_input, conversation_text
from langchain_graft.chains.prompts import CONDENSE_PROMPT
from langchain_graft.errors import RetrievalError
from langchain_graft.models.asking import ask_aside
from langchain_graft.retrievers.filters import check_filter, matches
from langchain_graft.retrievers.many import asearch_one, search_one
from langchain_graft.retrievers.together import acall_together, call_together, raised

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.documents import Document
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from langchain_core.retrievers import RetrieverLike
    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_graft.agents.retrieve_config import RetrieveConfig
    from langchain_graft.chains.packing import CountTokens

_QUESTION_TOKENS = 256


def create_begin_node(
    model: BaseChatModel | None, *, follow_ups: bool = True, fresh: Any = fresh_turn
) -> GraphNode:
    """The node in which a turn begins: its question, understood by what was said before.

    Args:
        model: Rewrites a question that follows others; None: it is taken as it is.
        follow_ups: Whether it does.
        fresh: The state of a turn, from its question.
    """
    rewrite = _create_rewriting(model) if model and follow_ups else None

    def begin(state: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        question, before = _asked(state)
        if not (rewrite and before):
            return _begun(state, question, question, fresh)
        reply = rewrite.invoke(
            {"conversation": conversation_text(before), "input": question}, config
        )
        return _begun(state, question, _one_line(reply) or question, fresh)

    async def abegin(state: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        question, before = _asked(state)
        if not (rewrite and before):
            return _begun(state, question, question, fresh)
        reply = await rewrite.ainvoke(
            {"conversation": conversation_text(before), "input": question}, config
        )
        return _begun(state, question, _one_line(reply) or question, fresh)

    return GraphNode(begin, abegin)


def _create_rewriting(model: BaseChatModel) -> Runnable[Any, BaseMessage]:
    rewriting = CONDENSE_PROMPT | ask_aside(model, max_tokens=_QUESTION_TOKENS)
    return rewriting.with_config(run_name="condense_question")


def create_proxy_node(
    retriever: RetrieverLike, settings: RetrieveConfig, count: CountTokens
) -> GraphNode:
    """The node in which documents are found: the first ones, others, or further ones."""
    seconds = settings.retrieval_seconds

    def find(state: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        searching, reply = _searching(state, settings, count), None
        while True:
            try:
                search = searching.send(reply)  # type: ignore[arg-type]
            except StopIteration as done:
                return _found(state, done.value)
            one = [
                lambda s=search: search_one(retriever, s.query, config, asked=_settings(s, config))
            ]
            [result] = call_together(one, timeout_seconds=seconds)
            reply = _told(search, result, state, config)

    async def afind(state: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        searching, reply = _searching(state, settings, count), None
        while True:
            try:
                search = searching.send(reply)  # type: ignore[arg-type]
            except StopIteration as done:
                return _found(state, done.value)
            one = asearch_one(retriever, search.query, config, asked=_settings(search, config))
            [result] = await acall_together([one], timeout_seconds=seconds)
            reply = _told(search, result, state, config)

    return GraphNode(find, afind)


def _searching(state: dict[str, Any], settings: RetrieveConfig, count: CountTokens) -> Searching:
    ways = {"update": other_documents, "append": further_documents}
    return ways.get(state["verdict"], first_documents)(state, settings, count)


def _settings(search: Search, config: RunnableConfig) -> dict[str, Any]:
    given = config.get("configurable", {})
    asked = {name: given[name] for name in ("filter", "weights") if given.get(name) is not None}
    check_filter(asked.get("filter"))
    return {"k": search.k, **asked}


def _told(
    search: Search,
    result: list[Document] | Exception,
    state: Mapping[str, Any],
    config: RunnableConfig,
) -> list[Document]:
    if isinstance(result, TimeoutError):
        raise RetrievalError([str(result) or "TimeoutError"]) from result
    where = config.get("configurable", {}).get("filter")
    documents = [one for one in raised(result) if matches(where, one.metadata)]
    known = set(state["seen"])
    new = sum(document_key(one) not in known for one in documents)
    get_stream_writer()(Retrieved(search.query, search.k, new))
    return documents


def _found(state: Mapping[str, Any], update: dict[str, Any]) -> dict[str, Any]:
    """What the search came to, as the graph goes on."""
    if len(update.get("updates", ())) > len(state["updates"]):
        how = update["updates"][-1]
        known = set(state["seen"])
        new = [one for one in update["context"] if document_key(one) not in known]
        get_stream_writer()(Updated(how, new))
        if how == "nothing":  # an answer on the way is better than none
            return {**update, "verdict": "answer", "ended": "nothing_left"}
    elif not update["context"]:
        return {**update, "verdict": "answer", "ended": "nothing_left"}
    return {**update, "verdict": "asked", "pending": []}


def _asked(state: Mapping[str, Any]) -> tuple[str, Sequence[BaseMessage]]:
    """The question, and what was said before it."""
    messages = state.get("messages") or []
    if state.get("input"):
        return str(as_input(state["input"])["input"]), messages
    if not messages or messages[-1].type != "human":
        msg = "A chat takes {'input': question}, or {'messages': [...]} that end in a question"
        raise ValueError(msg)
    return str(as_input(str(messages[-1].text))["input"]), messages[:-1]


def _begun(state: Mapping[str, Any], said: str, question: str, fresh: Any) -> dict[str, Any]:
    added = {"messages": [HumanMessage(said)]} if state.get("input") else {}
    return {**fresh(question), **added}


def _one_line(reply: BaseMessage) -> str:
    return " ".join(str(reply.text).split()).strip("\"' ")
