"""MiniLM and e5 are trained for a few steps: what is served is what PEFT computes."""

import warnings

import numpy as np
import pytest
from peft import PeftModel
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer

from langchain_graft.finetune_bridge import (
    AdapterEmbeddings,
    AdapterStore,
    EmbeddingSettings,
    LoraSettings,
)
from langchain_graft.finetune_bridge.training.embeddings import train_embeddings
from langchain_graft.finetune_bridge.training.rows import EmbeddingRow
from langchain_graft.models import load_embeddings, pull_model

TOPICS = "apples bridges clouds dogs engines forests glaciers harbours islands jungles".split()
ROWS = [
    EmbeddingRow(f"Code {n * 37 % 101}?", f"Number {n * 37 % 101} stands for {topic} of type {n}.")
    for n, topic in enumerate(TOPICS * 5)
]


def asked(tmp_path, **changes):
    given = {
        "base": "minilm",
        "out": str(tmp_path / "run"),
        "lora": LoraSettings(r=8, alpha=16),
        "batch_size": 16,
        "device": "cpu",
        **changes,
    }
    return EmbeddingSettings(**given)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_minilm_learns_and_serves(tmp_path, dtype):
    settings = asked(tmp_path, dtype=dtype, epochs=3)
    done = train_embeddings(settings, ROWS)
    assert done.report.metrics["loss"] < done.report.metrics["base_loss"]
    stored = load_file(done.folder / "adapter_model.safetensors")
    assert not any("pooler" in name for name in stored)  # which nothing reads
    store = AdapterStore(tmp_path / "adapters")
    ref = store.register(done.folder, "codes", manifest=done.manifest)
    base = load_embeddings("minilm", device="cpu", dtype="float32")
    stock = SentenceTransformer(
        str(pull_model("minilm")), device="cpu", model_kwargs={"dtype": "float32"}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stock[0].model = PeftModel.from_pretrained(stock[0].model, done.folder)
    texts = [row.positive for row in ROWS[:20]]
    expected = stock.eval().encode(texts, normalize_embeddings=True)
    served = AdapterEmbeddings(base, store, adapter=str(ref))
    assert np.array(served.embed_documents(texts)) == pytest.approx(expected, abs=1e-4)


def test_e5_gets_a_query_map(tmp_path):
    done = train_embeddings(
        asked(tmp_path, base="e5-multilingual", method="query-map", device=None), ROWS
    )
    store = AdapterStore(tmp_path / "adapters")
    ref = store.register(done.folder, "codes", manifest=done.manifest)
    e5 = load_embeddings("e5-multilingual")
    served = AdapterEmbeddings(e5, store, adapter=str(ref))
    assert served.embed_query("Code 37?") != e5.embed_query("Code 37?")
    assert done.report.metrics.keys() == {"ndcg_at_10", "base_ndcg_at_10"}


def test_the_weights_of_e5_are_not_trained(tmp_path):
    with pytest.raises(ValueError, match="query-map"):
        train_embeddings(asked(tmp_path, base="e5-multilingual", device=None), ROWS)
