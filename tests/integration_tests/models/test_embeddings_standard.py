"""LangChain's standard suites for the embedders of the catalogue."""

from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from langchain_graft.models import E5Embeddings, SentenceEmbeddings, pull_model
from langchain_graft.models.catalogue import CATALOGUE


class Minilm:
    @property
    def embeddings_class(self):
        return SentenceEmbeddings

    @property
    def embedding_model_params(self):
        return {"folder": pull_model("minilm"), "weights_digest": CATALOGUE["minilm"].digest}


class E5:
    @property
    def embeddings_class(self):
        return E5Embeddings

    @property
    def embedding_model_params(self):
        digest = CATALOGUE["e5-multilingual"].digest
        return {"path": pull_model("e5-multilingual"), "weights_digest": digest}


class TestMinilmUnit(Minilm, EmbeddingsUnitTests): ...


class TestMinilm(Minilm, EmbeddingsIntegrationTests): ...


class TestE5Unit(E5, EmbeddingsUnitTests): ...


class TestE5(E5, EmbeddingsIntegrationTests): ...
