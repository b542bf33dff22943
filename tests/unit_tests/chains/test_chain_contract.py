"""What every chain of ours keeps, whichever way it is run."""

import asyncio
from contextlib import aclosing, closing

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableLambda

from langchain_graft.chains import create_rag_chain
from langchain_graft.testing import ScriptedChatModel

REPLY = "Apple was founded by Steve Jobs. [1] It was sold at 666.66 dollars [2, 9]. Really [7]."
ANSWER = "Apple was founded by Steve Jobs. [1] It was sold at 666.66 dollars [2]. Really."
QUESTION = "Who founded Apple?"
KEYS = {"input", "chat_history", "context", "answer", "citations"}


class SpellingModel(ScriptedChatModel):
    """Streams character by character, so that every mark is cut."""

    def _stream(self, *args, **kwargs):
        for chunk in super()._stream(*args, **kwargs):
            for letter in chunk.text:
                yield ChatGenerationChunk(message=AIMessageChunk(letter))

    async def _astream(self, *args, **kwargs):
        async for chunk in super()._astream(*args, **kwargs):
            for letter in chunk.text:
                yield ChatGenerationChunk(message=AIMessageChunk(letter))


@pytest.mark.parametrize("model_class", [ScriptedChatModel, SpellingModel])
@pytest.mark.parametrize(
    "given", [QUESTION, {"input": QUESTION}, {"input": QUESTION, "chat_history": []}], ids=str
)
async def test_every_way_gives_the_same(
    create_chain, retriever, documents, run, given, model_class
):
    output = await run(create_chain(model_class(script=[REPLY]), retriever), given)
    assert set(output) - {"question"} == KEYS
    assert output["input"] == QUESTION
    assert output["chat_history"] == []
    assert output["context"] == documents
    assert output["answer"] == ANSWER
    assert [citation["marker"] for citation in output["citations"]] == [1, 2]


def first_keys(chunks):
    """The key of each chunk, one after another; those of the input as one."""
    keys = [next(iter(chunk)) if len(chunk) == 1 else "input" for chunk in chunks]
    return [key for n, key in enumerate(keys) if keys[n - 1 : n] != [key]], keys


async def test_a_stream_brings_input_context_answer_citations_in_this_order(
    create_chain, retriever
):
    model = SpellingModel(script=[REPLY, REPLY])
    chain = create_chain(model, retriever)
    for chunks in (list(chain.stream(QUESTION)), [c async for c in chain.astream(QUESTION)]):
        order, keys = first_keys(chunks)
        assert [key for key in order if key != "question"] == [
            "input",
            "context",
            "answer",
            "citations",
        ]
        assert keys.count("context") == keys.count("citations") == keys.count("input") == 1
        assert keys.count("answer") > 30


async def test_a_mark_out_of_range_leaves_in_no_piece(create_chain, retriever):
    model = SpellingModel(script=["A [99] b [0] c [12]. [1", "x [4][5] [[9]9]"])
    chain = create_chain(model, retriever)
    left = "".join(chunk.get("answer", "") for chunk in chain.stream(QUESTION))
    assert left == "A b c. [1"
    left = "".join([chunk.get("answer", "") async for chunk in chain.astream(QUESTION)])
    assert left == "x9]"


@pytest.mark.parametrize("stop_at", [1, 3])
async def test_closing_a_stream_stops_the_model(create_chain, retriever, stop_at):
    model = ScriptedChatModel(script=["one two three four five six seven eight"] * 2)
    chain = create_chain(model, retriever)
    with closing(chain.stream(QUESTION)) as chunks:
        pieces = 0
        while pieces < stop_at:
            pieces += "answer" in next(chunks)
    assert model.spoken == stop_at
    async with aclosing(chain.astream(QUESTION)) as chunks:
        pieces = 0
        while pieces < stop_at:
            pieces += "answer" in await anext(chunks)
    assert model.spoken == 2 * stop_at


async def test_a_cancelled_call_stops_the_model(create_chain, retriever):
    started = asyncio.Event()

    class SlowModel(ScriptedChatModel):
        async def _astream(self, *args, **kwargs):
            async for chunk in super()._astream(*args, **kwargs):
                started.set()
                yield chunk
                await asyncio.sleep(0.01)

    model = SlowModel(script=["word " * 500])
    call = asyncio.create_task(create_chain(model, retriever).ainvoke(QUESTION))
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    spoken = model.spoken
    await asyncio.sleep(0.05)
    assert model.spoken == spoken < 500


async def test_nothing_found_is_refused_without_asking_the_model(create_chain, run):
    model = ScriptedChatModel(script=[])
    output = await run(create_chain(model, RunnableLambda(lambda question: [])), QUESTION)
    assert output["answer"] == "The documents do not contain the answer."
    assert output["context"] == output["citations"] == []
    assert model.asked == []


async def test_a_question_in_chinese_is_refused_in_chinese(create_chain, run):
    chain = create_chain(ScriptedChatModel(script=[]), RunnableLambda(lambda question: []))
    assert (await run(chain, "谁创办了Apple公司？"))["answer"] == "文档中没有找到答案。"


async def test_errors_of_the_model_come_through(create_chain, retriever, run):
    class BrokenModel(ScriptedChatModel):
        def _stream(self, *args, **kwargs):
            yield from super()._stream(*args, **kwargs)
            raise ConnectionError

        async def _astream(self, *args, **kwargs):
            async for chunk in super()._astream(*args, **kwargs):
                yield chunk
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await run(create_chain(BrokenModel(script=["Half an"]), retriever), QUESTION)


async def test_errors_of_the_retriever_come_through(create_chain, run):
    def broken(question):
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await run(create_chain(ScriptedChatModel(script=[]), RunnableLambda(broken)), QUESTION)


def test_it_composes_with_more_steps(retriever):
    chain = (
        create_rag_chain(ScriptedChatModel(script=[REPLY]), retriever).pick("answer") | str.upper
    )
    assert chain.invoke(QUESTION) == ANSWER.upper()
