"""Texts in one row: the vectors that they have when they are padded."""

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

from langchain_graft.models.unpadded import takes_unpadded, unpadded, vectors_of

WORDS = ["[PAD]", "[UNK]", *"abcdefgh"]
PADDING = {"pad_token": WORDS[0]}
UNKNOWN = {"unk_token": WORDS[1]}
TEXTS = ["a", "b c d e f g h", "h g f", "a a a a a"]
SIZE = {
    "vocab_size": len(WORDS),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "initializer_range": 0.5,
}


def tokenizer():
    words = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, **UNKNOWN))
    words.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, **UNKNOWN, **PADDING)


@pytest.fixture
def load(tmp_path):
    def load_(model, *, pooling="mean", attention="sdpa"):
        folder = str(tmp_path / "model")
        model.save_pretrained(folder)
        tokenizer().save_pretrained(folder)
        transformer = Transformer(folder, model_kwargs={"attn_implementation": attention})
        modules = [transformer, Pooling(SIZE["hidden_size"], pooling), Normalize()]
        return SentenceTransformer(modules=modules, device="cpu").eval()

    return load_


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "lasttoken", "weightedmean"])
def test_vectors_are_those_of_padded_texts(load, pooling):
    model = load(BertModel(BertConfig(**SIZE)), pooling=pooling)
    assert takes_unpadded(model)
    features = model.preprocess(TEXTS)
    row = unpadded(features)
    assert row["input_ids"].shape == (1, 16)
    assert row["position_ids"].tolist() == [[0, *range(7), *range(3), *range(5)]]
    with torch.inference_mode():
        expected = model(features)["sentence_embedding"]
        found = model(row)["sentence_embedding"]
        shorter = vectors_of(model, row)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(shorter, found, atol=1e-6, rtol=0)
    assert (expected[0] - expected[1]).abs().max() > 0.01


def test_one_text_alone(load):
    model = load(BertModel(BertConfig(**SIZE)))
    features = model.preprocess(TEXTS[1:2])
    with torch.inference_mode():
        expected = model(features)["sentence_embedding"]
        found = vectors_of(model, unpadded(features))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_hooks_of_the_linear_layers_are_run(load):
    model = load(BertModel(BertConfig(**SIZE)))
    linear = {
        name
        for name, module in model[0].model.named_modules()
        if isinstance(module, torch.nn.Linear) and "pooler" not in name
    }
    run = set()
    for name in linear:
        module = model[0].model.get_submodule(name)
        module.register_forward_hook(lambda *_, name=name: run.add(name))
    with torch.inference_mode():
        vectors_of(model, unpadded(model.preprocess(TEXTS)))
    assert run == linear


@pytest.mark.parametrize(
    ("model", "attention"),
    [
        (RobertaModel(RobertaConfig(**SIZE)), "sdpa"),
        (BertModel(BertConfig(**SIZE, is_decoder=True)), "sdpa"),
        (BertModel(BertConfig(**SIZE)), "eager"),
    ],
    ids=["other positions", "decoder", "other attention"],
)
def test_not_of_every_model(load, model, attention):
    assert not takes_unpadded(load(model, attention=attention))
