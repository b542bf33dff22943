"""Each rewriter, on a model that says its script."""

import logging

import pytest
from langchain_core.messages import AIMessage
from langchain_core.prompts import ChatPromptTemplate

from langchain_graft.models.asking import NOT_FOR_THE_USER
from langchain_graft.retrievers.query import Query
from langchain_graft.retrievers.rewriters.decomposition import create_decomposition_rewriter
from langchain_graft.retrievers.rewriters.hyde import create_hyde_rewriter
from langchain_graft.retrievers.rewriters.multi_query import create_multi_query_rewriter
from langchain_graft.retrievers.rewriters.rephrase import create_rephrase_rewriter
from langchain_graft.retrievers.rewriters.step_back import create_step_back_rewriter
from langchain_graft.testing import ScriptedChatModel

ALL = [
    create_multi_query_rewriter,
    create_step_back_rewriter,
    create_hyde_rewriter,
    create_decomposition_rewriter,
    create_rephrase_rewriter,
]
LINES = "Who set up Apple?\nWhich people started Apple?\nWhat is Apple's history?"


class KeepingChatModel(ScriptedChatModel):
    """A scripted model that keeps the settings of its calls."""

    settings: list = []  # noqa: RUF012 (pydantic copies it)

    def _stream(self, messages, stop=None, run_manager=None, **settings):
        self.settings.append(settings)
        yield from super()._stream(messages, stop, run_manager)

    async def _astream(self, messages, stop=None, run_manager=None, **settings):
        self.settings.append(settings)
        async for chunk in super()._astream(messages, stop, run_manager):
            yield chunk


def said(*replies):
    return ScriptedChatModel(script=list(replies))


async def test_multi_query_gives_one_query_per_line(rewrite):
    rewriter = create_multi_query_rewriter(said(LINES), n=2, weight=0.5)
    assert await rewrite(rewriter, "Who founded Apple?") == [
        Query("Who set up Apple?", weight=0.5),
        Query("Which people started Apple?", weight=0.5),
    ]


@pytest.mark.parametrize("create", [create_step_back_rewriter, create_rephrase_rewriter])
async def test_step_back_and_rephrase_give_one(create, rewrite):
    rewriter = create(said(LINES), weight=2.0)
    assert await rewrite(rewriter, "Who founded Apple?") == [Query("Who set up Apple?", 2.0)]


async def test_hyde_gives_the_question_with_its_passages(rewrite):
    rewriter = create_hyde_rewriter(said("Passage: Jobs founded it.", "I'm sorry.", "Woz."), 3)
    [query] = await rewrite(rewriter, "Who founded Apple? ")
    assert query.text == "Who founded Apple? "
    assert sorted(query.passages) == ["Jobs founded it.", "Woz."]


@pytest.mark.parametrize(("n", "temperature"), [(1, None), (3, 0.7)])
async def test_hyde_samples_where_it_writes_several(n, temperature, rewrite):
    model = KeepingChatModel(script=["One.", "Two.", "Three."])
    await rewrite(create_hyde_rewriter(model, n, max_tokens=50), "Who?")
    asked = [(one.get("temperature"), one["max_tokens"]) for one in model.settings]
    assert asked == [(temperature, 50)] * n


async def test_decomposition_gives_nothing_of_a_simple_question(rewrite):
    rewriter = create_decomposition_rewriter(said("NONE", "Who set up Apple?", LINES), 3)
    assert await rewrite(rewriter, "Who founded Apple?") == []
    assert await rewrite(rewriter, "Who founded Apple?") == []
    assert [query.text for query in await rewrite(rewriter, "Who, and when?")] == LINES.split("\n")


@pytest.mark.parametrize("create", ALL)
async def test_garbage_gives_nothing_and_is_told(create, rewrite, caplog):
    with caplog.at_level(logging.WARNING, "langchain_graft"):
        assert await rewrite(create(said("Sure! I can help with:")), "Who founded Apple?") == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_a_line_that_was_cut_is_left_out(rewrite):
    cut = AIMessage("Who set up Apple?\nWhich peo", response_metadata={"finish_reason": "length"})
    rewriter = create_multi_query_rewriter(said(cut))
    assert await rewrite(rewriter, "Who founded Apple?") == [Query("Who set up Apple?")]


@pytest.mark.parametrize("create", ALL)
async def test_the_model_is_bounded_and_the_user_does_not_see_it(create):
    model = KeepingChatModel(script=["NONE"])
    events = [event async for event in create(model).astream_events("Who?", version="v2")]
    [started] = [event for event in events if event["event"] == "on_chat_model_start"]
    assert NOT_FOR_THE_USER in started["tags"]
    assert 0 < model.settings[0]["max_tokens"] <= 400


@pytest.mark.parametrize("create", ALL)
def test_a_chinese_question_is_rewritten_in_chinese(create):
    model = said("无")
    create(model).invoke("苹果公司是谁创办的？")
    assert "用中文写" in "".join(message.text for message in model.asked[0])
    assert "Everest" not in "".join(message.text for message in model.asked[0])


@pytest.mark.parametrize("create", ALL)
@pytest.mark.parametrize("question", ["", "  ", None, 3, {"input": "Who?"}])
def test_what_is_no_question_is_refused(create, question):
    with pytest.raises(ValueError, match="question"):
        create(said()).invoke(question)


@pytest.mark.parametrize("create", ALL)
def test_a_long_question_is_sent_in_part(create):
    model = said("NONE")
    create(model).invoke("why " * 5000)
    assert sum(len(message.text) for message in model.asked[0]) < 5000


@pytest.mark.parametrize("create", ALL)
def test_a_prompt_of_ones_own(create):
    model = said("What is it?")
    create(model, prompt=ChatPromptTemplate.from_template("Again: {input}")).invoke("Who {x}?")
    assert model.asked[0][0].text == "Again: Who {x}?"
    with pytest.raises(ValueError, match="input"):
        create(said(), prompt=ChatPromptTemplate.from_template("{question}"))


@pytest.mark.parametrize(
    ("create", "settings"),
    [
        (create_multi_query_rewriter, {"n": 0}),
        (create_multi_query_rewriter, {"n": 21}),
        (create_multi_query_rewriter, {"weight": 0}),
        (create_step_back_rewriter, {"weight": -1.0}),
        (create_rephrase_rewriter, {"weight": float("nan")}),
        (create_decomposition_rewriter, {"max_queries": 1}),
        (create_hyde_rewriter, {"n": 0}),
        (create_hyde_rewriter, {"n": 17}),
    ],
)
def test_settings_out_of_range(create, settings):
    with pytest.raises(ValueError, match="must"):
        create(said(), **settings)
