"""Replies that are computed together are those that each would be alone."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from langchain_graft.models import TransformersEngine, TransformersSettings
from langchain_graft.models.prefixes import LEAST_TOKENS, Prefixes
from langchain_graft.models.reply import Sampling
from langchain_graft.models.slot_cache import layers_in_slots

SIZES = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.4,
    "eos_token_id": 0,
}
MODELS = {
    "all": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "window": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=8)),
    "both": lambda: Gemma2ForCausalLM(Gemma2Config(**SIZES, head_dim=8, sliding_window=8)),
    "eager": lambda: Gemma2ForCausalLM._from_config(
        Gemma2Config(**SIZES, head_dim=8, sliding_window=8), attn_implementation="eager"
    ),
    "states": lambda: MambaForCausalLM(
        MambaConfig(vocab_size=300, hidden_size=32, num_hidden_layers=2, eos_token_id=0)
    ),
}


def engine_of(model, tokenizer, **settings):
    settings = TransformersSettings(device="cpu", dtype="float32", **settings)
    return TransformersEngine(model, tokenizer, name="tiny", digest="0", settings=settings)


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    torch.manual_seed(3)
    return MODELS[request.param]().eval()


def prompts(count, seed=1):
    rng = random.Random(seed)  # noqa: S311 (the same each time)
    return [[rng.randrange(3, 290) for _ in range(rng.randint(1, 40))] for _ in range(count)]


def first_logits(pieces):
    return [round(piece.logprobs[0]["logprob"], 3) for piece in pieces]


def alone(model, ids, tokens):
    """Greedy tokens, each by a forward over the whole row."""
    row = list(ids)
    with torch.inference_mode():
        for _ in range(tokens):
            row.append(int(model(torch.tensor([row]), use_cache=False).logits[0, -1].argmax()))
            if row[-1] == 0:
                break
    return row[len(ids) :]


def test_which_models_share_a_cache():
    shared = {name: layers_in_slots(make().config) for name, make in MODELS.items()}
    assert shared == {"all": 3, "window": 3, "both": 3, "eager": 3, "states": None}


def test_replies_together_are_those_alone(model, tiny_tokenizer):
    engine = engine_of(model, tiny_tokenizer, parallel=5, batch_tokens=16)
    told = []
    engine.tokenizer.decode = lambda ids: "".join(f"<{n}>" for n in ids)
    asked = prompts(8)
    wanted = ["".join(f"<{n}>" for n in alone(model, ids, 12) if n) for ids in asked]

    def ask(ids):
        pieces = engine.generate(ids, Sampling(max_tokens=12))
        told.append("".join(piece.text for piece in pieces))
        return told[-1]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, asked)) == wanted


def test_a_forward_serves_all_who_ask(tiny_engine, monkeypatch):
    sizes = []
    whole = tiny_engine._batch._states.step

    def step(tokens, positions):
        sizes.append(len(tokens))
        return whole(tokens, positions)

    monkeypatch.setattr(tiny_engine._batch._states, "step", step)
    begun = threading.Barrier(8)

    def ask(n):
        begun.wait()
        return len(list(tiny_engine.generate([5 + n], Sampling(max_tokens=50))))

    with ThreadPoolExecutor(8) as pool:
        tokens = sum(pool.map(ask, range(8)))
    assert max(sizes) == 8
    assert sum(sizes) <= tokens + 8 * 3


def test_what_was_read_is_not_read_again(model, tiny_tokenizer, monkeypatch):
    engine = engine_of(model, tiny_tokenizer)
    shared = prompts(1, seed=4)[0] * 4
    shared = shared[:60]
    asked = [[*shared, *rest] for rest in ([7, 8], [9], [7, 8, 11])]
    wanted = [alone(model, ids, 6) for ids in asked]
    read = []
    whole = engine._batch._states.read

    def counted(slot, ids, start):
        read.append(len(ids))
        return whole(slot, ids, start)

    monkeypatch.setattr(engine._batch._states, "read", counted)
    engine.tokenizer.decode = lambda ids: "".join(f"<{n}>" for n in ids)
    for ids, tokens in zip(asked, wanted, strict=True):
        pieces = list(engine.generate(ids, Sampling(max_tokens=6)))
        assert "".join(p.text for p in pieces) == "".join(f"<{n}>" for n in tokens if n)
    if layers_in_slots(model.config):
        assert read[0] == 62
        assert max(read[1:]) <= 3
    before = len(read)
    list(engine.generate(asked[0], Sampling(max_tokens=2), variant="another"))
    assert sum(read[before:]) >= 62  # what one variant has read is nothing to another


def test_streams_that_are_left_free_their_rows(tiny_engine):
    for _ in range(200):
        pieces = tiny_engine.generate([5, 6, 7], Sampling(max_tokens=100))
        next(pieces)
        pieces.close()
    deadline = time.monotonic() + 5
    while tiny_engine._batch._rows and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not tiny_engine._batch._rows
    assert not tiny_engine._batch.has_work


def test_an_error_in_one_forward_ends_those_replies_and_no_others(tiny_engine, monkeypatch):
    def broken(*_):
        msg = "out of memory"
        raise RuntimeError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(tiny_engine._batch._states, "step", broken)
        with pytest.raises(RuntimeError, match="out of memory"):
            list(tiny_engine.generate([5], Sampling(max_tokens=9)))
    assert len(list(tiny_engine.generate([5], Sampling(max_tokens=9)))) == 9


def test_rows_that_begin_alike():
    kept = Prefixes(200)
    long = list(range(80))
    assert kept.wants("a", long)
    kept.keep("a", long, "long")
    assert not kept.wants("a", long[:40])
    assert kept.wants("b", long[:40])
    assert not kept.wants("a", list(range(1000, 1000 + LEAST_TOKENS - 1)))
    assert not kept.wants("a", list(range(201)))
    assert kept.longest("a", [*long[:50], 7, 7]) == (50, "long")
    assert kept.longest("b", long) == (0, None)
    assert kept.longest("a", long[: LEAST_TOKENS - 1]) == (0, None)
    assert kept.longest("a", [*long, 1], [([*long, 1, 2], 3)]) == (81, 3)
    kept.keep("a", [*long, 80], "longer")
    assert [states for _, _, states in kept._kept] == ["longer"]
    kept.keep("b", list(range(500, 640)), "other")
    assert [states for _, _, states in kept._kept] == ["other"]
    kept.forget("b")
    assert not kept._kept
