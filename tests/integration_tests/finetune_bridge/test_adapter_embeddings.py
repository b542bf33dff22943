"""Adapters beside MiniLM's and e5's weights: PEFT's vectors, LangChain's suites, and the cost."""

import time
import warnings

import numpy as np
import pytest
import torch
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests
from peft import LoraConfig, PeftModel, get_peft_model
from sentence_transformers import SentenceTransformer

from langchain_graft.finetune_bridge import (
    AdapterEmbeddings,
    AdapterManifest,
    AdapterStore,
    QueryMap,
)
from langchain_graft.finetune_bridge.adapters.query_map import read_query_map
from langchain_graft.models import SentenceEmbeddings, load_embeddings, pull_model

TEXTS = [
    "The Macintosh has a mouse.",
    "",
    "苹果电脑公司",
    "A longer text about computers, their makers and their users. " * 12,
]
QUESTIONS = ["Where is Paris?", "Paris", "a city on the Seine that is the capital of France"]


def stock():
    return SentenceTransformer(
        str(pull_model("minilm")), device="cpu", model_kwargs={"dtype": "float32"}
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A seeded LoRA of rank 16 on all linear layers, as sentence-transformers and PEFT save it."""
    made = tmp_path_factory.mktemp("peft") / "seeded"
    settings = LoraConfig(
        r=16,
        lora_alpha=16,
        target_modules="all-linear",
        init_lora_weights=False,
        task_type="FEATURE_EXTRACTION",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(3)
        network = get_peft_model(stock()[0].model, settings)
        with torch.no_grad():
            for name, part in network.named_parameters():
                if "lora_B" in name:
                    part.mul_(0.1)
        network.save_pretrained(made, save_embedding_layers=False)
    return made


@pytest.fixture(scope="module")
def by_peft(folder):
    model = stock()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model[0].model = PeftModel.from_pretrained(model[0].model, folder)
    return model.eval()


@pytest.fixture(scope="module")
def minilm():
    return SentenceEmbeddings(pull_model("minilm"), device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return AdapterStore(tmp_path_factory.mktemp("adapters"))


@pytest.fixture(scope="module")
def legal(store, folder, minilm):
    """The adapter's version in the store."""
    return store.import_peft(
        folder, "legal", base="minilm", base_digest=minilm.digest, kind="embeddings"
    )


@pytest.mark.parametrize("texts", [TEXTS, QUESTIONS, QUESTIONS * 40], ids=["long", "few", "many"])
def test_vectors_are_those_of_peft(minilm, store, legal, by_peft, texts):
    embeddings = AdapterEmbeddings(minilm, store, adapter=str(legal))
    found = np.array(embeddings.embed_documents(texts))
    expected = by_peft.encode(texts, normalize_embeddings=True)
    assert found == pytest.approx(expected, abs=1e-4)
    assert np.abs(np.array(minilm.embed_documents(texts)) - expected).max() > 0.01
    assert np.array(embeddings.embed_queries(texts)) == pytest.approx(expected, abs=1e-4)


def test_in_bf16_they_are_nearly_the_same(store, legal, by_peft):
    base = SentenceEmbeddings(pull_model("minilm"), device="cpu", dtype="bfloat16")
    found = np.array(AdapterEmbeddings(base, store, adapter=str(legal)).embed_documents(TEXTS))
    expected = by_peft.encode(TEXTS, normalize_embeddings=True)
    assert (found * expected).sum(axis=1).min() > 0.998


def test_a_map_on_e5_in_four_bits(tmp_path, store):
    e5 = load_embeddings("e5-multilingual")
    pairs = [(f"问题 {n}", f"关于 {n} 的回答。") for n in range(40)]
    asked = e5.embed_queries([question for question, _ in pairs])
    answers = e5.embed_documents([answer for _, answer in pairs])
    QueryMap.fit(asked, answers, rank=4).save(tmp_path / "map")
    manifest = AdapterManifest(kind="query-map", base="e5-multilingual", base_digest=e5.digest)
    ref = store.register(tmp_path / "map", "near", manifest=manifest)
    embeddings = AdapterEmbeddings(e5, store, adapter=str(ref))
    assert embeddings.embed_documents(["苹果"]) == e5.embed_documents(["苹果"])
    assert embeddings.digest == e5.digest
    questions = [question for question, _ in pairs]
    change = read_query_map(store.path(ref))
    assert np.array(embeddings.embed_queries(questions)) == pytest.approx(change(asked), abs=1e-6)
    assert not np.allclose(change(asked), asked, atol=1e-3)


def seconds(embed, texts):
    start = time.process_time()
    embed(texts)
    return time.process_time() - start


def test_an_adapter_costs_little(minilm, store, legal, record_property):
    """Medians of rounds that take turns, in processor time: the machine has other work."""
    texts = ["A sentence about computers, their makers and what they cost. " * 4] * 64
    served = AdapterEmbeddings(minilm, store, adapter=str(legal))
    plain = SentenceEmbeddings(pull_model("minilm"), device="cpu", dtype="float32")
    ways = {"base": plain, "beside": minilm, "served": served}
    served.embed_documents(texts)
    rounds = [
        {name: seconds(way.embed_documents, texts) for name, way in ways.items()} for _ in range(7)
    ]
    took = {name: float(np.median([one[name] for one in rounds])) for name in ways}
    for name in ("beside", "served"):
        record_property(f"{name}_ratio", took[name] / took["base"])
    assert took["beside"] < 1.15 * took["base"]
    assert took["served"] < 1.5 * took["base"]


class Standard:
    @pytest.fixture(autouse=True)
    def _made(self, minilm, store, legal):
        self.made = {"base": minilm, "store": store, "adapter": str(legal)}

    @property
    def embeddings_class(self):
        return AdapterEmbeddings

    @property
    def embedding_model_params(self):
        return self.made


class TestUnit(Standard, EmbeddingsUnitTests): ...


class TestIntegration(Standard, EmbeddingsIntegrationTests): ...
