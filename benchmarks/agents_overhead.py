"""What the graph of a retrieval chat costs beside the model: scripted replies, a bare LangGraph.

A turn retrieves 5 of 200 short documents from a list and asks a model that replies at once with
one short sentence. The peer is a graph of two nodes by hand, which does just that. Milliseconds a
turn, in turns, so that both have the same machine; and of those the processor's own, which other
work on the machine does not change. SQLite is in memory; in a file, where it waits for the disk;
and in a file that `open_sqlite_saver` opened, where it does not.
"""

import sqlite3
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from report import finish, print_table
from typing_extensions import TypedDict

from langchain_graft.agents import (
    Piece,
    RetrieveConfig,
    create_retrieve_chat,
    open_sqlite_saver,
    stream_events,
)
from langchain_graft.testing import ScriptedChatModel

TURNS = 100
WARM = 20
QUESTION = "Whose favourite number is 1?"
DOCUMENTS = [
    Document(id=f"d{n}", page_content=f"The number {n} is the favourite of person {n}.")
    for n in range(200)
]


class ListRetriever(BaseRetriever):
    """The first `k` of a list."""

    def _get_relevant_documents(
        self,
        query: str,  # noqa: ARG002 (the same for all)
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002
        k: int = 4,
    ) -> list[Document]:
        return DOCUMENTS[:k]


class BareState(TypedDict, total=False):
    """Of the peer."""

    input: str
    context: list[Document]
    answer: str


def bare_graph(model: ScriptedChatModel, saver: Any) -> Any:
    retriever = ListRetriever()

    def retrieve(state: BareState) -> dict[str, Any]:
        return {"context": retriever.invoke(state["input"], k=5)}

    def answer(state: BareState) -> dict[str, Any]:
        sources = "\n".join(one.page_content for one in state["context"])
        return {"answer": str(model.invoke(f"{sources}\n\n{state['input']}").text)}

    graph = StateGraph(BareState)
    graph.add_node("retrieve", retrieve)
    graph.add_node("answer", answer)
    graph.add_edge(START, "retrieve")
    graph.add_edge("retrieve", "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=saver)


def our_chat(model: ScriptedChatModel, saver: Any) -> Any:
    config = RetrieveConfig(task="qa", n_results=5, follow_ups=False)
    return create_retrieve_chat(model, ListRetriever(), config=config, checkpointer=saver)


def seconds_of(turn: Callable[[int], Any], number: int) -> tuple[float, float]:
    """By the clock, and of the processor, in all threads."""
    began, worked = time.perf_counter(), time.process_time()
    turn(number)
    return time.perf_counter() - began, time.process_time() - worked


def turn_of(chat: Any) -> Callable[[int], Any]:
    def turn(number: int) -> Any:
        return chat.invoke({"input": QUESTION}, {"configurable": {"thread_id": str(number)}})

    return turn


def first_piece(chat: Any) -> float:
    """Seconds to the first piece of an answer."""
    began = time.perf_counter()
    for event in stream_events(chat, {"input": QUESTION}):
        if isinstance(event, Piece):
            break
    return time.perf_counter() - began


def saver_in(path: Path | str = ":memory:") -> SqliteSaver:
    return SqliteSaver(sqlite3.connect(path, check_same_thread=False))


def main() -> None:
    model = ScriptedChatModel(reply=lambda _: "Person 1 has the favourite number 1. [1]")
    with TemporaryDirectory() as folder, open_sqlite_saver(Path(folder) / "own.sqlite") as saver:
        ours, bare = Path(folder) / "ours.sqlite", Path(folder) / "bare.sqlite"
        turns = {
            "model_alone": lambda _: model.invoke(QUESTION),
            "retrieve_chat": turn_of(our_chat(model, None)),
            "bare_graph": turn_of(bare_graph(model, None)),
            "retrieve_chat_sqlite": turn_of(our_chat(model, saver_in())),
            "bare_graph_sqlite": turn_of(bare_graph(model, saver_in())),
            "retrieve_chat_open_sqlite_saver": turn_of(our_chat(model, saver)),
            "retrieve_chat_sqlite_file": turn_of(our_chat(model, saver_in(ours))),
            "bare_graph_sqlite_file": turn_of(bare_graph(model, saver_in(bare))),
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in turns}
        for number in range(WARM + TURNS):
            for name, turn in turns.items():
                taken[name].append(seconds_of(turn, number))
        chat = our_chat(model, None)
        first = [first_piece(chat) * 1000 for _ in range(TURNS)][WARM:]
    figures: dict[str, float] = {}
    for name, given in taken.items():
        clock, processor = zip(*given[WARM:], strict=True)
        figures[f"{name}_ms"] = statistics.median(clock) * 1000
        figures[f"{name}_fastest_tenth_ms"] = statistics.quantiles(clock, n=10)[0] * 1000
        figures[f"{name}_processor_ms"] = statistics.median(processor) * 1000
    kinds = ("ms", "fastest_tenth_ms", "processor_ms")
    rows = [[name, *(figures[f"{name}_{kind}"] for kind in kinds)] for name in taken]
    figures["first_piece_ms"] = statistics.median(first)
    rows.append(["first piece", figures["first_piece_ms"], min(first), ""])
    print_table("A turn, milliseconds", ["what", "median", "fastest tenth", "processor"], rows)
    finish(
        "agents_overhead",
        {**figures, "turns": TURNS},
        packages=["langgraph", "langgraph-checkpoint-sqlite", "langchain-core"],
    )


if __name__ == "__main__":
    main()
