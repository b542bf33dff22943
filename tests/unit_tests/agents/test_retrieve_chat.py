import asyncio
import math
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import PrivateAttr

from langchain_graft.agents import (
    Answered,
    Asked,
    Piece,
    RetrieveConfig,
    Retrieved,
    Updated,
    Waiting,
    astream_events,
    create_retrieve_chat,
    stream_events,
)
from langchain_graft.chains import is_refusal
from langchain_graft.testing import ScriptedChatModel

QUESTION = {"input": "Which number does person 7 like?"}
ANSWER = "Person 7 likes the number 7. [1]"
TWO_A_PAGE = 50


def config_of(**fields):
    return RetrieveConfig(
        **{"task": "qa", "n_results": 5, "context_tokens": TWO_A_PAGE, "follow_ups": False} | fields
    )


def chat_of(script, retriever, *, checkpointer=None, executor=None, tools=(), **fields):
    model = script if not isinstance(script, list) else ScriptedChatModel(script=script)
    return create_retrieve_chat(
        model,
        retriever,
        config=config_of(**fields),
        checkpointer=checkpointer,
        executor=executor,
        tools=tools,
    )


def ids(documents):
    return [document.id for document in documents]


async def test_the_first_answer_ends_the_turn(run, make_retriever):
    retriever = make_retriever()
    out = await run(chat_of(["Person 1 likes the number 1."], retriever), QUESTION)
    assert out["answer"] == "Person 1 likes the number 1. [1]"
    assert [citation["verified"] for citation in out["citations"]] == [True]
    assert out["ended"] == "answered"
    assert ids(out["context"]) == ["d1", "d2"]
    assert retriever.asked == [(QUESTION["input"], 5)]
    assert [message.text for message in out["messages"]] == [QUESTION["input"], out["answer"]]


async def test_an_update_shows_the_next_of_the_ranking_then_a_wider_one(run, make_retriever):
    model = ScriptedChatModel(script=["UPDATE CONTEXT"] * 3 + [ANSWER])
    retriever = make_retriever()
    out = await run(chat_of(model, retriever), QUESTION)
    assert out["answer"] == ANSWER
    assert out["updates"] == ["next", "next", "wider"]
    assert [k for _, k in retriever.asked] == [5, 15]
    shown = [[n for n in range(1, 41) if f"Person {n} " in asked[-1].text] for asked in model.asked]
    assert shown == [[1, 2], [3, 4], [5], [6, 7]]


async def test_searches_are_3_5_7_9_times_as_wide_and_then_it_ends(run, make_retriever):
    retriever = make_retriever()
    model = ScriptedChatModel(reply=lambda _: "UPDATE CONTEXT")
    out = await run(chat_of(model, retriever, n_results=2, max_rounds=99), QUESTION)
    assert [k for _, k in retriever.asked] == [2, 6, 10, 14, 18]
    assert out["ended"] == "nothing_left"
    assert out["updates"][-1] == "nothing"
    assert out["rounds"] == len(model.asked) == 9
    assert is_refusal(out["answer"])
    assert out["citations"] == []


async def test_rankings_that_are_at_their_end_are_not_searched_wider(run, make_retriever):
    retriever = make_retriever(count=3)
    out = await run(chat_of(["UPDATE CONTEXT"] * 2, retriever), QUESTION)
    assert out["ended"] == "nothing_left"
    assert len(retriever.asked) == 1


async def test_rounds_are_counted(run, make_retriever):
    model = ScriptedChatModel(reply=lambda _: "UPDATE CONTEXT")
    out = await run(chat_of(model, make_retriever(), max_rounds=3), QUESTION)
    assert (out["ended"], out["rounds"]) == ("max_rounds", 3)
    assert len(model.asked) == 3
    assert is_refusal(out["answer"])


async def test_without_documents_the_model_is_not_asked(run, make_retriever):
    out = await run(chat_of([], make_retriever(count=0)), QUESTION)
    assert is_refusal(out["answer"])
    assert (out["ended"], out["rounds"]) == ("nothing_left", 0)


async def test_a_reply_without_the_prefix_is_searched_and_what_is_found_is_put_to_the_rest(run):
    documents = {
        "Who is older, the author of X or that of Y?": Document(id="x", page_content="A wrote X."),
        "A wrote X.": Document(id="y", page_content="B wrote Y. B is older than A."),
    }
    retriever = RunnableLambda(lambda query: [documents[query]])
    model = ScriptedChatModel(
        script=["A wrote X. Of the author of Y nothing is said.", "The answer is B."]
    )
    chat = chat_of(model, retriever, answer_prefix="the answer is")
    out = await run(chat, {"input": "Who is older, the author of X or that of Y?"})
    assert out["queries"] == list(documents)
    assert out["updates"] == ["appended"]
    assert ids(out["context"]) == ["x", "y"]
    assert out["answer"].startswith("The answer is B.")


async def test_an_answer_on_the_way_is_the_answer_where_nothing_else_is_found(run, make_retriever):
    chat = chat_of(["Number 1."], make_retriever(count=1), answer_prefix="the answer is")
    out = await run(chat, QUESTION)
    assert (out["answer"], out["ended"]) == ("Number 1. [1]", "nothing_left")


async def test_the_appended_prompt_stays_in_its_room(run, make_retriever):
    model = ScriptedChatModel(reply=lambda _: "On the way to it.")
    chat = chat_of(model, make_retriever(), answer_prefix="the answer is", max_rounds=6)
    await run(chat, QUESTION)
    assert len(model.asked) == 6
    assert max(asked[-1].text.count("Person") for asked in model.asked) <= 3


async def test_an_update_can_be_switched_off(run, make_retriever):
    out = await run(chat_of(["UPDATE CONTEXT"], make_retriever(), update_context=False), QUESTION)
    assert out["ended"] == "no_update"
    assert is_refusal(out["answer"])


async def test_a_tool_call_asks_for_an_update(run, make_retriever):
    call = AIMessage("", tool_calls=[{"name": "update_context", "args": {}, "id": "1"}])
    out = await run(chat_of([call, ANSWER], make_retriever(), asks_by="tool"), QUESTION)
    assert out["updates"] == ["next"]
    assert out["answer"] == ANSWER


class SureChatModel(ScriptedChatModel):
    """Says yes or no with a probability, as models do that offer logprobs."""

    offers_logprobs: bool = True
    yes: list[float]

    def _pieces(self, messages):
        if "Reply yes or no." not in messages[-1].text:
            return super()._pieces(messages)
        p = self.yes.pop(0)
        top = [
            {"token": "yes", "logprob": math.log(p)},
            {"token": "no", "logprob": math.log(1 - p)},
        ]
        model = ScriptedChatModel(
            script=[
                AIMessage(
                    "yes", response_metadata={"logprobs": {"content": [{"top_logprobs": top}]}}
                )
            ]
        )
        return model._pieces(messages)


async def test_a_model_with_logprobs_is_asked_first_whether_the_answer_is_there(
    run, make_retriever
):
    model = SureChatModel(script=[ANSWER], yes=[0.1, 0.99])
    out = await run(chat_of(model, make_retriever()), QUESTION)
    assert out["updates"] == ["next"]
    assert out["answer"] == ANSWER
    assert len(model.asked) == 1


async def test_tools_are_called_and_their_results_told(run, make_retriever):
    @tool
    def double(number: int) -> int:
        """Twice a number."""
        return number * 2

    call = AIMessage("", tool_calls=[{"name": "double", "args": {"number": 21}, "id": "1"}])
    model = ScriptedChatModel(script=[call, "It is 42."])
    out = await run(chat_of(model, make_retriever(), tools=[double]), QUESTION)
    assert out["executed"] == [{"name": "double", "worked": True, "output": "42"}]
    assert model.asked[1][-1].text == "42"
    assert out["answer"] == "It is 42."


async def test_a_tool_that_fails_or_that_nobody_has_is_told_of(run, make_retriever):
    @tool
    def broken() -> int:
        """Fails."""
        msg = "broken"
        raise RuntimeError(msg)

    calls = [{"name": name, "args": {}, "id": name} for name in ("broken", "rm")]
    chat = chat_of([AIMessage("", tool_calls=calls), "So."], make_retriever(), tools=[broken])
    out = await run(chat, QUESTION)
    assert [(one["name"], one["worked"]) for one in out["executed"]] == [
        ("broken", False),
        ("rm", False),
    ]


async def test_follow_ups_are_understood_by_what_was_said_before(run, make_retriever):
    saver, retriever = InMemorySaver(), make_retriever()
    model = ScriptedChatModel(script=[ANSWER, "Which number does person 8 like?", "8. [1]"])
    chat = chat_of(model, retriever, checkpointer=saver, follow_ups=True)
    thread = {"configurable": {"thread_id": "1"}}
    await run(chat, QUESTION, thread)
    out = await run(chat, {"input": "And person 8?"}, thread)
    assert out["question"] == "Which number does person 8 like?"
    assert retriever.asked[-1][0] == "Which number does person 8 like?"
    assert [message.text for message in out["messages"]] == [
        QUESTION["input"],
        ANSWER,
        "And person 8?",
        "8. [1]",
    ]
    assert out["rounds"] == 1


async def test_messages_are_taken_too(run, make_retriever):
    chat = chat_of([ANSWER], make_retriever())
    out = await run(chat, {"messages": [("human", QUESTION["input"])]})
    assert out["question"] == QUESTION["input"]
    assert len(out["messages"]) == 2


async def test_a_call_s_filter_holds(run):
    documents = [
        Document(id=name, page_content=f"{name} is here.", metadata={"tenant": name})
        for name in ("a", "b")
    ]
    chat = chat_of(["UPDATE CONTEXT"], RunnableLambda(lambda _: documents))
    settings = {"configurable": {"filter": {"tenant": "a"}}}
    out = await run(chat, QUESTION, settings)
    assert ids(out["context"]) == ["a"]


EXPECTED = [Retrieved, Asked, Updated, Asked, Piece, Answered]


def kinds(events):
    """Each kind once where it comes several times together."""
    names = [type(event) for event in events]
    return [name for n, name in enumerate(names) if n == 0 or names[n - 1] is not name]


def test_events_are_told_as_they_come(make_retriever):
    events = list(stream_events(chat_of(["UPDATE CONTEXT", ANSWER], make_retriever()), QUESTION))
    assert kinds(events) == EXPECTED
    pieces = "".join(event.text for event in events if isinstance(event, Piece))
    assert pieces == events[-1].answer == ANSWER
    assert ids(events[2].documents) == ["d3", "d4"]


async def test_events_are_told_as_they_come_async(make_retriever):
    chat = chat_of(["UPDATE CONTEXT", ANSWER], make_retriever())
    assert kinds([event async for event in astream_events(chat, QUESTION)]) == EXPECTED


async def test_a_reader_never_sees_the_request_for_documents(make_retriever):
    chat = chat_of(["**UPDATE CONTEXT**", "Update\ncontext", ANSWER], make_retriever())
    pieces = [event.text for event in stream_events(chat, QUESTION) if isinstance(event, Piece)]
    assert "".join(pieces).startswith("Update")


def test_a_request_that_says_why_is_one_and_no_reader_sees_it(make_retriever):
    chat = chat_of(["UPDATE CONTEXT. The sources do not name person 7.", ANSWER], make_retriever())
    events = list(stream_events(chat, QUESTION))
    assert "".join(event.text for event in events if isinstance(event, Piece)) == ANSWER
    assert [event.how for event in events if isinstance(event, Updated)] == ["next"]


class WaitingChatModel(ScriptedChatModel):
    """Lets others work between two pieces, as models do that compute."""

    async def _astream(self, messages, stop=None, run_manager=None, **_):
        async for chunk in super()._astream(messages, stop, run_manager):
            await asyncio.sleep(0)
            yield chunk


async def messages_of(chat, way, given=QUESTION):
    """What `stream_mode="messages"` has: the texts of whole messages, and how many pieces."""
    if way == "sync":
        chunks = [message for message, _ in chat.stream(given, stream_mode="messages")]
    else:
        chunks = [message async for message, _ in chat.astream(given, stream_mode="messages")]
    texts = {}
    for one in chunks:
        texts[one.id] = texts.get(one.id, "") + one.text
    return [text for text in texts.values() if text not in given.values()], len(chunks)


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize(
    "asks", ["UPDATE CONTEXT", "**Update context**", "<think>Hm.</think> UPDATE CONTEXT"]
)
async def test_messages_have_the_answer_once_and_no_request(way, asks, make_retriever):
    chat = chat_of([asks, asks, "Person 7 likes the number 7."], make_retriever())
    texts, pieces = await messages_of(chat, way)
    assert texts == [ANSWER]
    assert pieces > 4


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_messages_have_a_refusal_too(way, make_retriever):
    [text], _ = await messages_of(chat_of(["UPDATE CONTEXT"] * 3, make_retriever(1)), way)
    assert is_refusal(text)


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_the_call_for_documents_is_in_no_message(way, make_retriever):
    asking = AIMessage("", tool_calls=[{"name": "update_context", "args": {}, "id": "1"}])
    chat = chat_of([asking, "Person 7 likes the number 7."], make_retriever(), asks_by="tool")
    texts, _ = await messages_of(chat, way)
    assert texts == [ANSWER]


async def test_an_answer_s_message_keeps_its_id_in_the_conversation(make_retriever):
    chat = chat_of(
        ["Person 7 likes the number 7."] * 2, make_retriever(), checkpointer=InMemorySaver()
    )
    thread = {"configurable": {"thread_id": "1"}}
    streamed = {one.id async for one, _ in chat.astream(QUESTION, thread, stream_mode="messages")}
    await chat.ainvoke(QUESTION, thread)
    kept = (await chat.aget_state(thread)).values["messages"]
    assert [one.type for one in kept] == ["human", "ai", "human", "ai"]
    assert len({one.id for one in kept}) == 4
    assert kept[1].id in streamed
    assert kept[3].id not in streamed


class HaltingChatModel(ScriptedChatModel):
    """Goes on behind its second word when it is let."""

    _let: threading.Event = PrivateAttr(default_factory=threading.Event)

    @property
    def let(self):
        return self._let

    def _stream(self, messages, stop=None, run_manager=None, **settings):
        for number, piece in enumerate(super()._stream(messages, stop, run_manager, **settings)):
            if number == 2 and not self._let.wait(20):
                msg = "The first words were held back"
                raise TimeoutError(msg)
            yield piece


@pytest.mark.parametrize("mode", ["messages", "custom"])
def test_the_first_words_do_not_wait_for_the_next(mode, make_retriever):
    model = HaltingChatModel(script=["Person 7 likes the number 7."])
    chat = chat_of(model, make_retriever(), task="code")
    for one in chat.stream(QUESTION, stream_mode=mode):
        message = one[0] if mode == "messages" else one
        if getattr(message, "text", "") == "Person":
            model.let.set()
    assert model.let.is_set()


async def test_closing_the_stream_stops_the_model(make_retriever):
    model = WaitingChatModel(script=["word " * 500])
    events = astream_events(chat_of(model, make_retriever()), QUESTION)
    async for event in events:
        if isinstance(event, Piece):
            break
    await events.aclose()
    assert model.spoken < 400


class TestPerson:
    thread = {"configurable": {"thread_id": "1"}}  # noqa: RUF012

    def chat(self, script, retriever, human_input, **fields):
        return chat_of(
            script, retriever, checkpointer=InMemorySaver(), human_input=human_input, **fields
        )

    async def test_always_asks_after_each_reply(self, run, make_retriever):
        chat = self.chat(["UPDATE CONTEXT", ANSWER], make_retriever(), "ALWAYS")
        out = await run(chat, QUESTION, self.thread)
        assert out["__interrupt__"][0].value["verdict"] == "update"
        out = await run(chat, Command(resume=""), self.thread)
        assert out["__interrupt__"][0].value["reply"] == ANSWER
        out = await run(chat, Command(resume=""), self.thread)
        assert (out["answer"], out["ended"]) == (ANSWER, "answered")

    async def test_what_the_person_says_is_answered(self, run, make_retriever):
        model = ScriptedChatModel(script=["It is 7.", ANSWER])
        chat = self.chat(model, make_retriever(), "TERMINATE")
        await run(chat, QUESTION, self.thread)
        await run(chat, Command(resume="In a whole sentence, please."), self.thread)
        out = await run(chat, Command(resume="exit"), self.thread)
        assert [message.text for message in model.asked[1][-2:]] == [
            "It is 7.",
            "In a whole sentence, please.",
        ]
        assert (out["answer"], out["ended"]) == (ANSWER, "human")

    async def test_the_person_may_ask_for_other_documents(self, run, make_retriever):
        chat = self.chat(["It is 1.", ANSWER], make_retriever(), "TERMINATE")
        await run(chat, QUESTION, self.thread)
        out = await run(chat, Command(resume="UPDATE CONTEXT"), self.thread)
        assert out["updates"] == ["next"]

    async def test_terminate_asks_only_before_the_end(self, run, make_retriever):
        chat = self.chat(["UPDATE CONTEXT", ANSWER], make_retriever(), "TERMINATE")
        out = await run(chat, QUESTION, self.thread)
        assert out["__interrupt__"][0].value["reply"] == ANSWER

    async def test_rounds_end_though_the_person_says_nothing(self, run, make_retriever):
        model = ScriptedChatModel(reply=lambda _: "UPDATE CONTEXT")
        chat = self.chat(model, make_retriever(), "TERMINATE", max_rounds=2)
        await run(chat, QUESTION, self.thread)
        out = await run(chat, Command(resume=""), self.thread)
        assert (out["ended"], out["rounds"]) == ("max_rounds", 2)

    def test_waiting_is_an_event(self, make_retriever):
        chat = self.chat([ANSWER], make_retriever(), "TERMINATE")
        assert isinstance(list(stream_events(chat, QUESTION, self.thread))[-1], Waiting)

    def test_it_needs_a_place_to_wait(self, make_retriever):
        with pytest.raises(ValueError, match="human_input='ALWAYS' needs a checkpointer"):
            chat_of([], make_retriever(), human_input="ALWAYS")


async def test_two_hundred_conversations_at_once_are_kept_apart():
    """Each finds its own person on its second page, and nobody else's."""

    def reply(prompt):
        number = prompt.split("Who is person ")[1].split("?")[0]
        return f"Person {number} it is." if f"Person {number} is" in prompt else "UPDATE CONTEXT"

    def search(query):
        number = int(query.split("person ")[1].split("?")[0])
        texts = [f"Person {n} is here." for n in (number + 1000, number)]
        return [Document(id=text, page_content=text) for text in texts]

    chat = create_retrieve_chat(
        ScriptedChatModel(reply=reply),
        RunnableLambda(search),
        config=config_of(context_tokens=20, n_results=3),
        checkpointer=InMemorySaver(),
    )

    async def talk(n):
        thread = {"configurable": {"thread_id": str(n)}}
        await chat.ainvoke({"input": f"Who is person {n}?"}, thread)
        return (await chat.aget_state(thread)).values

    states = await asyncio.gather(*(talk(n) for n in range(200)))
    for n, state in enumerate(states):
        assert state["question"] == f"Who is person {n}?"
        assert state["answer"].startswith(f"Person {n} it is.")
        assert ids(state["context"]) == [f"Person {n} is here."]
        assert (state["updates"], len(state["messages"])) == (["next"], 2)


@settings(max_examples=40, deadline=None)
@given(
    replies=st.lists(
        st.one_of(
            st.sampled_from(["UPDATE CONTEXT", "TERMINATE", "", "```py\n1\n```", "the answer is"]),
            st.text(max_size=60),
        ),
        max_size=6,
    ),
    task=st.sampled_from(["qa", "code", "default"]),
    prefix=st.sampled_from(["", "the answer is"]),
    documents=st.integers(0, 30),
    rounds=st.integers(1, 6),
)
def test_it_ends_whatever_is_replied(replies, task, prefix, documents, rounds):
    texts = [Document(page_content=f"Text {n} of many.") for n in range(documents)]
    said = iter(replies)
    model = ScriptedChatModel(reply=lambda _: next(said, "UPDATE CONTEXT"))
    chat = chat_of(
        model,
        RunnableLambda(lambda _: texts),
        task=task,
        answer_prefix=prefix,
        max_rounds=rounds,
        n_results=3,
    )
    out = chat.invoke(QUESTION)
    assert out["rounds"] == len(model.asked) <= rounds
    assert out["answer"]
    assert out["ended"] in {"answered", "nothing_left", "max_rounds"}


@pytest.mark.parametrize(
    ("given", "says"), [({}, "A chat takes"), ({"input": "  "}, "The question is empty")]
)
def test_no_question_is_an_error(given, says, make_retriever):
    with pytest.raises(ValueError, match=says):
        chat_of([], make_retriever()).invoke(given)


def test_a_function_may_make_the_retriever(make_retriever):
    asked = []
    retriever = make_retriever()
    chat = create_retrieve_chat(
        ScriptedChatModel(script=[ANSWER]),
        lambda config: asked.append(config.task) or retriever,
        config={"task": "qa"},
    )
    assert chat.invoke(QUESTION)["answer"] == ANSWER
    assert asked == ["qa"]
