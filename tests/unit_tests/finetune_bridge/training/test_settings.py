"""Training settings: JSON both ways, and each wrong value named."""

import json

import pytest

from langchain_graft.finetune_bridge.training.settings import (
    EmbeddingSettings,
    GeneratorSettings,
    LoraSettings,
    settings_from_json,
)


@pytest.mark.parametrize(
    "settings",
    [
        EmbeddingSettings(base="minilm", out="run"),
        EmbeddingSettings(
            base="minilm",
            out="run",
            matryoshka=(64, 128),
            lora=LoraSettings(r=4, target_modules=("query", "value")),
        ),
        GeneratorSettings(base="hf:smollm2-135m", out="run", packing="bfd", max_steps=3),
    ],
)
def test_json_both_ways(settings):
    text = json.dumps(settings.to_json())
    assert settings_from_json(json.loads(text)) == settings


def test_what_is_left_out_has_its_default():
    settings = EmbeddingSettings.from_json({"base": "minilm", "out": "run", "lora": {"r": 4}})
    assert settings == EmbeddingSettings(base="minilm", out="run", lora=LoraSettings(r=4))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"method": "lora2"}, "method is 'lora2'.*'qlora'"),
        ({"epochs": 0}, "epochs is 0"),
        ({"epochs": True}, "epochs is True"),
        ({"batch_size": 1}, "batch_size is 1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"eval_share": 1}, "eval_share is 1"),
        ({"max_steps": 0}, "max_steps is 0"),
        ({"dtype": "int8"}, "dtype is 'int8'"),
        ({"side": "documents"}, "side is 'documents'"),
        ({"matryoshka": [0]}, "matryoshka is 0"),
        ({"keep": -1}, "keep is -1.*from 0"),
        ({"keep": float("inf")}, "keep is inf"),
        ({"strength": 0}, "strength is 0"),
        ({"base": ""}, "base is ''"),
        ({"lora": {"r": 0}}, "r is 0.*from 1 to 512"),
        ({"lora": {"rank": 4}}, "No such settings: rank"),
        ({"lora": {"target_modules": []}}, "target_modules"),
        ({"lora": {"use_dora": True}}, "not served"),
        ({"learning_rates": 1e-4}, "No such settings: learning_rates.*learning_rate"),
        ({"task": "generator"}, "'generator', expected 'embeddings'"),
    ],
)
def test_a_wrong_setting_is_named(wrong, told):
    with pytest.raises(ValueError, match=told):
        EmbeddingSettings.from_json({"base": "minilm", "out": "run", **wrong})


def test_a_missing_setting_is_named():
    with pytest.raises(ValueError, match="base"):
        EmbeddingSettings.from_json({"out": "run"})
    with pytest.raises(ValueError, match="task is None"):
        settings_from_json({"base": "minilm", "out": "run"})


def test_a_generator_has_no_query_map():
    with pytest.raises(ValueError, match="embedders"):
        GeneratorSettings(base="hf:tiny", out="run", method="query-map")


def test_what_changes_nothing_is_no_difference():
    one = EmbeddingSettings(base="minilm", out="run")
    two = EmbeddingSettings(base="minilm", out="elsewhere", checkpoint_every=7, threads=1, seed=1)
    assert one.differences(two) == {"seed": (0, 1)}
