"""The attacks and the harmless statements, through the store, on real servers.

Each attack is refused or harmless: the database, its schema and its users stay as they are, no file
is read and nobody is called up. That the traps would notice is tested first.
"""

import json
import socket
import threading
from contextlib import suppress
from pathlib import Path

import neo4j as driver
import pytest
from langchain_core.documents import Document

from langchain_graft.errors import CypherError, CypherRefusedError
from langchain_graft.graph import GraphDocument, Mention, Node, Relationship, node_id
from langchain_graft.graph.neo4j_store import Neo4jGraphStore

pytestmark = pytest.mark.neo4j

CORPUS = Path(__file__).parents[2] / "attacks"
CANARY_TEXT = "canary-7f3a"
SETUP = """
CREATE INDEX person_name FOR (n:Person) ON (n.name);
CREATE CONSTRAINT person_id FOR (n:Person) REQUIRE n.id IS UNIQUE;
CREATE FULLTEXT INDEX names FOR (n:Person) ON EACH [n.name];
CREATE VECTOR INDEX vectors FOR (n:Person) ON (n.v)
    OPTIONS {indexConfig: {`vector.dimensions`: 2, `vector.similarity_function`: 'cosine'}};
CREATE (a:Person {name: 'Ann', id: 'a', x: 1, v: [1.0, 0.5]})-[:ACTED_IN {roles: ['B']}]->
    (:Movie {title: 'Top Gun'}), (a)-[:KNOWS]->(:Person {name: '安', id: 'b', x: 2});
CALL db.awaitIndexes(120)
"""
STATE = {
    "nodes": "MATCH (n) RETURN elementId(n) AS id, labels(n) AS labels, properties(n) AS p",
    "relationships": "MATCH (a)-[r]->(b) RETURN elementId(r) AS id, type(r) AS type, "
    "properties(r) AS p, elementId(a) AS a, elementId(b) AS b",
    "indexes": "SHOW INDEXES YIELD name, type, labelsOrTypes, properties",
    "constraints": "SHOW CONSTRAINTS YIELD name, type, labelsOrTypes, properties",
    "settings": "SHOW SETTINGS YIELD name, value",
    "users": "SHOW USERS YIELD user, passwordChangeRequired",
}


def rows(name):
    lines = (CORPUS / name).read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


ATTACKS = rows("cypher.jsonl")
HARMLESS = rows("harmless.jsonl")


class Listener:
    """Counts who calls up a port of this machine."""

    def __init__(self):
        self.calls = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        with suppress(OSError):
            while True:
                caller, _ = self._socket.accept()
                self.calls += 1
                caller.close()

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


class World:
    """A small graph on a server, a secret file that the server could read, and a listener."""

    def __init__(self, server):
        self.driver = driver.GraphDatabase.driver(server.uri, auth=(server.user, server.password))
        self.store = Neo4jGraphStore(server.uri, user=server.user, password=server.password)
        self.listener = Listener()
        self.store.add([hostile("text")])  # makes the store's own indexes
        self.store.remove(["evil.md"])
        for statement in SETUP.split(";"):
            self.driver.execute_query(statement)
        self.canary = None
        if server.folder:
            self.canary = server.folder / "import" / "canary.csv"
            self.canary.parent.mkdir(exist_ok=True)
            self.canary.write_text(f"{CANARY_TEXT}\n", encoding="utf-8")

    def placed(self, text):
        return text.replace("CANARY", "/canary.csv").replace("PORT", str(self.listener.port))

    def state(self):
        return {
            what: sorted(
                json.dumps(record.data(), default=str, sort_keys=True, ensure_ascii=False)
                for record in self.driver.execute_query(
                    query, database_="system" if what == "users" else None
                ).records
            )
            for what, query in STATE.items()
        }

    def close(self):
        self.listener.close()
        self.store.close()
        self.driver.close()
        if self.canary:
            self.canary.unlink()


@pytest.fixture(scope="module")
def world(neo4j_server, empty_server):
    empty_server(neo4j_server)
    world = World(neo4j_server)
    yield world
    world.close()


def hostile(kind, text="x"):
    """A graph document with this text as one of its parts."""
    part = {"label": "Thing", "type": "HAS", "property": "p", "name": "Ann", "text": "Ann has it."}
    part[kind] = text
    said = (Mention(chunk_id="evil", start=0, end=3, quote=part["text"][:3]),)
    ends = [
        Node(
            id=node_id(part["label"], name),
            label=part["label"],
            name=name,
            properties={part["property"]: text},
            mentions=said,
        )
        for name in (part["name"], "it")
    ]
    link = Relationship(source=ends[0].id, target=ends[1].id, type=part["type"], mentions=said)
    chunk = Document(id="evil", page_content=part["text"], metadata={"source_id": "evil.md"})
    return GraphDocument(nodes=tuple(ends), relationships=(link,), source=chunk)


def test_the_traps_would_notice(world):
    """What the guard is for: a READ session alone reads files and calls addresses."""
    with world.driver.session(default_access_mode="READ") as session:
        if world.canary:
            found = session.run("LOAD CSV FROM 'file:///canary.csv' AS line RETURN line").data()
            assert found == [{"line": [CANARY_TEXT]}]
        before = world.listener.calls
        with pytest.raises(driver.exceptions.Neo4jError):
            session.run(world.placed("LOAD CSV FROM 'http://127.0.0.1:PORT' AS l RETURN l")).data()
        assert world.listener.calls > before
    before = world.state()
    world.driver.execute_query("CREATE (:Hacked)")
    assert world.state() != before
    world.driver.execute_query("MATCH (n:Hacked) DELETE n")
    assert world.state() == before


@pytest.mark.parametrize("kind", sorted({row["class"] for row in ATTACKS}))
def test_attacks_do_nothing(world, kind):
    before, calls = world.state(), world.listener.calls
    for attack in (row for row in ATTACKS if row["class"] == kind):
        if "put" in attack:
            put(world, attack["put"])
        elif attack["expect"] == "refused":
            with pytest.raises(CypherRefusedError):
                world.store.read(world.placed(attack["cypher"]), attack.get("parameters"))
        else:
            with suppress(CypherError):
                found = world.store.read(world.placed(attack["cypher"]), attack.get("parameters"))
                assert CANARY_TEXT not in str(found)
    assert world.state() == before
    assert world.listener.calls == calls


def put(world, parts):
    """Add a hostile document, see that it stays text, and take it out again."""
    ((kind, text),) = parts.items()
    before = world.state()
    with suppress(ValueError):  # refused for what it is
        world.store.add([hostile(kind, world.placed(text))])
        assert len(world.state()["nodes"]) == len(before["nodes"]) + 4
    world.store.remove(["evil.md"])


@pytest.mark.parametrize("form", sorted({row["form"] for row in HARMLESS}))
def test_what_only_reads_runs(world, neo4j_server, form):
    version = ".".join(neo4j_server.version.split(".")[:2])
    here = [row for row in HARMLESS if row["form"] == form and version in row["versions"]]
    if not here:
        assert form == "cypher 25"
    for row in here:
        world.store.read(row["cypher"], row.get("parameters"))
