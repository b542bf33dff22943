"""Adapters come, answer and go while requests run: each has the one that it asked for."""

import asyncio
import gc
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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

from langchain_graft.errors import (
    AdapterError,
    AdapterInUseError,
    AdapterMismatchError,
    AdapterNotFoundError,
)
from langchain_graft.finetune_bridge import (
    AdapterEngine,
    AdapterManifest,
    AdapterRef,
    AdapterStore,
)
from langchain_graft.finetune_bridge.serving.probe import record_probes
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


TOKENS = 4


@pytest.fixture(scope="module")
def serial(tiny_folder, folders, engine):
    """What PEFT's own models say alone: by adapter and prompt the logprobs of each of 4 places."""

    def said(model, text):
        ids, places = engine.tokenizer.prompt_ids(text), []
        with torch.inference_mode():
            for _ in range(TOKENS):
                places.append(model(torch.tensor([ids])).logits[0, -1].log_softmax(-1).numpy())
                ids = [*ids, int(places[-1].argmax())]
        return places

    def base():
        return AutoModelForCausalLM.from_pretrained(tiny_folder).eval()

    models = [base(), *(PeftModel.from_pretrained(base(), folder).eval() for folder in folders)]
    return [[said(model, text) for text in PROMPTS] for model in models]


def right(engine, pieces, places):
    """Whether pieces are those that were said alone: each one's token and best logprobs."""
    for piece, place in zip(pieces, places, strict=False):
        told = piece.logprobs[0]["top_logprobs"]
        best = np.argsort(-place)[: len(told)]
        known = [engine.tokenizer.decode([int(n)]) for n in best]
        if [one["token"] for one in told] != known and np.min(np.abs(np.diff(place[best]))) > 1e-4:
            return False
        if not np.allclose([one["logprob"] for one in told], place[best], atol=1e-4):
            return False
    return True


def scores(adapters, adapter, prompt):
    every = range(adapters.engine.vocabulary)
    with adapters.lease(adapter) as lease:
        return adapters.engine.next_logprobs([prompt], every, variant=lease.variant)[0]


def test_each_version_answers_as_peft_does(adapters, serial):
    for n, adapter in enumerate(["base", "legal", "legal@000002", "legal@000003"]):
        for prompt, places in zip(PROMPTS, serial[n], strict=True):
            assert scores(adapters, adapter, prompt) == pytest.approx(places[0], abs=1e-4)
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


def requests_of(adapters):
    adapters.loaded()
    return sum(one.requests for one in adapters._loaded.values())


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
    wait_for(lambda: not requests_of(adapters))
    adapters.close()
    assert not adapters.loaded()


def test_a_lease_in_rubbish_is_released_wherever_it_is_collected(adapters):
    """Also inside a section that is locked: nothing is waited for there."""

    def leave():
        def stream():
            with adapters.lease("legal") as lease:
                yield lease

        one = stream()
        next(one)
        cycle = [one]
        cycle.append(cycle)

    for _ in range(20):
        leave()
        with adapters._lock:
            gc.collect()
    wait_for(lambda: not requests_of(adapters))


def test_one_wrong_call_ends_no_other(adapters):
    model = adapters.chat_model("legal", max_tokens=60)
    stream = model.stream("Lisa")
    next(stream)
    for wrong in ({"temperature": 1e-39}, {"seed": 2**64}, {"top_logprobs": 1.5, "logprobs": True}):
        with pytest.raises((ValueError, RuntimeError)):
            model.invoke("a", **({"temperature": 1.0} | wrong))
    assert len(list(stream)) > 20


def test_a_lease_is_released_when_a_call_can_not_be_made(adapters):
    model = adapters.chat_model("legal", max_tokens=5)
    tool = {"name": "f", "description": "", "parameters": [1]}
    for _ in range(3):
        with pytest.raises((TypeError, ValueError, AttributeError)):
            model.bind_tools([tool], tool_choice="any").invoke("a")
    gc.collect()
    assert not requests_of(adapters)


def test_engines_share_a_base(adapters, engine, store):
    """The same store, too."""
    other = AdapterEngine(engine, store)
    for one in (adapters, other, adapters):
        message = one.chat_model("legal", max_tokens=3).invoke("Lisa")
        assert message.response_metadata["adapter"] == "legal@000001"
    other.close()
    assert scores(adapters, "legal", "a") is not None


def test_a_loop_that_is_closed_frees_its_requests(adapters):
    for _ in range(3):
        loop, lease = asyncio.new_event_loop(), adapters.lease("legal")
        sampling = Sampling(max_tokens=200)
        reply = adapters.engine.agenerate(
            [5], sampling, variant=lease.variant, on_end=lease.release
        )
        loop.run_until_complete(anext(reply))
        loop.close()
    wait_for(lambda: not requests_of(adapters))


def test_what_is_idle_in_memory_can_be_removed(adapters, store):
    adapters.load(AdapterRef("legal", 3))
    store.remove(AdapterRef("legal", 3))
    with pytest.raises(AdapterNotFoundError, match="legal@000003"):
        adapters.lease("legal@000003")


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
    await asyncio.to_thread(wait_for, lambda: not requests_of(adapters))  # the loop closes some


class Race:
    """8 threads ask while versions come, are promoted, rolled back and removed."""

    def __init__(self, adapters, serial, folders):
        self.adapters, self.serial, self.folders = adapters, serial, folders
        self.versions = {f"legal@{n:06}": n for n in (1, 2, 3)}
        self.wrong, self.flips, self.stop = [], 0, threading.Event()

    def flip(self):
        store = self.adapters.store
        for n in cycle((1, 2, 0)):
            if self.stop.is_set():
                return
            manifest = manifest_of(self.adapters.engine)
            ref = store.register(self.folders[n], "legal", manifest=manifest)
            self.versions[str(ref)] = n + 1
            self.adapters.promote(ref)
            self.flips += 1
            if self.flips % 3 == 0:
                self.adapters.promote(self.adapters.rollback("legal"))
            for old in [one.ref for one in store.list() if one.ref.name == "legal"][:-4]:
                with suppress(AdapterInUseError):
                    store.remove(old)

    def requests(self, seed):
        """Gives prompt, sampling and variant; is sent the pieces."""
        random, engine = Random(seed), self.adapters.engine  # noqa: S311
        for _ in range(REQUESTS // 16):
            n, prompt = random.randrange(5), random.randrange(len(PROMPTS))
            text = "legal" if n == 4 else f"other{n}" if n else "base"
            with self.adapters.lease(text) as lease:
                sampling = Sampling(max_tokens=TOKENS, top_logprobs=5)
                pieces = yield engine.tokenizer.prompt_ids(PROMPTS[prompt]), sampling, lease.variant
            which = self.versions[lease.adapter] if n == 4 else n
            if not right(engine, pieces, self.serial[which][prompt]):
                self.wrong.append((lease.adapter, prompt))

    def sync(self, seed):
        requests, pieces = self.requests(seed), None
        with suppress(StopIteration):
            while True:
                ids, sampling, variant = requests.send(pieces)
                pieces = list(self.adapters.engine.generate(ids, sampling, variant=variant))

    def asynchronous(self, seed):
        async def ask():
            requests, pieces = self.requests(seed), None
            with suppress(StopIteration):
                while True:
                    ids, sampling, variant = requests.send(pieces)
                    reply = self.adapters.engine.agenerate(ids, sampling, variant=variant)
                    pieces = [piece async for piece in reply]

        asyncio.run(ask())

    def run(self, ask):
        flipping = threading.Thread(target=self.flip)
        flipping.start()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, range(8)))
        self.stop.set()
        flipping.join()


@pytest.mark.parametrize("kind", ["sync", "asynchronous"])
def test_no_request_has_the_answer_of_another_adapter(adapters, serial, folders, kind, monkeypatch):
    mixed, batch = [0], adapters.engine._batch
    whole = batch._states.step

    def step(tokens, positions):
        mixed[0] += len({id(row.variant) for row in batch._rows}) > 1
        return whole(tokens, positions)

    monkeypatch.setattr(batch._states, "step", step)
    race = Race(adapters, serial, folders)
    race.run(getattr(race, kind))
    assert not race.wrong
    assert race.flips >= 3
    assert mixed[0] > REQUESTS // 16  # decoding steps with rows of several adapters


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
            if not np.allclose(logits.log_softmax(-1).numpy(), serial[n][prompt][0], atol=1e-4):
                wrong.append(n)

    ask(0)
    assert not wrong
    with ThreadPoolExecutor(8) as pool:
        for asked in [pool.submit(ask, seed) for seed in range(8)]:
            asked.exception()  # it may also raise
    assert wrong
