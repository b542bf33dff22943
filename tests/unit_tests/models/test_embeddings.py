"""Embedders by name, and what tells their vectors apart."""

import re

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding

from langchain_graft.errors import ModelError, UnknownModelError
from langchain_graft.models import embeddings_digest, load_embeddings
from langchain_graft.models.embeddings import digest_of
from langchain_graft.testing import HashEmbeddings


class NamedEmbeddings(DeterministicFakeEmbedding):
    model: str


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


def test_an_embedder_says_its_digest_itself():
    assert embeddings_digest(HashEmbeddings(32)) == "hash-32"


def test_for_any_other_it_is_made_of_what_names_its_model():
    digests = [
        embeddings_digest(embeddings)
        for embeddings in (
            NamedEmbeddings(size=8, model="a"),
            NamedEmbeddings(size=8, model="b"),
            NamedEmbeddings(size=9, model="a"),
            DeterministicFakeEmbedding(size=8),
        )
    ]
    assert len(set(digests)) == 4
    assert all(re.fullmatch("[0-9a-f]{32}", digest) for digest in digests)
    assert embeddings_digest(NamedEmbeddings(size=8, model="a")) == digests[0]


def test_a_digest_is_the_same_on_every_machine():
    assert digest_of("a", ["b"], {"c": 1, "字": None}) == digest_of(
        "a", ["b"], {"字": None, "c": 1}
    )
    assert digest_of("e5") == "c78a635d67d940fcc7190a2abea75266"
    assert digest_of("a", "b") != digest_of("ab")


async def test_the_fake_puts_texts_with_the_same_words_together():
    fake = HashEmbeddings()
    [one, other, far] = fake.embed_documents(["the red apple", "Apple, the RED!", "银色的鼠标"])
    assert one == pytest.approx(other)
    assert sum(a * b for a, b in zip(one, far, strict=True)) < 0.5
    assert sum(a * a for a in far) == pytest.approx(1)
    assert await fake.aembed_query("the red apple") == one
