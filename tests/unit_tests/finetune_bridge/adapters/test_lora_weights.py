"""The pairs that are served are what stock PEFT adds."""

import shutil
import struct
import warnings

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from langchain_graft.errors import AdapterMismatchError, AdapterRefusedError
from langchain_graft.finetune_bridge.adapters.folder import CONFIG, WEIGHTS, sha256_of
from langchain_graft.finetune_bridge.adapters.lora_layers import LoraLayers
from langchain_graft.finetune_bridge.adapters.lora_weights import read_lora


def peft_deltas(folder, tiny_folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = PeftModel.from_pretrained(
            AutoModelForCausalLM.from_pretrained(tiny_folder), str(folder)
        )
    modules = dict(model.base_model.model.named_modules())
    return {
        name: module.get_delta_weight("default").detach()
        for name, module in modules.items()
        if hasattr(module, "get_delta_weight")
    }


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"v_proj": 2, "layers.1.self_attn.q_proj": 4}},
        {"alpha_pattern": {"v_proj": 3}, "rank_pattern": {"v_proj": 5}, "use_rslora": True},
        {"alpha_pattern": {r"^model.layers.\d.mlp.down_proj": 1, "down_proj": 5}},
        {"rank_pattern": {r"layers\.0\.mlp\.down_proj": 3, r"layers.\d.self_attn.q_proj": 6}},
        {"target_modules": "all-linear"},
        {"target_modules": r".*\.1\..*(q|v)_proj"},
        {"layers_to_transform": [1], "lora_dropout": 0.1},
        {"dtype": torch.float16},
        {"dtype": torch.bfloat16, "use_rslora": True},
    ],
    ids=str,
)
def test_pairs_are_pefts_own_products(make_adapter, tiny_folder, settings):
    folder = make_adapter(seed=3, r=8, alpha=16, **settings)
    pairs = read_lora(folder, expected=None)
    expected = peft_deltas(folder, tiny_folder)
    assert pairs.keys() == expected.keys()
    for layer, pair in pairs.items():
        torch.testing.assert_close(pair.b @ pair.a, expected[layer], rtol=1e-5, atol=1e-5)


def test_served_beside_the_base_it_answers_as_peft_does(make_adapter, tiny_folder):
    folder = make_adapter(seed=1)
    base = AutoModelForCausalLM.from_pretrained(tiny_folder)
    layers = LoraLayers(base)
    layers.add("one", read_lora(folder, expected=None, shapes=layers.shape_of))
    tokens = torch.arange(12)[None]
    with torch.inference_mode(), layers.serving(["one"]):
        found = base(tokens).logits
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = PeftModel.from_pretrained(
            AutoModelForCausalLM.from_pretrained(tiny_folder), str(folder)
        )
    with torch.inference_mode():
        torch.testing.assert_close(found, model(tokens).logits, rtol=1e-4, atol=1e-4)


def test_files_have_to_be_the_promised_ones(make_adapter):
    folder = make_adapter()
    files = {name: sha256_of((folder / name).read_bytes()) for name in (CONFIG, WEIGHTS)}
    assert read_lora(folder, expected=files)
    for name in files:
        with pytest.raises(AdapterRefusedError, match="sha256"):
            read_lora(folder, expected={**files, name: "0" * 64})
    with pytest.raises(AdapterRefusedError, match="manifest says None"):
        read_lora(folder, expected={})


def test_another_base_is_told_before_anything_is_read(make_adapter):
    folder = make_adapter()
    with pytest.raises(AdapterMismatchError, match="without it"):
        read_lora(folder, expected=None, shapes=lambda layer: None)
    with pytest.raises(AdapterMismatchError, match=r"\(7, 7\)"):
        read_lora(folder, expected=None, shapes=lambda layer: (7, 7))


def test_matrices_may_lie_anywhere_in_the_file(make_adapter, tmp_path):
    """Writers fill the header up to eight bytes; a file that does not is as good."""
    folder = make_adapter()
    data = (folder / WEIGHTS).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    shifted = struct.pack("<Q", length + 1) + data[8 : 8 + length] + b" " + data[8 + length :]
    other = shutil.copytree(folder, tmp_path / "shifted")
    (other / WEIGHTS).write_bytes(shifted)
    found, expected = read_lora(other, expected=None), read_lora(folder, expected=None)
    assert all(torch.equal(found[layer].b, pair.b) for layer, pair in expected.items())
    assert all(torch.equal(found[layer].a, pair.a) for layer, pair in expected.items())
