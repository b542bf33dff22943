"""Communities of a small graph: the embedded store and a real Neo4j find and sum up the same."""

from contextlib import closing

import pytest

from langchain_graft.chains import create_graph_overview_chain
from langchain_graft.graph.communities import create_community_summaries, stale_summaries
from langchain_graft.graph.embedded_store import EmbeddedGraphStore
from langchain_graft.graph.neo4j_store import Neo4jGraphStore
from langchain_graft.testing import ScriptedChatModel
from langchain_graft.testing_graph_store import said

APPLE = said(
    "Jobs and Wozniak made the Lisa",
    chunk_id="apple#0",
    triples=[("Jobs", "KNEW", "Wozniak"), ("Jobs", "MADE", "Lisa"), ("Wozniak", "MADE", "Lisa")],
)
MITS = said(
    "Roberts and Yates made the Altair",
    chunk_id="mits#0",
    triples=[
        ("Roberts", "KNEW", "Yates"),
        ("Roberts", "MADE", "Altair"),
        ("Yates", "MADE", "Altair"),
    ],
)
MORE = said("Roberts sold the Altair", chunk_id="mits#1", triples=[("Roberts", "SOLD", "Altair")])


def reply(prompt):
    if "Facts:" in prompt:
        return "Of the Lisa." if "Lisa" in prompt else "Of the Altair."
    return "Of the Lisa and the Altair [1]."


class Communities:
    """What holds on every store."""

    def test_two_circles_are_summed_up_kept_and_made_anew_where_they_changed(self, store, tmp_path):
        store.add([APPLE, MITS])
        path = tmp_path / "communities.jsonl"
        model = ScriptedChatModel(reply=reply)
        made = create_community_summaries(store, model, path=path)
        chunks = {one.page_content: one.metadata["chunk_ids"] for one in made}
        assert chunks == {"Of the Lisa.": ["apple#0"], "Of the Altair.": ["mits#0"]}
        assert sorted(made[0].metadata["names"] + made[1].metadata["names"]) == sorted(
            ["Jobs", "Wozniak", "Lisa", "Roberts", "Yates", "Altair"]
        )
        store.add([MORE])
        assert [one.page_content for one in stale_summaries(store, made)] == ["Of the Altair."]
        again = ScriptedChatModel(reply=reply)
        create_community_summaries(store, again, path=path)
        assert len(again.asked) == 1

    def test_an_overview_answers_over_them(self, store):
        store.add([APPLE, MITS])
        model = ScriptedChatModel(reply=reply)
        chain = create_graph_overview_chain(model, lambda: create_community_summaries(store, model))
        output = chain.invoke("What are the main themes?")
        assert output["answer"].startswith("Of the Lisa and the Altair")
        assert sorted(output["context"][0].metadata["chunk_ids"]) == ["apple#0", "mits#0"]


class TestEmbedded(Communities):
    @pytest.fixture
    def store(self, tmp_path):
        with closing(EmbeddedGraphStore(tmp_path / "graph.sqlite")) as store:
            yield store


@pytest.mark.neo4j
class TestNeo4j(Communities):
    @pytest.fixture
    def store(self, neo4j):
        store = Neo4jGraphStore(neo4j.uri, user=neo4j.user, password=neo4j.password)
        with closing(store):
            yield store
