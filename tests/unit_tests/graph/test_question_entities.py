"""What a question names, in both languages."""

import pytest

from langchain_graft.graph import FoundNode, Mention, Node
from langchain_graft.graph.question_entities import (
    candidate_names,
    choose_entities,
    create_entity_step,
)
from langchain_graft.testing import ScriptedChatModel


def found(*names, mentions=1, aliases=None):
    said = (Mention(chunk_id="c", start=0, end=1, quote="x"),) * mentions
    properties = {"aliases": aliases} if aliases else {}
    return [
        FoundNode(
            node=Node(id=name, label="X", name=name, properties=properties, mentions=said),
            score=1.0,
        )
        for name in names
    ]


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("Tell me everything about Apple and Jobs", ["Apple and Jobs", "Apple", "Jobs"]),
        ("Who founded Apple?", ["Apple"]),
        ("Who is the author of 'the lord of the rings'?", []),
        ("Who wrote “the lord of the rings”?", ["the lord of the rings", "the lord", "rings"]),
        ("Was Steve Jobs's sister a writer?", ["Steve Jobs"]),
        ("乔布斯和沃兹尼亚克是谁？", ["乔布斯", "沃兹尼亚克"]),
        ("谁创办了《人民日报》？", ["人民日报", "创办"]),
        ("喬布斯與沃茲尼亞克是誰？", ["喬布斯", "沃茲尼亞克"]),
        ("what is it", []),
        ("", []),
    ],
)
def test_names_are_found_by_how_they_are_written(question, names):
    assert candidate_names(question) == names


def test_no_more_names_than_wanted():
    question = "Which of " + ", ".join(f"Name{n}" for n in range(50)) + " was first?"
    assert len(candidate_names(question, most=5)) == 5


@pytest.mark.parametrize(
    ("question", "nodes", "chosen"),
    [
        ("Who founded Apple?", found("Apple", "Apple II"), {"Apple": 1.0}),
        ("Who designed the Apple II?", found("Apple", "Apple II"), {"Apple II": 1.0}),
        ("who founded apple?", found("Apple"), {"Apple": 1.0}),
        ("Who was Jobs?", found("Steve Jobs"), {"Steve Jobs": 1.0}),
        ("谁创办了苹果公司？", found("苹果公司", "果公"), {"苹果公司": 1.0}),
        ("乔布斯是谁？", found("史蒂夫·乔布斯"), {"史蒂夫·乔布斯": 1.0}),
        ("喬布斯是誰？", found("乔布斯"), {"乔布斯": 1.0}),
        ("乔布斯是谁？", found("史蒂夫·喬布斯"), {"史蒂夫·喬布斯": 1.0}),
        ("Who led Ａｐｐｌｅ?", found("Apple"), {"Apple": 1.0}),
        ("Who is the new president?", found("New York", "The"), {}),
        ("Is it an applet?", found("Apple"), {}),
        ("Who led Big Blue?", found("IBM", aliases=["Big Blue"]), {"IBM": 1.0}),
        ("x", [], {}),
    ],
)
def test_what_the_question_names_is_chosen(question, nodes, chosen):
    assert choose_entities(question, nodes) == pytest.approx(chosen)


def test_each_name_weighs_the_same_and_homonyms_share_by_how_often_they_are_mentioned():
    nodes = found("Apple") + found("Steve Jobs", mentions=9) + found("Paul Jobs")
    weights = choose_entities("Tell me about Apple and Jobs", nodes)
    assert weights["Apple"] == pytest.approx(0.5)
    assert weights["Steve Jobs"] > 1.5 * weights["Paul Jobs"] > 0
    assert sum(weights.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_model_finds_names_and_the_rules_help(is_async):
    step = create_entity_step(ScriptedChatModel(script=["- The Maker\n2. NONE\nnone\n* Apple"]))
    question = "Who made the Apple II?"
    names = await step.ainvoke(question) if is_async else step.invoke(question)
    assert names == ["The Maker", "Apple", "Apple II"]
