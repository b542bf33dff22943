"""Questions to two graphs in Neo4j: ours, LangChain's and Neo4j's own text2cypher in one run.

The pairs of neo4j-labs/text2cypher for movies and northwind that run here: a seeded sample of
50 + 50 (those with an agreed answer first), the same small model at temperature 0, a real Neo4j
5.26.12 with APOC (the peers need it). *Exact*: the same rows of the same values, whatever the
columns' order and names. *Covering*: as many rows, and the first gold column of each found in a row
of its own; a node counts as its property values. *Invalid*: the last statement does not run.
*Declined*: the system says that the graph does not hold what is asked. *Calls* of the model are for
a question. Replies are kept, so that a stopped run goes on; anything but a bad statement stops it.

Questions with an even `md5(question)[0]` may have been seen while the code was written, the others
were not, and are told apart. (That right statements stay right was tried on all gold statements.)

    python benchmarks/text2cypher.py [--model NAME] [--limit N] [--ablate N] [--zero-shot]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import neo4j
from langchain_core.callbacks import BaseCallbackHandler
from langchain_neo4j import GraphCypherQAChain, Neo4jGraph
from neo4j_graphrag.exceptions import Text2CypherRetrievalError
from neo4j_graphrag.llm import LLMInterface, LLMResponse
from neo4j_graphrag.retrievers import Text2CypherRetriever as PeerRetriever
from neo4j_graphrag.schema import get_schema
from report import data_folder, finish, print_table

from langchain_graft import load_chat_model
from langchain_graft.errors import CypherError, ReplyError
from langchain_graft.evaluation.replies import ReplyCache, with_reply_cache
from langchain_graft.graph import (
    CypherExample,
    CypherExamples,
    LocalNeo4j,
    Neo4jGraphStore,
    Text2CypherRetriever,
    Text2CypherSettings,
)
from langchain_graft.models.pull import models_folder

GRAPHS = ("movies", "northwind")
QUESTIONS = 50
MOST_ROWS = 3000
VERSION = "5.26.12"
Rows = list[list[Any]]
System = Callable[[str], Rows | None]
"""Rows for a question; None: the system says that the graph does not hold it."""
BAD_STATEMENT = ("Neo.ClientError.Statement.", "Neo.ClientError.Procedure.")
NAMES = ("exact", "covering", "invalid", "declined", "empty", "calls")
ABLATIONS: dict[str, dict[str, Any]] = {
    "all parts": {},
    "whole schema": {"token_budget": 1_000_000},
    "no code repairs": {"code_repairs": False},
    "no grounding": {"grounding": False},
    "no literal check": {"literal_check": False},
    "no model repairs": {"model_repairs": 0},
    "no part": {
        "token_budget": 1_000_000,
        "code_repairs": False,
        "grounding": False,
        "literal_check": False,
        "model_repairs": 0,
    },
}


@dataclass(frozen=True)
class Pair:
    """A question with its gold statement."""

    id: str
    question: str
    cypher: str

    @property
    def seen(self) -> bool:
        """Whether it is of the half that was looked at while the code was written."""
        return hashlib.md5(self.question.encode(), usedforsecurity=False).digest()[0] % 2 == 0


@dataclass(frozen=True)
class Server:
    """A running Neo4j with one of the graphs."""

    uri: str
    user: str
    password: str


class Calls(BaseCallbackHandler):
    """How often the model was asked."""

    count = 0

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        """One more."""
        self.count += 1


class PeerModel(LLMInterface):
    """Our chat model as neo4j-graphrag wants one."""

    def __init__(self, model: Any) -> None:
        super().__init__(model_name="kept")
        self._model = model

    def invoke(self, input: Any, *_: Any, **__: Any) -> LLMResponse:  # noqa: A002
        """The model's reply."""
        return LLMResponse(content=self._model.invoke(str(input)).text)

    async def ainvoke(self, input: Any, *_: Any, **__: Any) -> LLMResponse:  # noqa: A002
        """Like `invoke`."""
        return self.invoke(input)


def sample(database: str, count: int) -> tuple[list[Pair], list[Pair]]:
    """The seeded questions of a graph, and all others, as examples."""
    path = data_folder("text2cypher") / "pairs.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    usable = [row for row in rows if row["database"] == database and row["usable"]]
    filled = [row for row in usable if row["falkordb"]["nonempty"]]
    random.Random(0).shuffle(filled)  # noqa: S311
    filled.sort(key=lambda row: not row["consensus"])
    pairs = [Pair(row["_id"], row["question"], row["cypher"]) for row in filled]
    return pairs[:count], pairs[count:]


def load_graph(server: Server, database: str) -> None:
    """Fill an empty server with a graph of the data folder."""
    folder = data_folder("graphs") / database
    nodes, relationships = (
        [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]
        for name in ("nodes.jsonl", "rels.jsonl")
    )
    auth = (server.user, server.password)
    with neo4j.GraphDatabase.driver(server.uri, auth=auth) as driver, driver.session() as session:
        session.run("MATCH (n) DETACH DELETE n").consume()
        for label in {one["labels"][0] for one in nodes}:
            rows = [one for one in nodes if one["labels"][0] == label]
            text = f"UNWIND $rows AS r CREATE (n:`{label}`:`_T`) SET n = r.properties, n._id = r.id"
            session.run(text, rows=rows).consume()
        session.run("CREATE INDEX t IF NOT EXISTS FOR (n:`_T`) ON (n._id)").consume()
        session.run("CALL db.awaitIndexes()").consume()
        for type_ in {one["type"] for one in relationships}:
            rows = [one for one in relationships if one["type"] == type_]
            text = (
                "UNWIND $rows AS r MATCH (a:`_T` {_id: r.start}), (b:`_T` {_id: r.end}) "
                f"CREATE (a)-[x:`{type_}`]->(b) SET x = r.properties"
            )
            session.run(text, rows=rows).consume()
        session.run("DROP INDEX t").consume()
        session.run("MATCH (n:`_T`) REMOVE n:`_T`, n._id").consume()


def ours(server: Server, model: Any, examples: Sequence[Pair], **switches: Any) -> System:
    store = Neo4jGraphStore(server.uri, user=server.user, password=server.password)
    store.schema()
    told = [CypherExample(question=one.question, cypher=one.cypher) for one in examples]
    retriever = Text2CypherRetriever(
        model=model,
        graph=store,
        examples=CypherExamples(told, leave_out_same=True) if told else None,
        settings=Text2CypherSettings(row_limit=MOST_ROWS, **switches),
    )

    def ask(question: str) -> Rows | None:
        answer = retriever.answer(question)
        return [[*row.values()] for row in answer.rows] if answer.answerable else None

    return ask


def langchain_neo4j(server: Server, model: Any, examples: Sequence[Pair]) -> System:
    graph = Neo4jGraph(server.uri, server.user, server.password)
    chain = GraphCypherQAChain.from_llm(
        model,
        graph=graph,
        validate_cypher=True,
        allow_dangerous_requests=True,
        return_direct=True,
        top_k=MOST_ROWS,
    )
    told = shown(examples)
    return lambda question: [
        [*row.values()]
        for row in chain.invoke({"query": question, "examples": told(question)})["result"]
    ]


def neo4j_graphrag(server: Server, model: Any, examples: Sequence[Pair]) -> System:
    driver = neo4j.GraphDatabase.driver(server.uri, auth=(server.user, server.password))
    told = shown(examples)

    schema = get_schema(driver)

    def ask(question: str) -> Rows:
        shown_now = told(question) or None
        retriever = PeerRetriever(driver, PeerModel(model), neo4j_schema=schema, examples=shown_now)
        return [[*record.values()] for record in retriever.get_search_results(question).records]

    return ask


def shown(examples: Sequence[Pair]) -> Callable[[str], list[str]]:
    """The same examples for the peers as ours are shown."""
    told = [CypherExample(question=one.question, cypher=one.cypher) for one in examples]
    store = CypherExamples(told, leave_out_same=True)
    return lambda question: [
        f"Question: {e.question}\nCypher: {e.cypher}" for e in store.select(question)
    ]


def plain(value: Any) -> str:
    """A cell as text; a node is its properties."""
    if isinstance(value, dict):
        value = {key: one for key, one in value.items() if not key.startswith("_")}
    elif hasattr(value, "items"):
        value = dict(value.items())
    return json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)


def is_exact(gold: Rows, found: Rows) -> bool:
    return sorted(sorted(map(plain, row)) for row in gold) == sorted(
        sorted(map(plain, row)) for row in found
    )


def is_covering(gold: Rows, found: Rows) -> bool:
    left = [cells(row) for row in found]
    if len(gold) != len(found):
        return False
    for row in gold:
        wanted = {plain(row[0])}
        parts = cells(row[:1]) - wanted if hasattr(row[0], "items") else wanted
        hit = next((one for one in left if wanted <= one or parts <= one), None)
        if hit is None:
            return False
        left.remove(hit)
    return True


def cells(row: Sequence[Any]) -> set[str]:
    nodes = [value for value in row if hasattr(value, "items")]
    inner = [one for node in nodes for name, one in node.items() if not name.startswith("_")]
    return {plain(value) for value in [*row, *inner]}


def measure(
    system: System, pairs: Sequence[Pair], gold: dict[str, Rows], calls: Calls
) -> list[dict[str, float]]:
    """What came of each question; errors that are not of a statement come through."""
    told = []
    for pair in pairs:
        before, of = calls.count, dict.fromkeys(NAMES, 0.0)
        try:
            found = system(pair.question)
        except Exception as error:
            if not is_of_statement(error):
                raise
            of["invalid"] = 1
        else:
            of["declined"], of["empty"] = found is None, found == []
            of["exact"] = found is not None and is_exact(gold[pair.id], found)
            of["covering"] = found is not None and is_covering(gold[pair.id], found)
        of["calls"] = calls.count - before
        told.append({**of, "seen": pair.seen})
        print(".", end="", flush=True)
    return told


def is_of_statement(error: Exception) -> bool:
    """Whether a system fails by the statement that its model wrote, not by what is around it."""
    if isinstance(error, neo4j.exceptions.Neo4jError):
        return (error.code or "").startswith(BAD_STATEMENT)
    return isinstance(error, CypherError | ReplyError | Text2CypherRetrievalError)


def means(told: Sequence[dict[str, float]]) -> dict[str, float]:
    """How many questions, and the mean of each figure over them."""
    count = max(len(told), 1)
    return {"questions": len(told), **{n: sum(one[n] for one in told) / count for n in NAMES}}


def halves(told: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    return {
        "all": means(told),
        "seen": means([one for one in told if one["seen"]]),
        "unseen": means([one for one in told if not one["seen"]]),
    }


def gold_rows(server: Server, pairs: Sequence[Pair]) -> dict[str, Rows]:
    auth = (server.user, server.password)
    with neo4j.GraphDatabase.driver(server.uri, auth=auth) as driver, driver.session() as session:
        return {one.id: [[*row.values()] for row in session.run(one.cypher)] for one in pairs}


def measure_graph(
    database: str, arguments: argparse.Namespace, model: Any, calls: Calls
) -> dict[str, list[dict[str, float]]]:
    """All systems on the questions of one graph."""
    pairs, others = sample(database, arguments.limit)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        local = stack.enter_context(LocalNeo4j(folder, version=VERSION, plugins=("apoc",)))
        server = Server(local.uri, local.user, local.password)
        load_graph(server, database)
        gold = gold_rows(server, pairs)
        found = {}
        for examples, name in (((), "zero-shot"), (others, "with examples")):
            if examples and arguments.zero_shot:
                continue
            for make in (ours, langchain_neo4j, neo4j_graphrag):
                ask = make(server, model, examples)
                found[f"{SYSTEMS[make]}, {name}"] = measure(ask, pairs, gold, calls)
        for name, switches in ABLATIONS.items() if arguments.ablate else ():
            ask = ours(server, model, (), **switches)
            few = pairs[: arguments.ablate]
            found[f"ablation: {name}"] = measure(ask, few, gold, calls)
    return found


SYSTEMS: dict[Any, str] = {
    ours: "langchain-graft",
    langchain_neo4j: "langchain-neo4j",
    neo4j_graphrag: "neo4j-graphrag",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--limit", type=int, default=QUESTIONS, help="questions of each graph")
    parser.add_argument("--ablate", type=int, default=20, help="questions of each graph; 0: none")
    parser.add_argument("--zero-shot", action="store_true", help="leave out the runs with examples")
    arguments = parser.parse_args()
    cache = ReplyCache(models_folder().parent / "replies.sqlite")
    model = with_reply_cache(load_chat_model(arguments.model, max_tokens=300, temperature=0), cache)
    calls = Calls()
    model.callbacks = [calls]
    by_graph = {name: measure_graph(name, arguments, model, calls) for name in GRAPHS}
    figures = {
        system: {
            **halves([one for found in by_graph.values() for one in found[system]]),
            **{graph: means(found[system]) for graph, found in by_graph.items()},
        }
        for system in by_graph[GRAPHS[0]]
    }
    for part in ("all", "unseen"):
        rows = [(name, *of[part].values()) for name, of in figures.items()]
        print_table(f"{arguments.model}, {part} questions", ("", "questions", *NAMES), rows)
    finish(
        "text2cypher",
        {"questions of each graph": arguments.limit, "model": arguments.model, "systems": figures},
        packages=("langchain-neo4j", "neo4j-graphrag", "neo4j", "xllamacpp"),
    )


if __name__ == "__main__":
    main()
