"""A tiny model learns which answer is the better one: the loss of others, resumed, served."""

import json
import math

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from langchain_graft.errors import AdapterRefusedError, TrainingError
from langchain_graft.finetune_bridge import (
    AdapterEngine,
    AdapterStore,
    GeneratorSettings,
    LoraSettings,
    PreferenceRow,
    PreferenceSettings,
    train_generator,
    train_preferences,
)
from langchain_graft.finetune_bridge.training.chat_rows import ChatEncoder
from langchain_graft.finetune_bridge.training.preference_training import PreferenceTask
from langchain_graft.finetune_bridge.training.preferences import pairs_of
from langchain_graft.finetune_bridge.training.rows import GeneratorRow
from langchain_graft.finetune_bridge.training.trainable_base import load_trainable
from langchain_graft.models import TransformersEngine, TransformersSettings

WORDS = "Lisa Macintosh Apple computers".split()
ROWS = [
    PreferenceRow(f"{one} {n}?", f"{one} and {n}", f"The {one}") for n in range(5) for one in WORDS
]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make(tiny_folder, tmp_path):
    def settings(out="run", kind=PreferenceSettings, **given):
        lora = LoraSettings(**{"r": 8, "alpha": 32} | given.pop("lora", {}))
        asked = {
            "epochs": 1,
            "batch_size": 5,
            "learning_rate": 1e-2,
            "eval_share": 0.0,
            "device": "cpu",
            "dtype": "float32",
        }
        base = f"hf:{tiny_folder}"
        return kind(base=base, out=str(tmp_path / out), lora=lora, **asked | given)

    return settings


def losses(trained):
    lines = (trained.folder.parent / "loss.jsonl").read_text().splitlines()
    return [record["loss"] for record in map(json.loads, lines) if "loss" in record]


def moved(base):
    """Products that are not 0, so that the model is not its own reference."""
    torch.manual_seed(7)
    with torch.no_grad():
        for name, one in base.step.parameters().items():
            if "lora_B" in name:
                one.normal_(std=0.05)


def as_trl_reads(pairs):
    """Better answers, then worse ones, padded."""
    halves = [one for half in (0, 1) for one in (split(pair)[half] for pair in pairs)]
    width = max(len(ids) for ids, _ in halves)
    batch = {name: [] for name in ("input_ids", "attention_mask", "completion_mask")}
    for ids, learned in halves:
        rest = [0] * (width - len(ids))
        batch["input_ids"].append([*ids, *rest])
        batch["attention_mask"].append([1] * len(ids) + rest)
        batch["completion_mask"].append([int(n in learned) for n in range(len(ids))] + rest)
    return {name: torch.tensor(rows) for name, rows in batch.items()}


def split(pair):
    """The two conversations of a pair: their tokens, and the places that are learned."""
    first = pair.lengths[0]
    better = {place for place in pair.learned if place < first}
    worse = {place - first for place in pair.learned if place >= first}
    return (pair.ids[:first], better), (pair.ids[first:], worse)


@pytest.mark.parametrize("unpadded", [True, False])
@pytest.mark.filterwarnings("ignore")  # of deprecations among libraries
def test_loss_and_slopes_are_those_of_trl(make, tmp_path, unpadded):
    datasets, trl = pytest.importorskip("datasets"), pytest.importorskip("trl")
    base = load_trainable(make())
    base.step.is_unpadded = unpadded
    pairs = pairs_of(ChatEncoder(base.tokenizer), ROWS[:4], max_tokens=200)
    task = PreferenceTask(make(), base.step, pairs, ())
    assert task.backward(range(4), seed=0) == pytest.approx(math.log(2))
    base.model.zero_grad()
    moved(base)
    loss = task.backward(range(4), seed=0)

    stock = load_trainable(make()).model
    for module in stock.modules():
        vars(module).pop("forward", None)
    stock.set_attn_implementation("eager")
    options = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": []}
    trainer = trl.DPOTrainer(  # its reference is a copy of what it is given
        stock,
        args=trl.DPOConfig(str(tmp_path / "trl"), beta=0.1, **options),
        train_dataset=datasets.Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}]),
        processing_class=base.tokenizer.fast,
    )
    theirs = {name: one for name, one in stock.named_parameters() if ".default." in name}
    with torch.no_grad():
        for name, one in base.step.parameters().items():
            theirs[name].copy_(one)
    expected = trainer.compute_loss(stock, as_trl_reads(pairs))
    expected.backward()
    assert loss == pytest.approx(float(expected.detach()), abs=1e-5)
    for name, one in base.step.parameters().items():
        assert torch.allclose(one.grad, theirs[name].grad, atol=1e-5), name


def test_it_prefers_what_it_was_shown_and_is_served(make, tiny_folder, tmp_path):
    trained = train_preferences(make(epochs=6, eval_share=0.2, checkpoint_every=4), ROWS)
    metrics = trained.report.metrics
    assert metrics["base_loss"] == pytest.approx(math.log(2))
    assert metrics["base_accuracy"] == 0
    assert metrics["loss"] < 0.3
    assert metrics["accuracy"] == 1
    assert metrics["margin"] > 1
    store = AdapterStore(tmp_path / "adapters")
    engine = TransformersEngine.load(
        str(tiny_folder), TransformersSettings(device="cpu", dtype="float32")
    )
    adapters = AdapterEngine(engine, store)
    adapters.promote(store.register(trained.folder, "taste", manifest=trained.manifest))
    prompts = [engine.tokenizer.chat_prompt(ROWS[0].prompt)] * 2
    with adapters.lease("taste") as lease:
        answers = [ROWS[0].chosen, ROWS[0].rejected]
        better, worse = (
            one.sum() for one in engine.logprobs(prompts, answers, variant=lease.variant)
        )
    before = [one.sum() for one in engine.logprobs(prompts, answers)]
    assert better - worse > before[0] - before[1] + 5
    adapters.close()
    PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_folder), trained.folder)


def test_a_run_that_was_stopped_goes_on_to_the_same_losses(make):
    given = {"epochs": 3, "checkpoint_every": 2, "eval_share": 0.2}
    whole = train_preferences(make("whole", **given), ROWS)

    def stop(progress):
        if progress.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(TrainingError, match="step 4 is whole: the same call goes on"):
        train_preferences(make("stopped", **given), ROWS, on_progress=stop)
    resumed = train_preferences(make("stopped", **given), ROWS)
    assert resumed.report.resumed_at == 4
    assert losses(resumed) == pytest.approx(losses(whole), abs=1e-5)
    assert resumed.report.metrics == pytest.approx(whole.report.metrics, abs=1e-5)


def test_an_adapter_is_trained_further(make):
    chats = [
        GeneratorRow((*row.prompt, {"role": "assistant", "content": row.rejected})) for row in ROWS
    ]
    first = train_generator(make("first", GeneratorSettings, epochs=4), chats)
    lora = {"r": 4, "alpha": 8}  # the adapter's own hold
    further = make("further", lora=lora, start=str(first.folder), epochs=4)
    began = load_trainable(further)
    prompt = began.tokenizer.prompt_ids(first.manifest.probe[0].prompt)
    found = began.step.next_logprobs(prompt)[list(first.manifest.probe[0].token_ids)]
    assert found.tolist() == pytest.approx(list(first.manifest.probe[0].logprobs), abs=1e-4)
    second = train_preferences(further, ROWS)
    assert losses(second)[0] == pytest.approx(math.log(2))  # that one is the reference
    assert second.report.last_loss < 0.5
    assert second.report.parameters == first.report.parameters


def test_what_it_starts_from_must_be_an_adapter_of_that_base(make, make_adapter, tmp_path):
    with pytest.raises(AdapterRefusedError):
        load_trainable(make(start=str(tmp_path)))
    folder = make_adapter(target_modules=["q_proj"])
    base = load_trainable(make(start=str(folder)))
    assert len(base.step.parameters()) == 4


def test_pairs_that_do_not_fit_are_told(make):
    rows = [*ROWS, PreferenceRow("Lisa?", "Apple " * 100, "Lisa")]
    with pytest.warns(UserWarning, match="1 of 21 pairs do not fit into max_tokens=64"):
        trained = train_preferences(make(max_tokens=64), rows)
    assert trained.report.metrics["left_out"] == 1
