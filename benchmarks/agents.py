"""Agents on questions of several hops: one RAG chain, a retrieval chat, a group of two agents.

MuSiQue's training questions that HippoRAG chose its prompts on, over all their 1,890 passages; a
seeded sample. All arms ask the same model with the same prompts and see 400 tokens of passages at a
time, of the five that their search finds. The retrieval chat may ask three times; the group has an
agent with the embedded passages and one with a graph of names that stand together (made without a
model). "RAG, always answers" is the chain without the question whether its sources hold the answer.
An answer is one sentence or two, so that its F1 against a name is small for all; "contains" says
whether the name stands in it. Calls and tokens count replies that came from the cache, too. Replies
are kept, so that a run that was stopped goes on; the first took 19 minutes on one core of two.

    GRAFT_BENCH_DATA=... python benchmarks/agents.py [--model qwen2.5-coder-1.5b] [--limit N]
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from graph_rag import EMBEDDINGS, load, opened
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.outputs import LLMResult
from langchain_core.runnables import RunnableConfig
from report import data_folder, finish, print_table

from langchain_graft import create_rag_chain, load_chat_model
from langchain_graft.agents import (
    Answered,
    Asked,
    RetrieveConfig,
    create_group_chat,
    create_retrieve_chat,
    create_retrieving_agent,
    stream_events,
)
from langchain_graft.chains import is_refusal
from langchain_graft.chains.prompts import PLAIN_RAG_PROMPT
from langchain_graft.evaluation.answers import answer_f1, contains_answer, exact_match
from langchain_graft.evaluation.bootstrap import Interval, mean_interval, paired_bootstrap
from langchain_graft.evaluation.replies import ReplyCache, with_reply_cache
from langchain_graft.graph import GraphRetriever
from langchain_graft.graph.cooccurrence import cooccurrence_graph
from langchain_graft.graph.embedded_store import EmbeddedGraphStore

DATA = "musique_train100"
SAMPLE = 20
K = 5
CONTEXT_TOKENS = 400
ROUNDS = 3
SINGLE, CHAT, GROUP = "single RAG", "retrieval chat", "group: vector, graph"
SCORES = ("f1", "exact", "contains", "refused", "recall")
COSTS = ("calls", "tokens_in", "tokens_out")


class Counter(BaseCallbackHandler):
    """Calls of the model and their tokens."""

    def __init__(self) -> None:
        self.calls = self.tokens_in = self.tokens_out = 0

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """One call more."""
        usage = response.generations[0][0].message.usage_metadata  # type: ignore[union-attr]
        self.calls += 1
        self.tokens_in += usage["input_tokens"]
        self.tokens_out += usage["output_tokens"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What an arm made of a question."""

    question: str
    answer: str
    ended: str
    f1: float
    exact: float
    contains: float
    refused: float
    recall: float
    """Of the passages that the question needs, the share that the model was shown."""
    calls: int
    tokens_in: int
    tokens_out: int


Told = tuple[str, list[Document], str]
"""An answer, all documents that were shown, and how it ended."""
Arm = Callable[[str, RunnableConfig], Told]


def chain_arm(chain: Any) -> Arm:
    def ask(question: str, config: RunnableConfig) -> Told:
        output = chain.invoke(question, config)
        return output["answer"], output["context"], ""

    return ask


def chat_arm(chat: Any) -> Arm:
    def ask(question: str, config: RunnableConfig) -> Told:
        shown, answer, ended = list[Document](), "", ""
        for event in stream_events(chat, {"input": question}, config):
            if isinstance(event, Asked):
                shown += event.documents
            elif isinstance(event, Answered):
                answer, ended = event.answer, event.ended
        return answer, shown, ended

    return ask


def group_arm(chat: Any) -> Arm:
    def ask(question: str, config: RunnableConfig) -> Told:
        output = chat.invoke({"input": question}, config)
        said = output["contributions"]
        spoke = ", ".join(one["agent"] for one in said)
        shown = [document for one in said for document in one["context"]]
        return output["answer"], shown, f"{output['ended']} ({spoke})"

    return ask


def arms(model: Any, vector: Any, graph: Any) -> dict[str, Arm]:
    config = RetrieveConfig(
        task="qa",
        n_results=K,
        context_tokens=CONTEXT_TOKENS,
        max_rounds=ROUNDS,
        follow_ups=False,
    )
    room = CONTEXT_TOKENS
    always = create_rag_chain(
        model, vector, check=None, prompt=PLAIN_RAG_PROMPT, context_tokens=room
    )
    agents = [
        create_retrieving_agent(name, model, source, context_tokens=room)
        for name, source in (("vector", vector), ("graph", graph))
    ]
    return {
        SINGLE: chain_arm(create_rag_chain(model, vector, context_tokens=room)),
        "RAG, always answers": chain_arm(always),
        CHAT: chat_arm(create_retrieve_chat(model, vector, config=config)),
        GROUP: group_arm(create_group_chat(agents)),
    }


def measured(arm: Arm, question: str, answers: Sequence[str], gold: set[str]) -> Row:
    counter = Counter()
    answer, shown, ended = arm(question, {"callbacks": [counter]})
    found = {str(one.metadata.get("source_id") or one.id) for one in shown}
    refused = is_refusal(answer)
    return Row(
        question=question,
        answer=answer,
        ended=ended,
        f1=0.0 if refused else answer_f1(answer, answers),
        exact=exact_match(answer, answers),
        contains=contains_answer(answer, answers),
        refused=float(refused),
        recall=len(gold & found) / len(gold),
        calls=counter.calls,
        tokens_in=counter.tokens_in,
        tokens_out=counter.tokens_out,
    )


def compared(rows: dict[str, list[Row]]) -> dict[str, dict[str, Any]]:
    def of(name: str, metric: str) -> list[float]:
        return [float(getattr(row, metric)) for row in rows[name]]

    return {
        name: {
            **{metric: mean_interval(of(name, metric)) for metric in SCORES},
            **{cost: sum(of(name, cost)) / len(rows[name]) for cost in COSTS},
            "differences": {
                metric: paired_bootstrap(of(name, metric), of(SINGLE, metric)) for metric in SCORES
            },
            "rows": [asdict(row) for row in rows[name]],
        }
        for name in rows
    }


def told(interval: Interval) -> str:
    return f"{interval.mean:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def show(figures: dict[str, dict[str, Any]], title: str) -> None:
    means = [
        [name, *(told(one[metric]) for metric in SCORES), *(float(one[cost]) for cost in COSTS)]
        for name, one in figures.items()
    ]
    print_table(title, ["", *SCORES, *COSTS], means)
    differences = [
        [name, *(told(one["differences"][metric]) for metric in SCORES)]
        for name, one in figures.items()
        if name != SINGLE
    ]
    print_table(f"Difference to {SINGLE}", ["", *SCORES], differences)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--limit", type=int, default=SAMPLE, help="questions of the sample")
    parser.add_argument("--outside", action="store_true", help="of the others, to mend by")
    arguments = parser.parse_args()
    world, kb = load(DATA), opened(DATA)
    lines = (data_folder(DATA) / "queries.jsonl").read_text("utf-8").splitlines()
    answers = {row["_id"]: row["answer"] for row in map(json.loads, lines)}
    ids = random.Random(0).sample(sorted(world.questions), len(world.questions))  # noqa: S311
    ids = list(reversed(ids))[: arguments.limit] if arguments.outside else ids[: arguments.limit]
    store = EmbeddedGraphStore(None)
    store.add(cooccurrence_graph(world.passages))
    model = with_reply_cache(load_chat_model(arguments.model, max_tokens=64), ReplyCache())
    asked = arms(model, kb.retriever("vector", k=K), GraphRetriever(store=store, k=K))
    rows: dict[str, list[Row]] = {name: [] for name in asked}
    started = time.perf_counter()
    for number, id_ in enumerate(ids, 1):
        for name, arm in asked.items():
            row = measured(arm, world.questions[id_], answers[id_], world.gold[id_])
            rows[name].append(row)
            print(f"{number} of {len(ids)}, {name}: {row.answer!r:.100} {row.ended}", flush=True)
    seconds = time.perf_counter() - started
    kb.close()
    figures = compared(rows)
    show(figures, f"{len(ids)} questions, {arguments.model}, {EMBEDDINGS}")
    if arguments.outside:
        return
    print(f"{seconds / 60:.1f} minutes, less what was kept of earlier runs")
    settings = {"model": arguments.model, "questions": len(ids)}
    finish("agents", {**settings, "arms": figures}, packages=["langgraph", "xllamacpp"])


if __name__ == "__main__":
    main()
