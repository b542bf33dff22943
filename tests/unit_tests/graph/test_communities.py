"""Communities of a small graph, and their summaries."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.documents import Document

from langchain_graft.graph import GraphDocument, Mention, Node, Relationship, Subgraph
from langchain_graft.graph.communities import (
    create_community_summaries,
    find_communities,
    read_community_summaries,
    stale_summaries,
)
from langchain_graft.graph.embedded_store import EmbeddedGraphStore
from langchain_graft.testing import ScriptedChatModel

TWO = ["ab", "bc", "ca", "xy", "yz", "zx", "cx"]


def parts(*edges):
    """What one chunk says: "ab" is from a to b."""
    chunk = "-".join(edges)
    said = (Mention(chunk_id=chunk, start=0, end=1, quote=chunk[0]),)
    nodes = dict.fromkeys("".join(edges))
    return GraphDocument(
        nodes=tuple(Node(id=n, label="X", name=f"name-{n}", mentions=said) for n in nodes),
        relationships=tuple(
            Relationship(source=s, target=t, type="R", mentions=said) for s, t in edges
        ),
        source=Document(id=chunk, page_content=chunk, metadata={"source_id": f"{chunk}.md"}),
    )


@pytest.fixture
def store():
    store = EmbeddedGraphStore(None)
    store.add([parts(*TWO)])
    yield store
    store.close()


def graph(*edges):
    document = parts(*edges)
    return Subgraph(nodes=document.nodes, relationships=document.relationships)


def test_what_belongs_together_is_one_community():
    found = find_communities(graph(*TWO))
    assert sorted("".join(sorted(one.nodes)) for one in found) == ["abc", "xyz"]
    assert all(len(one.relationships) == 3 for one in found)


def test_the_same_graph_in_another_order_gives_the_same():
    subgraph = graph(*TWO)
    turned = Subgraph(nodes=subgraph.nodes[::-1], relationships=subgraph.relationships[::-1])
    found = find_communities(subgraph)
    assert [one.digest for one in found] == [one.digest for one in find_communities(turned)]


def test_small_ones_are_left_out_and_large_ones_divided():
    assert find_communities(graph("ab")) == []
    assert find_communities(Subgraph()) == []
    ring = [f"{a}{b}" for a in "abcdefgh" for b in "abcdefgh" if a < b]
    assert all(len(one.nodes) <= 4 for one in find_communities(graph(*ring), most_nodes=4))


def test_each_community_is_summed_up_once_and_kept(store, tmp_path):
    path = tmp_path / "communities.jsonl"
    model = ScriptedChatModel(script=["One <|im_end|>.", "Two."])
    told = []
    made = create_community_summaries(
        store, model, path=path, on_progress=lambda *step: told.append(step)
    )
    assert sorted(one.page_content for one in made) == ["One  .", "Two."]
    assert "name-a r name-b" in str(model.asked)
    assert made[0].metadata["chunk_ids"] == ["-".join(TWO)]
    assert told == [("summarise", 1, 2), ("summarise", 2, 2)]
    assert create_community_summaries(store, ScriptedChatModel(), path=path) == made
    assert read_community_summaries(path) == made
    assert stale_summaries(store, made) == []


def test_what_was_stopped_goes_on(store, tmp_path):
    path = tmp_path / "communities.jsonl"
    with pytest.raises(AssertionError, match="script has 1"):
        create_community_summaries(store, ScriptedChatModel(script=["One."]), path=path)
    assert [one.page_content for one in read_community_summaries(path)] == ["One."]
    made = create_community_summaries(store, ScriptedChatModel(script=["Two."]), path=path)
    assert sorted(one.page_content for one in made) == ["One.", "Two."]


def test_runs_at_once_share_what_each_has_asked(store, tmp_path):
    """While one waits for its first summary, another makes all of them."""
    path, other = tmp_path / "communities.jsonl", ScriptedChatModel(script=["One.", "Two."])

    def reply(_):
        create_community_summaries(store, other, path=path)
        return "One, again."

    model = ScriptedChatModel(reply=reply)
    made = create_community_summaries(store, model, path=path)
    assert (len(model.asked), len(other.asked)) == (1, 2)
    assert [one.page_content for one in made] == ["One, again.", "Two."]
    assert read_community_summaries(path) == made


def test_any_number_of_runs_write_the_file_at_once(store, tmp_path):
    path = tmp_path / "communities.jsonl"

    def run(_):
        return create_community_summaries(
            store, ScriptedChatModel(reply=lambda _: "Said."), path=path
        )

    for _ in range(5):
        path.unlink(missing_ok=True)
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(run, range(8)))
        assert all(one == made[0] for one in made)
        assert read_community_summaries(path) == made[0]


def test_a_graph_that_changed_costs_what_is_new(store, tmp_path):
    path = tmp_path / "communities.jsonl"
    before = create_community_summaries(
        store, ScriptedChatModel(script=["One.", "Two."]), path=path
    )
    store.add([parts("xz")])
    assert len(stale_summaries(store, before)) == 1
    after = create_community_summaries(store, ScriptedChatModel(script=["New."]), path=path)
    assert "New." in [one.page_content for one in after]
    assert len(read_community_summaries(path)) == 2


def test_the_number_of_calls_and_their_length_are_bounded(store):
    model = ScriptedChatModel(script=["One."])
    [one] = create_community_summaries(store, model, most=1, most_tokens=6)
    assert one.page_content == "One."
    assert model.asked[0][-1].text.count("- name") == 1


def test_a_file_of_another_version_is_made_anew(store, tmp_path):
    path = tmp_path / "communities.jsonl"
    path.write_text(json.dumps({"format": 99}) + "\n", encoding="utf-8")
    assert read_community_summaries(path) == []
    made = create_community_summaries(store, ScriptedChatModel(script=["a", "b"]), path=path)
    assert read_community_summaries(path) == made
