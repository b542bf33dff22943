"""One node for one thing; homonyms apart; every merge can be undone, exactly."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_graft.graph import GraphDocument, Mention, Node, Relationship, node_id
from langchain_graft.graph.entity_resolution import (
    Resolution,
    ResolutionSettings,
    resolve_entities,
)
from langchain_graft.graph.entity_resolution.union_find import UnionFind
from langchain_graft.testing import HashEmbeddings, ScriptedChatModel


def passage(source, text, things, relations=()):
    nodes = {}
    for name, label in things.items():
        start = text.index(name)
        said = Mention(chunk_id=source, start=start, end=start + len(name), quote=name)
        nodes[name] = Node(id=node_id(label, name), label=label, name=name, mentions=(said,))
    whole = Mention(chunk_id=source, start=0, end=len(text), quote=text)
    return GraphDocument(
        nodes=tuple(nodes.values()),
        relationships=tuple(
            Relationship(source=nodes[a].id, type=t, target=nodes[b].id, mentions=(whole,))
            for a, t, b in relations
        ),
        source=Document(id=source, page_content=text, metadata={"source_id": source}),
    )


P, ORG = "Person", "Organization"
WORLD = [
    passage("1", "Michael Jordan won with the Bulls.", {"Michael Jordan": P, "Bulls": ORG}),
    passage("2", "Michael Jordan scored for the Bulls.", {"Michael Jordan": P, "Bulls": ORG}),
    passage(
        "3",
        "Michael Jordan teaches statistics at Berkeley.",
        {"Michael Jordan": P, "Berkeley": ORG},
    ),
    passage("4", "Jordan left Berkeley.", {"Jordan": P, "Berkeley": ORG}),
    passage("5", "Apple is a computer company.", {"Apple": ORG}),
    passage("6", "An Apple falls from the tree.", {"Apple": "Fruit"}),
    passage(
        "7",
        "International Business Machines (IBM) made it.",
        {"International Business Machines": ORG, "IBM": ORG},
    ),
    passage("8", "北京大学在北京。北大很大。", {"北京大学": ORG, "北大": ORG}),
    passage("9", "孔明，即诸葛亮。", {"孔明": P, "诸葛亮": P}),
]


def ids(documents, name):
    return {
        node.id
        for one in documents
        for node in one.nodes
        if name in {node.name, *node.properties.get("aliases", [])}
    }


def test_homonyms_stay_apart_and_variants_come_together():
    resolved = resolve_entities(WORLD).apply(WORLD)
    players = {node.id for one in resolved[:2] for node in one.nodes if "Jordan" in node.name}
    teachers = {node.id for one in resolved[2:4] for node in one.nodes if "Jordan" in node.name}
    assert len(players) == len(teachers) == 1
    assert players != teachers
    assert len(ids(resolved, "Apple")) == 2
    for pair in (
        ("IBM", "International Business Machines"),
        ("北大", "北京大学"),
        ("孔明", "诸葛亮"),
    ):
        assert ids(resolved, pair[0]) == ids(resolved, pair[1])
        assert len(ids(resolved, pair[0])) == 1
    [jordan] = [node for node in resolved[3].nodes if node.label == P]
    assert jordan.properties["aliases"] == ["Jordan"] or jordan.name == "Jordan"


def test_each_merge_says_why():
    merges = resolve_entities(WORLD).merges
    reasons = {frozenset((one.left_name, one.right_name)): one.reason for one in merges}
    assert reasons[frozenset(("孔明", "诸葛亮"))] == "said to be the same"
    assert reasons[frozenset(("北京大学", "北大"))] == "abbreviation"
    assert reasons[frozenset(("Michael Jordan",))] == "same name"
    assert all(0 < one.score <= 1 for one in merges)


def test_the_order_of_documents_makes_no_difference():
    whole = resolve_entities(WORLD, embeddings=HashEmbeddings())
    for seed in range(3):
        shuffled = random.Random(seed).sample(WORLD, len(WORLD))  # noqa: S311
        assert resolve_entities(shuffled, embeddings=HashEmbeddings()).merges == whole.merges


def graph(documents):
    """A graph as a store would hold it."""
    return sorted(map(repr, documents))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_undoing_a_merge_restores_the_graph_exactly(data):
    resolution = resolve_entities(WORLD)
    kept = data.draw(st.lists(st.sampled_from(resolution.merges), unique=True))
    before = Resolution(merges=tuple(kept))
    [extra] = data.draw(st.lists(st.sampled_from(resolution.merges), min_size=1, max_size=1))
    if extra in kept:
        return
    place = data.draw(st.integers(0, len(kept)))
    after = Resolution(merges=(*kept[:place], extra, *kept[place:]))
    assert graph(after.without(extra).apply(WORLD)) == graph(before.apply(WORLD))
    assert graph(after.apply(WORLD)) != graph(before.apply(WORLD))


def test_what_was_undone_stays_undone_whatever_else_joins():
    resolution = resolve_entities(WORLD)
    [merge] = [one for one in resolution.merges if one.left_name == one.right_name == "Bulls"]
    again = resolve_entities(WORLD, undone=[merge.pair])
    groups = UnionFind()
    for one in again.merges:
        groups.join(one.left, one.right)
    assert groups.find(merge.left) != groups.find(merge.right)


def test_without_merges_documents_say_the_same():
    plain = Resolution().apply(WORLD)
    for one, other in zip(WORLD, plain, strict=True):
        assert [(n.label, n.name, n.mentions) for n in one.nodes] == [
            (n.label, n.name, n.mentions) for n in other.nodes
        ]


def test_relationships_follow_their_ends_and_loops_go():
    text = "IBM, that is International Business Machines, hired Watson."
    things = {"IBM": ORG, "International Business Machines": ORG, "Watson": P}
    relations = [
        ("IBM", "HIRED", "Watson"),
        ("International Business Machines", "HIRED", "Watson"),
        ("IBM", "SAME_AS", "International Business Machines"),
    ]
    world = [passage("1", text, things, relations)]
    [document] = resolve_entities(world).apply(world)
    [hired] = document.relationships
    assert {hired.source, hired.target} == {node.id for node in document.nodes}
    assert world[0].relationships[2].type == "SAME_AS"


def test_a_model_is_asked_in_the_grey_zone_alone_and_seldom():
    world = [
        passage("1", "Mary Poole sang in Rome.", {"Mary Poole": P}),
        passage("2", "Mary Poole swam in Oslo.", {"Mary Poole": P}),
        passage("3", "Mary Poole rode in Bonn.", {"Mary Poole": P}),
    ]
    assert resolve_entities(world).merges == ()
    model = ScriptedChatModel(script=["YES", "NO", "No."])
    found = resolve_entities(world, model=model)
    assert len(found.merges) == 1
    assert found.merges[0].by_model
    assert resolve_entities(world, known=found.answers).merges == found.merges
    bounded = ResolutionSettings(most_model_calls=1)
    found = resolve_entities(world, model=ScriptedChatModel(script=["no"]), settings=bounded)
    assert (found.model_calls, found.merges) == (1, ())


def test_settings_are_checked():
    with pytest.raises(ValueError, match=r"grey=0\.9"):
        ResolutionSettings(grey=0.9)
    assert replace(ResolutionSettings(), threshold=1).threshold == 1


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=15), st.randoms())
def test_union_find_is_transitive_and_knows_no_order(pairs, chance):
    def groups(pairs):
        found = UnionFind(map(str, range(10)))
        for one, other in pairs:
            found.join(str(one), str(other))
        return found.groups()

    expected = [{n} for n in range(10)]
    for one, other in pairs:
        first = next(g for g in expected if one in g)
        second = next(g for g in expected if other in g)
        if first is not second:
            first |= second
            expected.remove(second)
    wanted = sorted(sorted(map(str, group)) for group in expected)
    shuffled = chance.sample(pairs, len(pairs))
    assert sorted(groups(pairs)) == sorted(groups(shuffled)) == wanted
