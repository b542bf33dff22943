"""What a small model of llama.cpp answers, and what it costs."""

import math
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import BaseModel

from langchain_graft.errors import ContextTooLongError

QUESTION = "What is the capital of France?"


async def test_a_stream_says_what_invoke_says_and_counts_the_same(model, ask):
    [whole] = await ask(model, QUESTION)
    first, *others = await ask(model, QUESTION, stream=True)
    total = sum(others, first)
    assert total.text == whole.text != ""
    assert len([piece for piece in [first, *others] if piece.text]) > 3
    for message in (whole, total):
        usage = message.usage_metadata
        assert usage["input_tokens"] > 5
        assert 0 < usage["output_tokens"] <= 40
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        assert message.response_metadata["model_name"] == model.model_name
    assert total.usage_metadata["output_tokens"] == whole.usage_metadata["output_tokens"]


async def test_a_prompt_that_does_not_fit_is_refused(model, ask):
    for stream in (False, True):
        with pytest.raises(ContextTooLongError, match="context holds") as refused:
            await ask(model, "word " * 3000, stream=stream)
        assert refused.value.tokens > 3000
        assert refused.value.limit == model.server.settings.context_tokens
        assert isinstance(refused.value, ContextOverflowError)


async def test_the_probabilities_of_tokens(model, ask):
    bound = model.bind(logprobs=True, top_logprobs=3, max_tokens=1)
    [answer] = await ask(bound, f"{QUESTION} Answer with one word.")
    [token] = answer.response_metadata["logprobs"]["content"]
    chances = [math.exp(other["logprob"]) for other in token["top_logprobs"]]
    assert len(chances) == 3
    assert chances == sorted(chances, reverse=True)
    assert 0 < sum(chances) <= 1.001


class Place(BaseModel):
    """A place."""

    city: str
    is_capital: bool


async def test_an_answer_has_the_schema(model, ask):
    structured = model.with_structured_output(Place)
    [place] = await ask(structured, f"{QUESTION} Name the city.")
    assert isinstance(place, Place)


async def test_an_answer_follows_a_grammar(model, ask):
    grammar = 'root ::= "yes" | "no"'
    [answer] = await ask(model.bind(extra_body={"grammar": grammar}), "Is Paris in France?")
    assert answer.text in ("yes", "no")


def test_tokens_are_counted_as_the_model_does(model):
    messages = [SystemMessage("Be brief."), HumanMessage(QUESTION)]
    assert model.get_num_tokens("Paris") == len(model.get_token_ids("Paris")) > 0
    counted = model.get_num_tokens_from_messages(messages)
    assert counted == model.bind(max_tokens=1).invoke(messages).usage_metadata["input_tokens"]


def test_tokens_are_counted_by_many_threads_over_one_client(model, monkeypatch):
    counted = model.get_num_tokens(QUESTION)
    monkeypatch.setattr(httpx, "Client", None)  # to make one costs more than to count
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(model.get_num_tokens, [QUESTION] * 40)) == {counted}


async def test_closing_a_stream_stops_the_model(model, ask):
    """Both slots are given up: the next answers do not wait for thousand tokens."""
    endless = model.bind(max_tokens=900, extra_body={"ignore_eos": True})
    started = time.monotonic()
    for _ in range(2):
        pieces = endless.stream("Count to a million.")
        for _ in range(20):
            next(pieces)
        pieces.close()
    per_token = (time.monotonic() - started) / 40
    asked = time.monotonic()
    await ask(model.bind(max_tokens=1), "Hi")
    assert time.monotonic() - asked < 450 * per_token


def test_threads_are_answered_side_by_side(model):
    questions = [f"Say the word {word}." for word in ("red", "green", "blue", "white")]
    alone = [model.invoke(question).usage_metadata["input_tokens"] for question in questions]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(model.invoke, questions))
    assert [answer.usage_metadata["input_tokens"] for answer in answers] == alone
    assert all(answer.text for answer in answers)


def test_two_slots_talk_at_once(model):
    """The second stream's first piece comes while the first one is still open."""
    first, second = (model.bind(max_tokens=200).stream(f"Tell me story {n}.") for n in (1, 2))
    next(first)
    assert next(second) is not None
    first.close()
    second.close()
