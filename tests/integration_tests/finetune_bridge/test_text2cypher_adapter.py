"""A chat model learns the Cypher of a graph, and its adapter is flipped under a running chain."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.messages import convert_to_openai_messages
from neo4j import GraphDatabase

from langchain_graft.chains import create_text2cypher_chain
from langchain_graft.finetune_bridge import (
    AdapterEngine,
    AdapterStore,
    GeneratorSettings,
    LoraSettings,
    train_generator,
)
from langchain_graft.graph import LocalNeo4j, Neo4jGraphStore, Text2CypherRetriever
from langchain_graft.graph.cypher.guard import check_read_only
from langchain_graft.knowledge_base.training_data import text2cypher_rows
from langchain_graft.models import TransformersEngine, TransformersSettings
from langchain_graft.testing import ScriptedChatModel

pytestmark = pytest.mark.neo4j

MODEL = "smollm2-135m"
GRAPH = """
CREATE (:Person {name: 'Anna Berg'})-[:OWNS]->(:Shop {name: 'Bokhuset', opened: 2011}),
  (:Person {name: 'Jean Petit'})-[:OWNS]->(:Shop {name: 'Le Fournil', opened: 1998})
"""
QUESTION = "Who owns Bokhuset?"
RIGHT = 'MATCH (p:Person)-[:OWNS]->(s:Shop {name: "Bokhuset"}) RETURN p.name'
FORGETFUL = "MATCH (s:Shop) RETURN s.opened"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with LocalNeo4j(tmp_path_factory.mktemp("neo4j"), heap="512m") as server:
        auth = (server.user, server.password)
        with GraphDatabase.driver(server.uri, auth=auth) as driver:
            driver.execute_query(GRAPH)
        graph = Neo4jGraphStore(server.uri, user=server.user, password=server.password)
        yield graph
        graph.close()


def rows_of(cypher, graph):
    """A row whose messages are what the chain says to its model."""

    def messages(question):
        model = ScriptedChatModel(script=["NONE"])
        Text2CypherRetriever(model=model, graph=graph).answer(question)
        return [
            {"role": one["role"], "content": one["content"]}
            for one in convert_to_openai_messages(model.asked[0])
        ]

    made = text2cypher_rows(
        [(QUESTION, cypher)],
        messages=messages,
        check=check_read_only,
        run=lambda cypher: graph.read(cypher).rows,
    )
    assert not made.dropped
    return made.rows


def trained_on(rows, folder):
    settings = GeneratorSettings(
        base=f"hf:{MODEL}",
        out=str(folder),
        lora=LoraSettings(r=8, alpha=16),
        epochs=10,
        batch_size=1,
        learning_rate=2e-3,
        eval_share=0.0,
        device="cpu",
        threads=1,
    )
    return train_generator(settings, rows)


def test_a_tuned_adapter_is_flipped_under_a_running_text2cypher_chain(store, tmp_path):
    engine = TransformersEngine.load(MODEL, TransformersSettings(device="cpu"))
    kept = AdapterStore(tmp_path / "adapters")
    adapters = AdapterEngine(engine, kept)
    versions = [
        kept.register(one.folder, "shops", manifest=one.manifest)
        for one in (
            trained_on(rows_of(FORGETFUL, store), tmp_path / "old"),
            trained_on(rows_of(RIGHT, store), tmp_path / "new"),
        )
    ]
    adapters.promote(versions[0])
    retriever = Text2CypherRetriever(model=adapters.chat_model("shops"), graph=store)
    chain = create_text2cypher_chain(
        ScriptedChatModel(script=["They are listed. [1]"] * 1000),
        store,
        cypher_model=adapters.chat_model("shops"),
    )
    old, new = [[1998], [2011]], [["Anna Berg"]]
    seen = asked_while(chain, new, lambda: adapters.promote(versions[1]))
    assert seen[0] == old
    assert seen[-1] == new
    assert all(one in (old, new) for one in seen)
    assert adapters.rollback("shops") == versions[0]
    assert values_of(retriever.answer(QUESTION).rows) == old
    adapters.close()


def values_of(rows):
    return sorted(list(row.values()) for row in rows)


def asked_while(chain, wanted, promote):
    """What the chain answers, one question after another, until it is what is wanted."""
    seen, over = [], threading.Event()

    def ask():
        while not over.is_set() and wanted not in seen:
            seen.append(values_of(chain.invoke(QUESTION)["rows"]))

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            while not seen and not asking.done():
                over.wait(0.1)
            promote()
            asking.result(timeout=300)
        finally:
            over.set()
    return seen
