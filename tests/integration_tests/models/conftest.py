"""The local models, pulled if they are not here."""

import pytest

from langchain_graft.models import LlamaCppChatModel, LlamaSettings, load_embeddings, pull_model


@pytest.fixture(scope="session")
def smollm():
    """The file of a small chat model."""
    return pull_model("smollm2-135m")


@pytest.fixture(scope="session")
def qwen():
    """The file of the default chat model."""
    return pull_model("qwen2.5-coder-1.5b")


@pytest.fixture(scope="session")
def qwen_half():
    """The file of the smallest chat model that knows tools."""
    return pull_model("qwen2.5-coder-0.5b")


@pytest.fixture(scope="session")
def minilm():
    return load_embeddings("minilm")


@pytest.fixture(scope="session")
def e5():
    return load_embeddings("e5-multilingual")


@pytest.fixture(scope="session")
def model(smollm):
    """A chat model with two slots; its server lives until the tests are done."""
    settings = LlamaSettings(context_tokens=1024, parallel=2, threads=1)
    model = LlamaCppChatModel.from_file(smollm, server=settings, max_tokens=40)
    yield model
    model.server.stop()
