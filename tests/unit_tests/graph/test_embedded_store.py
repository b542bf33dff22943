"""The embedded store keeps every promise, and its file is whole whatever happens."""

import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from langchain_graft.errors import DigestMismatchError, GraphError
from langchain_graft.graph.embedded_store import EmbeddedGraphStore
from langchain_graft.testing import GraphStoreTests, HashEmbeddings
from langchain_graft.testing_graph_store import said

TOLD = said("Ann knows Bob", chunk_id="d#0", triples=[("Ann", "KNOWS", "Bob")])
KILLED = """
import os, signal
from langchain_graft.graph import embedded_write
from langchain_graft.graph.embedded_store import EmbeddedGraphStore
from langchain_graft.testing_graph_store import said
steps = ["take_back", "_put_nodes", "_put_relationships", "_json"]
name = steps[{when}]
real = getattr(embedded_write, name)
def killed(*args, **kwargs):
    result = real(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(embedded_write, name, killed)
store = EmbeddedGraphStore({path!r})
store.add([said("Ann hates Bob", chunk_id="d#0", triples=[("Ann", "HATES", "Bob")])])
"""


class TestEmbeddedGraphStore(GraphStoreTests):
    @pytest.fixture
    def store(self, tmp_path):
        store = EmbeddedGraphStore(tmp_path / "graph.sqlite")
        yield store
        store.close()


def test_what_was_added_is_there_when_it_is_opened_again(tmp_path):
    first = EmbeddedGraphStore(tmp_path / "graph.sqlite")
    first.add([TOLD])
    before = first.graph_documents(["d#0"]), first.schema()
    first.close()
    assert first.schema() == before[1]
    first.close()
    again = EmbeddedGraphStore(tmp_path / "graph.sqlite")
    assert (again.graph_documents(["d#0"]), again.schema()) == before
    again.close()


def test_in_memory_it_is_one_graph_for_all_threads():
    store = EmbeddedGraphStore(None)
    store.add([TOLD])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: store.find_entities("Ann")[0].node.name, range(20)))
    assert found == ["Ann"] * 20
    store.close()
    with pytest.raises(GraphError, match="closed"):
        store.schema()


@pytest.mark.parametrize("when", range(4))
def test_killed_while_it_writes_it_is_what_it_was(tmp_path, when):
    store = EmbeddedGraphStore(tmp_path / "graph.sqlite")
    store.add([TOLD])
    before = store.graph_documents(["d#0"])
    killed = KILLED.format(path=str(tmp_path / "graph.sqlite"), when=when)
    done = subprocess.run([sys.executable, "-c", killed], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert store.graph_documents(store.chunk_ids()) == before
    store.add([said("Cid", chunk_id="e#0", triples=[("Cid", "IS", "Cid")])])
    assert len(store.chunk_ids()) == 2
    store.close()


def test_a_reader_sees_one_state_while_another_process_writes(tmp_path):
    store = EmbeddedGraphStore(tmp_path / "graph.sqlite")
    store.add([TOLD])
    other = EmbeddedGraphStore(tmp_path / "graph.sqlite")
    with store._file.reading() as database:
        count = "SELECT count(*) FROM chunks"
        assert database.execute(count).fetchone() == (1,)
        other.remove(["d"])
        assert database.execute(count).fetchone() == (1,)
    assert store.schema().nodes == ()
    store.close()
    other.close()


def test_what_is_no_graph_says_so(tmp_path):
    path = tmp_path / "graph.sqlite"
    path.write_bytes(b"this is no database, and long enough to be looked at" * 50)
    with pytest.raises(GraphError, match="not a database"):
        EmbeddedGraphStore(path)
    with pytest.raises(GraphError, match="can not be used"):
        EmbeddedGraphStore(tmp_path / "no such folder" / "graph.sqlite")


def test_a_newer_format_is_refused(tmp_path):
    path = tmp_path / "graph.sqlite"
    EmbeddedGraphStore(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(GraphError, match="format 99"):
        EmbeddedGraphStore(path)


def test_names_are_found_by_their_vectors():
    embeddings = HashEmbeddings()
    store = EmbeddedGraphStore(None, embeddings=embeddings)
    store.add([TOLD])
    found = store.find_entities(vector=embeddings.embed_query("Bob"), k=1)
    assert [one.node.name for one in found] == ["Bob"]
    assert found[0].score == pytest.approx(1)
    both = store.find_entities("Ann", vector=embeddings.embed_query("Bob"))
    assert {one.node.name for one in both if one.score > 0.99} == {"Ann", "Bob"}
    with pytest.raises(ValueError, match="dimensions"):
        store.find_entities(vector=[1.0, 2.0])
    store.close()


def test_only_new_names_are_embedded_and_what_is_replaced_keeps_its_vector():
    embedded = []

    class Counting(HashEmbeddings):
        def embed_documents(self, texts):
            embedded.extend(texts)
            return super().embed_documents(texts)

    store = EmbeddedGraphStore(None, embeddings=Counting())
    for names in (("Ann", "Bob"), ("Ann", "Bob"), ("Ann", "Cy")):
        store.add([said(" ".join(names), chunk_id="c", triples=[(names[0], "T", names[1])])])
    assert sorted(embedded) == ["Ann", "Bob", "Cy"]
    found = store.find_entities(vector=Counting().embed_query("Ann"), k=1)
    assert [one.node.name for one in found] == ["Ann"]
    store.close()


def test_another_embedder_is_refused(tmp_path):
    path = tmp_path / "graph.sqlite"
    store = EmbeddedGraphStore(path, embeddings=HashEmbeddings(dimension=16))
    store.add([TOLD])
    store.close()
    with pytest.raises(DigestMismatchError):
        EmbeddedGraphStore(path, embeddings=HashEmbeddings(dimension=32))
    EmbeddedGraphStore(path).close()


def test_a_large_graph_is_found_and_expanded_quickly():
    store = EmbeddedGraphStore(None)
    triples = [(f"Name {n}", "T", f"Name {n * 7 % 4_000}") for n in range(4_000)]
    store.add([said("", chunk_id="c", triples=triples)])
    started = time.perf_counter()
    found = store.find_entities("what about Name 777?", k=1)
    store.expand([found[0].node.id], depth=3)
    assert found[0].node.name == "Name 777"
    assert time.perf_counter() - started < 5  # a scan of all pairs would take minutes
    store.close()
