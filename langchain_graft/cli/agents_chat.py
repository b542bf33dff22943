"""`graft chat --agents`: the events of a chat as they come, its sources at the end."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from langchain_core.language_models import BaseChatModel
    from langgraph.graph.state import CompiledStateGraph

    from langchain_graft.agents import Event
    from langchain_graft.knowledge_base import KnowledgeBase

SOURCES = {
    "vector": "finds passages by what they mean",
    "bm25": "finds passages by their words, names and numbers",
    "hybrid": "finds passages by their words and by what they mean",
    "graph": "follows the relationships between the things that a question names",
}


def talk(
    arguments: argparse.Namespace,
    kb: KnowledgeBase,
    model: BaseChatModel,
    questions: Iterable[str],
) -> int:
    """Talk until the end of the questions."""
    from langchain_graft.agents import stream_events  # noqa: PLC0415

    chat = make_chat(arguments, kb, model)
    thread = str(uuid4())
    for question in questions:
        if question == "/new":
            thread = str(uuid4())
            continue
        config: Any = {"configurable": {"thread_id": thread}}
        told = ""
        for event in stream_events(chat, {"input": question}, config):
            if arguments.json:
                sys.stdout.write(json.dumps(event_as_json(event), ensure_ascii=False) + "\n")
                sys.stdout.flush()
            else:
                told = _show(event, told)
    return 0


def make_chat(
    arguments: argparse.Namespace, kb: KnowledgeBase, model: BaseChatModel
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The chat that was asked for: one agent that searches again, or several.

    Raises:
        ValueError: An agent has no such source.
    """
    from langgraph.checkpoint.memory import InMemorySaver  # noqa: PLC0415

    from langchain_graft.agents import (  # noqa: PLC0415
        RetrieveConfig,
        create_group_chat,
        create_retrieve_chat,
        create_retrieving_agent,
    )

    names = [name.strip() for name in arguments.agents.split(",")]
    if unknown := [name for name in names if name not in SOURCES]:
        known = ", ".join(SOURCES)
        msg = f"--agents {arguments.agents}: no agent {unknown[0]!r}; there are {known}"
        raise ValueError(msg)
    find: Any = kb.retriever
    retrievers = {name: find(name, k=arguments.k, filter=arguments.filter) for name in names}
    tokens = arguments.context_tokens
    if len(names) == 1:
        config = RetrieveConfig(task="qa", n_results=arguments.k, context_tokens=tokens)
        saver = InMemorySaver()
        return create_retrieve_chat(model, retrievers[names[0]], config=config, checkpointer=saver)
    agents = [
        create_retrieving_agent(
            name, model, retrievers[name], description=SOURCES[name], context_tokens=tokens
        )
        for name in names
    ]
    return create_group_chat(agents, model=model, checkpointer=InMemorySaver())


def event_as_json(event: Event) -> dict[str, Any]:
    """An event as plain values; documents by their ids, an answer's with their texts."""
    said: dict[str, Any] = {"event": type(event).__name__, **asdict(event)}
    for name in ("documents", "context"):
        if name in said:
            said[name] = [
                {"id": one.id, "source_id": one.metadata.get("source_id"), "text": one.page_content}
                for one in getattr(event, name)
            ]
    return said


def _show(event: Event, told: str) -> str:
    """Show an event; gives what was shown of the answer so far."""
    from langchain_graft.agents import Answered, Asked, Piece  # noqa: PLC0415
    from langchain_graft.cli.console import ERR, OUT, print_told, printable  # noqa: PLC0415

    if isinstance(event, Asked):
        return ""
    if isinstance(event, Piece):
        OUT.out(printable(event.text), end="", highlight=False)
        return told + event.text
    if not isinstance(event, Answered):
        ERR.print(printable(_line(event)), style="dim")
        return told
    if told:
        OUT.print()
    if event.answer.strip() != told.strip():
        OUT.out(printable(event.answer), highlight=False)
    print_told(_told(event))
    return ""


def _line(event: Event) -> str:
    """What is told of an event on the way."""
    from langchain_graft.agents import Retrieved, Spoke, Updated  # noqa: PLC0415

    if isinstance(event, Retrieved):
        return f"searched {event.query!r}: {event.found} new"
    if isinstance(event, Updated):
        return f"other documents ({event.how}): {len(event.documents)}"
    if isinstance(event, Spoke):
        stands = "stands" if event.supported else "does not stand"
        return f"{event.agent} ({stands}): {event.answer}"
    return type(event).__name__


def _told(event: Any) -> Mapping[str, Any]:
    return {
        "context": event.context,
        "citations": event.citations,
        "answer": event.answer,
        "left_out": [],
        "warnings": [],
    }
