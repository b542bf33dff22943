"""The Neo4j store on real servers: every promise, graphs made elsewhere, and what goes wrong."""

import asyncio

import pytest
from langchain_core.documents import Document
from neo4j import GraphDatabase

from langchain_graft.errors import CypherError, CypherRefusedError, GraphUnavailableError
from langchain_graft.graph.copying import copy_graph
from langchain_graft.graph.embedded_store import EmbeddedGraphStore
from langchain_graft.graph.neo4j_store import Neo4jGraphStore
from langchain_graft.graph.types import GraphDocument, Node
from langchain_graft.testing import GraphStoreTests, HashEmbeddings
from langchain_graft.testing_graph_store import said

pytestmark = pytest.mark.neo4j

MOVIES = """
CREATE (m:Movie {title: 'The Matrix', released: 1999, tagline: 'Welcome to the Real World'})
CREATE (k:Person {name: 'Keanu Reeves', born: 1964})
CREATE (c:Person {name: 'Carrie-Anne Moss', born: 1967})
CREATE (k)-[:ACTED_IN {roles: ['Neo']}]->(m), (c)-[:ACTED_IN {roles: ['Trinity']}]->(m)
"""
DOCUMENTS = [
    said(f"A then B{n}", chunk_id=f"d#{n}", triples=[("A", "T", f"B{n}")]) for n in range(5)
]


@pytest.fixture
def store(neo4j):
    store = Neo4jGraphStore(neo4j.uri, user=neo4j.user, password=neo4j.password)
    yield store
    store.close()


@pytest.fixture
def run(neo4j):
    """Run a statement beside the store."""
    with GraphDatabase.driver(neo4j.uri, auth=(neo4j.user, neo4j.password)) as driver:
        yield lambda cypher, **given: driver.execute_query(cypher, given).records


class TestNeo4jGraphStore(GraphStoreTests):
    @pytest.fixture
    def store(self, neo4j):
        store = Neo4jGraphStore(neo4j.uri, user=neo4j.user, password=neo4j.password)
        yield store
        store.close()


def test_documents_chunks_and_what_they_mention_are_linked(store, run):
    store.add(DOCUMENTS)
    rows = run(
        "MATCH (:Document {id: 'd'})-[:HAS_CHUNK]->(c:Chunk)-[m:MENTIONS]->(n:Entity:Person) "
        "WHERE substring(c.text, m.start, m.end - m.start) = m.quote AND m.quote = n.name "
        "RETURN c.id AS id"
    )
    assert sorted(row["id"] for row in rows) == sorted(f"d#{n}" for n in range(5) for _ in "AB")
    store.remove([])
    store.add([DOCUMENTS[3]])
    nexts = run("MATCH p = (:Chunk)-[:NEXT]->(:Chunk) RETURN [c IN nodes(p) | c.id] AS ids")
    assert sorted(row["ids"] for row in nexts) == [[f"d#{n}", f"d#{n + 1}"] for n in range(4)]


def test_both_ways_a_copy_is_the_same_graph(store, run):
    here, back = EmbeddedGraphStore(None), EmbeddedGraphStore(None)
    here.add(DOCUMENTS)
    assert copy_graph(here, store, batch=2) == 5
    assert copy_graph(store, back, batch=2) == 5
    ids = here.chunk_ids()
    assert back.graph_documents(ids) == store.graph_documents(ids) == here.graph_documents(ids)
    assert back.schema() == store.schema() == here.schema()
    assert copy_graph(here, store) == 0
    here.close()
    back.close()


def test_a_graph_made_elsewhere_is_read_and_not_written(store, run):
    run(MOVIES)
    found = store.find_entities("Who acted in The Matrix with Keanu?")
    assert [one.node.name for one in found][:2] == ["The Matrix", "Keanu Reeves"]
    around = store.expand([found[1].node.id])
    assert {node.name for node in around.nodes} == {
        "The Matrix",
        "Keanu Reeves",
        "Carrie-Anne Moss",
    }
    assert {one.type for one in around.relationships} == {"ACTED_IN"}
    schema = store.schema()
    assert schema.relationship("ACTED_IN").endpoints == (("Person", "Movie"),)
    assert schema.relationship("ACTED_IN").properties[0].type == "LIST<STRING>"
    assert schema.node("Movie").property_names == ("released", "tagline", "title")
    assert store.chunks(["x"]) == []
    assert run("SHOW CONSTRAINTS") == []
    assert [row["type"] for row in run("SHOW INDEXES")] == ["LOOKUP", "LOOKUP"]
    assert run("MATCH (n) RETURN count(n) AS n")[0]["n"] == 3


def test_vectors_are_found(neo4j):
    embeddings = HashEmbeddings()
    address = {"user": neo4j.user, "password": neo4j.password}
    store = Neo4jGraphStore(neo4j.uri, **address, embeddings=embeddings)
    store.add(DOCUMENTS)
    found = store.find_entities(vector=embeddings.embed_query("B3"), k=1)
    assert found[0].node.name == "B3"
    assert found[0].score == pytest.approx(1, abs=1e-3)
    assert not any("vector" in key for key in found[0].node.properties)
    assert store.schema().node("Person").property_names == ("name",)
    store.close()


@pytest.mark.parametrize("ask", ["add", "aadd"])
async def test_only_new_names_are_embedded_and_what_is_replaced_keeps_its_vector(neo4j, ask):
    embedded = []

    class Counting(HashEmbeddings):
        def embed_documents(self, texts):
            embedded.extend(texts)
            return super().embed_documents(texts)

    address = {"user": neo4j.user, "password": neo4j.password}
    store = Neo4jGraphStore(neo4j.uri, **address, embeddings=Counting())
    for names in (("Ann", "Bob"), ("Ann", "Bob"), ("Ann", "Cy")):
        triples = [(names[0], "T", names[1])]
        await (
            asyncio.to_thread(store.add, [said("", chunk_id="c", triples=triples)])
            if ask == "add"
            else store.aadd([said("", chunk_id="c", triples=triples)])
        )
    assert sorted(embedded) == ["Ann", "Bob", "Cy"]
    found = store.find_entities(vector=Counting().embed_query("Ann"), k=1)
    assert [one.node.name for one in found] == ["Ann"]
    store.close()


def test_a_node_has_its_newest_label_alone(store, run):
    for number, label in enumerate(("Person", "Poet", "Po\\et", "Entity", "Poet")):
        node = Node(id="a", label=label, name="Ann")
        source = Document(id=f"c{number}", page_content="")
        store.add([GraphDocument(nodes=(node,), relationships=(), source=source)])
        labels = run("MATCH (n:Entity) RETURN labels(n) AS labels")[0]["labels"]
        assert set(labels) == {"Entity", label}


def test_a_relationship_between_what_was_there_is_no_second_one(store, run):
    for number in range(3):
        triples = [("A", "T", "B"), ("A", "T", f"N{number}"), ("A", "U", "B"), ("A", "T", "A")]
        store.add([said("", chunk_id=f"d#{number}", triples=triples)])
    rows = run("MATCH (a)-[r:T|U]->(b) RETURN a.name + type(r) + b.name AS r, r.chunk_ids AS ids")
    every = ["d#0", "d#1", "d#2"]
    shared = {"ATB": every, "AUB": every, "ATA": every}
    assert len(rows) == 6
    assert {row["r"]: row["ids"] for row in rows} == shared | {
        f"ATN{n}": [f"d#{n}"] for n in range(3)
    }


@pytest.mark.parametrize("ask", ["read", "aread"])
async def test_reading_gives_plain_rows_and_no_more_than_asked(store, run, ask):
    run(MOVIES)

    async def read(*args, **kwargs):
        found = getattr(store, ask)(*args, **kwargs)
        return found if ask == "read" else await found

    result = await read("MATCH (p:Person) RETURN p, date('2020-01-02') AS day ORDER BY p.name")
    assert result.keys == ("p", "day")
    assert result.rows[0]["day"] == "2020-01-02"
    assert result.rows[0]["p"] | {"_id": ""} == {
        "name": "Carrie-Anne Moss",
        "born": 1967,
        "_labels": ["Person"],
        "_id": "",
    }
    assert not result.truncated
    many = await read("UNWIND range(1, 100000) AS n RETURN n", row_limit=7)
    assert ([row["n"] for row in many.rows], many.truncated) == (list(range(1, 8)), True)
    heavy = await read("UNWIND range(1, 50) AS n RETURN n, [x IN range(1, 20000) | x] AS list")
    assert heavy.truncated
    assert 0 < len(heavy.rows) < 20
    given = await read("MATCH (m:Movie {title: $t}) RETURN m.released AS y", {"t": "The Matrix"})
    assert given.rows == [{"y": 1999}]
    remarked = await read("MATCH (x:Nothing) RETURN x.y")
    assert any("Nothing" in one for one in remarked.notifications)
    with pytest.raises(CypherError, match="longer") as slow:
        await read("UNWIND range(1, 1000000000) AS n RETURN sum(n) AS s", timeout_seconds=1)
    assert "range" in slow.value.cypher
    with pytest.raises(CypherError, match="SyntaxError"):
        await read("MATCH (n) RETURN nobody")
    for writing in ("CREATE (n:X) RETURN n", "MATCH (n) DETACH DELETE n"):
        with pytest.raises(CypherRefusedError):
            await read(writing)
    assert run("MATCH (n) RETURN count(n) AS n")[0]["n"] == 3


@pytest.mark.parametrize("ask", ["schema", "aschema"])
async def test_what_is_wrong_with_the_server_is_said(neo4j, ask):
    right = {"uri": neo4j.uri, "user": neo4j.user, "password": neo4j.password}
    wrong = [
        ({"password": "not it"}, "NEO4J_PASSWORD"),
        ({"uri": "bolt://127.0.0.1:1"}, "does not answer"),
        ({"database": "nowhere"}, "nowhere"),
        ({"uri": neo4j.uri.replace("://", "+s://", 1)}, "TLS"),
    ]
    for change, words in wrong:
        store = Neo4jGraphStore(**{**right, **change}, retry_seconds=1)
        with pytest.raises(GraphUnavailableError, match=words):
            await (asyncio.to_thread(store.schema) if ask == "schema" else store.aschema())
        store.close()


def test_an_address_that_is_none_is_refused(monkeypatch):
    monkeypatch.delenv("NEO4J_URI", raising=False)
    with pytest.raises(ValueError, match="NEO4J_URI"):
        Neo4jGraphStore()
    with pytest.raises(GraphUnavailableError, match="bolt"):
        Neo4jGraphStore("http://localhost:7474")
