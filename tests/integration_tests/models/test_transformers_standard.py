"""LangChain's standard suite for `TransformersChatModel`, on the smallest model.

What such a model says is left open: its replies are cut after a few tokens. Structured output
holds by grammar, but needs a reply that ends, which this model's texts may not.
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
