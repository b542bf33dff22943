"""Adapters while requests run: loaded and flipped, in mixed batches, without one wrong answer.

smollm2-135m with seeded adapters (r = 16, all linear layers); the race is run on a tiny model in
float32, whose answers can be told apart to 1e-4, and on stock PEFT with `adapter_names` too.

    python benchmarks/hot_load.py [--requests 8000]
"""

import argparse
import asyncio
import gc
import itertools
import json
import resource
import statistics
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from report import finish, print_table
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from langchain_graft.finetune_bridge import (
    AdapterEngine,
    AdapterManifest,
    AdapterRef,
    AdapterStore,
)
from langchain_graft.models import TransformersEngine, TransformersSettings, pull_model
from langchain_graft.models.reply import Sampling

MODEL = "smollm2-135m"
LAYERS = "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj".split()
BARS = {
    "load_flip_ratio": 0.05,
    "load_flip_seconds": 0.5,
    "p99_ratio": 1.3,
    "mixed_batch_ratio": 1.25,
    "wrong": 0,
}
SWAPS = 20
SECONDS = 30.0
CYCLES = 100
ALIKE = 1e-4


def make_adapter(base: Path, folder: Path, *, seed: int, r: int) -> Path:
    """A seeded adapter, as PEFT saves it; its matrices are not zero."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    settings = LoraConfig(
        r=r,
        lora_alpha=2 * r,
        target_modules=LAYERS,
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    get_peft_model(model, settings).save_pretrained(str(folder), save_embedding_layers=False)
    return folder


def registered(
    store: AdapterStore, engine: TransformersEngine, folder: Path, name: str
) -> AdapterRef:
    manifest = AdapterManifest(kind="generator", base=f"hf:{MODEL}", base_digest=engine.digest)
    return store.register(folder, name, manifest=manifest)


def seconds_of(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def versions_of(adapters: AdapterEngine, folders: Sequence[Path], name: str) -> list[AdapterRef]:
    """Versions in the store, of two adapters in turn; none is loaded."""
    store, engine = adapters.store, adapters.engine
    return [registered(store, engine, folders[n % 2], name) for n in range(SWAPS)]


def load_and_flip(adapters: AdapterEngine, folders: Sequence[Path]) -> list[float]:
    """Seconds of each promotion: checked, read, loaded, probed by a forward, flipped."""
    refs = versions_of(adapters, folders, "swapped")
    return [seconds_of(partial(adapters.promote, ref)) for ref in refs]


@contextmanager
def swapping(adapters: AdapterEngine, refs: Sequence[AdapterRef]) -> Iterator[None]:
    """Another version every half second."""
    stop = threading.Event()

    def swap() -> None:
        for ref in itertools.cycle(refs):
            adapters.promote(ref)
            if stop.wait(0.5):
                return

    thread = threading.Thread(target=swap)
    thread.start()
    yield
    stop.set()
    thread.join()


def latencies(adapters: AdapterEngine, seconds: float) -> list[float]:
    """Seconds of each request of two clients, one after another."""
    engine, found = adapters.engine, []
    prompt = engine.tokenizer.ids("The capital of France is the city of")
    until = time.perf_counter() + seconds

    def ask() -> None:
        with adapters.lease("served") as lease:
            sampling = Sampling(max_tokens=8)
            list(engine.generate(prompt, sampling, variant=lease.variant))

    def client() -> None:
        while time.perf_counter() < until:
            found.append(seconds_of(ask))

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(client) for _ in range(2)]:
            done.result()
    return found


def p99_ratio(adapters: AdapterEngine, folders: Sequence[Path]) -> dict[str, float]:
    """In four turns, so that what else the machine does hits both alike."""
    refs = versions_of(adapters, folders, "served")
    quiet: list[float] = []
    swapped: list[float] = []
    for _ in range(4):
        quiet += latencies(adapters, SECONDS / 2)
        with swapping(adapters, refs):
            swapped += latencies(adapters, SECONDS / 2)
    both = {"quiet": quiet, "swaps": swapped}
    found = {name: float(np.quantile(values, 0.99)) for name, values in both.items()}
    return {
        **found,
        "requests": len(quiet) + len(swapped),
        "ratio": found["swaps"] / found["quiet"],
    }


def mixed_batch(adapters: AdapterEngine) -> dict[str, float]:
    """Eight replies of 48 tokens: without adapter, with one, with two in turn."""
    engine = adapters.engine
    prompts = [engine.tokenizer.ids(f"A story about number {n}: ") for n in range(8)]
    ways = {"base": ["base"], "one": ["served"], "two": ["served", "swapped"]}

    def run(names: Sequence[str]) -> None:
        def ask(n: int) -> None:
            with adapters.lease(names[n % len(names)]) as lease:
                sampling = Sampling(max_tokens=48)
                list(engine.generate(prompts[n], sampling, variant=lease.variant))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, range(8)))

    times: dict[str, list[float]] = {name: [] for name in ways}
    for n in range(8):
        for name, names in ways.items():
            taken = seconds_of(partial(run, names))
            if n:
                times[name].append(taken)
    return {name: statistics.median(values) for name, values in times.items()}


def memory_growth(adapters: AdapterEngine, folder: Path) -> float:
    """MB that the process has grown by in 100 loads and deletions."""
    store = adapters.store
    ref = registered(store, adapters.engine, folder, "cycled")
    other = registered(store, adapters.engine, folder, "cycled")
    sizes = []
    for n in range(CYCLES + 20):
        adapters.promote(other if n % 2 else ref)
        if n in (19, CYCLES + 19):
            gc.collect()
            adapters.engine.run(lambda: None).result()
            sizes.append(_resident_mb())
    return sizes[1] - sizes[0]


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


# The race: a tiny model in float32.


def tiny_model(folder: Path, tokenizer: Path) -> Path:
    torch.manual_seed(1)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


PROMPTS = [[5, 17, 120, 9], [88, 4, 250, 31, 7], [7, 7, 100]]


def serial(base: Path, folders: Sequence[Path]) -> list[list[np.ndarray]]:
    """First-token logprobs, by adapter and prompt; the first adapter is none."""
    found = []
    for folder in [None, *folders]:
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        tuned = PeftModel.from_pretrained(model, folder) if folder else model
        with torch.inference_mode():
            logits = [tuned.eval()(torch.tensor([ids])).logits[0, -1] for ids in PROMPTS]
        found.append([one.log_softmax(-1).numpy() for one in logits])
    return found


def race(  # noqa: PLR0915 (read from top to bottom)
    root: Path, base: Path, folders: Sequence[Path], requests: int
) -> dict[str, Any]:
    """8 threads ask for four things while a name's versions are promoted without a pause."""
    settings = TransformersSettings(device="cpu", dtype="float32")
    engine = TransformersEngine.load(str(base), settings)
    store = AdapterStore(root / "race")
    adapters = AdapterEngine(engine, store)
    expected = serial(base, folders)
    for n, folder in enumerate(folders, start=1):
        store.promote(registered(store, engine, folder, f"still{n}"))
    versions: dict[str, int] = {}
    wrong: list[str] = []
    flips, stop = [0], threading.Event()

    def flip() -> None:
        while not stop.is_set():
            n = flips[0] % len(folders)
            ref = registered(store, engine, folders[n], "moving")
            versions[str(ref)] = n + 1
            adapters.promote(ref)
            flips[0] += 1

    def ask(seed: int) -> None:
        random = Random(seed)  # noqa: S311 (the same each time)
        for _ in range(requests // 8):
            prompt, name = random.randrange(len(PROMPTS)), random.choice(names)
            with adapters.lease(name) as lease:
                sampling = Sampling(max_tokens=1, top_logprobs=5)
                [piece] = engine.generate(PROMPTS[prompt], sampling, variant=lease.variant)
            which = versions.get(lease.adapter, names.index(name))
            top = sorted(one["logprob"] for one in piece.logprobs[0]["top_logprobs"])
            if not np.allclose(top, np.sort(expected[which][prompt])[-5:], atol=ALIKE):
                wrong.append(lease.adapter)

    names = ["base", *(f"still{n}" for n in range(1, len(folders) + 1)), "moving"]
    flipping = threading.Thread(target=flip)
    flipping.start()
    while not flips[0]:
        time.sleep(0.01)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    stop.set()
    flipping.join()
    left = asyncio.run(abandoned(adapters, requests + requests // 4))
    return {
        "requests": requests // 8 * 8,
        "flips": flips[0],
        "wrong": len(wrong),
        "abandoned": left,
    }


async def abandoned(adapters: AdapterEngine, streams: int) -> dict[str, float]:
    """Streams closed after a piece or cancelled: requests left behind, and MB grown by."""
    model = adapters.chat_model("moving", max_tokens=100)

    async def ask() -> None:
        async for _ in model.astream("The Lisa"):
            await asyncio.sleep(0)

    async def some(count: int) -> None:
        for n in range(count // 20):
            tasks = [asyncio.create_task(ask()) for _ in range(10)]
            for _ in range(10):
                stream = model.stream("The Lisa")
                next(stream)
                stream.close()  # type: ignore[attr-defined]  # a generator, which it does not say
            await asyncio.sleep(0.001 * (n % 10))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    await some(streams // 5)  # it also warms up
    before = _resident_mb()
    await some(streams)
    gc.collect()
    adapters.close()
    adapters.engine.run(lambda: None).result()
    return {
        "streams": streams,
        "left": len(adapters.loaded()),  # one that answers nobody is dropped by `close`
        "grown_mb": _resident_mb() - before,
    }


def stock_race(base: Path, folders: Sequence[Path], requests: int) -> dict[str, int]:
    """The same questions to PEFT's model, the adapter by `adapter_names`, nothing loaded."""
    expected = serial(base, folders)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tuned = PeftModel.from_pretrained(model, folders[0], adapter_name="still1")
    for n, folder in enumerate(folders[1:], start=2):
        tuned.load_adapter(folder, f"still{n}")
    tuned.eval()
    names = ["__base__", *(f"still{n}" for n in range(1, len(folders) + 1))]
    wrong: list[str] = []
    failed: list[str] = []

    def ask(seed: int) -> None:
        random = Random(seed)  # noqa: S311
        for _ in range(requests // 8):
            prompt, which = random.randrange(len(PROMPTS)), random.randrange(len(names))
            ids = torch.tensor([PROMPTS[prompt]])
            try:
                with torch.inference_mode():
                    logits = tuned(ids, adapter_names=[names[which]]).logits[0, -1]
            except Exception as error:  # noqa: BLE001 (what a race can raise)
                failed.append(repr(error))
                continue
            found = logits.log_softmax(-1).numpy()
            if not np.allclose(found, expected[which][prompt], atol=ALIKE):
                wrong.append(names[which])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    return {"requests": requests // 8 * 8, "wrong": len(wrong), "raised": len(failed)}


def gguf_load() -> float:
    """The base model as its file comes, by transformers; ours keeps a copy that loads faster."""
    file = pull_model(MODEL)
    return seconds_of(
        lambda: AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.bfloat16
        )
    )


def stock_load(base: Path, folders: Sequence[Path]) -> float:
    """PEFT's own loading into a model that is there."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    tuned = PeftModel.from_pretrained(model, folders[0], adapter_name="v0")
    times = [seconds_of(partial(tuned.load_adapter, folders[n % 2], f"v{n}")) for n in range(1, 6)]
    return statistics.median(times)


def main() -> None:  # noqa: PLR0915 (read from top to bottom)
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=8000)
    requests = parser.parse_args().requests
    warnings.simplefilter("ignore")
    base_times = [seconds_of(lambda: TransformersEngine.load(MODEL)) for _ in range(4)]
    unpacked_seconds = statistics.median(base_times[1:])
    base_seconds = gguf_load()
    engine = TransformersEngine.load(MODEL)
    unpacked = Path(engine.model.config._name_or_path)  # noqa: SLF001
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folders = [make_adapter(unpacked, root / f"a{n}", seed=n, r=16) for n in range(2)]
        adapters = AdapterEngine(engine, AdapterStore(root / "adapters"))
        adapters.promote(registered(adapters.store, engine, folders[0], "served"))
        flips = load_and_flip(adapters, folders)
        mixed = mixed_batch(adapters)
        p99 = p99_ratio(adapters, folders)
        growth = memory_growth(adapters, folders[0])
        adapters.close()
        tiny = tiny_model(root / "tiny", unpacked)
        small = [make_adapter(tiny, root / f"t{n}", seed=n, r=4 * n) for n in (1, 2, 3)]
        raced = race(root, tiny, small, requests)
        stock = stock_race(tiny, small, requests)
        peft_seconds = stock_load(unpacked, folders)
    flip_seconds = statistics.median(flips)
    figures = {
        "base_load_seconds": base_seconds,
        "base_load_from_our_copy_seconds": unpacked_seconds,
        "load_flip_ratio_to_our_copy": flip_seconds / unpacked_seconds,
        "load_flip_seconds": flip_seconds,
        "peft_load_adapter_seconds": peft_seconds,
        "load_flip_ratio": flip_seconds / base_seconds,
        "mixed_batch_seconds": mixed,
        "mixed_batch_ratio": mixed["two"] / mixed["one"],
        "p99": p99,
        "p99_ratio": p99["ratio"],
        "memory_growth_mb": growth,
        "race": raced,
        "stock_peft_race": stock,
        "wrong": raced["wrong"],
        "dtype": engine.dtype,
    }
    rows = [(name, figures[name], f"<= {bar}") for name, bar in BARS.items()]
    rows.append(
        ("the same ratio to loading our unpacked copy", figures["load_flip_ratio_to_our_copy"], "-")
    )
    rows.append(("seconds of PEFT's load_adapter", peft_seconds, "-"))
    rows.append((f"MB grown in {CYCLES} loads and deletions", growth, "0"))
    print_table(f"Adapters on {MODEL} in {engine.dtype}, r = 16", ("what", "seen", "bar"), rows)
    print(json.dumps({"race": raced, "stock PEFT, adapter_names": stock}, indent=1))
    finish("hot_load", {**figures, "bars": BARS}, packages=["peft", "torch", "transformers"])


if __name__ == "__main__":
    main()
