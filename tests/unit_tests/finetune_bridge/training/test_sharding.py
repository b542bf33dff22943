"""What a launcher may ask for where the base is spread over processes."""

import pytest

pytest.importorskip("torch")

from langchain_graft.finetune_bridge.training.sharding import spread_tensors


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ZERO_STAGE", "2", "zero_stage is '2'"),
        ("OFFLOAD_PARAM_DEVICE", "cpu", r"offloading to \['cpu'\]"),
        ("OFFLOAD_OPTIMIZER_DEVICE", "nvme", r"offloading to \['nvme'\]"),
    ],
)
def test_other_deepspeed_settings_are_refused(monkeypatch, name, value, told):
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE", "none")
    monkeypatch.setenv(f"ACCELERATE_DEEPSPEED_{name}", value)
    with pytest.raises(ValueError, match=told):
        spread_tensors(None, device="cpu")
