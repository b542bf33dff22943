"""Scores of query and passage by a tiny model with random weights."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from langchain_core.cross_encoders import BaseCrossEncoder
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizerFast,
)

from langchain_graft.errors import DownloadError, ModelError
from langchain_graft.models import SentenceCrossEncoder

WORDS = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] who made the lisa apple did . ? tigers eat goats 苹 果".split()
)
PAIRS = [
    ("who made the lisa ?", "apple made the lisa ."),
    ("who made the lisa ?", "tigers eat goats ."),
    ("苹果 ?", "apple 苹果"),
    ("", ""),
    ("who", "tigers eat goats " * 40),
]


def write_model(folder, labels):
    torch.manual_seed(3)
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=32)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        num_labels=labels,
        initializer_range=0.5,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "reranker", 1)


@pytest.fixture(scope="module")
def encoder(folder):
    return SentenceCrossEncoder(folder, device="cpu", dtype="float32", batch_size=2)


def test_scores_are_the_models_own_in_the_order_of_the_pairs(encoder, folder):
    """The logistic function of the one label, of both texts read together."""
    model = BertForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    expected = []
    for query, passage in PAIRS:
        features = tokenizer([query], [passage], truncation=True, return_tensors="pt")
        with torch.inference_mode():
            expected.append(float(model(**features).logits.sigmoid()))
    scores = encoder.score(PAIRS)
    assert isinstance(encoder, BaseCrossEncoder)
    assert scores == pytest.approx(expected, abs=1e-5)
    assert len(set(scores)) > 2
    assert all(type(score) is float for score in scores)


def test_no_pairs_have_no_scores(encoder):
    assert encoder.score([]) == []


def test_threads_get_the_same(encoder):
    expected = encoder.score(PAIRS)
    with ThreadPoolExecutor(8) as pool:
        for scores in pool.map(encoder.score, [PAIRS] * 16):
            assert scores == pytest.approx(expected, abs=1e-5)


def test_half_the_bits_score_alike(folder, encoder):
    half = SentenceCrossEncoder(str(folder), device="cpu", dtype="bfloat16")
    assert half.score(PAIRS) == pytest.approx(encoder.score(PAIRS), abs=0.05)


def test_several_scores_a_pair_are_refused(tmp_path):
    with pytest.raises(ValueError, match="3 scores a pair"):
        SentenceCrossEncoder(write_model(tmp_path / "three", 3), device="cpu")


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"dtype": "int8"}, {"dtype": "nonsense"}])
def test_a_wrong_setting_is_refused(folder, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SentenceCrossEncoder(folder, **wrong)


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def test_a_pickle_is_refused(copy):
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        SentenceCrossEncoder(copy)


def test_code_of_its_own_is_refused(copy):
    path = copy / "config.json"
    settings = json.loads(path.read_text()) | {"auto_map": {"AutoModel": "model.Evil"}}
    path.write_text(json.dumps(settings))
    with pytest.raises(ModelError, match="auto_map"):
        SentenceCrossEncoder(copy)


def test_the_hub_is_out_of_reach(monkeypatch, nobody):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", nobody)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="team/nosuch"):
        SentenceCrossEncoder("team/nosuch")
