import pytest
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from langchain_graft.agents import (
    Answered,
    GroupAgent,
    Spoke,
    create_group_chat,
    create_retrieving_agent,
    stream_events,
)
from langchain_graft.chains import is_refusal
from langchain_graft.testing import ScriptedChatModel

QUESTION = {"input": "When was Apple founded?"}
TEXTS = {
    "vector": "Apple was founded in April 1976.",
    "graph": "Steve Jobs founded Apple together with Steve Wozniak.",
}
GOOD = "Apple was founded in April 1976. [1]"
BAD = "Apple was founded in May 1983. [1]"
REFUSAL = "The documents do not contain the answer."


def agent(name, reply, **fields):
    document = Document(id=name, page_content=TEXTS.get(name, TEXTS["vector"]))
    model = ScriptedChatModel(reply=lambda _: reply)
    return create_retrieving_agent(name, model, RunnableLambda(lambda _: [document]), **fields)


def speakers(out):
    return [one["agent"] for one in out["contributions"]]


async def test_an_answer_that_stands_ends_it_and_names_who_found_it(run):
    chat = create_group_chat([agent("graph", BAD), agent("vector", GOOD), agent("web", GOOD)])
    out = await run(chat, QUESTION)
    assert speakers(out) == ["graph", "vector"]
    assert out["contributions"][0]["criticism"] == "1 of 1 citations do not hold"
    assert (out["answer"], out["ended"]) == (GOOD, "answered")
    assert out["found_by"] == {"vector": ["vector"]}
    assert out["context"][0].metadata["agent"] == "vector"
    assert [one["verified"] for one in out["citations"]] == [True]
    assert out["messages"][-1].text == GOOD


async def test_who_can_not_answer_hands_over(run):
    agents = [agent("a", REFUSAL, hands_to=("c",)), agent("b", REFUSAL), agent("c", GOOD)]
    assert speakers(await run(create_group_chat(agents), QUESTION)) == ["a", "c"]


async def test_when_nobody_knows_it_is_a_refusal(run):
    chat = create_group_chat([agent("a", REFUSAL), agent("b", REFUSAL)])
    out = await run(chat, QUESTION)
    assert is_refusal(out["answer"])
    assert (out["ended"], out["found_by"], out["citations"]) == ("nobody_knows", {}, [])


async def test_rounds_are_counted_whatever_a_manager_says(run):
    chat = create_group_chat([agent("a", REFUSAL)], manager=lambda _: "a", max_rounds=4)
    out = await run(chat, QUESTION)
    assert (out["rounds"], out["ended"]) == (4, "max_rounds")


async def test_several_answers_that_stand_are_made_one(run):
    writer = ScriptedChatModel(
        script=["Apple was founded in April 1976 [1]. Steve Jobs founded Apple [2]."]
    )
    chat = create_group_chat(
        [agent("vector", GOOD), agent("graph", "Steve Jobs founded Apple. [1]")],
        model=writer,
        enough=2,
    )
    out = await run(chat, QUESTION)
    assert out["found_by"] == {"vector": ["vector"], "graph": ["graph"]}
    assert len(out["citations"]) == 2
    assert "- graph: Steve Jobs founded Apple. (1)" in writer.asked[0][-1].text


async def test_the_model_chooses_by_descriptions(run):
    model = ScriptedChatModel(script=["**b**"])
    agents = [agent("a", GOOD), agent("b", GOOD, description="knows of years")]
    out = await run(create_group_chat(agents, manager="auto", model=model), QUESTION)
    assert speakers(out) == ["b"]
    assert "- b: knows of years" in model.asked[0][0].text


async def test_where_the_model_names_nobody_the_first_is_asked(run):
    model = ScriptedChatModel(script=["I would ask b."])
    chat = create_group_chat([agent("a", GOOD), agent("b", GOOD)], manager="auto", model=model)
    assert speakers(await run(chat, QUESTION)) == ["a"]


async def test_random_asks_each_once(run):
    agents = [agent(name, REFUSAL) for name in "abc"]
    out = await run(create_group_chat(agents, manager="random"), QUESTION)
    assert sorted(speakers(out)) == ["a", "b", "c"]


async def test_a_person_may_choose(run):
    chat = create_group_chat(
        [agent("a", REFUSAL), agent("b", GOOD)], manager="manual", checkpointer=InMemorySaver()
    )
    thread = {"configurable": {"thread_id": "1"}}
    out = await run(chat, QUESTION, thread)
    assert out["__interrupt__"][0].value["agents"] == ["a", "b"]
    out = await run(chat, Command(resume="b"), thread)
    assert (speakers(out), out["ended"]) == (["b"], "answered")


async def test_each_agent_s_chain_gets_its_own_settings(run):
    def answer(given, config):
        adapter = config["configurable"].get("adapter", "none")
        return {"answer": f"{adapter}.", "context": [], "citations": []}

    chain = RunnableLambda(answer)
    agents = [
        GroupAgent(name="a", chain=chain, settings={"adapter": "legal"}),
        GroupAgent(name="b", chain=chain),
    ]
    out = await run(create_group_chat(agents), QUESTION)
    assert [one["answer"] for one in out["contributions"]] == ["legal.", "none."]


async def test_an_agent_s_own_citations_count_for_nothing(run):
    forged = {
        "answer": BAD,
        "context": [Document(id="d", page_content=TEXTS["vector"])],
        "citations": [{"marker": 1, "verified": True}],
    }
    chat = create_group_chat([GroupAgent(name="a", chain=RunnableLambda(lambda _: forged))])
    out = await run(chat, QUESTION)
    assert not out["contributions"][0]["supported"]


async def test_a_tool_may_be_a_source(run):
    @tool
    def web(query: str) -> list[dict]:
        """Search."""
        return [{"title": "Apple", "url": "http://x", "snippet": TEXTS["vector"]}]

    model = ScriptedChatModel(script=[GOOD])
    out = await run(create_group_chat([create_retrieving_agent("web", model, web)]), QUESTION)
    assert out["found_by"] == {"web": ["web-1"]}
    assert out["context"][0].metadata["source_id"] == "http://x"


def test_events_tell_who_spoke():
    chat = create_group_chat([agent("a", REFUSAL), agent("b", GOOD)])
    events = [one for one in stream_events(chat, QUESTION) if isinstance(one, Spoke | Answered)]
    assert [(one.agent, one.supported) for one in events[:2]] == [("a", False), ("b", True)]
    assert events[-1].answer == GOOD


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"agents": []}, "agents with different names"),
        ({"agents": [agent("a", GOOD), agent("A", GOOD)]}, "agents with different names"),
        ({"agents": [agent("a", GOOD, hands_to=("z",))]}, "hands_to names"),
        ({"manager": "chair"}, "manager must be one of auto, round_robin"),
        ({"manager": "auto"}, "needs a model that chooses"),
        ({"manager": "manual"}, "needs a checkpointer"),
        ({"max_rounds": 0}, "must be 1 or more"),
    ],
)
def test_settings_are_checked(settings, says):
    with pytest.raises(ValueError, match=says):
        create_group_chat(**{"agents": [agent("a", GOOD)], **settings})


def test_an_agent_has_a_word_for_a_name():
    with pytest.raises(ValueError, match="must be a word"):
        GroupAgent(name="a b", chain=RunnableLambda(str))
