"""What every chain of ours keeps, whichever way it is run."""

import asyncio
import copy
import re
import threading
import time
from contextlib import aclosing, closing

import pytest
from langchain_core.documents.compressor import BaseDocumentCompressor
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableLambda

from langchain_graft.chains import (
    Route,
    create_conversational_chain,
    create_conversational_rag_chain,
    create_default_router,
    create_graph_rag_chain,
    create_multi_step_chain,
    create_plain_chain,
    create_rag_chain,
    create_rag_fusion_chain,
    create_refusing_chain,
    create_router,
    create_rule_decider,
    create_self_rag_chain,
    create_step_back_chain,
    create_text2cypher_chain,
)
from langchain_graft.errors import RetrievalError
from langchain_graft.graph import NodeType, Property, ReadResult, Schema
from langchain_graft.retrievers import FusionRetriever
from langchain_graft.testing import ScriptedChatModel

REPLY = "Apple was founded by Steve Jobs. [1] It was sold at 666.66 dollars [2, 9]. Really [7]."
ANSWER = "Apple was founded by Steve Jobs. [1] It was sold at 666.66 dollars [2]. Really."
QUESTION = "Who founded Apple?"
KEYS = {"input", "chat_history", "context", "left_out", "warnings", "answer", "citations"}
PLAN = "Who was it that founded Apple?\nWhat was sold by #1?"
STEP_BACK = "Which companies were founded in 1976?"


def asides(prompt):
    """What the model says between the question and the answer."""
    if "You plan how" in prompt:
        return PLAN
    if "Answer with a name" in prompt:
        return "The Apple I [2]." if "What was sold" in prompt else "Steve Jobs [1]."
    if "Cypher:" in prompt:
        return "MATCH (f:Fact) RETURN f.text AS text"
    if "You write search queries" in prompt or "step back" in prompt:
        return STEP_BACK
    return judged(prompt)


def judged(prompt, segment="Steve Jobs."):
    """What the model says of passages, and writes from one."""
    said = {
        "Does it help to look up": "yes",
        "Does the passage say": "yes",
        "Reply fully": "fully" if "Wozniak" in prompt else "no",
        "number from 1 to 5": "5",
        "You answer questions from a passage": segment,
    }
    return next((reply for asked, reply in said.items() if asked in prompt), None)


def _routed(model, retriever, **settings):
    routes = [
        Route("talk", "Greetings.", create_plain_chain(model), lambda asked: asked == "Hi"),
        Route("rag", "Facts.", create_rag_chain(model, retriever, **settings)),
    ]
    return create_router(routes, decider=create_rule_decider(routes), fallback="rag")


def _talked(model, retriever, **settings):
    chain = create_rag_fusion_chain(model, retriever, **settings)
    return create_conversational_chain(model, chain)


class EmptyGraph:
    """A graph that knows nothing."""

    def find_entities(self, *_, **__):
        return []

    async def afind_entities(self, *_, **__):
        return []

    schema = add = expand = chunks = remove = close = find_entities
    aschema = aadd = aexpand = achunks = aremove = afind_entities


def _graph(model, retriever, **settings):
    return create_graph_rag_chain(model, EmptyGraph(), retriever=retriever, **settings)


class FactGraph:
    """A graph whose only rows are what a retriever finds."""

    known = Schema(
        nodes=(NodeType(label="Fact", properties=(Property(name="text", type="STRING"),)),)
    )

    def __init__(self, retriever):
        self._retriever = retriever

    def schema(self, *, refresh=False):
        return self.known

    async def aschema(self, *, refresh=False):
        return self.known

    def read(self, cypher, parameters=None, **_):
        looked_up = "f.text AS text" not in cypher
        return self._rows(cypher, [] if looked_up else self._retriever.invoke(QUESTION))

    async def aread(self, cypher, parameters=None, **_):
        looked_up = "f.text AS text" not in cypher
        return self._rows(cypher, [] if looked_up else await self._retriever.ainvoke(QUESTION))

    def _rows(self, cypher, documents):
        rows = [{"text": document.page_content} for document in documents]
        return ReadResult(cypher=cypher, keys=("text",), rows=rows)


def _text2cypher(model, retriever, **settings):
    return create_text2cypher_chain(model, FactGraph(retriever), **settings)


class RowlessGraph(FactGraph):
    """A graph that holds nothing of it."""

    def _rows(self, cypher, documents):
        return super()._rows(cypher, [])


def _rows_or_passages(model, retriever, **settings):
    passages = create_rag_chain(model, retriever, **settings)
    graph = RowlessGraph(retriever=RunnableLambda(lambda _: []))
    return create_text2cypher_chain(model, graph, otherwise=passages, **settings)


STREAMED = {
    "rag": (create_rag_chain, set()),
    "conversational": (create_conversational_rag_chain, {"question"}),
    "fusion": (create_rag_fusion_chain, {"queries"}),
    "conversational fusion": (_talked, {"question", "queries"}),
    "graph": (_graph, {"paths"}),
    "step-back": (create_step_back_chain, {"step_back_question"}),
    "multi-step": (create_multi_step_chain, {"steps"}),
    "router": (_routed, {"route"}),
    "default router": (create_default_router, {"route"}),
    "text2cypher": (_text2cypher, {"cypher", "parameters", "rows", "repairs"}),
    "rows or passages": (_rows_or_passages, {"cypher", "parameters", "rows", "repairs"}),
}
CHAINS = {**STREAMED, "self-rag": (create_self_rag_chain, {"segments"})}


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


@pytest.fixture(params=STREAMED)
def kind(request):
    """The chains whose answer streams from the model; that of Self-RAG is chosen before."""
    return request.param


@pytest.fixture
def make(kind):
    return STREAMED[kind][0]


@pytest.fixture(params=CHAINS)
def make_any(request):
    return CHAINS[request.param][0]


@pytest.fixture(params=[kind for kind in CHAINS if kind != "text2cypher"])
def make_retrieving(request):
    """The chains over documents of a retriever, whose ids and metadata they keep."""
    return CHAINS[request.param][0]


HISTORY = [("human", "Hi"), ("ai", "Hello")]


def model_of(*script, model_class=ScriptedChatModel):
    return model_class(script=list(script), reply=asides)


def ids(output):
    return [document.id for document in output["context"]]


@pytest.mark.parametrize("model_class", [ScriptedChatModel, SpellingModel])
@pytest.mark.parametrize("given", [QUESTION, {"input": QUESTION}], ids=["str", "dict"])
async def test_every_way_gives_the_same(  # noqa: PLR0913, PLR0917
    kind, make, retriever, documents, run, given, model_class
):
    output = await run(make(model_of(REPLY, model_class=model_class), retriever), given)
    assert set(output) == KEYS | STREAMED[kind][1]
    assert output["input"] == QUESTION
    assert output["chat_history"] == output["left_out"] == []
    assert len(output["warnings"]) == (kind == "graph")
    texts = [document.page_content for document in documents]
    found = [one.page_content.removeprefix("text: ") for one in output["context"]]
    assert found == texts[: 2 if "steps" in output else 3]
    assert output["answer"] == ANSWER
    assert [citation["marker"] for citation in output["citations"]] == [1, 2]


@pytest.mark.parametrize("model_class", [ScriptedChatModel, SpellingModel])
async def test_every_way_gives_the_same_chosen_answer(retriever, documents, run, model_class):
    model = model_class(reply=lambda prompt: judged(prompt, REPLY))
    output = await run(create_self_rag_chain(model, retriever), QUESTION)
    assert set(output) == KEYS | {"segments"}
    assert output["input"] == QUESTION
    assert output["chat_history"] == output["left_out"] == output["warnings"] == []
    assert output["context"] == documents
    told = "Apple was founded by Steve Jobs. [1] It was sold at 666.66 dollars. [1] Really. [1]"
    assert output["answer"] == told
    assert [citation["marker"] for citation in output["citations"]] == [1, 1, 1]


async def test_a_chosen_answer_comes_after_context(retriever):
    chain = create_self_rag_chain(ScriptedChatModel(reply=judged), retriever)
    told = ["context", "left_out", "warnings", "answer", "citations"]
    for chunks in (list(chain.stream(QUESTION)), [c async for c in chain.astream(QUESTION)]):
        order, keys = first_keys(chunks)
        assert order == ["input", "segments", *told]
        assert all(keys.count(key) == 1 for key in order if key != "answer")


def first_keys(chunks):
    """The key of each chunk, one after another; those of the input as one."""
    keys = [next(iter(chunk)) if len(chunk) == 1 else "input" for chunk in chunks]
    return [key for n, key in enumerate(keys) if keys[n - 1 : n] != [key]], keys


async def test_a_stream_brings_input_context_answer_citations_in_this_order(kind, make, retriever):
    chain = make(model_of(REPLY, REPLY, model_class=SpellingModel), retriever)
    for chunks in (list(chain.stream(QUESTION)), [c async for c in chain.astream(QUESTION)]):
        order, keys = first_keys(chunks)
        assert order[0] == "input"
        assert set(order[1:-5]) == STREAMED[kind][1]
        assert order[-5:] == ["context", "left_out", "warnings", "answer", "citations"]
        assert all(keys.count(key) == 1 for key in order if key != "answer")
        assert keys.count("answer") > 30


async def test_a_mark_out_of_range_leaves_in_no_piece(make, retriever):
    script = ["A [99] b [0] c [12]. [1", "x [4][5] [[9]9]"]
    chain = make(model_of(*script, model_class=SpellingModel), retriever)
    left = "".join(chunk.get("answer", "") for chunk in chain.stream(QUESTION))
    assert left == "A b c. [1"
    left = "".join([chunk.get("answer", "") async for chunk in chain.astream(QUESTION)])
    assert left == "x9]"


@pytest.mark.parametrize("stop_at", [1, 3])
async def test_closing_a_stream_stops_the_model(make, retriever, stop_at):
    model = model_of(*["piece " * 8] * 2)
    chain = make(model, retriever)
    with closing(chain.stream(QUESTION)) as chunks:
        pieces = 0
        while pieces < stop_at:
            pieces += "answer" in next(chunks)
    assert sum("piece" in text for text in model._spoken) == stop_at
    async with aclosing(chain.astream(QUESTION)) as chunks:
        pieces = 0
        while pieces < stop_at:
            pieces += "answer" in await anext(chunks)
    assert sum("piece" in text for text in model._spoken) == 2 * stop_at


async def test_closing_a_stream_before_the_first_step_asks_no_model(make_any, retriever):
    model = model_of()
    chain = make_any(model, retriever)
    given = {"input": QUESTION, "chat_history": HISTORY}
    with closing(chain.stream(given)) as chunks:
        next(chunks)
    async with aclosing(chain.astream(given)) as chunks:
        await anext(chunks)
    assert model.asked == retriever.queries == []


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("call", [1, 2, 3])
async def test_a_cancelled_call_stops_the_model_whatever_it_says(make, retriever, streamed, call):
    started = asyncio.Event()

    class SlowModel(ScriptedChatModel):
        """Talks without end in the call of that number."""

        async def _astream(self, *args, **kwargs):
            async for chunk in super()._astream(*args, **kwargs):
                if len(self.asked) == call:
                    started.set()
                    await asyncio.sleep(0.005)
                yield chunk

    def reply(prompt):
        return "word " * 500 if len(model.asked) == call else asides(prompt) or QUESTION

    model = SlowModel(reply=reply)
    chain = make(model, retriever)

    async def ask():
        given = {"input": QUESTION, "chat_history": HISTORY}
        if not streamed:
            return await chain.ainvoke(given)
        return [chunk async for chunk in chain.astream(given)]

    asking = asyncio.create_task(ask())
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait([asking, waiting], return_when=asyncio.FIRST_COMPLETED)
    if asking.done():  # this chain asks less often
        waiting.cancel()
        assert len(model.asked) < call
        return
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    spoken = model.spoken
    await asyncio.sleep(0.03)
    assert model.spoken == spoken < 500
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_nothing_found_is_refused(make_any, run):
    output = await run(make_any(model_of(), RunnableLambda(lambda question: [])), QUESTION)
    assert output["answer"] in {
        "The documents do not contain the answer.",
        "There is no answer in the graph: nothing in it fits the question.",
    }
    assert output["context"] == output["citations"] == output["left_out"] == []


async def test_a_question_in_chinese_is_refused_in_chinese(make_any, run):
    chain = make_any(model_of(), RunnableLambda(lambda question: []))
    told = (await run(chain, "谁创办了Apple公司？"))["answer"]
    assert told in {"文档中没有找到答案。", "图中没有找到答案：没有符合问题的数据。"}


async def test_errors_of_the_model_come_through(make_any, retriever, run):
    class BrokenModel(ScriptedChatModel):
        def _stream(self, *args, **kwargs):
            yield from super()._stream(*args, **kwargs)
            raise ConnectionError

        async def _astream(self, *args, **kwargs):
            async for chunk in super()._astream(*args, **kwargs):
                yield chunk
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await run(make_any(model_of("Half an", model_class=BrokenModel), retriever), QUESTION)


async def test_a_retriever_that_fails_is_an_error_that_says_why(make_any, run):
    def broken(question):
        msg = "no such index"
        raise LookupError(msg)

    with pytest.raises((LookupError, RetrievalError), match="no such index"):
        await run(make_any(model_of(), RunnableLambda(broken)), QUESTION)


async def test_a_retriever_that_hangs_is_an_error_in_time_and_leaves_no_task(make_retrieving, run):
    ended = threading.Event()

    async def hang(question):
        await asyncio.sleep(60)

    hanging = RunnableLambda(lambda question: ended.wait(60), hang)
    started = time.perf_counter()
    with pytest.raises(RetrievalError, match=r"no answer within 0\.1 s"):
        await run(make_retrieving(model_of(), hanging, retrieval_seconds=0.1), QUESTION)
    ended.set()
    assert time.perf_counter() - started < 5
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_settings_of_a_call_hold(make_retrieving, index, run):
    chain = make_retrieving(model_of(*["Jobs."] * 4), index.as_retriever(k=3))

    async def found(**settings):
        return await run(chain, "Who founded Apple?", {"configurable": settings})

    assert set(ids(await found(filter={"tenant": "a"}))) <= {"founders", "zh"}
    assert set(ids(await found(k=1))) < {"founders", "price", "zh"}
    assert len(ids(await found(weights=[1.0]))) > 1
    packed = await found(budget=30)
    assert len(packed["context"]) == 1
    left_out = packed["left_out"]
    assert [one["reason"] for one in left_out] == ["budget"] * len(left_out)
    assert {one["document_id"] for one in left_out}.isdisjoint(ids(packed))
    assert left_out
    assert all(one["tokens"] > 10 and one["source_id"] for one in left_out)


async def test_k_and_filter_of_a_call_hold_whatever_retriever_it_is(
    make_retrieving, retriever, run
):
    chain = make_retrieving(model_of("Jobs.", "Jobs.", "Jobs."), retriever)

    async def found(**settings):
        return ids(await run(chain, "Who founded Apple?", {"configurable": settings}))

    assert await found(filter={"tenant": "b"}) == ["price"]
    assert set(await found(filter={"tenant": "a"})) <= {"founders", "zh"}
    assert await found(k=1) == ["founders"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"k": 0}, "k must be a whole number"),
        ({"filter": {"lang": {"$like": "z"}}}, "Unknown operator"),
        ({"weights": [-1.0]}, "weight must be 0 or more"),
        ({"weights": 2.0}, "weights must be a list of numbers"),
        ({"weights": ["a"]}, "weights must be a list of numbers"),
        ({"budget": 0}, "budget must be a whole number of tokens"),
        ({"budget": "many"}, "budget must be a whole number of tokens"),
    ],
    ids=str,
)
async def test_settings_that_can_not_be_used_are_value_errors(
    make_retrieving, index, run, settings, reason
):
    chain = make_retrieving(model_of(), index.as_retriever())
    with pytest.raises(ValueError, match=reason):
        await run(chain, QUESTION, {"configurable": settings})


async def test_weights_of_a_call_reach_what_fuses(make_retrieving, index, documents, run):
    other = RunnableLambda(lambda question: documents[1:2])
    fused = FusionRetriever(retrievers=[index.as_retriever(k=3), other], k=1)
    chain = make_retrieving(model_of("Jobs.", "Jobs."), fused)
    assert "price" not in ids(await run(chain, QUESTION, {"configurable": {"weights": [1, 0]}}))
    assert set(ids(await run(chain, QUESTION, {"configurable": {"weights": [0, 1]}}))) == {"price"}


class LastFirst(BaseDocumentCompressor):
    """Turns the order round, without the first document."""

    def compress_documents(self, documents, query, callbacks=None):
        assert query
        return list(documents)[:0:-1]


async def test_a_compressor_works_before_documents_are_packed(make_retrieving, retriever, run):
    chain = make_retrieving(model_of("Jobs."), retriever, compressor=LastFirst())
    found = ids(await run(chain, QUESTION))
    assert set(found) <= {"zh", "price"}
    assert found[0] == "zh"


async def test_an_order_comes_after_packing_and_is_what_marks_count(make, retriever, run):
    packed = []

    def turned(documents):
        packed.append(list(documents))
        return documents[::-1]

    model = model_of("It was sold at 666.66 dollars.")
    chain = make(model, retriever, order=turned, context_tokens=60)
    context = (await run(chain, QUESTION))["context"]
    assert context == packed[-1][::-1]
    assert len(packed[0]) == 2  # of three
    prompt = model.asked[-1][-1].text
    assert all(f"[{n}] {one.page_content}" in prompt for n, one in enumerate(context, 1))


async def test_a_run_has_its_steps_in_a_trace(make_retrieving, retriever):
    chain = make_retrieving(model_of(REPLY), retriever)
    names, parents = {}, {}
    async for event in chain.astream_events(QUESTION, version="v2"):
        if event["event"].endswith("_start"):
            names[event["run_id"]] = event["name"]
            parents.setdefault(event["name"], [names[one] for one in event["parent_ids"]])
    root = next(iter(names.values()))
    assert root.endswith(("_chain", "router"))
    assert parents["ListRetriever"][0] == root
    assert "retrieve_documents" in parents["ListRetriever"]
    assert root in parents["generate"]
    assert parents["ScriptedChatModel"][0] == root


async def test_what_the_model_says_aside_is_not_for_the_user(make, retriever):
    chain = make(model_of(REPLY), retriever)
    shown = [
        "nostream" not in event["tags"]
        async for event in chain.astream_events(QUESTION, version="v2")
        if event["event"] == "on_chat_model_start"
    ]
    assert shown == [False] * (len(shown) - 1) + [True]


async def test_the_output_of_one_run_can_be_given_to_the_next(kind, make, retriever, run):
    chain = make(model_of("Jobs. [1]", "666.66 dollars. [2]"), retriever)
    first = await run(chain, QUESTION)
    before = copy.deepcopy(first)
    second = await run(chain, {**first, "input": "Who founded Apple Inc?"})
    assert first == before
    assert second["answer"] == "666.66 dollars. [2]"
    assert [citation["marker"] for citation in second["citations"]] == [2]
    assert set(second) == set(first)


def test_it_composes_with_more_steps(make, retriever):
    chain = make(model_of(REPLY), retriever).pick("answer") | str.upper
    assert chain.invoke(QUESTION) == ANSWER.upper()


@pytest.mark.parametrize(
    "create", [create_plain_chain, lambda model: create_refusing_chain("No [1]."), "step back"]
)
@pytest.mark.parametrize("given", ["Hello!", "你好"])
async def test_chains_without_documents_have_the_same_shape(create, given, run):
    model = ScriptedChatModel(reply=lambda prompt: "Hello [1] there [2, 9].")
    if create == "step back":
        create, more = create_step_back_chain, {"step_back_question", "principle"}
    else:
        more = set()
    output = await run(create(model), given)
    assert set(output) == KEYS | more
    assert output["context"] == output["citations"] == output["left_out"] == []
    assert re.fullmatch(r"Hello there\.|No \[1\]\.", output["answer"])
