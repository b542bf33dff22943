"""Each prompt as it is sent."""

import pytest

from langchain_graft import chains
from langchain_graft.chains import (
    Route,
    create_model_decider,
    create_multi_step_chain,
    create_refusing_chain,
)
from langchain_graft.testing import ScriptedChatModel

PROMPTS = {
    name.removesuffix("_PROMPT").lower(): getattr(chains, name)
    for name in chains.__all__
    if name.endswith("_PROMPT")
}
QUESTIONS = pytest.mark.parametrize(
    "question", ["Who founded Apple?", "谁创办了Apple公司？"], ids=["en", "zh"]
)


def as_text(messages):
    return "\n\n".join(f"<{message.type}>\n{message.text}" for message in messages)


@pytest.mark.parametrize("name", PROMPTS)
def test_a_prompt_as_rendered(name, snapshot):
    prompt = PROMPTS[name]
    variables = {variable: f"{{{variable}}}" for variable in prompt.input_variables}
    assert as_text(prompt.invoke(variables).to_messages()) == snapshot


@QUESTIONS
def test_what_a_chain_sends(create_chain, retriever, question, snapshot):
    model = ScriptedChatModel(script=["Jobs. [1]"])
    create_chain(model, retriever).invoke(question)
    assert as_text(model.asked[0]) == snapshot


@QUESTIONS
def test_what_several_steps_send(retriever, question, snapshot):
    model = ScriptedChatModel(script=["Who was it?\nWhen did #1 do so?", "Jobs [1].", "1976.", "."])
    create_multi_step_chain(model, retriever, context_tokens=40).invoke(question)
    assert "\n\n\n".join(map(as_text, model.asked)) == snapshot


def test_what_sorts_questions_is_sent(snapshot):
    routes = [
        Route("talk", "Greetings.", create_refusing_chain(), examples=("Hi!", "你好")),
        Route("rag", "Facts.", create_refusing_chain()),
    ]
    model = ScriptedChatModel(script=["rag"])
    create_model_decider(routes, model).invoke("Who founded Apple?")
    assert as_text(model.asked[0]) == snapshot
