"""Requests that come at once: ours together, against transformers one after another.

16 prompts, 64 tokens each, smollm2-135m on a processor, the same weights in the same numbers and
with the same number of threads. transformers' own continuous batching and its padded batch, which
knows all prompts beforehand, stand beside. Rounds are run in turn, so that what else the machine
does hits all alike; one after another is measured on four of the prompts and counted four times.

    python benchmarks/engine.py
"""

import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from report import finish, print_table
from transformers import GenerationConfig

from langchain_graft.models import TransformersEngine, TransformersSettings
from langchain_graft.models.reply import Sampling

MODEL = "smollm2-135m"
TOKENS = 64
ROUNDS = 5
ALONE = 4
BAR = 0.35
TOPICS = (
    "apples rivers planets music history bread clouds trains whales chess glass coffee bridges "
    "honey volcanoes paper"
).split()


def ours(engine: TransformersEngine, prompts: list[list[int]]) -> int:
    def ask(prompt: list[int]) -> int:
        pieces = engine.generate(prompt, Sampling(max_tokens=TOKENS))
        return max(piece.output_tokens for piece in pieces)

    with ThreadPoolExecutor(len(prompts)) as pool:
        return sum(pool.map(ask, prompts))


def one_after_another(engine: TransformersEngine, prompts: list[list[int]]) -> int:
    for prompt in prompts[:ALONE]:
        padded(engine, [prompt])
    return ALONE * TOKENS


def padded(engine: TransformersEngine, prompts: list[list[int]]) -> int:
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    with torch.inference_mode():
        whole = engine.model.generate(
            ids, attention_mask=mask, generation_config=_greedy(min_new_tokens=TOKENS)
        )
    return int(whole[:, width:].numel())


def continuous(engine: TransformersEngine, prompts: list[list[int]]) -> int:
    found = engine.model.generate_batch(
        prompts, generation_config=_greedy(eos_token_id=-1), progress_bar=False
    )
    return sum(len(reply.generated_tokens) for reply in found.values())


def _greedy(**settings: Any) -> GenerationConfig:
    fixed = {"max_new_tokens": TOKENS, "do_sample": False, "pad_token_id": 0}
    return GenerationConfig(**fixed, **settings)  # type: ignore[no-untyped-call]


def in_the_engines_thread(engine: TransformersEngine, run: Callable[[], int]) -> Callable[[], int]:
    """With the number of threads that the engine has."""
    return lambda: engine.run(run).result()


def main() -> None:
    warnings.simplefilter("ignore")
    engine = TransformersEngine.load(MODEL, TransformersSettings(prefix_tokens=0))
    engine.ends = frozenset()  # every reply has all its tokens
    prompts = [engine.tokenizer.ids(f"Write a long story about {topic}. ") for topic in TOPICS]
    ways: dict[str, tuple[Callable[[], int], int]] = {
        "ours, as they come": (lambda: ours(engine, prompts), 1),
        "generate, one after another": (
            in_the_engines_thread(engine, lambda: one_after_another(engine, prompts)),
            len(prompts) // ALONE,
        ),
        "generate, one padded batch": (
            in_the_engines_thread(engine, lambda: padded(engine, prompts)),
            1,
        ),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for name, (run, times) in ways.items():
        tokens = run()  # it also warms up
        assert tokens * times == TOKENS * len(prompts), name
    for _ in range(ROUNDS):
        for name, (run, times) in ways.items():
            started = time.perf_counter()
            run()
            seconds[name].append(times * (time.perf_counter() - started))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    alone = medians["generate, one after another"]
    medians["transformers' continuous batching"] = _continuous_seconds(engine, prompts)
    total = TOKENS * len(prompts)
    rows = [(name, value, total / value, value / alone) for name, value in medians.items()]
    title = f"{len(prompts)} requests of {TOKENS} tokens, {MODEL} in {engine.dtype}"
    print_table(title, ("way", "seconds", "tokens/s", "of one after another"), rows)
    ratio = medians["ours, as they come"] / alone
    print(f"\nbar: at most {BAR} of one after another; it is {ratio:.3f}")
    finish(
        "engine",
        {"seconds": medians, "ratio": ratio, "bar": BAR, "dtype": engine.dtype},
        packages=["torch", "transformers"],
    )


def _continuous_seconds(engine: TransformersEngine, prompts: list[list[int]]) -> float:
    """Seconds; not a number where it does not run on this machine, which is said."""
    try:
        started = time.perf_counter()
        tokens = continuous(engine, prompts)
    except Exception as error:  # noqa: BLE001 (a peer that fails is told of)
        print(f"transformers' continuous batching does not run here: {error!r:.300}")
        return float("nan")
    if tokens != TOKENS * len(prompts):
        print(f"transformers' continuous batching gave {tokens} tokens")
        return float("nan")
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # transformers' continuous batching leaves a thread that aborts the process
