"""The chains over a graph that commands make, and which routes `--chain auto` has."""

from argparse import Namespace

import pytest
from langchain_core.documents import Document

from langchain_graft.cli import graph_chains
from langchain_graft.cli.graph_chains import summaries_file
from langchain_graft.cli.main import main
from langchain_graft.cli.options import make_chain
from langchain_graft.errors import GraphError
from langchain_graft.graph import GraphDocument, Mention, Node, Relationship
from langchain_graft.graph.embedded_store import EmbeddedGraphStore
from langchain_graft.graph.read_result import ReadResult
from langchain_graft.testing import ScriptedChatModel

TEXT = "Jobs founded Apple. Jobs founded NeXT. NeXT was bought by Apple."
WHOLE = "What are the main themes of the documents?"
COUNTED = "How many companies did Jobs found?"


def said_by(names, ties, chunk_id="c1"):
    said = (Mention(chunk_id=chunk_id, start=0, end=len(TEXT), quote=TEXT),)
    return GraphDocument(
        nodes=tuple(Node(id=name, label="Thing", name=name, mentions=said) for name in names),
        relationships=tuple(
            Relationship(source=one, target=other, type=type_, mentions=said)
            for one, type_, other in ties
        ),
        source=Document(
            id=chunk_id, page_content=TEXT, metadata={"source_id": "a.md", "language": "en"}
        ),
    )


FOUNDED = said_by(
    ["Jobs", "Apple", "NeXT"],
    [("Jobs", "FOUNDED", "Apple"), ("Jobs", "FOUNDED", "NeXT"), ("Apple", "BOUGHT", "NeXT")],
)


def reply(prompt):
    """A summary of a community, a point of it, an answer from that point."""
    if "Facts:" in prompt:
        return "Jobs founded two companies."
    return "NONE" if "Cypher:" in prompt else "Jobs founded two companies [1]."


def asked(kb, chain, *, graph=None, where=None):
    return Namespace(
        chain=chain,
        graph=graph,
        kb=kb.folder if kb else None,
        filter=where,
        k=3,
        context_tokens=800,
        retriever=None,
    )


def ask(kb, chain, question, **settings):
    model = ScriptedChatModel(reply=reply)
    output = make_chain(asked(kb, chain, **settings), kb, model).invoke(question)
    return output, model


def put(path, *documents):
    store = EmbeddedGraphStore(path)
    store.add(list(documents))
    store.close()
    return str(path)


@pytest.fixture
def filled(kb, write, documents):
    write("a.md", TEXT)
    kb.ingest(documents)
    return kb


@pytest.fixture
def with_graph(filled):
    put(filled.folder / "graph.sqlite", FOUNDED)
    return filled


class AskedInCypher(EmbeddedGraphStore):
    """An embedded graph that answers Cypher as well, with no rows."""

    def read(self, cypher, parameters=None, **_):
        return ReadResult(cypher=cypher, keys=(), rows=[])


def test_without_a_graph_questions_go_to_passages(filled):
    output, _ = ask(filled, "auto", WHOLE)
    assert output["route"] != "overview"
    assert "paths" not in ask(filled, "auto", "What has Jobs to do with NeXT?")[0]


@pytest.mark.parametrize("own", [True, False], ids=["of the knowledge base", "named"])
def test_auto_follows_the_graph_that_is_there(filled, tmp_path, own):
    path = filled.folder / "graph.sqlite" if own else tmp_path / "other.sqlite"
    named = put(path, FOUNDED)
    where = {} if own else {"graph": named}
    output, _ = ask(filled, "auto", "What has Jobs to do with NeXT?", **where)
    assert output["route"] == "graph"
    assert any("Jobs founded NeXT" in path["text"] for path in output["paths"])
    overview, _ = ask(filled, "auto", WHOLE, **where)
    assert overview["route"] == "overview"
    assert overview["context"][0].metadata["chunk_ids"] == ["c1"]


def test_a_graph_without_relationships_has_nothing_to_sum_up(filled):
    put(filled.folder / "graph.sqlite", said_by(["Jobs", "Apple"], []))
    assert ask(filled, "auto", WHOLE)[0]["route"] == "graph"
    assert ask(filled, "auto", COUNTED)[0]["route"] == "rag"


def test_what_is_counted_goes_to_a_neo4j_and_to_passages_where_it_has_no_rows(
    with_graph, monkeypatch
):
    store = AskedInCypher(with_graph.folder / "graph.sqlite")
    monkeypatch.setattr(graph_chains, "open_graph", lambda spec, folder: store)
    output, model = ask(with_graph, "auto", COUNTED, graph="bolt://somewhere")
    assert (output["route"], output["cypher"], output["rows"]) == ("cypher", "", [])
    assert [one.page_content for one in output["context"]] == [TEXT]
    assert output["answer"].startswith("Jobs founded two companies")
    assert any("Cypher:" in messages[-1].text for messages in model.asked)


def test_a_filter_keeps_what_no_passage_stands_for_out(with_graph, monkeypatch):
    store = AskedInCypher(with_graph.folder / "graph.sqlite")
    monkeypatch.setattr(graph_chains, "open_graph", lambda spec, folder: store)
    where = {"language": "zh"}
    for question in (COUNTED, WHOLE):
        output, _ = ask(with_graph, "auto", question, graph="bolt://somewhere", where=where)
        assert output["route"] not in {"cypher", "overview"}
        assert output["context"] == []


@pytest.mark.parametrize("chain", ["overview", "text2cypher"])
def test_a_filter_is_refused_where_there_are_no_passages(with_graph, chain):
    with pytest.raises(ValueError, match="--filter chooses passages"):
        ask(with_graph, chain, WHOLE, where={"language": "en"})


def test_overview_sums_up_once_and_needs_no_knowledge_base(tmp_path):
    named = put(tmp_path / "own.sqlite", FOUNDED)
    output, model = ask(None, "overview", WHOLE, graph=named)
    assert output["answer"].startswith("Jobs founded two companies")
    assert sum("Facts:" in messages[-1].text for messages in model.asked) == 1
    assert (tmp_path / "own.communities.jsonl").exists()
    _, again = ask(None, "overview", WHOLE, graph=named)
    assert not any("Facts:" in messages[-1].text for messages in again.asked)


def test_overview_of_a_graph_with_nothing_tied_together_says_so(tmp_path):
    named = put(tmp_path / "own.sqlite", said_by(["Jobs", "Apple"], []))
    with pytest.raises(GraphError, match="nothing to sum up"):
        ask(None, "overview", WHOLE, graph=named)


def test_summaries_lie_beside_the_graph_or_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LANGCHAIN_GRAFT_CACHE", str(tmp_path / "cache"))
    assert summaries_file(None, tmp_path) == tmp_path / "communities.jsonl"
    assert summaries_file(str(tmp_path), None) == tmp_path / "communities.jsonl"
    one = summaries_file("bolt://one", tmp_path)
    assert one.parent == tmp_path / "cache" / "communities"
    assert one != summaries_file("bolt://other", tmp_path)


def test_ask_says_which_chains_need_no_knowledge_base(capsys):
    assert main(["ask", WHOLE, "--chain", "overview"]) == 2
    assert "--chain graph|text2cypher|overview --graph URI" in capsys.readouterr().err
