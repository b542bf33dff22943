"""LangChain's standard suites for `LlamaCppChatModel`, on the default chat model.

The smallest model will not do: what it says to a suite's prompts differs from machine to machine,
and a sentence that it never ends leaves a JSON object without its other fields.
"""

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_graft.models import LlamaCppChatModel, LlamaSettings


class Served:
    """One server for both suites."""

    @pytest.fixture(autouse=True)
    def served(self, qwen):
        settings = LlamaSettings(context_tokens=2048)
        type(self).made = LlamaCppChatModel.from_file(qwen, server=settings)

    @property
    def chat_model_class(self):
        return LlamaCppChatModel

    @property
    def standard_chat_model_params(self):
        return {**super().standard_chat_model_params, "max_tokens": 200}

    @property
    def chat_model_params(self):
        return {
            "model": self.made.model_name,
            "server": self.made.server,
            "weights_digest": self.made.weights_digest,
            "base_url": self.made.openai_api_base,
            "api_key": self.made.server.api_key,
            "http_client": self.made.http_client,
            "http_async_client": self.made.http_async_client,
            "stream_usage": True,
            "use_responses_api": False,
        }

    @property
    def has_structured_output(self):
        return True

    @property
    def supports_json_mode(self):
        return True


class TestUnit(Served, ChatModelUnitTests):
    """How it is made."""


class TestIntegration(Served, ChatModelIntegrationTests):
    """What it answers."""

    @property
    def has_tool_calling(self):
        """The server can; this model writes its calls as plain JSON, outside its own template."""
        return False
