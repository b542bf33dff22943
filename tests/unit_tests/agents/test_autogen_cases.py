"""The seven cases of AutoGen's RetrieveChat notebook: its printed replies, and worse ones, in ours.

The replies are those that agentchat_RetrieveChat.ipynb printed (microsoft/autogen 2197bd6,
CC BY 4.0), shortened. benchmarks/autogen_cases.py asks a model.
"""

import pytest

from langchain_graft.agents import RetrieveConfig, create_retrieve_chat
from langchain_graft.chains import is_refusal
from langchain_graft.testing import ScriptedChatModel

NOTEBOOK = {
    "task": "qa",
    "docs_path": "https://huggingface.co/datasets/thinkall/NaturalQuestionsQA/corpus.txt",
    "chunk_token_size": 2000,
    "model": "gpt-35-turbo",
    "collection_name": "natural-questions",
    "chunk_mode": "one_line",
    "embedding_model": "all-MiniLM-L6-v2",
}
MULTIHOP = NOTEBOOK | {
    "collection_name": "2wikimultihopqa",
    "customized_prompt": "Context: {input_context}\nQ: {input_question}\nA:",
    "customized_answer_prefix": "the answer is",
}
CASES = [  # question, AutoGen's replies, the path that ours takes with them
    (
        "what is non controlling interest on balance sheet",
        ["Non controlling interest on a balance sheet refers to the portion of a subsidiary."],
        [],
    ),
    (
        "how many episodes are in chicago fire season 4",
        ["Chicago Fire season 4 has 23 episodes."],
        [],
    ),
    (  # AutoGen took the words at the end of an answer for a request
        "what are bulls used for on a farm",
        ["Bulls are used for breeding purposes on farms. UPDATE CONTEXT."],
        [],
    ),
    (
        "has been honoured with the wisden leading cricketer in the world award for 2016",
        [
            "Sorry, there is no information provided about who has been honoured. UPDATE CONTEXT.",
            "UPDATE CONTEXT. The context does not provide any information about the Wisden award.",
            "Virat Kohli has been honored with the Wisden Leading Cricketer in the World Award.",
        ],
        ["next", "next"],
    ),
    (
        "who carried the usa flag in opening ceremony",
        [
            "Sorry, I cannot find any information about who carried the USA flag. UPDATE CONTEXT.",
            "Erin Hamlin carried the USA flag in the opening ceremony.",
        ],
        ["next"],
    ),
    (
        "Which film came out first, Blind Shaft or The Mask Of Fu Manchu?",
        ["Blind Shaft was released in 2003. So the answer is: The Mask of Fu Manchu."],
        [],
    ),
    (
        "Are North Marion High School (Oregon) and Seoul High School located in the same country?",
        [
            "I'm sorry, I do not have enough information about North Marion High School.",
            "No, North Marion High School is located in the United States, Seoul High School not.",
            "No, Seoul High School is located in South Korea. So the answer is: no.",
        ],
        ["appended", "appended"],
    ),
]


def config_of(number):
    """The notebook's, with room for two of the passages in a prompt."""
    given = MULTIHOP if number >= 5 else NOTEBOOK
    return RetrieveConfig.from_autogen(given, n_results=5, max_rounds=4).but(context_tokens=50)


@pytest.mark.parametrize("number", range(7))
async def test_autogen_s_replies_take_their_path(run, make_retriever, number):
    question, replies, path = CASES[number]
    model = ScriptedChatModel(script=replies)
    chat = create_retrieve_chat(model, make_retriever(), config=config_of(number))
    out = await run(chat, {"input": question})
    assert (out["updates"], out["ended"]) == (path, "answered")
    assert out["answer"].startswith(replies[-1][:30])
    assert len(model.asked) == out["rounds"] == len(path) + 1


@pytest.mark.parametrize("number", range(7))
@pytest.mark.parametrize("reply", ["UPDATE CONTEXT", "Sorry, there is no information. ", ""])
async def test_each_ends_by_its_rounds_whatever_is_replied(run, make_retriever, number, reply):
    model = ScriptedChatModel(reply=lambda _: reply)
    chat = create_retrieve_chat(model, make_retriever(), config=config_of(number))
    out = await run(chat, {"input": CASES[number][0]})
    assert out["rounds"] == len(model.asked) <= 4
    assert out["ended"] in {"max_rounds", "nothing_left", "answered"}
    assert is_refusal(out["answer"])
