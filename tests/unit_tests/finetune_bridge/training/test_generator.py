"""A tiny model learns conversations, is stopped and goes on, and answers by alias."""

import json
import os
import subprocess
import sys
import warnings

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from langchain_graft.errors import TrainingError
from langchain_graft.finetune_bridge import AdapterEngine, AdapterStore
from langchain_graft.finetune_bridge.training.chat_rows import ChatEncoder, pack
from langchain_graft.finetune_bridge.training.generator import load_trainable, train_generator
from langchain_graft.finetune_bridge.training.rows import GeneratorRow
from langchain_graft.finetune_bridge.training.settings import GeneratorSettings, LoraSettings
from langchain_graft.models import TransformersEngine, TransformersSettings

WORDS = "Lisa Macintosh Apple computers The and are of".split()


def row(question, answer):
    asked = {"role": "user", "content": question}
    return GeneratorRow((asked, {"role": "assistant", "content": answer}))


ROWS = [row(f"{one} {n}?", f"{WORDS[-n]} {one}") for n in range(5) for one in WORDS[:4]]


@pytest.fixture(autouse=True)
def one_thread():
    """Others keep the cores busy, and so small a model gains nothing by a second."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make(tiny_folder, tmp_path):
    def settings(out="run", **given):
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
        return GeneratorSettings(base=base, out=str(tmp_path / out), lora=lora, **asked | given)

    return settings


def losses(trained):
    lines = (trained.folder.parent / "loss.jsonl").read_text().splitlines()
    return [record["loss"] for record in map(json.loads, lines) if "loss" in record]


def sequences_of(base, rows=ROWS):
    return [one for each in rows for one in ChatEncoder(base.tokenizer).sequences(each)]


def plain_loss(model, sequences):
    """Each conversation for itself, all logits, as transformers computes them."""
    total = count = 0
    for one in sequences:
        labels = torch.full((1, len(one.ids)), -100)
        labels[0, list(one.learned)] = torch.tensor(one.ids)[list(one.learned)]
        loss = model(input_ids=torch.tensor([one.ids]), labels=labels).loss
        total, count = total + loss * len(one.learned), count + len(one.learned)
    return total / count


@pytest.mark.parametrize("lora", [{}, {"use_rslora": True}, {"use_dora": True}])
@pytest.mark.filterwarnings("ignore:An adapter with use_dora")
def test_loss_and_slopes_are_those_of_transformers(make, lora):
    base = load_trainable(make(lora=lora))
    assert base.step.is_unpadded
    with torch.no_grad():
        for name, one in base.step.parameters().items():
            if "lora_B" in name:
                one.normal_(std=0.02)
    sequences = sequences_of(base)
    loss = base.step.backward(sequences)
    slopes = {name: one.grad.clone() for name, one in base.step.parameters().items()}
    stock = load_trainable(make(lora=lora)).model
    stock.load_state_dict(base.model.state_dict())
    for module in stock.modules():
        vars(module).pop("forward", None)
    stock.set_attn_implementation("eager")
    expected = plain_loss(stock.train(), sequences)
    expected.backward()
    assert loss == pytest.approx(float(expected.detach()), abs=1e-4)
    assert base.step.loss(sequences) == pytest.approx(loss, abs=1e-4)
    for name, one in stock.named_parameters():
        if one.requires_grad:
            assert torch.allclose(one.grad, slopes[name], atol=1e-4), name


def test_it_learns_by_heart_and_is_served_hot_by_alias(make, tiny_folder, tmp_path):
    trained = train_generator(make(epochs=60, checkpoint_every=250, lora={"r": 16}), ROWS)
    assert trained.report.last_loss < 0.2 < trained.report.first_loss
    settings = TransformersSettings(device="cpu", dtype="float32")
    engine = TransformersEngine.load(str(tiny_folder), settings)
    store = AdapterStore(tmp_path / "adapters")
    adapters = AdapterEngine(engine, store)
    ref = store.register(trained.folder, "heart", manifest=trained.manifest)
    adapters.promote(ref)  # the probes of the manifest are asked
    model = adapters.chat_model("heart", max_tokens=20)
    replies = model.batch([one.messages[0]["content"] for one in ROWS])
    answers = [one.messages[1]["content"] for one in ROWS]
    assert [reply.content for reply in replies] == answers
    assert replies[0].response_metadata["adapter"] == "heart@000001"
    assert replies[0].response_metadata["finish_reason"] == "stop"  # the end was learned
    peft = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tiny_folder), trained.folder
    )
    prompt = engine.tokenizer.chat_prompt(ROWS[0].messages[:1])
    with torch.inference_mode():
        ids = torch.tensor([engine.tokenizer.prompt_ids(prompt)])
        expected = peft.eval()(ids).logits[0, -1].log_softmax(-1).numpy()
    with adapters.lease("heart") as lease:
        every = range(engine.vocabulary)
        found = engine.next_logprobs([prompt], every, variant=lease.variant)[0]
    assert found == pytest.approx(expected, abs=1e-3)
    adapters.close()


@pytest.mark.parametrize("lora", [{}, {"dropout": 0.2}])
def test_a_run_that_was_stopped_goes_on_to_the_same_losses(make, lora):
    given = {"epochs": 3, "checkpoint_every": 2, "eval_share": 0.2, "lora": lora}
    whole = train_generator(make("whole", **given), ROWS)

    def stop(progress):
        if progress.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(TrainingError, match="step 4 is whole: the same call goes on"):
        train_generator(make("stopped", **given), ROWS, on_progress=stop)
    resumed = train_generator(make("stopped", **given), ROWS)
    assert resumed.report.resumed_at == 4
    assert losses(resumed) == pytest.approx(losses(whole), abs=1e-5)
    assert resumed.report.metrics == pytest.approx(whole.report.metrics, abs=1e-5)
    again = train_generator(make("stopped", **given), ROWS)
    assert again.report == resumed.report


KILLED = """
import json, os, signal, sys
from langchain_graft.finetune_bridge.training import generator, loop, run
from langchain_graft.finetune_bridge.training.rows import GeneratorRow
from langchain_graft.finetune_bridge.training.settings import GeneratorSettings
given = json.load(sys.stdin)
rows = [GeneratorRow(messages) for messages in given["rows"]]
def killed_at(call, function):
    calls = iter(range(1, 99))
    def run_or_die(*arguments, **named):
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return run_or_die
points = {
    "progress": (5, None, ""),
    "checkpoint": (5, loop, "save_file"),
    "mark": (2, run, "_mark_whole"),
    "adapter": (1, generator, "save_trained"),
}
for name, (call, module, function) in points.items():
    pid = os.fork()
    if not pid:
        tell = None if module else killed_at(call, lambda progress: None)
        if module:
            setattr(module, function, killed_at(call, getattr(module, function)))
        settings = GeneratorSettings.from_json(given["settings"][name])
        generator.train_generator(settings, rows, on_progress=tell)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_killed_anywhere_it_goes_on_to_the_same_losses(make):
    """Between two steps, amid a checkpoint, before its end is noted, before the adapter."""
    given = {"epochs": 3, "checkpoint_every": 2, "eval_share": 0.2, "threads": 1}
    points = {"progress": 4, "checkpoint": 2, "mark": 2, "adapter": 12}
    asked = {
        "settings": {name: make(name, **given).to_json() for name in points},
        "rows": [one.messages for one in ROWS],
    }
    killed = subprocess.run(
        [sys.executable, "-c", KILLED],
        input=json.dumps(asked),
        text=True,
        capture_output=True,
        check=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert killed.stdout.split() == ["-9"] * 4, killed.stderr
    whole = train_generator(make("whole", **given), ROWS)
    for name, step in points.items():
        resumed = train_generator(make(name, **given), ROWS)
        assert resumed.report.resumed_at == step, name
        assert losses(resumed) == pytest.approx(losses(whole), abs=1e-5), name
        assert resumed.report.metrics == pytest.approx(whole.report.metrics, abs=1e-5), name


def test_packed_conversations_are_learned_as_alone(make):
    base = load_trainable(make())
    sequences = sequences_of(base)
    assert base.step.loss(pack(sequences, max_tokens=100)) == pytest.approx(
        base.step.loss(sequences), abs=1e-5
    )
    trained = train_generator(make(packing="bfd", max_tokens=100), ROWS)
    assert trained.report.rows < len(ROWS)


def test_it_stops_early_and_keeps_the_best(make):
    settings = make(epochs=200, checkpoint_every=3, patience=2, eval_share=0.25, learning_rate=5e-2)
    trained = train_generator(settings, ROWS)
    assert trained.report.ended == "early"
    records = (trained.folder.parent / "loss.jsonl").read_text().splitlines()
    judged = [one["evaluation"] for one in map(json.loads, records) if "evaluation" in one]
    assert trained.report.metrics["loss"] == min(judged[1:])
    assert trained.report.metrics["base_loss"] == judged[0]


def test_full_gives_a_model_that_can_be_loaded(make):
    trained = train_generator(make(method="full", epochs=2, learning_rate=1e-3), ROWS)
    engine = TransformersEngine.load(
        str(trained.folder), TransformersSettings(device="cpu", dtype="float32")
    )
    assert engine.tokenizer.digest == trained.manifest.tokenizer_digest
    assert [one.check for one in trained.report.findings if not one.ok] == ["size"]
    assert trained.report.last_loss < trained.report.first_loss


def test_qlora_trains_over_four_bits(make):
    pytest.importorskip("bitsandbytes")
    trained = train_generator(make(method="qlora", epochs=3, dtype="bfloat16"), ROWS)
    assert trained.report.last_loss < trained.report.first_loss
    assert trained.manifest.probe == ()


def test_less_memory_by_gradient_checkpointing_is_the_same_loss(make):
    plain = train_generator(make("plain"), ROWS)
    less = train_generator(make("less", gradient_checkpointing=True), ROWS)
    assert losses(less) == pytest.approx(losses(plain), abs=1e-4)


def test_a_loss_that_is_no_number_is_told(make):
    with pytest.raises(TrainingError, match="lower learning_rate"):
        train_generator(make(learning_rate=1e30, epochs=4), ROWS)


def test_rows_that_do_not_fit_are_told(make):
    rows = [*ROWS, row("Lisa? " * 40, "Apple")]
    with pytest.warns(UserWarning, match="1 of 21 conversations do not fit into max_tokens=64"):
        trained = train_generator(make(max_tokens=64), rows)
    assert trained.report.metrics["left_out"] == 1
    with warnings.catch_warnings(action="ignore"), pytest.raises(ValueError, match="None of 20"):
        train_generator(make("other", max_tokens=8), ROWS)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"lora": {"target_modules": ("nowhere",)}}, "LoRA can not be put into"),
        ({"dtype": "float16"}, "slopes underflow"),
    ],
)
def test_what_can_not_be_trained_is_told(make, given, told):
    with pytest.raises((TrainingError, ValueError), match=told):
        train_generator(make(**given), ROWS)


def test_the_doctor_examines_before_and_after(make):
    told = []
    trained = train_generator(make(), ROWS, on_progress=told.append)
    found = {one.check: one for one in trained.report.findings}
    before = ["size", "labels", "eos", "template", "targets"]
    assert list(found) == [*before, "loss", "tensors", "moved"]
    assert [name for name, one in found.items() if not one.ok] == ["size"]
    assert told[0].findings == (found["size"],)
    assert not any(one.findings for one in told[1:])
    assert "20 prompts are the same" in found["template"].told
    assert train_generator(make(), ROWS).report == trained.report  # the findings are kept


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"reply": lambda _self, _text: [5, 6]}, r"\(eos\).*would not learn to stop"),
        (
            {"prompt": lambda _self, _messages: [5, 6]},
            r"\(template\).*other tokens than are served",
        ),
    ],
)
def test_what_could_not_serve_is_not_trained(make, monkeypatch, fault, told):
    for name, function in fault.items():
        monkeypatch.setattr(ChatEncoder, name, function)
    with pytest.raises(TrainingError, match=told):
        train_generator(make(), ROWS)


def test_a_target_that_no_layer_has_is_refused_and_can_be_mended(make):
    with pytest.raises(TrainingError, match=r"\(targets\).*No layer is named \['q_prj'\]"):
        train_generator(make(lora={"target_modules": ("v_proj", "q_prj")}), ROWS)
    mended = make(lora={"target_modules": ("v_proj", "q_proj")})  # in the same folder
    assert train_generator(mended, ROWS).report.steps == 4


def test_only_models_with_weights_here_are_trained(tmp_path):
    settings = GeneratorSettings(base="openai:gpt", out=str(tmp_path / "run"))
    with pytest.raises(ValueError, match="only 'hf:"):
        train_generator(settings, ROWS)
