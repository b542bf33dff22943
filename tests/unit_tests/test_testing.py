"""The fakes that we ship: honest chat model and embedder, by LangChain's own suites."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.messages import AIMessage
from langchain_tests.unit_tests import ChatModelUnitTests, EmbeddingsUnitTests

from langchain_graft.testing import HashEmbeddings, ScriptedChatModel


class TestScriptedChatModelIsAChatModel(ChatModelUnitTests):
    chat_model_class = ScriptedChatModel
    chat_model_params = {"model": "scripted"}  # noqa: RUF012 (the suite's own way)


class TestHashEmbeddingsAreEmbeddings(EmbeddingsUnitTests):
    embeddings_class = HashEmbeddings


def test_it_says_its_script_reply_by_reply_and_remembers_what_it_was_asked():
    model = ScriptedChatModel(script=["Hello there.", "Bye."])
    assert [model.invoke("Hi").text, model.invoke("Ciao").text] == ["Hello there.", "Bye."]
    assert [messages[0].text for messages in model.asked] == ["Hi", "Ciao"]
    assert model.spoken == 3


@pytest.mark.parametrize("reply", ["one  two\nthree", "  around \n", "", " ", "苹果 公司。"])
async def test_a_reply_is_the_same_in_pieces_and_whole(reply):
    def model():
        return ScriptedChatModel(script=[reply])

    assert model().invoke("?").text == reply
    assert (await model().ainvoke("?")).text == reply
    assert "".join(piece.text for piece in model().stream("?")) == reply
    assert "".join([piece.text async for piece in model().astream("?")]) == reply


def test_it_fails_when_its_script_has_run_out():
    model = ScriptedChatModel(script=["Once."])
    model.invoke("?")
    with pytest.raises(AssertionError, match="has 1 replies; this was call 2"):
        model.invoke("?")


def test_tool_calls_metadata_and_usage_come_through():
    call = {"name": "search", "args": {"query": "Apple", "k": 2}, "id": "1", "type": "tool_call"}
    scripted = AIMessage("Looking.", tool_calls=[call], response_metadata={"logprobs": {"a": 1}})
    reply = ScriptedChatModel(script=[scripted]).bind_tools([]).invoke("two words")
    assert reply.tool_calls == [call]
    assert reply.response_metadata["logprobs"] == {"a": 1}
    assert reply.usage_metadata == {"input_tokens": 2, "output_tokens": 1, "total_tokens": 3}


def test_eight_threads_get_every_reply_once():
    model = ScriptedChatModel(script=[str(n) for n in range(400)])
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda n: model.invoke(str(n)).text, range(400)))
    assert sorted(said, key=int) == model.script
    assert model.spoken == 400


def test_texts_with_the_same_words_lie_near_each_other():
    embeddings = HashEmbeddings(dimension=256)

    def likeness(one, other):
        pairs = zip(embeddings.embed_query(one), embeddings.embed_query(other), strict=True)
        return sum(a * b for a, b in pairs)

    assert likeness("the Apple computer", "an Apple Computer") > likeness("the Apple", "a kit")
    assert likeness("苹果公司", "苹果电脑") > likeness("苹果公司", "联想集团")
    assert likeness("same", "same") == pytest.approx(1.0)
    assert len(embeddings.embed_query("")) == 256


def test_embeddings_are_plain_numbers_and_the_same_everywhere():
    vector = HashEmbeddings(dimension=4).embed_documents(["a b"])[0]
    assert json.loads(json.dumps(vector)) == vector
    assert vector == pytest.approx([0.0, 0.7071, 0.0, 0.7071], abs=1e-3)
