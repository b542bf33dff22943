"""What tells the vectors of two embedders apart."""

import re
from pathlib import Path

import pytest
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


class OwnEmbeddings(HashEmbeddings):
    """One that does not say its digest, with the attributes that are given."""

    def __init__(self, **attributes):
        super().__init__()
        del self.digest
        vars(self).update(attributes)


@pytest.mark.parametrize(
    "name", ["model_path", "model_uid", "model_name_or_path", "model_url", "base_url"]
)
def test_whatever_names_the_model_tells_it_apart(name):
    digests = {embeddings_digest(OwnEmbeddings(**{name: value})) for value in ("a", "b")}
    assert len(digests) == 2
    assert embeddings_digest(OwnEmbeddings(**{name: Path("a")})) in digests


def test_a_server_may_move():
    digests = {embeddings_digest(OwnEmbeddings(model="a", base_url=url)) for url in "xy"}
    assert len(digests) == 1


@pytest.mark.parametrize("attributes", [{}, {"path": "a"}, {"model": object()}, {"model": ""}])
def test_one_whose_model_has_no_name_is_refused(attributes):
    with pytest.raises(ValueError, match=r"OwnEmbeddings .*`digest` attribute"):
        embeddings_digest(OwnEmbeddings(**attributes))


def test_a_digest_is_the_same_on_every_machine():
    assert digest_of("a", ["b"], {"c": 1, "字": None}) == digest_of(
        "a", ["b"], {"字": None, "c": 1}
    )
    assert digest_of("e5") == "c78a635d67d940fcc7190a2abea75266"
    assert digest_of("a", "b") != digest_of("ab")
