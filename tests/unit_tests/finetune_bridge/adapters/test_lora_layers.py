"""Low-rank products beside a model are PEFT's, row by row."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from langchain_graft.finetune_bridge.adapters.lora_layers import LoraLayers, LoraPair
from langchain_graft.finetune_bridge.adapters.lora_weights import read_lora

IDS = torch.tensor([[5, 17, 120, 9], [88, 4, 250, 31], [7, 7, 100, 200]])


@pytest.fixture(scope="module")
def folders(make_adapter):
    return {
        "a": make_adapter(seed=1, r=4),
        "b": make_adapter(seed=2, r=8, alpha=32, use_rslora=True),
        "c": make_adapter(seed=3, r=2, target_modules=["o_proj", "gate_proj", "q_proj"]),
    }


@pytest.fixture(scope="module")
def model(tiny_folder):
    return AutoModelForCausalLM.from_pretrained(tiny_folder).eval()


@pytest.fixture
def layers(model, folders):
    layers = LoraLayers(model)
    for key, folder in folders.items():
        layers.add(key, read_lora(folder, expected=None))
    yield layers
    for module in model.modules():
        module._forward_hooks.clear()


def logits(model, ids):
    with torch.inference_mode():
        return model(ids, use_cache=False).logits


@pytest.fixture(scope="module")
def expected(tiny_folder, folders):
    """What PEFT's own model gives, each adapter alone."""
    found = {None: logits(AutoModelForCausalLM.from_pretrained(tiny_folder).eval(), IDS)}
    for key, folder in folders.items():
        base = AutoModelForCausalLM.from_pretrained(tiny_folder)
        found[key] = logits(PeftModel.from_pretrained(base, folder).eval(), IDS)
    return found


@pytest.mark.parametrize("key", ["a", "b", "c", None])
def test_all_rows_with_one_adapter(model, layers, expected, key):
    with layers.serving([key]):
        assert torch.allclose(logits(model, IDS), expected[key], atol=1e-4)
    assert torch.allclose(logits(model, IDS), expected[None], atol=1e-6)


@pytest.mark.parametrize(
    "rows", [["a", "b", "c"], ["b", None, "a"], ["c", "c", "a"], [None, None, "b"], ["a"] * 3]
)
def test_each_row_has_its_own(model, layers, expected, rows):
    with layers.serving(rows):
        found = logits(model, IDS)
    for n, key in enumerate(rows):
        assert torch.allclose(found[n], expected[key][n], atol=1e-4)


def test_threads_do_not_see_each_other(model, layers, expected):
    begun = threading.Barrier(4)

    def ask(key):
        begun.wait()
        for _ in range(50):
            with layers.serving([key]):
                assert torch.allclose(logits(model, IDS), expected[key], atol=1e-4)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, ["a", "b", "c", None]))


def test_others_numbers_do_not_reach_a_row(model, layers, expected):
    """Not even where they grow beyond all bounds; matrices that are not finite are not read."""
    pair = LoraPair(torch.full((2, 32), torch.inf), torch.ones(32, 2))
    layers.add("broken", {"model.layers.0.self_attn.q_proj": pair})
    with layers.serving(["a", "broken", None]):
        found = logits(model, IDS)
    assert torch.allclose(found[0], expected["a"][0], atol=1e-4)
    assert torch.allclose(found[2], expected[None][2], atol=1e-4)
    assert not torch.allclose(found[1], expected[None][1], atol=1e-4)


def test_what_is_removed_is_gone(model, layers, expected):
    with layers.serving(["a", "b", "c"]):
        layers.remove("a")  # a forward that has begun ends with it
        found = logits(model, IDS)
    assert torch.allclose(found[0], expected["a"][0], atol=1e-4)
    assert "a" not in layers
    with pytest.raises(KeyError, match="a"), layers.serving(["a"]):
        pass
    assert not layers._mixed[1]


def test_what_does_not_fit_is_refused(layers, folders):
    pairs = read_lora(folders["a"], expected=None)
    with pytest.raises(ValueError, match="already"):
        layers.add("a", pairs)
    one = next(iter(pairs.values()))
    with pytest.raises(ValueError, match="no_such_layer"):
        layers.add("x", {"no_such_layer": one})
    with pytest.raises(ValueError, match=r"gate_proj"):
        layers.add("x", {"model.layers.0.mlp.gate_proj": one})
    assert "x" not in layers
