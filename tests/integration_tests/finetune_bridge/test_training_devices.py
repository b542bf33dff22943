"""Training on each device and by several processes, on models built from a config."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM

from langchain_graft.finetune_bridge import (
    EmbeddingRow,
    EmbeddingSettings,
    GeneratorRow,
    GeneratorSettings,
    LoraSettings,
    PreferenceRow,
    PreferenceSettings,
    train_embeddings,
    train_generator,
    train_preferences,
    write_rows,
)
from langchain_graft.finetune_bridge.training import launch

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WORDS = "Lisa Macintosh Apple computers".split()
PAIRS = [(f"{one} {n}?", f"{one} and {n}", f"The {one}") for n in range(5) for one in WORDS]
CHATS = [
    GeneratorRow(({"role": "user", "content": asked}, {"role": "assistant", "content": said}))
    for asked, said, _ in PAIRS
]
CONFIGS = Path(launch.__file__).parent / "accelerate"


def on_each(*numbers):
    return [
        pytest.param(device, dtype, id=f"{device}-{dtype}", marks=marks)
        for device, marks in (("cpu", ()), ("cuda", pytest.mark.gpu))
        for dtype in numbers
    ]


@pytest.fixture(autouse=True)
def there(request):
    if request.node.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("no CUDA device here")


@pytest.fixture(scope="module")
def tokenizer():
    """A byte is a token, or a few of a word."""
    from tokenizers import ByteLevelBPETokenizer  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    pairs = ByteLevelBPETokenizer()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    pairs.train_from_iterator(WORDS * 4, vocab_size=300, special_tokens=specials)
    made = PreTrainedTokenizerFast(
        tokenizer_object=pairs._tokenizer, **dict.fromkeys(("eos_token", "pad_token"), specials[0])
    )
    made.add_special_tokens({"additional_special_tokens": specials[1:]})
    made.chat_template = TEMPLATE
    return made


@pytest.fixture(scope="module")
def chat_base(tokenizer, tmp_path_factory):
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.2,
        eos_token_id=0,
        bos_token_id=None,
    )
    folder = tmp_path_factory.mktemp("models") / "chat"
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return f"hf:{folder}"


@pytest.fixture(scope="module")
def embedding_base(tokenizer, tmp_path_factory):
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
    )
    folder = tmp_path_factory.mktemp("models")
    BertModel(config).save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    modules = [Transformer(str(folder / "bert")), Pooling(64, "mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "embedder"))
    return f"hf:{folder / 'embedder'}"


def settings(kind, base, out, **given):
    asked = {"batch_size": 5, "learning_rate": 1e-2, "eval_share": 0.2, "epochs": 4}
    return kind(base=base, out=str(out), lora=LoraSettings(r=8), **asked | given)


@pytest.mark.parametrize(("device", "dtype"), on_each("float32", "bfloat16"))
def test_lora(chat_base, tmp_path, device, dtype):
    asked = settings(GeneratorSettings, chat_base, tmp_path / "run", device=device, dtype=dtype)
    trained = train_generator(asked, CHATS)
    assert trained.report.metrics["loss"] < 0.9 * trained.report.metrics["base_loss"]
    stored = load_file(trained.folder / "adapter_model.safetensors")
    assert all(one.isfinite().all() for one in stored.values())


@pytest.mark.parametrize(("device", "dtype"), on_each("bfloat16"))
@pytest.mark.parametrize("less", [False, True], ids=["kept", "checkpointed"])
def test_qlora(chat_base, tmp_path, device, dtype, less):
    pytest.importorskip("bitsandbytes")
    given = {"device": device, "dtype": dtype, "method": "qlora", "gradient_checkpointing": less}
    trained = train_generator(
        settings(GeneratorSettings, chat_base, tmp_path / "run", **given), CHATS
    )
    assert trained.report.metrics["loss"] < 0.9 * trained.report.metrics["base_loss"]


@pytest.mark.parametrize(("device", "dtype"), on_each("float32", "bfloat16"))
def test_preferences(chat_base, tmp_path, device, dtype):
    rows = [PreferenceRow(*pair) for pair in PAIRS]
    asked = settings(PreferenceSettings, chat_base, tmp_path / "run", device=device, dtype=dtype)
    trained = train_preferences(asked, rows)
    assert trained.report.metrics["accuracy"] > 0.7
    assert trained.report.metrics["loss"] < 0.6


@pytest.mark.parametrize(("device", "dtype"), on_each("float32", "bfloat16"))
def test_embeddings(embedding_base, tmp_path, device, dtype):
    rows = [EmbeddingRow(asked, said, group=asked) for asked, said, _ in PAIRS]
    given = {"device": device, "dtype": dtype, "learning_rate": 3e-3}
    trained = train_embeddings(
        settings(EmbeddingSettings, embedding_base, tmp_path / "run", **given), rows
    )
    assert trained.report.last_loss < trained.report.first_loss


@pytest.fixture(scope="module")
def alone(chat_base, tmp_path_factory):
    """What one process learns."""
    folder = tmp_path_factory.mktemp("alone")
    asked = settings(GeneratorSettings, chat_base, folder / "run", device="cpu", dtype="float32")
    return train_generator(asked, CHATS)


LAUNCHES = {
    "whole": ["--multi_gpu"],
    "fsdp2": ["--config_file", str(CONFIGS / "fsdp2.yaml")],
    "zero3": ["--config_file", str(CONFIGS / "zero3.yaml")],
}


@pytest.mark.parametrize("way", LAUNCHES)
def test_two_processes_learn_what_one_learns(alone, chat_base, tmp_path, way):
    """On the processor, by gloo; the base whole in each, or spread over both."""
    if way == "zero3" and find_spec("deepspeed") is None:
        pytest.skip("no DeepSpeed here")
    asked = settings(GeneratorSettings, chat_base, tmp_path / "run", device="cpu", dtype="float32")
    (tmp_path / "settings.json").write_text(json.dumps(asked.to_json()))
    write_rows(tmp_path / "rows.jsonl", CHATS)
    command = [sys.executable, "-m", "accelerate.commands.launch", *LAUNCHES[way]]
    command += ["--num_processes", "2", "--main_process_port", "0", "-m", launch.__name__]
    command += [str(tmp_path / "settings.json"), str(tmp_path / "rows.jsonl")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])["report"]
    assert report["steps"] == alone.report.steps
    assert report["metrics"] == pytest.approx(alone.report.metrics, rel=1e-3)
    theirs, mine = (
        load_file(folder / "adapter_model.safetensors")
        for folder in (tmp_path / "run" / "adapter", alone.folder)
    )
    assert {name: one.shape for name, one in theirs.items()} == {
        name: one.shape for name, one in mine.items()
    }
    assert all(torch.allclose(theirs[name], mine[name], atol=1e-2) for name in mine)
    lines = (tmp_path / "run" / "loss.jsonl").read_text().splitlines()
    assert len([one for one in lines if '"loss"' in one]) == alone.report.steps  # one has written
