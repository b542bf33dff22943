"""The walk over a sub-graph, on worlds of a few things."""

import pytest

from langchain_graft.graph import Mention, Node, Relationship, Subgraph
from langchain_graft.graph.paths import (
    personalized_pagerank,
    ranked_paths,
    vector_relevance,
    within_budget,
    word_relevance,
)
from langchain_graft.testing import HashEmbeddings


def said(*chunks):
    return tuple(Mention(chunk_id=chunk, start=0, end=1, quote="x") for chunk in chunks)


def graph(*edges, mentions=None):
    """Nodes named by letters; an edge is "ab", from a to b."""
    mentions = mentions or {}
    letters = dict.fromkeys("".join(edges))
    return Subgraph(
        nodes=tuple(
            Node(id=one, label="X", name=one, mentions=said(*mentions.get(one, ())))
            for one in letters
        ),
        relationships=tuple(Relationship(source=s, target=t, type="R") for s, t in edges),
    )


def test_one_edge_by_hand():
    walk = personalized_pagerank(graph("ab"), {"a": 1.0}, relevance={}, damping=0.5)
    assert walk.nodes == {"a": pytest.approx(2 / 3), "b": pytest.approx(1 / 3)}
    assert walk.relationships == {("a", "R", "b"): pytest.approx(1.0)}


def test_direction_does_not_count():
    forth = personalized_pagerank(graph("ab", "bc"), {"a": 1.0}, relevance={})
    back = personalized_pagerank(graph("ba", "cb"), {"a": 1.0}, relevance={})
    assert forth.nodes == pytest.approx(back.nodes)


def test_what_is_relevant_is_walked_more_often_also_behind_another():
    relevance = {("a", "R", "c"): 0.5, ("c", "R", "e"): 0.5}
    walk = personalized_pagerank(graph("ab", "ac", "bd", "ce"), {"a": 1.0}, relevance=relevance)
    of = walk.relationships
    assert of["a", "R", "c"] > 3 * of["a", "R", "b"]
    assert of["c", "R", "e"] > 3 * of["b", "R", "d"]


def test_a_hub_does_not_drown_the_rest():
    letters = "defghijklmnopqrstuvw"
    world = graph("ah", "ab", *("h" + one for one in letters))
    walk = personalized_pagerank(world, {"a": 1.0}, relevance={})
    paths = ranked_paths(world, walk, ["a"])
    assert {path.relationships[-1].target for path in paths[:2]} == {"h", "b"}
    assert walk.relationships["a", "R", "b"] > 5 * walk.relationships["h", "R", "d"]


def test_a_passage_that_mentions_two_starts_comes_before_those_of_one():
    world = graph("ax", "bx", mentions={"a": ["1", "both"], "b": ["both", "2"]})
    walk = personalized_pagerank(world, {"a": 0.5, "b": 0.5}, relevance={})
    assert max(walk.chunks, key=walk.chunks.get) == "both"
    assert walk.chunks["1"] == pytest.approx(walk.chunks["2"])


def test_a_chunk_that_says_what_is_asked_counts_for_both_ends():
    edge = Relationship(source="a", target="b", type="R", mentions=said("says"))
    nodes = (
        Node(id="a", label="X", name="a", mentions=said("says", "other")),
        Node(id="b", label="X", name="b"),
    )
    world = Subgraph(nodes=nodes, relationships=(edge,))
    walk = personalized_pagerank(world, {"a": 1.0}, relevance={edge.key: 1.0})
    assert walk.chunks["says"] > 5 * walk.chunks["other"]


def test_starts_that_are_not_there_are_passed_over_but_one_must_be():
    walk = personalized_pagerank(graph("ab"), {"a": 1.0, "nobody": 9.0}, relevance={})
    assert walk.nodes["a"] > walk.nodes["b"]
    with pytest.raises(ValueError, match="None of the starts"):
        personalized_pagerank(graph("ab"), {"nobody": 1.0}, relevance={})


def test_a_thing_alone_is_all_there_is():
    world = Subgraph(nodes=(Node(id="a", label="X", name="a"),))
    walk = personalized_pagerank(world, {"a": 1.0}, relevance={})
    assert walk.nodes == {"a": 1.0}
    assert ranked_paths(world, walk, ["a"]) == []


def test_paths_lead_from_a_start_and_what_joins_two_starts_comes_first():
    world = graph("am", "mb", "ac", "cd")
    walk = personalized_pagerank(world, {"a": 0.5, "b": 0.5}, relevance={})
    paths = ranked_paths(world, walk, ["a", "b", "nobody"])
    assert paths[0].nodes == ("a", "m", "b")
    assert [path.nodes for path in paths[1:]] == [("a", "c"), ("a", "c", "d")]
    assert [path.score for path in paths] == sorted((p.score for p in paths), reverse=True)


def test_parts_that_can_not_be_reached_give_no_path():
    world = graph("ab", "yz")
    walk = personalized_pagerank(world, {"a": 1.0}, relevance={})
    assert [path.nodes for path in ranked_paths(world, walk, ["a"])] == [("a", "b")]


def test_a_loop_is_walked_once():
    world = graph("aa", "ab")
    walk = personalized_pagerank(world, {"a": 1.0}, relevance={})
    assert sorted(path.nodes for path in ranked_paths(world, walk, ["a"])) == [
        ("a", "a"),
        ("a", "b"),
    ]


def test_a_budget_counts_each_relationship_once():
    world = graph("ab", "bc", "bd")
    walk = personalized_pagerank(world, {"a": 1.0}, relevance={})
    paths = ranked_paths(world, walk, ["a"])
    assert len(paths) == 3
    assert within_budget(paths, lambda _: 10, 30) == paths
    assert within_budget(paths, lambda _: 10, 29) == paths[:2]
    assert within_budget(paths, lambda _: 10, 9) == []


def test_words_that_all_have_say_little():
    texts = ["Apple bought NeXT", "Apple sold machines", "Apple moved"]
    shares = word_relevance("When was NeXT bought by Apple?", texts)
    assert shares[0] > 0.8
    assert 0 < shares[1] == shares[2] < 0.2
    assert word_relevance("谁创办了苹果公司？", ["苹果公司由乔布斯创办", "天气很好"])[1] == 0
    assert word_relevance("?", texts) == [0, 0, 0]


def test_meaning_is_mixed_with_words():
    embeddings = HashEmbeddings()
    texts = ["Jobs founded NeXT", "The sky is blue"]
    mixed = vector_relevance(embeddings.embed_query(texts[0]), texts, [0.0, 0.0], embeddings)
    assert mixed[0] == pytest.approx(0.5, abs=1e-3)
    assert mixed[1] < 0.2
