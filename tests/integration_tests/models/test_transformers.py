"""SmolLM2 by transformers: the words and probabilities that llama.cpp gives for the same file."""

import time

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from langchain_graft.chains.answerable import bind_judge, yes_probability
from langchain_graft.models import (
    TransformersEngine,
    TransformersSettings,
    load_chat_model,
    load_token_scorer,
)
from langchain_graft.models.transformers import shared_engine

QUESTION = "What is the capital of France?"
SETTINGS = TransformersSettings(device="cpu", dtype="float32", context_tokens=1024)


@pytest.fixture(scope="module")
def engine(smollm):
    return shared_engine("smollm2-135m", SETTINGS)


@pytest.fixture(scope="module")
def torch_model(engine):
    return load_chat_model(
        "hf:smollm2-135m", device="cpu", dtype="float32", context_tokens=1024, max_tokens=12
    )


@pytest.fixture(scope="module")
def plain(smollm):
    """The same file, unpacked by transformers without us."""
    return AutoModelForCausalLM.from_pretrained(
        smollm.parent, gguf_file=smollm.name, dtype=torch.float32
    ).eval()


def test_the_chat_model_and_the_scorer_are_one_engine(engine, torch_model):
    assert torch_model.engine is engine


def test_it_says_something(torch_model):
    pieces = list(torch_model.stream(QUESTION))
    assert sum(bool(piece.text) for piece in pieces) > 3
    assert "".join(piece.text for piece in pieces).isprintable()


def test_probabilities_agree_with_those_of_llama_cpp(model, engine):
    """llama.cpp multiplies with 8-bit activations: a tenth of a nat on average, half at most."""
    asked = model.bind(logprobs=True, top_logprobs=1, max_tokens=12).invoke(QUESTION)
    content = asked.response_metadata["logprobs"]["content"]
    prompt = engine.tokenizer.chat_prompt([{"role": "user", "content": QUESTION}])
    said = "".join(token["token"] for token in content)
    [found] = engine.logprobs([prompt], [said])
    theirs = np.array([token["logprob"] for token in content])[: len(found)]
    assert len(found) == len(content)
    assert np.abs(found - theirs).mean() < 0.1
    assert np.abs(found - theirs).max() < 0.5


def test_replies_are_scored_as_they_were_made(torch_model, engine):
    """The token loop, with its cache, and the batched scores are two ways to one number."""
    reply = torch_model.bind(logprobs=True).invoke(QUESTION)
    content = reply.response_metadata["logprobs"]["content"]
    prompt = engine.tokenizer.chat_prompt([{"role": "user", "content": QUESTION}])
    [found] = engine.logprobs([prompt], [reply.text])
    made = [token["logprob"] for token in content][: len(found)]
    assert found == pytest.approx(np.array(made), abs=1e-3)


def test_the_answer_check_has_a_probability(torch_model):
    reply = bind_judge(torch_model).invoke("Is Paris in France? Answer yes or no.")
    probability = yes_probability(reply)
    assert probability is None or 0 <= probability <= 1
    [token] = reply.response_metadata["logprobs"]["content"]
    assert len(token["top_logprobs"]) == 20


@pytest.mark.parametrize("before", ["", "The", "Paris is"])
def test_scores_are_those_of_transformers_in_float32(plain, before):
    """The very first token among them, which bfloat16 gets wrong by nats."""
    scorer = load_token_scorer("hf:smollm2-135m", device="cpu")
    text = " the capital of France. It lies on the Seine. 苹果"
    [found] = scorer.logprobs([before], [text])
    ids = [*(scorer.tokenizer.ids(before) or [0]), *scorer.tokenizer.ids(text)]
    with torch.inference_mode():
        logprobs = plain(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    places = range(len(ids) - len(found), len(ids))
    expected = np.array([float(logprobs[n - 1, ids[n]]) for n in places])
    assert found == pytest.approx(expected, abs=1e-3)


def test_half_the_bits_score_alike_behind_two_tokens(smollm, engine):
    half = TransformersEngine.load(
        str(smollm), TransformersSettings(device="cpu", dtype="bfloat16")
    )
    texts = ["Paris is", " the capital of France. It lies on the Seine."]
    [some], [others] = (e.logprobs(texts[:1], texts[1:]) for e in (half, engine))
    assert np.abs(some - others).mean() < 0.1
    assert np.abs(some - others).max() < 0.4


def test_the_unpacked_copy_loads_at_once(engine):
    started = time.monotonic()
    again = TransformersEngine.load("smollm2-135m", SETTINGS)
    assert time.monotonic() - started < 10
    assert again.digest == engine.digest
