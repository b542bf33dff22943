"""Do the sources hold the answer? By the probability of a model's yes."""

import math

import pytest
from langchain_core.messages import AIMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda

from langchain_graft.chains import create_answerable_check, create_rag_chain
from langchain_graft.chains.answerable import yes_probability
from langchain_graft.testing import ScriptedChatModel


def reply(**probabilities):
    candidates = [{"token": t, "logprob": math.log(p)} for t, p in probabilities.items()]
    content = [{"token": next(iter(probabilities), ""), "top_logprobs": candidates}]
    return AIMessage("x", response_metadata={"logprobs": {"content": content}})


class LogprobModel(ScriptedChatModel):
    """A model that offers logprobs, as ours on llama.cpp do."""

    offers_logprobs: bool = True
    settings: list[dict] = []  # noqa: RUF012 (pydantic copies it)

    def _stream(self, *args, logprobs=None, top_logprobs=None, max_tokens=None, **kwargs):
        self.settings.append({"logprobs": logprobs, "max_tokens": max_tokens})
        return super()._stream(*args, **kwargs)


@pytest.mark.parametrize(
    ("message", "probability"),
    [
        (reply(yes=0.6, no=0.2), 0.75),
        (reply(**{" Yes": 0.3, "yes": 0.3, "No": 0.2}), 0.75),
        (reply(是=0.9, 否=0.1), 0.9),
        (reply(yes=0.5), 1.0),
        (reply(no=0.5), 0.0),
        (reply(Perhaps=1.0), None),
        (AIMessage("yes"), None),
        (AIMessage("yes", response_metadata={"logprobs": None}), None),
        (AIMessage("yes", response_metadata={"logprobs": {"content": []}}), None),
    ],
)
def test_the_probability_of_yes(message, probability):
    assert yes_probability(message) == (probability and pytest.approx(probability))


@pytest.mark.parametrize(
    ("message", "answerable"),
    [(reply(yes=0.7, no=0.3), True), (reply(yes=0.5, no=0.5), False), (AIMessage("hm"), True)],
)
async def test_a_check_says_yes_from_its_threshold_on(message, answerable):
    model = LogprobModel(script=[message, message])
    check = create_answerable_check(model, threshold=0.7)
    variables = {"sources": "[1] A", "input": "Who?"}
    assert check.invoke(variables) is answerable
    assert await check.ainvoke(variables) is answerable
    assert model.settings[0] == {"logprobs": True, "max_tokens": 1}


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_that_is_no_probability_is_a_value_error(threshold):
    with pytest.raises(ValueError, match="threshold must lie between 0 and 1"):
        create_answerable_check(ScriptedChatModel(), threshold=threshold)


def test_a_prompt_without_sources_is_a_value_error():
    with pytest.raises(ValueError, match="it lacks 'sources'"):
        create_answerable_check(
            ScriptedChatModel(), prompt=ChatPromptTemplate.from_template("{input}")
        )


async def test_a_model_with_logprobs_is_asked_first_and_refused_when_it_says_no(
    create_chain, retriever, run
):
    model = LogprobModel(script=[reply(no=0.9, yes=0.1)])
    output = await run(create_chain(model, retriever), "谁创办了Apple？")
    assert output["answer"] == "文档中没有找到答案。"
    assert output["citations"] == []
    assert len(output["context"]) == 3
    assert len(model.asked) == 1


async def test_and_asked_for_a_plain_answer_when_it_says_yes(create_chain, retriever, run):
    model = LogprobModel(script=[reply(yes=1.0), "Steve Jobs and Steve Wozniak."])
    output = await run(create_chain(model, retriever), "Who founded Apple?")
    assert output["answer"] == "Steve Jobs and Steve Wozniak. [1]"
    asked, answered = (messages[-1].text for messages in model.asked)
    assert asked.endswith("Reply yes or no.")
    assert asked[: asked.index("Do the sources")] == answered[: answered.index("Answer the")]


@pytest.mark.parametrize("prompt", [None, ChatPromptTemplate.from_template("{sources}{input}")])
def test_without_a_check_the_model_is_asked_once(retriever, prompt):
    model = LogprobModel(script=["Jobs. [1]"])
    create_rag_chain(model, retriever, prompt=prompt, check=None).invoke("Who founded Apple?")
    assert len(model.asked) == 1


async def test_what_the_check_says_is_marked_as_not_for_the_user(retriever):
    chain = create_rag_chain(LogprobModel(script=["Yes", "Jobs. [1]"]), retriever)
    tags = [
        event["tags"]
        async for event in chain.astream_events("Who founded Apple?")
        if event["event"] == "on_chat_model_start"
    ]
    assert ["nostream" in of for of in tags] == [True, False]


def test_a_check_of_ones_own_decides(create_chain, retriever):
    seen = []
    check = RunnableLambda(lambda variables: seen.append(variables["input"]) or False)
    output = create_chain(ScriptedChatModel(), retriever, check=check).invoke("Who founded it?")
    assert output["answer"] == "The documents do not contain the answer."
    assert seen == ["Who founded it?"]
