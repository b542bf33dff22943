"""How much of what was learned is served is chosen on rows that were held out."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from langchain_graft.finetune_bridge.training.strength import scaled, strongest_use


@pytest.fixture
def network():
    """One layer whose change turns 1 into 2 at full strength."""
    layers = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False))
    model = get_peft_model(layers, LoraConfig(r=1, lora_alpha=1, target_modules=["0"]))
    layer = model.base_model.model[0]
    for weight in (layer.base_layer.weight, layer.lora_A["default"].weight):
        torch.nn.init.ones_(weight)
    torch.nn.init.ones_(layer.lora_B["default"].weight)
    return model


@torch.no_grad()
def said(network):
    return network(torch.ones(1, 1)).item()


@pytest.mark.parametrize(("wanted", "strength"), [(2.0, 1.0), (3.0, 1.0), (1.76, 0.75), (1.0, 0.5)])
def test_the_strength_that_ranks_best_is_taken(network, wanted, strength):
    def evaluate():
        return {"ndcg_at_10": -abs(said(network) - wanted), "said": said(network)}

    best, measured = strongest_use(network, evaluate)
    assert best == strength
    assert measured["said"] == pytest.approx(1 + strength)
    assert said(network) == pytest.approx(2.0)  # as it was


def test_of_equals_the_strongest_is_taken(network):
    assert strongest_use(network, lambda: {"ndcg_at_10": 1.0})[0] == 1.0


def test_the_change_is_scaled_for_a_while(network):
    with scaled(network, 0.5):
        assert said(network) == pytest.approx(1.5)
    assert said(network) == pytest.approx(2.0)
