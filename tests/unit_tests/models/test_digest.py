"""What tells the vectors of two embedders apart."""

import re

from langchain_core.embeddings import DeterministicFakeEmbedding

from langchain_graft.models.digest import digest_of, embeddings_digest
from langchain_graft.testing import HashEmbeddings


class NamedEmbeddings(DeterministicFakeEmbedding):
    model: str


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
