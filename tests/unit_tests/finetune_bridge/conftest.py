"""Adapters as stock PEFT makes them."""

import itertools
import warnings

import pytest


@pytest.fixture(scope="session")
def make_adapter(tiny_folder, tmp_path_factory):
    """A function that makes a seeded LoRA folder of the tiny model, as stock PEFT saves it.

    `make_adapter(seed=0, r=8, alpha=16, **lora_config) -> folder`; `model`: another torch model,
    `dtype`: of the stored weights.
    """
    import torch  # noqa: PLC0415
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    counter = itertools.count()

    def make(*, seed=0, r=8, alpha=16, model=None, dtype=None, **lora_config):
        folder = tmp_path_factory.mktemp("adapters") / f"adapter{next(counter)}"
        settings = {
            "init_lora_weights": False,
            "target_modules": ["q_proj", "v_proj", "down_proj"],
            "task_type": "CAUSAL_LM",
            **lora_config,
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = model or AutoModelForCausalLM.from_pretrained(tiny_folder)
            torch.manual_seed(seed)
            adapted = get_peft_model(model, LoraConfig(r=r, lora_alpha=alpha, **settings))
            if dtype is not None:
                adapted.to(dtype)
            adapted.save_pretrained(folder, save_embedding_layers=False)
        return folder

    return make
