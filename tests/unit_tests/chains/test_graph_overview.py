"""Questions about the whole, over summaries of communities."""

import pytest
from langchain_core.documents import Document

from langchain_graft.chains import create_graph_overview_chain
from langchain_graft.testing import ScriptedChatModel


def summary(number, text):
    return Document(
        id=f"community:{number}",
        page_content=text,
        metadata={"source_id": f"community:{number}", "names": [text], "chunk_ids": [f"c{number}"]},
    )


SUMMARIES = [
    summary(1, "Apple made computers."),
    summary(2, "The weather was fine."),
    summary(3, "Pixar made films with computers."),
]


def reply(prompt):
    if "Write the points" not in prompt:
        return "Apple made computers [1]."
    return "NONE." if "weather" in prompt else next(s for s in prompt.split("\n") if "made" in s)


async def test_points_are_found_then_the_answer_cites_them(run):
    model = ScriptedChatModel(reply=reply)
    chain = create_graph_overview_chain(model, SUMMARIES, per_call=1)
    output = await run(chain, "Who made computers?")
    assert {one.page_content for one in output["context"]} == {
        "Apple made computers.",
        "Pixar made films with computers.",
    }
    assert output["context"][0].metadata["communities"] == ["community:1"]
    assert output["context"][0].metadata["chunk_ids"] == ["c1"]
    [citation] = output["citations"]
    assert (citation["cited_text"], citation["verified"]) == ("Apple made computers.", True)
    assert len(model.asked) == 4


async def test_the_most_telling_come_first_and_calls_are_bounded(run):
    model = ScriptedChatModel(reply=reply)
    chain = create_graph_overview_chain(model, SUMMARIES[::-1], per_call=2, most_calls=1)
    await run(chain, "Who made computers?")
    asked = model.asked[0][-1].text
    assert "Apple" in asked
    assert "Pixar" in asked
    assert "weather" not in asked
    assert len(model.asked) == 2


async def test_nothing_to_the_point_is_a_refusal(run):
    chain = create_graph_overview_chain(ScriptedChatModel(reply=lambda prompt: "NONE"), SUMMARIES)
    output = await run(chain, "谁发明了火药？")
    assert output["answer"] == "文档中没有找到答案。"


async def test_summaries_are_made_with_the_first_question_and_once(run):
    made = []
    chain = create_graph_overview_chain(
        ScriptedChatModel(reply=reply), lambda: made.append(1) or SUMMARIES, per_call=1
    )
    assert made == []
    for _ in range(2):
        assert (await run(chain, "Who made computers?"))["citations"][0]["verified"]
    assert made == [1]


def test_without_summaries_it_says_how_to_make_them():
    with pytest.raises(ValueError, match="create_community_summaries"):
        create_graph_overview_chain(ScriptedChatModel(), [])
