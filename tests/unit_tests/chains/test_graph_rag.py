"""Graph RAG as a chain: what the graph has, and what others find besides."""

import pytest
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from langchain_graft.chains import create_graph_rag_chain
from langchain_graft.graph import FoundNode, GraphRetriever, Mention, Node, Relationship, Subgraph
from langchain_graft.retrievers import FusionRetriever
from langchain_graft.testing import ScriptedChatModel

QUOTE = "Steve Jobs founded NeXT in 1985."
SAID = (Mention(chunk_id="next", start=0, end=len(QUOTE), quote=QUOTE),)
JOBS = Node(id="j", label="Person", name="Steve Jobs", mentions=SAID)
NEXT = Node(id="n", label="Company", name="NeXT", mentions=SAID)
CUBE = Node(id="c", label="Machine", name="Cube", properties={"price": 6500})
CHUNK = Document(id="next", page_content=QUOTE, metadata={"source_id": "next.md"})


class TwoFacts:
    """Jobs founded NeXT, says a passage; NeXT made the Cube, says nobody."""

    def find_entities(self, text=None, **_):
        nodes = [one for one in (JOBS, NEXT) if text and one.name in text]
        return [FoundNode(node=one, score=1.0) for one in nodes]

    def expand(self, ids, **_):
        founded = Relationship(source="j", target="n", type="FOUNDED", mentions=SAID)
        made = Relationship(source="n", target="c", type="MADE")
        return Subgraph(nodes=(JOBS, NEXT, CUBE), relationships=(founded, made))

    def chunks(self, ids):
        return [CHUNK for id_ in ids if id_ == "next"]

    async def afind_entities(self, text=None, **asked):
        return self.find_entities(text, **asked)

    async def aexpand(self, ids, **_):
        return self.expand(ids)

    async def achunks(self, ids):
        return self.chunks(ids)

    schema = add = remove = close = aschema = aadd = aremove = chunks


def other(*documents):
    return RunnableLambda(lambda question: list(documents))


ELSE = Document(id="else", page_content="Something else.", metadata={"source_id": "else.md"})


async def test_passages_and_things_are_cited_by_the_same_marks(run):
    reply = "Steve Jobs founded NeXT in 1985 [2]. NeXT made the Cube [1]."
    model = ScriptedChatModel(script=[reply])
    output = await run(create_graph_rag_chain(model, TwoFacts()), "Who founded NeXT?")
    assert [one.id for one in output["context"]] == ["graph:n", "next"]
    by_marker = {one["marker"]: one["cited_text"] for one in output["citations"]}
    assert by_marker == {1: "- NeXT made Cube; Cube (Machine): price: 6500.", 2: QUOTE}
    assert all(one["verified"] for one in output["citations"])
    assert output["warnings"] == []


async def test_paths_say_what_they_stand_on(run):
    model = ScriptedChatModel(script=["Steve Jobs."])
    paths = (await run(create_graph_rag_chain(model, TwoFacts()), "Who founded NeXT?"))["paths"]
    by_text = {path["text"]: path for path in paths}
    assert set(by_text) == {"Steve Jobs founded NeXT", "NeXT made Cube"}
    [founded] = by_text["Steve Jobs founded NeXT"]["triples"]
    assert (founded["chunk_id"], founded["quote"]) == ("next", QUOTE)
    assert by_text["Steve Jobs founded NeXT"]["documents"] == ["next"]
    assert by_text["NeXT made Cube"]["documents"] == ["graph:n"]
    assert paths == sorted(paths, key=lambda path: -path["score"])


async def test_both_rankings_are_fused_and_keep_their_triples(run):
    model = ScriptedChatModel(script=["Steve Jobs."])
    chain = create_graph_rag_chain(model, TwoFacts(), retriever=other(ELSE, CHUNK))
    output = await run(chain, "Who founded NeXT?")
    assert output["context"][0].id == "next"  # both found it
    assert output["context"][0].metadata["triples"]
    assert {one.id for one in output["context"]} == {"next", "else", "graph:n"}


async def test_what_the_graph_does_not_know_the_others_may_and_a_warning_says_so(run):
    model = ScriptedChatModel(script=["Something else."])
    chain = create_graph_rag_chain(model, TwoFacts(), retriever=other(ELSE))
    output = await run(chain, "What else?")
    assert [one.id for one in output["context"]] == ["else"]
    assert output["paths"] == []
    assert "nothing that the question" in output["warnings"][0]


async def test_alone_it_refuses_what_it_does_not_know(run):
    output = await run(create_graph_rag_chain(ScriptedChatModel(), TwoFacts()), "What else?")
    assert output["answer"] == "The documents do not contain the answer."


@pytest.mark.parametrize("weights", [[0.0, 1.0], [1.0, 0.0]])
async def test_weights_of_a_call_reach_both(run, weights):
    model = ScriptedChatModel(script=["x."])
    chain = create_graph_rag_chain(model, TwoFacts(), retriever=other(ELSE))
    output = await run(chain, "Who founded NeXT?", {"configurable": {"weights": weights}})
    assert ("else" in [one.id for one in output["context"]]) == bool(weights[1])


async def test_a_fusion_keeps_its_own_settings(run):
    fused = FusionRetriever(retrievers=[other(ELSE), other(CHUNK)], k=1, weights=[5.0, 1.0])
    chain = create_graph_rag_chain(
        ScriptedChatModel(script=["x."]), GraphRetriever(store=TwoFacts(), k=2), retriever=fused
    )
    assert [one.id for one in (await run(chain, "Who founded NeXT?"))["context"]] == ["else"]
