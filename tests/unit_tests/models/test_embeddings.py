"""Embedders by name."""

import pytest

from langchain_graft.errors import ModelError, UnknownModelError
from langchain_graft.models import load_embeddings
from langchain_graft.testing import HashEmbeddings


@pytest.mark.parametrize("spec", ["nonsense", "", "smollm2-135m", "nosuch:model"])
def test_nothing_goes_by_that_name(spec):
    with pytest.raises(UnknownModelError, match="e5-multilingual"):
        load_embeddings(spec)


@pytest.mark.parametrize("settings", [{}, {"timeout": 5.0, "max_retries": 0}])
def test_waits_for_a_service_are_bounded(settings):
    embeddings = load_embeddings("openai:text-embedding-3-small", api_key="none", **settings)
    expected = {"timeout": 60.0, "max_retries": 2} | settings
    assert embeddings.request_timeout == expected["timeout"]
    assert embeddings.max_retries == expected["max_retries"]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [("openai:text-embedding-3-small", "OPENAI_API_KEY"), ("cohere:embed", "langchain-cohere")],
)
def test_key_or_package_is_missing(spec, reason, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelError, match=reason):
        load_embeddings(spec)


async def test_the_fake_puts_texts_with_the_same_words_together():
    fake = HashEmbeddings()
    [one, other, far] = fake.embed_documents(["the red apple", "Apple, the RED!", "银色的鼠标"])
    assert one == pytest.approx(other)
    assert sum(a * b for a, b in zip(one, far, strict=True)) < 0.5
    assert sum(a * a for a in far) == pytest.approx(1)
    assert await fake.aembed_query("the red apple") == one
