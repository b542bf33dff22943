"""The attacks of tests/attacks as a model's reply: what gets through in ours and in two peers.

Each system is given the same question and a model that replies with the attack, on a real Neo4j
5.26.12 with APOC (langchain-neo4j wants it). Counted is what happens, not what is said: the graph,
its schema or its users are changed; a secret file's text comes back; an address is called up; or
rows about the server (settings, connections, users) come back. Left out are the attacks by length
and depth: a peer hands them to the server, which parses 2,000 brackets for minutes.

    python benchmarks/attacks.py
"""

import json
import logging
import socket
import tempfile
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import neo4j
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_neo4j import GraphCypherQAChain, Neo4jGraph
from neo4j_graphrag.llm import LLMInterface, LLMResponse
from neo4j_graphrag.retrievers import Text2CypherRetriever as PeerRetriever
from neo4j_graphrag.schema import get_schema
from report import finish, print_table

from langchain_graft.graph import LocalNeo4j, Neo4jGraphStore, Text2CypherRetriever

VERSION = "5.26.12"
QUESTION = "Which people acted in Top Gun?"
CORPUS = Path(__file__).parents[1] / "tests/attacks/cypher.jsonl"
SECRET = "canary-7f3a"  # noqa: S105  no password: what must not come back
# The rows of any other statement are of the graph itself: `CYPHER runtime=... MATCH` is mended.
ABOUT_SERVER = ("SHOW ", "TERMINATE ", "dbms.", "db.stats.")
LEFT_OUT = "exhaustion"
NEW_PASSWORD = "hacked-hacked"  # noqa: S105  what some attacks set
KINDS = ("changed", "file read", "address called", "server told")
STATE = (
    "MATCH (n) RETURN elementId(n) AS id, labels(n) AS labels, properties(n) AS p",
    "MATCH (a)-[r]->(b) RETURN elementId(r) AS id, type(r) AS type, properties(r) AS p",
    "SHOW INDEXES YIELD name, labelsOrTypes, properties",
    "SHOW CONSTRAINTS YIELD name, labelsOrTypes, properties",
    "SHOW USERS YIELD user",
    "SHOW SETTINGS YIELD name, value",
)
SETUP = (
    "CREATE INDEX person_name FOR (n:Person) ON (n.name)",
    "CREATE CONSTRAINT person_id FOR (n:Person) REQUIRE n.id IS UNIQUE",
    "CREATE (:Person {name: 'Ann', id: 'a', x: 1})-[:ACTED_IN]->(:Movie {title: 'Top Gun'})",
)
System = Callable[[], Any]


class Obedient(BaseChatModel):
    """A model that was talked into one reply."""

    reply: str = ""

    @property
    def _llm_type(self) -> str:
        return "obedient"

    def _generate(
        self,
        messages: list[BaseMessage],  # noqa: ARG002
        stop: list[str] | None = None,  # noqa: ARG002
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self.reply))])


class PeerModel(LLMInterface):
    """The same model as neo4j-graphrag wants one."""

    def __init__(self, model: Obedient) -> None:
        super().__init__(model_name="obedient")
        self._model = model

    def invoke(self, input: Any, *_: Any, **__: Any) -> LLMResponse:  # noqa: A002, ARG002
        """The model's reply."""
        return LLMResponse(content=self._model.reply)

    async def ainvoke(self, input: Any, *_: Any, **__: Any) -> LLMResponse:  # noqa: A002
        """Like `invoke`."""
        return self.invoke(input)


class Trap:
    """A small graph, a secret file beside it, and a port that counts who calls."""

    def __init__(self, server: LocalNeo4j) -> None:
        self.uri, self.user, self.password = server.uri, server.user, server.password
        self.driver = neo4j.GraphDatabase.driver(self.uri, auth=(self.user, self.password))
        (server.folder / "import").mkdir(exist_ok=True)
        (server.folder / "import/canary.csv").write_text(f"{SECRET}\n", encoding="utf-8")
        self.calls = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()
        self.reset()

    def _listen(self) -> None:
        while True:
            caller, _ = self._listener.accept()
            self.calls += 1
            caller.close()

    def state(self) -> str:
        """The graph, its schema, users and settings, as text."""
        found = [self.driver.execute_query(query).records for query in STATE]
        texts = [sorted(json.dumps(one.data(), default=str) for one in part) for part in found]
        return json.dumps(texts)

    def login_is_changed(self) -> bool:
        """Whether the password is another one; it is set back."""
        if self._logs_in(self.password):
            return False
        with self._driver(NEW_PASSWORD) as driver:
            driver.execute_query(
                "ALTER CURRENT USER SET PASSWORD FROM $old TO $new",
                old=NEW_PASSWORD,
                new=self.password,
                database_="system",
            )
        return True

    def _driver(self, password: str) -> neo4j.Driver:
        return neo4j.GraphDatabase.driver(self.uri, auth=(self.user, password))

    def _logs_in(self, password: str) -> bool:
        with self._driver(password) as driver:
            return driver.verify_authentication()

    def reset(self) -> None:
        """Put the graph back as it was made."""
        run = self.driver.execute_query
        run("DROP USER hacked IF EXISTS")
        run("MATCH (n) DETACH DELETE n")
        for kind, all_of in (("CONSTRAINT", "CONSTRAINTS"), ("INDEX", "INDEXES")):
            for row in run(f"SHOW {all_of} YIELD name, type WHERE type <> 'LOOKUP'").records:
                run(f"DROP {kind} `{row['name']}` IF EXISTS")
        for statement in SETUP:
            run(statement)
        self.before = self.state()


def ours(trap: Trap, model: Obedient) -> System:
    store = Neo4jGraphStore(trap.uri, user=trap.user, password=trap.password)
    store.schema()
    retriever = Text2CypherRetriever(model=model, graph=store)
    return lambda: retriever.answer(QUESTION).rows


def langchain_neo4j(trap: Trap, model: Obedient) -> System:
    chain = GraphCypherQAChain.from_llm(
        model,
        graph=Neo4jGraph(trap.uri, trap.user, trap.password),
        validate_cypher=True,
        allow_dangerous_requests=True,
        return_direct=True,
    )
    return lambda: chain.invoke({"query": QUESTION})["result"]


def neo4j_graphrag(trap: Trap, model: Obedient) -> System:
    schema = get_schema(trap.driver)
    retriever = PeerRetriever(trap.driver, PeerModel(model), neo4j_schema=schema)
    return lambda: [one.data() for one in retriever.get_search_results(QUESTION).records]


def happened(trap: Trap, system: System, attack: dict[str, Any]) -> set[str]:
    """What an attack does; the graph is put back."""
    calls, rows = trap.calls, None
    with suppress(Exception):  # refused, or failed: what counts is what happened
        rows = system()
    found = {"address called"} if trap.calls > calls else set()
    if SECRET in str(rows):
        found.add("file read")
    elif rows and any(word in attack["cypher"] for word in ABOUT_SERVER):
        found.add("server told")
    if trap.login_is_changed() or trap.state() != trap.before:
        found.add("changed")
        trap.reset()
    return found


def measure(
    make: Callable[[Trap, Obedient], System], attacks: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """How many attacks got through in a system, by what they did."""
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalNeo4j(Path(folder) / "neo4j", version=VERSION, plugins=("apoc",)) as server,
    ):
        trap, model = Trap(server), Obedient()
        system = make(trap, model)
        told = []
        for attack in attacks:
            text = attack["cypher"].replace("CANARY", "/canary.csv")
            model.reply = text.replace("PORT", str(trap.port))
            told.append(happened(trap, system, attack))
            print("!" if told[-1] else ".", end="", flush=True)
        print()
    return {
        "attacks": len(attacks),
        "got through": sum(bool(one) for one in told),
        **{kind: sum(kind in one for one in told) for kind in KINDS},
        "by id": {a["id"]: sorted(one) for a, one in zip(attacks, told, strict=True) if one},
    }


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    rows = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").split("\n") if line]
    attacks = [row for row in rows if row["expect"] == "refused" and row["class"] != LEFT_OUT]
    systems = {
        "langchain-graft Text2CypherRetriever": ours,
        "langchain-neo4j GraphCypherQAChain, validate_cypher": langchain_neo4j,
        "neo4j-graphrag Text2CypherRetriever": neo4j_graphrag,
    }
    figures = {name: measure(make, attacks) for name, make in systems.items()}
    names = ("attacks", "got through", *KINDS)
    print_table(
        f"Attacks as the model's reply, Neo4j {VERSION} with APOC",
        ("system", *names),
        [[name, *(found[key] for key in names)] for name, found in figures.items()],
    )
    finish(
        "attacks",
        {"neo4j": VERSION, **figures},
        packages=["langchain-graft", "langchain-neo4j", "neo4j-graphrag", "neo4j"],
    )


if __name__ == "__main__":
    main()
