"""The engine on a tiny model: its replies are transformers' own, its scores the formula's."""

import asyncio
import json
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, Gemma2ForCausalLM

from langchain_graft.errors import ContextTooLongError, ModelError, UnknownModelError
from langchain_graft.models import (
    TokenScorer,
    TransformersEngine,
    TransformersSettings,
    load_chat_model,
    load_token_scorer,
    transformers_weights,
)
from langchain_graft.models.model_folder import loading
from langchain_graft.models.reply import TOKENS_AHEAD, Sampling, choose_token
from langchain_graft.models.transformers import shared_engine

TEXTS = ["The Lisa", "苹果电脑 and Lisa", "a", "Zebras, Macintosh computers and 苹果 of 1983. " * 2]


@pytest.fixture(scope="module")
def plain(tiny_folder):
    return AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).eval()


@pytest.fixture(params=["sync", "async"])
def reply(request):
    async def reply(engine, prompt, sampling, **more):
        if request.param == "sync":
            return list(engine.generate(prompt, sampling, **more))
        return [piece async for piece in engine.agenerate(prompt, sampling, **more)]

    return reply


def naive(plain, before, ids):
    """log p of each token of `ids`, one forward of the whole row and its whole softmax."""
    with torch.inference_mode():
        logits = plain(torch.tensor([before + ids])).logits[0].double()
    logprobs = logits - logits.exp().sum(-1, keepdim=True).log()
    return np.array([float(logprobs[len(before) - 1 + n, id_]) for n, id_ in enumerate(ids)])


@pytest.mark.parametrize("text", TEXTS)
async def test_a_greedy_reply_is_that_of_transformers(tiny_engine, plain, reply, text):
    ids = tiny_engine.tokenizer.ids(text)
    given = torch.tensor([ids])
    whole = plain.generate(
        given,
        attention_mask=torch.ones_like(given),
        max_new_tokens=24,
        do_sample=False,
        eos_token_id=sorted(tiny_engine.ends),
        pad_token_id=0,
    )
    expected = whole[0, len(ids) :].tolist()
    pieces = await reply(tiny_engine, ids, Sampling(max_tokens=24, top_logprobs=0))
    assert len(pieces) == pieces[-1].output_tokens == len(expected)
    assert "".join(piece.text for piece in pieces) == tiny_engine.tokenizer.decode(expected)
    told = [piece.logprobs[0]["token"] for piece in pieces]
    assert told == [tiny_engine.tokenizer.decode([id_]) for id_ in expected]


def test_a_prompt_is_read_in_parts(tiny_folder, tiny_engine):
    ids = tiny_engine.tokenizer.ids("Macintosh and Lisa " * 9)
    settings = TransformersSettings(device="cpu", dtype="float32", batch_tokens=7)
    parts = TransformersEngine.load(str(tiny_folder), settings)
    sampling = Sampling(max_tokens=9, top_logprobs=2)
    some, others = (list(engine.generate(ids, sampling)) for engine in (parts, tiny_engine))
    assert [piece.text for piece in some] == [piece.text for piece in others]
    for a, b in zip(some, others, strict=True):
        assert a.logprobs[0]["logprob"] == pytest.approx(b.logprobs[0]["logprob"], abs=1e-4)


def test_the_logprobs_of_a_reply_are_those_of_its_tokens(tiny_engine, plain):
    ids = tiny_engine.tokenizer.ids(TEXTS[0])
    pieces = list(tiny_engine.generate(ids, Sampling(max_tokens=6, top_logprobs=3)))
    with torch.inference_mode():
        logprobs = plain(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
    best = logprobs.topk(3)
    [first] = pieces[0].logprobs
    assert first["logprob"] == pytest.approx(float(best.values[0]), abs=1e-4)
    assert [other["token"] for other in first["top_logprobs"]] == [
        tiny_engine.tokenizer.decode([id_]) for id_ in best.indices.tolist()
    ]
    assert all(len(piece.logprobs[0]["top_logprobs"]) == 3 for piece in pieces)
    assert not any(piece.logprobs for piece in tiny_engine.generate(ids, Sampling(max_tokens=3)))


def test_a_seed_draws_the_same_again(tiny_engine):
    ids = tiny_engine.tokenizer.ids(TEXTS[0])

    def drawn(seed, **settings):
        sampling = Sampling(max_tokens=12, temperature=1.5, seed=seed, top_logprobs=0, **settings)
        return [p.logprobs[0]["token"] for p in tiny_engine.generate(ids, sampling)]

    assert drawn(1) == drawn(1)
    assert len({tuple(drawn(seed)) for seed in range(5)}) > 1
    greedy = tiny_engine.generate(ids, Sampling(max_tokens=12, top_logprobs=0))
    assert drawn(3, top_p=1e-9) == [p.logprobs[0]["token"] for p in greedy]


def test_tokens_are_drawn_from_the_nucleus_alone():
    logits = torch.log(torch.tensor([0.1, 0.5, 0.05, 0.35]))
    random = torch.Generator().manual_seed(7)

    def counts(**settings):
        sampling = Sampling(temperature=1.0, **settings)
        drawn = [choose_token(logits, sampling, random) for _ in range(2000)]
        return np.bincount(drawn, minlength=4) / 2000

    assert counts() == pytest.approx(np.array([0.1, 0.5, 0.05, 0.35]), abs=0.05)
    assert counts(top_p=0.8) == pytest.approx(np.array([0, 0.5 / 0.85, 0, 0.35 / 0.85]), abs=0.05)
    assert counts(top_p=0.3)[1] == 1
    assert choose_token(logits, Sampling()) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"max_tokens": 0}, {"temperature": -1}, {"top_p": 0}, {"top_p": 1.1}, {"top_logprobs": -1}],
)
def test_wrong_sampling_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)


def test_tokens_that_end_a_reply(tiny_engine):
    """The configuration's and the tokenizer's, and the one behind a turn of the template."""
    named = tiny_engine.tokenizer.fast.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
    assert tiny_engine.ends == set(named)


def forced(engine, monkeypatch, tokens):
    """The engine's model says these tokens, one after the other."""
    said = iter(tokens)
    monkeypatch.setattr(
        "langchain_graft.models.reply.choose_token", lambda *_: next(said), raising=True
    )
    return engine


async def test_a_reply_ends_with_its_end_token(tiny_engine, monkeypatch, reply):
    said = [*tiny_engine.tokenizer.ids("Lisa 苹"), tiny_engine.tokenizer.fast.eos_token_id]
    forced(tiny_engine, monkeypatch, said)
    pieces = await reply(tiny_engine, [5], Sampling(max_tokens=50))
    assert "".join(piece.text for piece in pieces) == "Lisa 苹"
    assert [piece.finish_reason for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert (pieces[-1].finish_reason, pieces[-1].output_tokens) == ("stop", len(said))


async def test_chinese_comes_character_by_character(tiny_engine, monkeypatch, reply):
    forced(tiny_engine, monkeypatch, tiny_engine.tokenizer.ids("苹果电脑"))
    pieces = await reply(tiny_engine, [5], Sampling(max_tokens=12))
    assert [piece.text for piece in pieces if piece.text] == list("苹果电脑")


async def test_a_stop_string_over_several_tokens(tiny_engine, monkeypatch, reply):
    forced(tiny_engine, monkeypatch, tiny_engine.tokenizer.ids("The Lisa\n\nQuestion: what?"))
    pieces = await reply(tiny_engine, [5], Sampling(max_tokens=50, stop=("\n\nQuestion:", "xyz")))
    assert "".join(piece.text for piece in pieces) == "The Lisa"
    assert pieces[-1].finish_reason == "stop"


async def test_a_reply_ends_where_the_context_is_full(tiny_engine, monkeypatch, reply):
    [token, *_] = tiny_engine.tokenizer.ids("Lisa")
    forced(tiny_engine, monkeypatch, [token] * 300)
    pieces = await reply(tiny_engine, [token] * 250, Sampling())
    assert (len(pieces), pieces[-1].finish_reason) == (6, "length")


async def test_a_prompt_without_a_token_is_refused(tiny_engine, reply):
    with pytest.raises(ValueError, match="1 token or more"):
        await reply(tiny_engine, [], Sampling())


async def test_a_prompt_that_does_not_fit_is_refused(tiny_engine, reply):
    with pytest.raises(ContextTooLongError) as refused:
        await reply(tiny_engine, [5] * 256, Sampling())
    assert (refused.value.tokens, refused.value.limit) == (256, 256)
    with pytest.raises(ContextTooLongError):
        tiny_engine.next_logprobs(["xyz 苹果 " * 60], [1])


@pytest.fixture
def forwards(tiny_engine, monkeypatch):
    """The variants of each forward, and the threads in which they ran."""
    seen, threads = [], set()

    @contextmanager
    def computing(variants):
        seen.append(list(variants))
        threads.add(threading.current_thread().name)
        yield

    monkeypatch.setattr(tiny_engine, "computing", computing)
    yield seen
    assert len(threads) <= 1
    assert threading.current_thread().name not in threads


def test_closing_stops_the_model(tiny_engine, forwards):
    with closing(tiny_engine.generate([5], Sampling(max_tokens=200))) as pieces:
        for _ in range(3):
            next(pieces)
    time.sleep(0.1)
    assert 3 <= len(forwards) <= 3 + TOKENS_AHEAD + 1


def test_a_reply_that_is_not_read_stands_still(tiny_engine, forwards):
    with closing(tiny_engine.generate([5], Sampling(max_tokens=200))) as unread:
        next(unread)
        [*read] = tiny_engine.generate([5], Sampling(max_tokens=60, top_logprobs=0))
        alone = sum(len(variants) == 1 for variants in forwards)
        assert alone <= TOKENS_AHEAD + 2  # computed with the other one, and not taken on
        stood = [next(unread) for _ in range(59)]
    assert [p.text for p in stood] == [p.text for p in read[1:]]


async def test_cancelling_stops_the_model(tiny_engine, forwards):
    async def endless():
        async for _ in tiny_engine.agenerate([5], Sampling(max_tokens=240)):
            await asyncio.sleep(0.01)

    task = asyncio.create_task(endless())
    while len(forwards) < 3:  # noqa: ASYNC110 (it is set in another thread)
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    stopped = len(forwards)
    await asyncio.sleep(0.1)
    assert len(forwards) <= stopped + 1 < 100


def test_a_variant_reaches_each_forward(tiny_engine, forwards):
    tiny_engine.logprobs(["a"], ["b"], variant="x")
    tiny_engine.next_logprobs(["a"], [1], variant="y")
    list(tiny_engine.generate([5], Sampling(max_tokens=2), variant="z"))
    assert forwards == [["x"], ["y"], ["z"], ["z"]]


def test_an_error_of_a_variant_reaches_those_who_asked(tiny_engine, monkeypatch):
    @contextmanager
    def computing(variants):
        if "no" in variants:
            msg = "no such adapter"
            raise LookupError(msg)
        yield

    monkeypatch.setattr(tiny_engine, "computing", computing)
    with pytest.raises(LookupError, match="no such adapter"):
        tiny_engine.logprobs(["a"], ["b"], variant="no")
    with pytest.raises(LookupError, match="no such adapter"):
        list(tiny_engine.generate([5], variant="no"))
    assert len(tiny_engine.logprobs(["a"], ["b"])) == 1
    assert len(list(tiny_engine.generate([5], Sampling(max_tokens=2)))) == 2


def test_many_threads_get_what_one_gets(tiny_engine):
    def ask(text):
        pieces = tiny_engine.generate(tiny_engine.tokenizer.ids(text), Sampling(max_tokens=12))
        return "".join(p.text for p in pieces), tiny_engine.logprobs([text], ["Lisa 苹"])[0]

    expected = [ask(text) for text in TEXTS]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, TEXTS * 8))
    for (text, scores), (wanted, known) in zip(found, expected * 8, strict=True):
        assert text == wanted
        assert scores == pytest.approx(known, abs=1e-4)


def test_replies_take_turns(tiny_engine):
    streams = [tiny_engine.generate([5], Sampling(max_tokens=20)) for _ in range(4)]
    for _ in range(3):
        assert all(next(stream) for stream in streams)
    for stream in streams:
        stream.close()


def test_nobody_waits_for_ever(tiny_folder):
    settings = TransformersSettings(device="cpu", parallel=1, timeout_seconds=0.05)
    engine = TransformersEngine.load(str(tiny_folder), settings)
    forgotten = engine.generate([5])
    next(forgotten)
    with pytest.raises(ModelError, match="busy with other replies"):
        next(engine.generate([5]))
    forgotten.close()
    assert next(engine.generate([5])) is not None


def test_no_thread_stays_in_inference_mode(tiny_engine):
    pieces = tiny_engine.generate([5], Sampling(max_tokens=4))
    next(pieces)
    assert not torch.is_inference_mode_enabled()
    pieces.close()
    assert tiny_engine.run(torch.is_inference_mode_enabled).result()
    assert not torch.is_inference_mode_enabled()


def test_scores_are_those_of_the_formula(tiny_engine, plain):
    """In one batch and each alone, to 1e-4."""
    prompts = [*TEXTS, "", "", "Lisa"]
    texts = ["Lisa", "苹", "The Apple of Apple and Lisa", "x", "The Lisa", "", ""]
    found = tiny_engine.logprobs(prompts, texts)
    for prompt, text, values in zip(prompts, texts, found, strict=True):
        before = tiny_engine.tokenizer.ids(prompt) or [tiny_engine.tokenizer.fast.eos_token_id]
        expected = naive(plain, before, tiny_engine.tokenizer.ids(text))
        assert values.dtype == np.float32
        assert values == pytest.approx(expected, abs=1e-4)
        assert tiny_engine.logprobs([prompt], [text])[0] == pytest.approx(values, abs=1e-4)


def test_a_long_text_is_scored_in_windows(tiny_folder, plain):
    settings = TransformersSettings(device="cpu", dtype="float32", context_tokens=16)
    engine = TransformersEngine.load(str(tiny_folder), settings)
    ids = engine.tokenizer.ids(TEXTS[3])
    assert len(ids) > 40
    [found] = engine.logprobs([""], [TEXTS[3]])
    row = [0, *ids]
    expected = [naive(plain, row[:n], [row[n]])[0] for n in range(1, 16)]
    expected += [naive(plain, row[8:n], [row[n]])[0] for n in range(16, 24)]
    assert found[: len(expected)] == pytest.approx(np.array(expected), abs=1e-4)
    assert len(found) == len(ids)
    assert (found < 0).all()


def test_the_next_token(tiny_engine, plain):
    wanted = [3, 250, 7, 3]
    found = tiny_engine.next_logprobs(TEXTS, wanted)
    assert (found.shape, found.dtype) == ((len(TEXTS), 4), np.float32)
    for row, text in zip(found, TEXTS, strict=True):
        ids = tiny_engine.tokenizer.ids(text)
        expected = [naive(plain, ids, [token])[0] for token in wanted]
        assert row == pytest.approx(np.array(expected), abs=1e-4)
    every = tiny_engine.next_logprobs(["Lisa"], range(plain.config.vocab_size))
    assert np.exp(every).sum() == pytest.approx(1, abs=1e-4)
    assert tiny_engine.next_logprobs([], [1]).shape == (0, 1)
    assert tiny_engine.next_logprobs(["a"], []).shape == (1, 0)


@pytest.mark.parametrize("wrong", [[-1], [3, 100_000]])
def test_there_is_no_such_token(tiny_engine, wrong):
    with pytest.raises(ValueError, match="Token ids must lie from 0"):
        tiny_engine.next_logprobs(["a"], wrong)


def test_as_many_prompts_as_continuations(tiny_engine):
    with pytest.raises(ValueError, match=r"shorter|longer"):
        tiny_engine.logprobs(["a"], ["b", "c"])


@pytest.mark.parametrize("text", ["", "The Lisa, 1983", "苹果 and 🙂\n\nLisa"])
def test_every_scored_token_has_its_place(tiny_engine, text):
    spans = tiny_engine.token_spans(text)
    assert len(spans) == len(tiny_engine.logprobs(["x"], [text])[0])
    covered = {place for start, end in spans for place in range(start, end)}
    assert covered == set(range(len(text)))


def test_a_model_that_caps_its_logits_is_scored_as_it_answers(tiny_tokenizer):
    torch.manual_seed(2)
    config = Gemma2Config(
        vocab_size=len(tiny_tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        final_logit_softcapping=2.0,
        initializer_range=0.5,
        max_position_embeddings=64,
        eos_token_id=0,
    )
    model = Gemma2ForCausalLM(config).eval()
    engine = TransformersEngine(model, tiny_tokenizer, name="capped", digest="0")
    [found] = engine.logprobs(["The"], ["Lisa and Apple"])
    expected = naive(model, engine.tokenizer.ids("The"), engine.tokenizer.ids("Lisa and Apple"))
    assert found == pytest.approx(expected, abs=1e-4)


def test_a_reply_follows_a_grammar(tiny_engine):
    for seed in range(4):
        sampling = Sampling(max_tokens=40, temperature=1.0, seed=seed, top_logprobs=1)
        asked = {"grammar": 'root ::= "yes" | "苹果"'}
        pieces = list(tiny_engine.generate([5], sampling, grammar=asked))
        assert "".join(piece.text for piece in pieces) in ("yes", "苹果")
        assert pieces[-1].finish_reason == "stop"


def test_a_reply_in_json_is_not_all_blanks(tiny_engine):
    """A model that would rather say blanks than anything else ends all the same."""
    blank, *_ = tiny_engine.tokenizer.ids(" ")
    longing = torch.zeros(len(tiny_engine.tokenizer.fast))
    longing[blank] = 100.0
    schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
    mask = tiny_engine._mask({"json_schema": schema})
    said = []
    for _ in range(200):
        token = int(mask.allow(longing).argmax())
        said.append(token)
        if mask.accept(token) or token in tiny_engine.ends:
            break
    assert set(json.loads(tiny_engine.tokenizer.decode(said))) == {"a"}


@pytest.mark.parametrize(
    "wrong", [{"grammar": "root ="}, {"json_schema": {}, "grammar": 'root ::= "a"'}, {"else": 1}]
)
def test_a_wrong_grammar_is_refused(tiny_engine, wrong):
    with pytest.raises(ValueError, match="grammar"):
        next(tiny_engine.generate([5], grammar=wrong))


def test_it_is_a_token_scorer_and_is_shared(tiny_folder):
    name = f"hf:{tiny_folder}"
    scorer = load_token_scorer(name, device="cpu")
    assert isinstance(scorer, TokenScorer)
    assert load_chat_model(name, device="cpu", dtype="float32", temperature=1).engine is scorer
    assert load_token_scorer(name, device="cpu", dtype="float16") is not scorer


def test_scores_are_computed_in_float32_unless_told_otherwise(tiny_folder):
    name = f"hf:{tiny_folder}"
    assert load_token_scorer(name).dtype == "float32"
    assert load_token_scorer(name, dtype="bfloat16").dtype == "bfloat16"


def test_settings_that_mean_the_same_share_an_engine(tiny_folder):
    told = load_chat_model(f"hf:{tiny_folder}").engine
    name = f"hf:{tiny_folder}"
    same = load_chat_model(name, device=told.device, dtype=told.dtype)
    assert same.engine is told
    assert (told.settings.device, told.settings.dtype) == (told.device, told.dtype)


def test_an_engine_goes_with_those_who_hold_it(tiny_folder):
    settings = TransformersSettings(device="cpu", context_tokens=99)
    engine = shared_engine(str(tiny_folder), settings)
    assert engine.logprobs(["a"], ["b"])
    thread = engine._thread.thread
    assert thread.is_alive()
    del engine
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize("spec", ["gguf:x", "smollm2-135m", "hf:", "openai:gpt-4.1"])
def test_only_hf_models_score(spec):
    with pytest.raises(ValueError, match="Only 'hf:' models"):
        load_token_scorer(spec)


@pytest.mark.parametrize("name", ["nonsense", "/no/such", "./no", "a/b/c", "minilm", "x.gguf"])
def test_nothing_goes_by_that_name(name):
    with pytest.raises(UnknownModelError, match="smollm2-135m"):
        load_chat_model(f"hf:{name}")


@pytest.mark.parametrize(
    "wrong",
    [
        {"context_tokens": 1},
        {"batch_tokens": 0},
        {"parallel": 0},
        {"threads": 0},
        {"timeout_seconds": 0},
        {"timeout_seconds": float("nan")},
        {"dtype": "int8"},
    ],
)
def test_a_wrong_setting_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TransformersSettings(**wrong)


def test_more_context_than_the_model_was_made_for(tiny_folder):
    with pytest.raises(ValueError, match="made for 256 tokens"):
        load_token_scorer(f"hf:{tiny_folder}", context_tokens=257)


@pytest.fixture
def copy(tiny_folder, tmp_path):
    return shutil.copytree(tiny_folder, tmp_path / "copy")


def changed(folder, name, **settings):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_of_a_models_own_is_refused(copy, name):
    changed(copy, name, auto_map={"AutoModelForCausalLM": "model.Evil"})
    with pytest.raises(ModelError, match="auto_map"):
        load_token_scorer(f"hf:{copy}")


def test_a_pickle_is_refused(copy):
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        load_token_scorer(f"hf:{copy}")


def test_an_adapter_is_no_model(copy):
    (copy / "adapter_config.json").write_text('{"base_model_name_or_path": "evil/base"}')
    with pytest.raises(ModelError, match="adapter"):
        load_token_scorer(f"hf:{copy}")


def test_a_broken_folder_is_told(copy):
    (copy / "config.json").write_text('{"model_type": "nosuch"}')
    with pytest.raises(ModelError, match="can not be loaded by transformers"):
        load_token_scorer(f"hf:{copy}")
    (copy / "config.json").write_text("{")
    with pytest.raises(ModelError, match="is no JSON"):
        load_token_scorer(f"hf:{copy}")


def test_a_file_that_is_no_gguf_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("LANGCHAIN_GRAFT_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "x.gguf"
    file.write_bytes(b"GGUF no more")
    with pytest.raises(ModelError, match=r"x\.gguf.*can not be loaded"):
        load_token_scorer(f"hf:{file}")
    assert not list((tmp_path / "cache" / "models" / "unpacked").iterdir())


def test_unpacking_shows_no_bar(tmp_path, capfd):
    bar = transformers_weights.unpacker.tqdm
    with loading(tmp_path, "transformers"), transformers_weights._obedient_bar():
        assert list(transformers_weights.unpacker.tqdm([1, 2], desc="Unpacking")) == [1, 2]
    assert capfd.readouterr().err == ""
    assert transformers_weights.unpacker.tqdm is bar


def test_the_digest_is_of_weights_template_and_settings(copy):
    def digest():
        return TransformersEngine.load(str(copy)).digest

    before = digest()
    assert digest() == before
    template = copy / "chat_template.jinja"
    template.write_text(template.read_text() + " ")
    assert digest() != before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_scores_as_the_processor_does(tiny_folder, tiny_engine):
    engine = TransformersEngine.load(
        str(tiny_folder), TransformersSettings(device="cuda", dtype="float32")
    )
    some, others = (e.logprobs(TEXTS, TEXTS[::-1]) for e in (engine, tiny_engine))
    for a, b in zip(some, others, strict=True):
        assert a == pytest.approx(b, abs=1e-3)
    sampling = Sampling(max_tokens=5, temperature=1.0, seed=3)
    texts = ["".join(p.text for p in engine.generate([5], sampling)) for _ in range(2)]
    assert texts[0] == texts[1]


def test_a_process_ends_well_whose_engine_has_just_gone(tiny_folder):
    """Its thread may still be giving the model's memory back."""
    code = f"""
from langchain_graft.models import TransformersEngine
for _ in range(3):
    engine = TransformersEngine.load({str(tiny_folder)!r})
    next(engine.generate([5]))
    unread = engine.generate([6])
    next(unread)
    del engine, unread
"""
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
