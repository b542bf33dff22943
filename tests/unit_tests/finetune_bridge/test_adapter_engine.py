"""Adapters come, answer and go while requests run: each has the one that it asked for."""

import asyncio
import gc
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from random import Random

import numpy as np
import pytest
import torch
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.prompts import ChatPromptTemplate
from peft import PeftModel
from transformers import AutoModelForCausalLM

from langchain_graft.errors import AdapterError, AdapterMismatchError, AdapterNotFoundError
from langchain_graft.finetune_bridge import (
    AdapterEngine,
    AdapterManifest,
    AdapterRef,
    AdapterStore,
)
from langchain_graft.finetune_bridge.adapter_probe import record_probes
from langchain_graft.models import TransformersEngine, TransformersSettings
from langchain_graft.models.reply import Sampling

REQUESTS = int(os.environ.get("GRAFT_RACE_REQUESTS", "800"))
PROMPTS = ["The Lisa", "苹果 and", "Macintosh computers of", "a"]


@pytest.fixture(scope="module")
def engine(tiny_folder):
    """One of this module's own: adapters hook into its layers."""
    settings = TransformersSettings(device="cpu", dtype="float32")
    return TransformersEngine.load(str(tiny_folder), settings)


@pytest.fixture(scope="module")
def folders(make_adapter):
    every = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    return [make_adapter(seed=n, r=4 * n, alpha=8 * n, target_modules=every) for n in (1, 2, 3)]


def manifest_of(engine, **settings):
    given = {"kind": "generator", "base": "hf:tiny", "base_digest": engine.digest}
    return AdapterManifest(**given | settings)


@pytest.fixture
def store(tmp_path, engine, folders):
    store = AdapterStore(tmp_path / "adapters")
    for n, folder in enumerate(folders, start=1):
        store.register(folder, "legal", manifest=manifest_of(engine))
        ref = store.register(folder, f"other{n}", manifest=manifest_of(engine))
        store.promote(ref)
    store.promote(AdapterRef("legal", 1))
    return store


@pytest.fixture
def adapters(engine, store):
    adapters = AdapterEngine(engine, store)
    yield adapters
    adapters.close()


@pytest.fixture(scope="module")
def serial(tiny_folder, folders, engine):
    """First-token logprobs of PEFT's own models, by prompt and number of the adapter."""

    def first(model):
        with torch.inference_mode():
            ids = [torch.tensor([engine.tokenizer.prompt_ids(text)]) for text in PROMPTS]
            return [model(one).logits[0, -1].log_softmax(-1).numpy() for one in ids]

    def base():
        return AutoModelForCausalLM.from_pretrained(tiny_folder).eval()

    tuned = [first(PeftModel.from_pretrained(base(), folder).eval()) for folder in folders]
    return [first(base()), *tuned]


def scores(adapters, adapter, prompt):
    every = range(adapters.engine.vocabulary)
    with adapters.lease(adapter) as lease:
        return adapters.engine.next_logprobs([prompt], every, variant=lease.variant)[0]


def test_each_version_answers_as_peft_does(adapters, serial):
    for n, adapter in enumerate(["base", "legal", "legal@000002", "legal@000003"]):
        for prompt, expected in zip(PROMPTS, serial[n], strict=True):
            assert scores(adapters, adapter, prompt) == pytest.approx(expected, abs=1e-4)
    assert [ref.version for ref in adapters.loaded()] == [1, 2, 3]


def test_a_promotion_loads_flips_drains_and_deletes(adapters):
    model = adapters.chat_model("legal", max_tokens=40)
    stream = model.stream("Lisa")
    next(stream)
    adapters.promote(AdapterRef("legal", 2))
    assert adapters.resolve("legal") == "legal@000002"
    assert model.invoke("Lisa", max_tokens=2).response_metadata["adapter"] == "legal@000002"
    assert len(adapters.loaded()) == 2  # the stream goes on with the one it began with
    [*_, last] = stream
    assert last.response_metadata.get("adapter", "legal@000001") == "legal@000001"
    wait_for(lambda: adapters.loaded() == [AdapterRef("legal", 2)])
    assert adapters.rollback("legal") == AdapterRef("legal", 1)
    assert model.invoke("Lisa", max_tokens=2).response_metadata["adapter"] == "legal@000001"
    wait_for(lambda: adapters.loaded() == [AdapterRef("legal", 1)])


def test_another_process_flips_the_alias(adapters, store):
    model = adapters.chat_model("legal", max_tokens=2)
    model.invoke("a")
    AdapterStore(store.folder).promote(AdapterRef("legal", 3))
    assert model.invoke("a").response_metadata["adapter"] == "legal@000003"
    wait_for(lambda: adapters.loaded() == [AdapterRef("legal", 3)])


def wait_for(happened, seconds=10):
    deadline = time.monotonic() + seconds
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert happened()


@pytest.mark.parametrize(
    "kind", ["invoke", "ainvoke", "stream", "astream", "batch", "astream_events"]
)
async def test_the_adapter_of_a_call(adapters, kind):
    """By field, by `configurable`, by argument; in chains too."""
    chain = ChatPromptTemplate.from_messages([("human", "{input}")]) | adapters.chat_model(
        "legal", max_tokens=3
    )
    config = {"configurable": {"adapter": "other2"}}

    async def told(chain, config=None):
        given = {"input": "Lisa"}
        if kind == "invoke":
            message = chain.invoke(given, config)
        elif kind == "ainvoke":
            message = await chain.ainvoke(given, config)
        elif kind == "batch":
            [message] = chain.batch([given], config)
        elif kind == "stream":
            message = sum_of(list(chain.stream(given, config)))
        elif kind == "astream":
            message = sum_of([chunk async for chunk in chain.astream(given, config)])
        else:
            events = [e async for e in chain.astream_events(given, config, version="v2")]
            message = sum_of(
                [e["data"]["chunk"] for e in events if e["event"] == "on_chat_model_stream"]
            )
        return message.response_metadata["adapter"]

    assert await told(chain) == "legal@000001"
    assert await told(chain, config) == "other2@000001"
    assert await told(chain, {"configurable": {"adapter": "base"}}) == "base"
    assert (
        await told(chain.first | chain.last.bind(adapter="legal@000003"), config) == "legal@000003"
    )


def sum_of(chunks):
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    return total


def test_no_cache_gives_one_adapter_the_answer_of_another(adapters):
    set_llm_cache(InMemoryCache())
    try:
        model = adapters.chat_model("legal", max_tokens=5)
        first = model.invoke("Lisa")
        adapters.promote(AdapterRef("legal", 2))
        second = model.invoke("Lisa")
        adapters.promote(AdapterRef("legal", 1))
        third = model.invoke("Lisa")
    finally:
        set_llm_cache(None)
    told = [m.response_metadata["adapter"] for m in (first, second, third)]
    assert told == ["legal@000001", "legal@000002", "legal@000001"]
    assert first.content == third.content != second.content


def test_what_was_made_for_another_base_is_refused(adapters, store, engine, folders):
    wrong = store.register(folders[0], "wrong", manifest=manifest_of(engine, base_digest="0" * 32))
    with pytest.raises(AdapterMismatchError, match="another base model"):
        adapters.load(wrong)
    other = manifest_of(engine, tokenizer_digest="0" * 32)
    with pytest.raises(AdapterMismatchError, match="another tokenizer"):
        adapters.load(store.register(folders[0], "wrong", manifest=other))
    embeds = store.register(folders[0], "embeds", manifest=manifest_of(engine, kind="embeddings"))
    with pytest.raises(AdapterError, match="made for embeddings"):
        adapters.load(embeds)
    with pytest.raises(AdapterNotFoundError, match="nobody"):
        adapters.chat_model("nobody")
    assert not adapters.loaded()


def test_a_probe_that_fails_leaves_the_alias(adapters, store, engine, folders):
    with adapters.lease("other2") as lease:
        probes = record_probes(engine, PROMPTS, variant=lease.variant)
    good = store.register(folders[1], "probed", manifest=manifest_of(engine, probe=probes))
    adapters.promote(good)
    bad = store.register(folders[2], "probed", manifest=manifest_of(engine, probe=probes))
    with pytest.raises(AdapterError, match="nats off"):
        adapters.promote(bad)
    assert adapters.resolve("probed") == str(good)


def test_memory_is_bounded(engine, store):
    adapters = AdapterEngine(engine, store, max_loaded=2)
    for adapter in ("other1", "other2", "other3", "other1", "legal"):
        scores(adapters, adapter, "a")
        assert len(adapters.loaded()) <= 2
    assert [str(ref) for ref in adapters.loaded()] == ["legal@000001", "other1@000001"]
    adapters.close()
    assert not adapters.loaded()
    assert not engine.run(lambda: list(adapters._layers._adapters)).result()


@pytest.mark.parametrize("how", ["closed", "left", "failed", "never read"])
def test_requests_that_are_left_free_their_lease(adapters, how):
    model = adapters.chat_model("legal", max_tokens=200)
    for _ in range(int(os.environ.get("GRAFT_ABANDONED", "100"))):
        stream = model.stream("Lisa")
        if how == "closed":
            next(stream)
            stream.close()
        elif how == "left":
            next(stream)
            del stream
        elif how == "failed":
            with pytest.raises(ValueError, match="max_tokens"):
                next(model.stream("Lisa", max_tokens=0))
        else:
            del stream
    gc.collect()
    wait_for(lambda: all(not one.requests for one in adapters._loaded.values()))
    adapters.close()
    assert not adapters.loaded()


async def test_requests_that_are_cancelled_free_their_lease(adapters):
    model = adapters.chat_model("legal", max_tokens=200)

    async def ask():
        async for _ in model.astream("Lisa"):
            await asyncio.sleep(0.001)

    random = Random(1)  # noqa: S311 (the same each time)
    for _ in range(10):
        tasks = [asyncio.create_task(ask()) for _ in range(10)]
        await asyncio.sleep(random.random() * 0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    wait_for(lambda: all(not one.requests for one in adapters._loaded.values()))


def test_no_request_has_the_answer_of_another_adapter(adapters, store, serial, folders, engine):
    """8 threads ask while versions are made, promoted, rolled back and removed."""
    wrong, stop, flips = [], threading.Event(), [0]
    versions = dict(zip((1, 2, 3), serial[1:], strict=True))

    def flip():
        for n in cycle((1, 2, 0)):
            if stop.is_set():
                return
            ref = store.register(folders[n], "legal", manifest=manifest_of(engine))
            versions[ref.version] = serial[n + 1]
            adapters.promote(ref)
            flips[0] += 1

    def ask(seed):
        random = Random(seed)  # noqa: S311
        for _ in range(REQUESTS // 8):
            n, prompt = random.randrange(5), random.randrange(len(PROMPTS))
            text = "legal" if n == 4 else f"other{n}" if n else "base"
            with adapters.lease(text) as lease:
                ids = engine.tokenizer.prompt_ids(PROMPTS[prompt])
                sampling = Sampling(max_tokens=1, top_logprobs=5)
                [piece] = engine.generate(ids, sampling, variant=lease.variant)
                version = int(lease.adapter.rpartition("@")[2]) if n == 4 else None
                known = versions[version] if version else serial[n]
            top = np.sort([one["logprob"] for one in piece.logprobs[0]["top_logprobs"]])
            if not np.allclose(top, np.sort(known[prompt])[-5:], atol=1e-4):
                wrong.append((text, prompt))

    flipping = threading.Thread(target=flip)
    flipping.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    stop.set()
    flipping.join()
    assert not wrong
    assert flips[0] >= 3


def test_stock_peft_would_fail_this(tiny_folder, folders, serial, engine):
    """Nothing is loaded meanwhile, and yet: the adapter's name lies on modules that all share."""
    model = AutoModelForCausalLM.from_pretrained(tiny_folder)
    tuned = PeftModel.from_pretrained(model, folders[0], adapter_name="a1")
    for n in (2, 3):
        tuned.load_adapter(folders[n - 1], f"a{n}")
    tuned.eval()
    wrong = []

    def ask(seed):
        random = Random(seed)  # noqa: S311
        for _ in range(40):
            n, prompt = random.randrange(1, 4), random.randrange(len(PROMPTS))
            ids = torch.tensor([engine.tokenizer.prompt_ids(PROMPTS[prompt])])
            with torch.inference_mode():
                logits = tuned(ids, adapter_names=[f"a{n}"]).logits[0, -1]
            if not np.allclose(logits.log_softmax(-1).numpy(), serial[n][prompt], atol=1e-4):
                wrong.append(n)

    ask(0)
    assert not wrong
    with ThreadPoolExecutor(8) as pool:
        for asked in [pool.submit(ask, seed) for seed in range(8)]:
            asked.exception()  # it may also raise
    assert wrong
