"""A graph by names alone."""

from langchain_core.documents import Document

from langchain_graft.graph import GraphRetriever
from langchain_graft.graph.cooccurrence import cooccurrence_graph
from langchain_graft.graph.embedded_store import EmbeddedGraphStore


def chunk(id_, title, text):
    return Document(id=id_, page_content=text, metadata={"title": title, "source_id": id_})


CHUNKS = [
    chunk("1", "Hello Love", "Hello Love is a song. It was performed by Hank Snow in 1953."),
    chunk("2", "Hank Snow", "Hank Snow died in Madison, Tennessee. He was a singer."),
    chunk("3", "Tennessee (state)", "Tennessee borders North Carolina. Its capital is Nashville."),
    chunk("4", "", "Nobody is named here."),
    chunk("5", "", ""),
]


def test_titles_are_tied_to_the_names_in_their_passage_with_the_sentence():
    first, second, third, *_ = cooccurrence_graph(CHUNKS)
    assert [node.name for node in first.nodes] == ["Hello Love", "Hank Snow"]
    [tie] = first.relationships
    [mention] = tie.mentions
    assert mention.quote == "It was performed by Hank Snow in 1953."
    assert CHUNKS[0].page_content[mention.start : mention.end] == mention.quote
    assert [node.name for node in second.nodes] == ["Hank Snow", "Tennessee"]
    assert [node.name for node in third.nodes] == ["Tennessee"]


def test_what_stands_in_one_passage_only_and_is_no_title_is_no_thing():
    names = {node.name for one in cooccurrence_graph(CHUNKS) for node in one.nodes}
    assert names == {"Hello Love", "Hank Snow", "Tennessee"}


def test_the_graph_answers_what_needs_several_passages():
    store = EmbeddedGraphStore(None)
    store.add(cooccurrence_graph(CHUNKS))
    question = "In which state did the singer of Hello Love die?"
    found = GraphRetriever(store=store, k=3).invoke(question)
    assert {one.id for one in found} == {"1", "2", "3"}
    store.close()
