"""A knowledge base's graph built into a real Neo4j that is away, dies, is slow or was emptied."""

import os
import re
import signal
import threading
import time
from contextlib import closing, contextmanager

import neo4j
import pytest

from langchain_graft.errors import GraphError, GraphUnavailableError
from langchain_graft.graph import neo4j_connection
from langchain_graft.graph.local_neo4j import LocalNeo4j
from langchain_graft.graph.neo4j_store import Neo4jGraphStore
from langchain_graft.knowledge_base import graph_building
from langchain_graft.testing import ScriptedChatModel

pytestmark = pytest.mark.neo4j

CHUNKS = 6
FACT = re.compile(r"(\w+) founded (\w+)\.")


@pytest.fixture
def model():
    """Replies with the facts of the passage; `asked` counts its calls."""

    def reply(prompt):
        facts = FACT.findall(prompt.rpartition("TAUGHT_AT")[2])
        return "\n".join(f"{a} | Person | FOUNDED | {b} | Company" for a, b in facts)

    return ScriptedChatModel(reply=reply)


@pytest.fixture
def kb(kb, documents, write):
    """The knowledge base with six documents."""
    for n in range(CHUNKS):
        write(f"{n}.md", f"# {n}\n\nJobs{n} founded Apple{n}. This is text number {n}.")
    kb.ingest(documents)
    return kb


@pytest.fixture
def server(neo4j_servers, empty_server):
    server = neo4j_servers.get("2026.09.0")
    empty_server(server)
    return server


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of a server that may be killed."""
    return tmp_path_factory.mktemp("mortal")


@pytest.fixture
def two_at_a_time(monkeypatch):
    monkeypatch.setattr(graph_building, "BATCH", 2)


def store_of(server, **settings):
    given = {"user": server.user, "password": server.password, "retry_seconds": 1, **settings}
    return closing(Neo4jGraphStore(server.uri, **given))


def facts(server):
    """The chunks in the server, and for each relationship the chunks that say it."""
    query = "MATCH (a)-[r:FOUNDED]->(b) RETURN a.name, b.name, r.chunk_ids"
    with store_of(server) as store:
        chunks = store.chunk_ids()
        rows = [tuple(row.values()) for row in store.read(query).rows]
    assert sorted(chunk for _, _, said in rows for chunk in said) == chunks
    return {(a, b) for a, b, _ in rows}


ALL = {(f"Jobs{n}", f"Apple{n}") for n in range(CHUNKS)}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"password": "not it"}, "NEO4J_PASSWORD"),
        ({"database": "nowhere"}, "NEO4J_DATABASE"),
    ],
)
def test_who_is_not_let_in_is_told_before_the_model_is_asked(kb, model, server, wrong, words):
    with store_of(server, **wrong) as store, pytest.raises(GraphUnavailableError, match=words):
        kb.build_graph(model, store=store, store_name=server.uri)
    assert model.asked == []


def test_a_server_that_is_down_is_told_before_the_model_is_asked(kb, model):
    with (
        closing(Neo4jGraphStore("bolt://127.0.0.1:1", retry_seconds=1)) as store,
        pytest.raises(GraphUnavailableError, match="graft neo4j start"),
    ):
        kb.build_graph(model, store=store)
    assert model.asked == []


def test_a_server_that_comes_back_is_waited_for(kb, model, folder, two_at_a_time):
    server = LocalNeo4j(folder, heap="512m").start()
    again = LocalNeo4j(folder, heap="512m")
    starting = threading.Thread(target=again.start)

    def kill_once(label, done, total):
        if (label, done) == ("graph", 2):
            kill(server)
            starting.start()

    try:
        with store_of(server, retry_seconds=240) as store:
            report = kb.build_graph(model, store=store, on_progress=kill_once)
        assert (report.extracted, report.added) == (CHUNKS, CHUNKS)
        assert facts(again) == ALL
        assert len(model.asked) == CHUNKS
    finally:
        starting.join()
        again.stop()


def test_a_server_that_stays_away_leaves_whole_chunks_and_the_next_run_goes_on(
    kb, model, folder, two_at_a_time, empty_server
):
    server = LocalNeo4j(folder, heap="512m").start()
    empty_server(server)

    def kill_once(label, done, total):
        if (label, done) == ("graph", 4):
            kill(server)

    with (
        store_of(server) as store,
        pytest.raises(GraphUnavailableError, match=r"does not answer.*graft neo4j start"),
    ):
        kb.build_graph(model, store=store, on_progress=kill_once)
    with LocalNeo4j(folder, heap="512m") as again:
        there = facts(again)
        assert there < ALL
        assert len(there) == 4
        with store_of(again) as store:
            report = kb.build_graph(model, store=store)
        assert (report.extracted, report.kept, report.added) == (0, CHUNKS, 2)
        assert facts(again) == ALL
    assert len(model.asked) == CHUNKS


def test_a_write_that_takes_too_long_is_undone_and_done_later(
    kb, model, server, write, documents, monkeypatch
):
    with store_of(server) as store:
        kb.build_graph(model, store=store)
        write("0.md", "# 0\n\nPerot founded NeXT. It made computers.")
        kb.ingest(documents)
        with monkeypatch.context() as hasty, another_writer(server):
            hasty.setattr(neo4j_connection, "_TRANSACTION_SECONDS", 2.0)
            with pytest.raises(GraphError, match=r"longer than it may.*Nothing was written"):
                kb.build_graph(model, store=store)
        assert facts(server) == ALL
        report = kb.build_graph(model, store=store)
    assert report.extracted == 0
    assert facts(server) == ALL - {("Jobs0", "Apple0")} | {("Perot", "NeXT")}
    assert len(model.asked) == CHUNKS + 1


def test_a_server_that_was_emptied_gets_its_graph_again_without_the_model(
    kb, model, server, empty_server
):
    with store_of(server) as store:
        kb.build_graph(model, store=store)
    empty_server(server)
    with store_of(server) as store:
        report = kb.build_graph(model, store=store)
    assert (report.extracted, report.added) == (0, CHUNKS)
    assert facts(server) == ALL


@contextmanager
def another_writer(server):
    """Holds everything in the database for as long as it lasts."""
    auth = (server.user, server.password)
    with (
        neo4j.GraphDatabase.driver(server.uri, auth=auth) as driver,
        driver.session() as session,
        session.begin_transaction() as transaction,
    ):
        transaction.run("MATCH (n) SET n.held = true").consume()
        yield


def kill(server):
    os.kill(server.pid, signal.SIGKILL)
    while server.pid is not None:
        time.sleep(0.05)
    server.stop()
