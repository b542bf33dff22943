"""Each prompt as it is sent."""

import pytest

from langchain_graft.chains import ANSWERABLE_PROMPT, CONDENSE_PROMPT, PLAIN_RAG_PROMPT, RAG_PROMPT
from langchain_graft.testing import ScriptedChatModel

PROMPTS = {
    "rag": RAG_PROMPT,
    "plain_rag": PLAIN_RAG_PROMPT,
    "answerable": ANSWERABLE_PROMPT,
    "condense": CONDENSE_PROMPT,
}


def as_text(messages):
    return "\n\n".join(f"<{message.type}>\n{message.text}" for message in messages)


@pytest.mark.parametrize("name", PROMPTS)
def test_a_prompt_as_rendered(name, snapshot):
    prompt = PROMPTS[name]
    variables = {variable: f"{{{variable}}}" for variable in prompt.input_variables}
    assert as_text(prompt.invoke(variables).to_messages()) == snapshot


@pytest.mark.parametrize(
    "question", ["Who founded Apple?", "谁创办了Apple公司？"], ids=["en", "zh"]
)
def test_what_a_chain_sends(create_chain, retriever, question, snapshot):
    model = ScriptedChatModel(script=["Jobs. [1]"])
    create_chain(model, retriever).invoke(question)
    assert as_text(model.asked[0]) == snapshot
