"""Training a generator: a step's time, memory and loss, beside TRL on the same tokens.

smollm2-135m and question-Cypher pairs of text2cypher, eight conversations a step, the same ones in
the same order for all; each variant in a process of its own. TRL is given our tokens, so that the
losses can be compared: the means of the last fifth of the steps.

    python benchmarks/train_speed.py [--steps 20] [--threads 1] [--only lora,trl]

Where others keep the cores busy, one thread is several times as fast as two.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from report import data_folder, finish, print_table
from transformers import AutoTokenizer, TrainerCallback

from langchain_graft.finetune_bridge import GeneratorSettings, LoraSettings
from langchain_graft.finetune_bridge.chat_rows import ChatEncoder, step_places
from langchain_graft.finetune_bridge.train_generator import train_generator
from langchain_graft.finetune_bridge.training_rows import GeneratorRow
from langchain_graft.models.model_tokenizer import ModelTokenizer
from langchain_graft.models.transformers_weights import find_weights, load_weights

MODEL = "smollm2-135m"
BATCH, RANK, RATE = 8, 16, 2e-4
BARS = {"lora / trl": 0.8, "lora / trl without checkpointing": 1.0}
VARIANTS = ("lora", "trl without checkpointing", "trl", "qlora", "full")
PROMPT = "Translate the question into Cypher for this schema.\n"


def rows(count: int) -> list[Any]:
    """Conversations: schema and question, and the Cypher that answers it."""
    folder = data_folder("text2cypher")
    pairs = [json.loads(line) for line in (folder / "pairs.jsonl").open(encoding="utf-8")]
    lines = (folder / "schemas.jsonl").open(encoding="utf-8")
    schemas = {one["database"]: one for one in map(json.loads, lines)}
    found = []
    for pair in pairs:
        schema = schemas[pair["database"]]
        told = schema["schema"] if isinstance(schema["schema"], str) else json.dumps(schema)
        messages = (
            {"role": "system", "content": PROMPT + told},
            {"role": "user", "content": pair["question"]},
            {"role": "assistant", "content": pair["cypher"]},
        )
        if pair["database"] == "movies" and pair["usable"]:
            found.append(GeneratorRow(messages))
    return found[:count]


def settings_of(variant: str, steps: int, out: Path) -> Any:
    return GeneratorSettings(
        base=f"hf:{MODEL}",
        out=str(out / "run"),
        method=variant if variant in ("qlora", "full") else "lora",
        lora=LoraSettings(r=RANK, alpha=2 * RANK),
        epochs=1000,
        batch_size=BATCH,
        learning_rate=RATE / 10 if variant == "full" else RATE,
        warmup=0.0,
        eval_share=0.0,
        checkpoint_every=10_000,
        max_steps=steps,
    )


def run_ours(variant: str, steps: int, out: Path) -> dict[str, float]:
    ends = [_clocks()]
    given = settings_of(variant, steps, out)
    trained = train_generator(
        given, rows(BATCH * steps), on_progress=lambda _: ends.append(_clocks())
    )
    lines = (out / "run" / "loss.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    return figures(trained.report.parameters, trained.folder, ends[1:], losses)


def run_trl(steps: int, out: Path, *, checkpointing: bool) -> dict[str, float]:
    """SFTTrainer's defaults, save what makes the steps the same ones."""
    from datasets import Dataset  # noqa: PLC0415 (what it takes is not ours)
    from trl import SFTConfig, SFTTrainer  # noqa: PLC0415

    weights = find_weights(MODEL)
    load_weights(weights, device="cpu", dtype=torch.float32)
    [folder] = (Path.home() / ".cache/langchain-graft/models/unpacked").glob(
        f"{weights.sha256}-float32"
    )
    fast = AutoTokenizer.from_pretrained(folder)
    encoder = ChatEncoder(ModelTokenizer(fast, name=MODEL))
    sequences = [one for row in rows(BATCH * steps) for one in encoder.sequences(row)]
    order = [
        place
        for epoch in range(1 + BATCH * steps // len(sequences))
        for some in step_places(len(sequences), size=BATCH, seed=0, epoch=epoch)
        for place in some
    ]
    data = Dataset.from_list([_labelled(sequences[place]) for place in order])
    ends, losses = [_clocks()], []

    class Watch(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(_clocks())

        def on_log(
            self, _args: Any, _state: Any, _control: Any, logs: Any = None, **_k: Any
        ) -> None:
            losses.extend([logs["loss"]] if "loss" in logs else [])

    more = {} if checkpointing else {"gradient_checkpointing": False}
    config = SFTConfig(
        output_dir=str(out / "trl"),
        per_device_train_batch_size=BATCH,
        learning_rate=RATE,
        max_steps=steps,
        train_sampling_strategy="sequential",
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        **more,
    )
    lora = LoraConfig(
        r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    trainer = SFTTrainer(
        str(folder),
        args=config,
        train_dataset=data,
        processing_class=fast,
        peft_config=lora,
        callbacks=[Watch()],
    )
    trainer.train()
    trainer.model.save_pretrained(out / "saved", save_embedding_layers=False)
    trained = sum(one.numel() for one in trainer.model.parameters() if one.requires_grad)
    return figures(trained, out / "saved", ends[1:], losses)


def _labelled(one: Any) -> dict[str, list[int]]:
    learned = set(one.learned)
    labels = [id_ if place in learned else -100 for place, id_ in enumerate(one.ids)]
    return {"input_ids": list(one.ids), "labels": labels}


def _clocks() -> tuple[float, float]:
    """The wall's, and the processor's: with one thread others change that one little."""
    return time.perf_counter(), time.process_time()


def figures(
    trained: int, folder: Path, ends: list[tuple[float, float]], losses: list[float]
) -> dict[str, float]:
    last = max(1, len(losses) // 5)
    wall, processor = (
        statistics.median(after[n] - before[n] for before, after in pairwise(ends)) for n in (0, 1)
    )
    return {
        "trained": trained,
        "file_mb": sum(one.stat().st_size for one in folder.glob("*.safetensors")) / 1e6,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "seconds_per_step": wall,
        "processor_seconds_per_step": processor,
        "first_loss": losses[0],
        "last_loss": sum(losses[-last:]) / last,
    }


def measure(variant: str, steps: int) -> dict[str, float]:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as out:
        if variant.startswith("trl"):
            return run_trl(steps, Path(out), checkpointing=variant == "trl")
        return run_ours(variant, steps, Path(out))


def in_a_process(variant: str, steps: int, threads: int | None) -> dict[str, float]:
    command = [sys.executable, __file__, "--steps", str(steps), "--measure", variant]
    command += ["--threads", str(threads)] if threads else []
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    found: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--only", default=",".join(VARIANTS))
    parser.add_argument("--measure")
    asked = parser.parse_args()
    if asked.measure:
        if asked.threads:
            torch.set_num_threads(asked.threads)
        print(json.dumps(measure(asked.measure, asked.steps)))
        return
    found = {name: in_a_process(name, asked.steps, asked.threads) for name in asked.only.split(",")}
    names = list(next(iter(found.values())))
    title = f"{MODEL}, {asked.steps} steps of {BATCH} conversations"
    print_table(title, ["", *names], [[name, *one.values()] for name, one in found.items()])
    ratios = {
        bar: found["lora"]["seconds_per_step"]
        / found[bar.removeprefix("lora / ")]["seconds_per_step"]
        for bar in BARS
        if "lora" in found and bar.removeprefix("lora / ") in found
    }
    print_table(
        "Time of a step", ["", "ratio", "bar"], [[k, v, BARS[k]] for k, v in ratios.items()]
    )
    packages = ["torch", "transformers", "peft", "trl", "bitsandbytes"]
    told = {
        "steps": asked.steps,
        "threads": asked.threads,
        "bars": BARS,
        "ratios": ratios,
        "variants": found,
    }
    finish("train_speed", told, packages=packages)


if __name__ == "__main__":
    main()
