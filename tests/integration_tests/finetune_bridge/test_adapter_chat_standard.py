"""LangChain's standard suite for `AdapterChatModel`: on smollm2-135m with an adapter.

What such a model says is left open, as for `TransformersChatModel`, whose tests are those of tools.
"""

import pytest
import torch
from langchain_tests.integration_tests import ChatModelIntegrationTests
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from langchain_graft.finetune_bridge import (
    AdapterChatModel,
    AdapterEngine,
    AdapterManifest,
    AdapterStore,
)
from langchain_graft.models import TransformersSettings
from langchain_graft.models.transformers import shared_engine


@pytest.fixture(scope="module")
def adapters(tmp_path_factory):
    settings = TransformersSettings(device="cpu", dtype="float32", context_tokens=2048)
    engine = shared_engine("smollm2-135m", settings)
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(engine.model.config)
    lora = LoraConfig(r=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    folder = tmp_path_factory.mktemp("adapter")
    get_peft_model(model, lora).save_pretrained(folder, save_embedding_layers=False)
    store = AdapterStore(tmp_path_factory.mktemp("store"))
    manifest = AdapterManifest(kind="generator", base="hf:smollm2-135m", base_digest=engine.digest)
    store.promote(store.register(folder, "legal", manifest=manifest))
    return AdapterEngine(engine, store)


class TestIntegration(ChatModelIntegrationTests):
    """What it answers."""

    @pytest.fixture(autouse=True)
    def made(self, adapters):
        type(self).adapters = adapters

    chat_model_class = AdapterChatModel

    @property
    def standard_chat_model_params(self):
        return {**super().standard_chat_model_params, "max_tokens": 24}

    @property
    def chat_model_params(self):
        return {
            "engine": self.adapters.engine,
            "adapters": self.adapters,
            "adapter": "legal",
            "model": "smollm2-135m",
        }

    @property
    def has_tool_calling(self):
        return False

    @property
    def has_structured_output(self):
        return False
