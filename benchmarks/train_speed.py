"""Training beside TRL and SentenceTransformerTrainer: a step's time, memory, and what is learned.

Chat model: smollm2-135m learns Cypher (pairs of text2cypher), LoRA of rank 16; TRL is given the
same tokens in the same order, so that the losses can be compared. Embedder: minilm learns medquad's
questions, LoRA of rank 32; what is learned is judged by nDCG@10 of questions that were held out.

Each variant has a process of its own with one thread, and they take turns step by step: what else
the machine does meets all of them. A step's time is the processor's; the wall's stands beside it.

    python benchmarks/train_speed.py [--steps 6] [--only embeddings]
"""

import argparse
import gzip
import json
import multiprocessing
import os
import statistics
import tempfile
import time
import warnings
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from report import data_folder, finish, print_table

from langchain_graft.finetune_bridge import (
    EmbeddingRow,
    EmbeddingSettings,
    GeneratorRow,
    GeneratorSettings,
    LoraSettings,
)

GENERATOR, EMBEDDER = "smollm2-135m", "minilm"
CHATS, CHAT_RATE = 4, 2e-4
PAIRS, PAIR_RATE, PAIR_TOKENS = 32, 5e-4, 256
JUDGED = 100
BARS = {
    "lora / TRL": 0.8,
    "lora / TRL without gradient checkpointing": 1.0,
    "embeddings / SentenceTransformerTrainer": 0.8,
}
LONG = ("lora", "TRL", "TRL without gradient checkpointing")
"""The others, which the table of memory wants, make half of the steps."""
CHAT_VARIANTS = (*LONG, "qlora", "full")
PAIR_VARIANTS = ("embeddings", "SentenceTransformerTrainer")
PROMPT = "Translate the question into Cypher for this schema.\n"


class Turn:
    """A child's side: it waits for its turn before each step, and notes what the step took."""

    def __init__(self, parent: Connection) -> None:
        self._parent = parent
        self._began: tuple[float, float] | None = None
        self.taken: list[tuple[float, float]] = []

    def next(self, *_: object, **__: object) -> None:
        """End a step, and wait for the next one's turn."""
        now = time.process_time(), time.perf_counter()
        if self._began:
            self.taken.append((now[0] - self._began[0], now[1] - self._began[1]))
        else:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # peak: from here on
        self._parent.send("ready")
        self._parent.recv()
        self._began = time.process_time(), time.perf_counter()


def peak_gb() -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e6


# The chat model.


def chats(count: int) -> list[GeneratorRow]:
    """Conversations: schema and question, and the Cypher that answers it."""
    folder = data_folder("text2cypher")
    with (folder / "schemas.jsonl").open(encoding="utf-8") as file:
        schemas = {one["database"]: one["schema"] for one in map(json.loads, file)}
    with (folder / "pairs.jsonl").open(encoding="utf-8") as file:
        pairs = [one for one in map(json.loads, file) if one["usable"]]
    return [
        GeneratorRow(
            (
                {"role": "system", "content": PROMPT + schemas["movies"]},
                {"role": "user", "content": one["question"]},
                {"role": "assistant", "content": one["cypher"]},
            )
        )
        for one in pairs
        if one["database"] == "movies"
    ][:count]


def ours_chat(variant: str, steps: int, out: Path, turn: Turn) -> dict[str, float]:
    from langchain_graft.finetune_bridge import train_generator  # noqa: PLC0415

    settings = GeneratorSettings(
        base=f"hf:{GENERATOR}",
        out=str(out / "run"),
        method="lora" if variant == "lora" else variant,  # type: ignore[arg-type] # its names
        lora=LoraSettings(r=16, alpha=32),
        epochs=1,
        batch_size=CHATS,
        learning_rate=CHAT_RATE / 10 if variant == "full" else CHAT_RATE,
        warmup=0.0,
        eval_share=0.0,
        checkpoint_every=10_000,
        device="cpu",
        threads=1,
    )
    # One step more than is measured: the first step's end is where the turns begin.
    trained = train_generator(settings, chats(CHATS * (steps + 1)), on_progress=turn.next)
    peak, losses = peak_gb(), losses_of(out / "run")
    return {**learned(trained.report.parameters, trained.folder, losses), "peak_gb": peak}


def trl_chat(variant: str, steps: int, out: Path, turn: Turn) -> dict[str, float]:
    """SFTTrainer's defaults, save what makes the steps the same ones."""
    import torch  # noqa: PLC0415 (each child loads what it needs)
    from peft import LoraConfig  # noqa: PLC0415
    from transformers import TrainerCallback  # noqa: PLC0415

    from langchain_graft.finetune_bridge.training.chat_rows import (  # noqa: PLC0415
        ChatEncoder,
        step_places,
    )
    from langchain_graft.models.model_tokenizer import ModelTokenizer  # noqa: PLC0415
    from langchain_graft.models.transformers_weights import (  # noqa: PLC0415
        find_weights,
        load_weights,
    )

    model, fast, _ = load_weights(find_weights(GENERATOR), device="cpu", dtype=torch.float32)
    encoder = ChatEncoder(ModelTokenizer(fast, name=GENERATOR))
    trl: Any = import_module("trl")  # it does not say its types
    rows = chats(CHATS * (steps + 1))
    sequences = [one for row in rows for one in encoder.sequences(row)]
    order = [n for some in step_places(len(sequences), size=CHATS, seed=0, epoch=0) for n in some]
    losses: list[float] = []

    class Watch(TrainerCallback):
        on_step_end = turn.next

        def on_log(self, *_: Any, logs: Any = None, **__: Any) -> None:
            losses.extend([logs["loss"]] if "loss" in logs else [])

    plain: dict[str, Any] = {"gradient_checkpointing": False} if "without" in variant else {}
    trainer = trl.SFTTrainer(
        model,
        args=trl.SFTConfig(
            output_dir=str(out / "trl"),
            per_device_train_batch_size=CHATS,
            learning_rate=CHAT_RATE,
            num_train_epochs=1,
            train_sampling_strategy="sequential",
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            **plain,
        ),
        train_dataset=dataset([labelled(sequences[n]) for n in order]),
        processing_class=fast,
        peft_config=LoraConfig(
            r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
        callbacks=[Watch()],
    )
    trainer.train()
    peak = peak_gb()
    trainer.model.save_pretrained(out / "saved", save_embedding_layers=False)
    trained = sum(one.numel() for one in trainer.model.parameters() if one.requires_grad)
    return {**learned(trained, out / "saved", losses), "peak_gb": peak}


def dataset(rows: list[dict[str, Any]]) -> Any:
    return import_module("datasets").Dataset.from_list(rows)


def labelled(one: Any) -> dict[str, list[int]]:
    places = set(one.learned)
    labels = [id_ if place in places else -100 for place, id_ in enumerate(one.ids)]
    return {"input_ids": list(one.ids), "labels": labels}


def losses_of(run: Path) -> list[float]:
    lines = (run / "loss.jsonl").read_text(encoding="utf-8").splitlines()
    return [one["loss"] for one in map(json.loads, lines) if "loss" in one]


def learned(trained: int, folder: Path, losses: list[float]) -> dict[str, float]:
    return {
        "trained": trained,
        "file_mb": sum(one.stat().st_size for one in folder.glob("*.safetensors")) / 1e6,
        "first_loss": losses[0],
        "last_loss": statistics.mean(losses[-3:]),
    }


# The embedder.


def pairs(count: int) -> list[EmbeddingRow]:
    """Questions with the answer of each, no question or answer twice."""
    folder = data_folder("medquad_faq")
    with gzip.open(folder / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        passages = {one["_id"]: one["text"] for one in map(json.loads, file)}
    with (folder / "queries.jsonl").open(encoding="utf-8") as file:
        queries = {one["_id"]: one["text"] for one in map(json.loads, file)}
    lines = (folder / "qrels.train.tsv").read_text(encoding="utf-8").splitlines()[1:]
    places = [line.split("\t") for line in lines]
    answers = {queries[query]: passages[document] for query, document, *_ in places}
    one_each = {answer: query for query, answer in answers.items()}
    return [EmbeddingRow(query, answer) for answer, query in sorted(one_each.items())][:count]


def shared_out(steps: int) -> tuple[list[EmbeddingRow], list[EmbeddingRow]]:
    """Learned from, and held out; medquad's answers on one disease are apart in neither."""
    every = pairs(10**6)
    every = [every[n] for n in np.random.default_rng(0).permutation(len(every))]
    return every[JUDGED : JUDGED + PAIRS * (steps + 1)], every[:JUDGED]


def ours_pairs(_variant: str, steps: int, out: Path, turn: Turn) -> dict[str, float]:
    from peft import PeftModel  # noqa: PLC0415

    from langchain_graft.finetune_bridge import train_embeddings  # noqa: PLC0415

    rows, held = shared_out(steps)
    settings = EmbeddingSettings(
        base=EMBEDDER,
        out=str(out / "run"),
        lora=LoraSettings(r=32, alpha=64),
        epochs=1,
        batch_size=PAIRS,
        learning_rate=PAIR_RATE,
        warmup=0.0,
        max_tokens=PAIR_TOKENS,
        eval_share=0.0,
        checkpoint_every=10_000,
        device="cpu",
        threads=1,
    )
    trained = train_embeddings(settings, rows, on_progress=turn.next)
    peak, losses = peak_gb(), losses_of(out / "run")
    model = sentence_transformer()
    before = ndcg(model, held)
    model[0].model = PeftModel.from_pretrained(model[0].model, trained.folder)
    figures = learned(trained.report.parameters, trained.folder, losses)
    return {**figures, "peak_gb": peak, "base_ndcg_at_10": before, "ndcg_at_10": ndcg(model, held)}


def their_pairs(_variant: str, steps: int, out: Path, turn: Turn) -> dict[str, float]:
    """SentenceTransformerTrainer's defaults, save the rate, the batch and where it computes."""
    from peft import LoraConfig  # noqa: PLC0415
    from sentence_transformers import (  # noqa: PLC0415
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import (  # noqa: PLC0415
        MultipleNegativesRankingLoss,
    )
    from transformers import TrainerCallback  # noqa: PLC0415

    rows, held = shared_out(steps)
    losses: list[float] = []

    class Watch(TrainerCallback):
        on_step_end = turn.next

        def on_log(self, *_: Any, logs: Any = None, **__: Any) -> None:
            losses.extend([logs["loss"]] if "loss" in logs else [])

    model = sentence_transformer()
    before = ndcg(model, held)
    model.add_adapter(
        LoraConfig(r=32, lora_alpha=64, target_modules="all-linear", task_type="FEATURE_EXTRACTION")
    )
    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(out / "theirs"),
            per_device_train_batch_size=PAIRS,
            learning_rate=PAIR_RATE,
            num_train_epochs=1,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=dataset([{"anchor": one.query, "positive": one.positive} for one in rows]),
        loss=MultipleNegativesRankingLoss(model),
        callbacks=[Watch()],
    )
    trainer.train()
    peak = peak_gb()
    trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
    figures = learned(trained, out, losses)
    return {**figures, "peak_gb": peak, "base_ndcg_at_10": before, "ndcg_at_10": ndcg(model, held)}


def sentence_transformer() -> Any:
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    from langchain_graft.models import pull_model  # noqa: PLC0415

    folder = pull_model(EMBEDDER)
    return SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": "float32"})


def ndcg(model: Any, held: list[EmbeddingRow]) -> float:
    """Of held-out questions among the answers to all of them; one answer is right."""
    queries = model.encode([one.query for one in held], normalize_embeddings=True)
    passages = model.encode([one.positive for one in held], normalize_embeddings=True)
    scores = queries @ passages.T
    places = (scores > scores.diagonal()[:, None]).sum(axis=1)
    return float(np.where(places < 10, 1 / np.log2(places + 2), 0).mean())  # noqa: PLR2004


# Turns.


def child(parent: Connection, variant: str, steps: int) -> None:
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    turn = Turn(parent)
    learn = {
        **dict.fromkeys(("lora", "qlora", "full"), ours_chat),
        **dict.fromkeys(LONG[1:], trl_chat),
        **dict(zip(PAIR_VARIANTS, (ours_pairs, their_pairs), strict=True)),
    }[variant]
    with tempfile.TemporaryDirectory() as out:
        figures = learn(variant, steps, Path(out), turn)
    processor, wall = (statistics.median(one[n] for one in turn.taken) for n in (0, 1))
    parent.send({"seconds": processor, "wall_seconds": wall, **figures})


def take_turns(variants: list[str], steps: int) -> dict[str, dict[str, float]]:
    """The figures of each; nobody computes while another one's step is measured."""
    context = multiprocessing.get_context("spawn")
    lines = {}
    for variant in variants:
        mine, theirs = context.Pipe()
        own_steps = steps if variant not in ("qlora", "full") else steps // 2
        one = context.Process(target=child, args=(theirs, variant, own_steps), daemon=True)
        one.start()
        theirs.close()
        lines[variant] = mine
    for line in lines.values():
        assert line.recv() == "ready"  # loaded, its first step made
    found: dict[str, dict[str, float]] = {}
    turn = 0
    while len(found) < len(lines):
        for variant, line in lines.items():
            if variant not in found:
                line.send("go")
                told = line.recv()
                if told != "ready":
                    found[variant] = told
        turn += 1
        print(f"turn {turn}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--only", choices=("generator", "embeddings"))
    asked = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    found: dict[str, dict[str, float]] = {}
    if asked.only != "embeddings":
        found |= take_turns(list(CHAT_VARIANTS), asked.steps)
        show(f"{GENERATOR}, {CHATS} conversations a step", found, CHAT_VARIANTS)
    if asked.only != "generator":
        found |= take_turns(list(PAIR_VARIANTS), asked.steps)
        show(f"{EMBEDDER}, {PAIRS} questions a step", found, PAIR_VARIANTS)
    ratios = {}
    for bar in BARS:
        mine, other = bar.split(" / ")
        if mine in found:
            ratios[bar] = found[mine]["seconds"] / found[other]["seconds"]
    print_table(
        "Time of a step", ("", "ratio", "bar"), [(k, v, BARS[k]) for k, v in ratios.items()]
    )
    told = {"steps": asked.steps, "bars": BARS, "ratios": ratios, "variants": found}
    packages = ["torch", "transformers", "peft", "trl", "sentence-transformers", "bitsandbytes"]
    if not asked.only:
        finish("train_speed", told, packages=packages)


def show(title: str, found: dict[str, dict[str, float]], variants: tuple[str, ...]) -> None:
    names = list(found[variants[0]])
    rows = [[one, *(found[one].get(name, "-") for name in names)] for one in variants]
    print_table(title, ["", *names], rows)


if __name__ == "__main__":
    main()
