"""LangChain's standard unit tests for a chat model with adapters."""

import pytest
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_graft.finetune_bridge import (
    AdapterChatModel,
    AdapterEngine,
    AdapterManifest,
    AdapterStore,
)


class TestUnit(ChatModelUnitTests):
    """What it is."""

    @pytest.fixture(autouse=True)
    def made(self, tiny_engine, make_adapter, tmp_path):
        store = AdapterStore(tmp_path)
        manifest = AdapterManifest(kind="generator", base="hf:tiny", base_digest=tiny_engine.digest)
        store.promote(store.register(make_adapter(seed=1), "legal", manifest=manifest))
        type(self).adapters = AdapterEngine(tiny_engine, store)

    chat_model_class = AdapterChatModel

    @property
    def chat_model_params(self):
        adapters = self.adapters
        return {
            "engine": adapters.engine,
            "adapters": adapters,
            "adapter": "legal",
            "model": "tiny",
        }
