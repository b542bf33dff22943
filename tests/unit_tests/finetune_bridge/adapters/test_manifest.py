"""The manifest: JSON there and back, and what it refuses."""

import json

import pytest

from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest, Probe
from langchain_graft.finetune_bridge.adapters.strict_json import parse_json

MANIFEST = AdapterManifest(
    kind="generator",
    base="hf:smollm2-135m",
    base_digest="b" * 32,
    tokenizer_digest="t" * 32,
    settings={"r": 8},
    metrics={"loss": 1.5},
    probe=(Probe(prompt="The Lisa", token_ids=(4, 2), logprobs=(-0.5, -1.5)),),
    versions={"peft": "0.21.2"},
    created="2026-11-22T10:00:00+00:00",
    files={"adapter_config.json": "0" * 64},
)


def test_goes_through_json_and_back():
    text = json.dumps(MANIFEST.to_json())
    assert AdapterManifest.from_json(parse_json(text, what="manifest.json")) == MANIFEST


def test_the_digest_is_the_files_and_the_bases():
    def changed(**parts):
        values = {**MANIFEST.to_json(), **parts}
        return AdapterManifest.from_json(values).digest

    assert changed(metrics={}, created="") == MANIFEST.digest
    others = {
        changed(files={"adapter_config.json": "1" * 64}),
        changed(base_digest="c" * 32),
        changed(kind="embeddings"),
        changed(kind="embeddings", side="query"),
    }
    assert len(others - {MANIFEST.digest}) == 4


def test_says_which_libraries_made_it():
    manifest = AdapterManifest(kind="embeddings", base="minilm", base_digest="b")
    assert "torch" in manifest.versions


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "reranker"}, "kind is 'generator' or"),
        ({"side": "documents"}, "side is"),
        ({"base": 3}, "'base' is 3"),
        ({"base": ""}, "names its base"),
        ({"files": {"a": 1}}, "texts only"),
        ({"format": 2}, "format 2"),
        ({"surprise": 1}, "surprise"),
        ({"probe": [{"prompt": "a"}]}, "A probe is"),
        ({"probe": [{"prompt": "a", "token_ids": [1], "logprobs": []}]}, "1 tokens"),
    ],
)
def test_refuses_what_is_no_manifest(change, message):
    with pytest.raises(ValueError, match=message):
        AdapterManifest.from_json({**MANIFEST.to_json(), **change})


def test_a_missing_part_is_named():
    values = MANIFEST.to_json()
    del values["base_digest"]
    with pytest.raises(ValueError, match="base_digest"):
        AdapterManifest.from_json(values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "stands twice"),
        ('{"a": NaN}', "no number"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("[1]", "no JSON object"),
        ("{", "can not be read"),
        (b"\xff\xfe", "can not be read"),
        ("1" * 10_000, "can not be read"),
    ],
)
def test_json_that_could_be_read_in_two_ways_is_none(text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text, what="config")
