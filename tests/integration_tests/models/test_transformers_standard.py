"""LangChain's standard suite for `TransformersChatModel`, on the smallest models.

What such a model says is left open: its replies are cut after a few tokens. Structured output
holds by grammar, but needs a reply that ends, which such a model's texts may not. Tools are tried
on the smallest model that knows them; it has to call one where the suite lets that be said.
"""

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_graft.models import TransformersChatModel, TransformersSettings
from langchain_graft.models.transformers import shared_engine


class TestIntegration(ChatModelIntegrationTests):
    """What it answers."""

    @pytest.fixture(autouse=True)
    def made(self, smollm):
        settings = TransformersSettings(device="cpu", dtype="float32", context_tokens=2048)
        type(self).engine = shared_engine("smollm2-135m", settings)

    chat_model_class = TransformersChatModel

    @property
    def standard_chat_model_params(self):
        return {**super().standard_chat_model_params, "max_tokens": 24}

    @property
    def chat_model_params(self):
        return {"engine": self.engine, "model": "smollm2-135m"}

    @property
    def has_tool_calling(self):
        return False

    @property
    def has_structured_output(self):
        return False


class TestTools(ChatModelIntegrationTests):
    """The part of the suite that is about tools."""

    @pytest.fixture(autouse=True)
    def made(self, qwen_half, request):
        if not any(word in request.node.name for word in ("tool", "few_shot", "agent")):
            pytest.skip("tried on the smallest model")
        settings = TransformersSettings(device="cpu", context_tokens=4096)
        type(self).engine = shared_engine("qwen2.5-coder-0.5b", settings)

    chat_model_class = TransformersChatModel

    @property
    def standard_chat_model_params(self):
        return {**super().standard_chat_model_params, "max_tokens": 128}

    @property
    def chat_model_params(self):
        return {"engine": self.engine, "model": "qwen2.5-coder-0.5b"}

    @property
    def has_structured_output(self):
        return False

    @pytest.mark.xfail(reason="left to itself, so small a model writes its call in a code block")
    def test_agent_loop(self, model):
        super().test_agent_loop(model)
