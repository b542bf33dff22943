"""Exports answer as the adapter did where it was made."""

import json
import warnings
from functools import partial

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import AutoModelForCausalLM, AutoTokenizer, BertConfig, BertModel

from langchain_graft.errors import (
    AdapterError,
    AdapterMismatchError,
    AdapterNotFoundError,
    AdapterRefusedError,
)
from langchain_graft.finetune_bridge import AdapterManifest, AdapterRef, AdapterStore
from langchain_graft.finetune_bridge.adapters.config import AdapterConfig
from langchain_graft.finetune_bridge.adapters.folder import CONFIG, WEIGHTS, check_folder
from langchain_graft.finetune_bridge.adapters.lora_weights import read_lora
from langchain_graft.finetune_bridge.adapters.servability import servability
from langchain_graft.finetune_bridge.serving.export import (
    export_merged,
    export_peft,
    export_vllm,
    merge_pairs,
)
from langchain_graft.models.sentence_embeddings import SentenceEmbeddings

TOKENS = torch.arange(20)[None]


def peft_logits(tiny_folder, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        base = AutoModelForCausalLM.from_pretrained(tiny_folder)
        model = PeftModel.from_pretrained(base, str(folder)).eval()
    with torch.inference_mode():
        return model(TOKENS).logits


@pytest.fixture
def registered(tmp_path, tiny_folder, tiny_engine, make_adapter):
    """A function that makes an adapter and registers it: store, ref and the logits PEFT gives."""
    store = AdapterStore(tmp_path / "adapters")

    def register(**settings):
        folder = make_adapter(seed=2, **settings)
        manifest = AdapterManifest(
            kind="generator", base=str(tiny_folder), base_digest=tiny_engine.digest
        )
        ref = store.register(folder, "legal", manifest=manifest)
        return store, ref, peft_logits(tiny_folder, folder)

    return register


SETTINGS = [
    {},
    {"use_rslora": True, "dtype": torch.bfloat16},
    {"rank_pattern": {"v_proj": 3}, "alpha_pattern": {"q_proj": 5}, "r": 6},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_peft_loads_what_was_exported(registered, tiny_folder, tmp_path, settings):
    store, ref, expected = registered(**settings)
    folder = export_peft(store, ref, tmp_path / "out")
    assert sorted(one.name for one in folder.iterdir()) == [CONFIG, WEIGHTS]
    torch.testing.assert_close(peft_logits(tiny_folder, folder), expected)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_vllms_folder_is_plain_and_answers_alike(registered, tiny_folder, tmp_path, settings):
    store, ref, expected = registered(**settings)
    folder = export_vllm(store, ref, tmp_path / "out", served_name="org/tiny")
    config = json.loads((folder / CONFIG).read_text())
    assert config["base_model_name_or_path"] == "org/tiny"
    assert (config["use_rslora"], config["rank_pattern"], config["alpha_pattern"]) == (
        False,
        {},
        {},
    )
    ranks = {pair.a.shape[0] for pair in read_lora(folder, expected=None).values()}
    assert ranks == {config["r"]}
    found = peft_logits(tiny_folder, folder)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_merged_it_answers_without_an_adapter(registered, tmp_path, settings):
    store, ref, expected = registered(**settings)
    folder = export_merged(store, ref, tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.inference_mode():
        torch.testing.assert_close(model(TOKENS).logits, expected, rtol=1e-4, atol=1e-4)
    assert AutoTokenizer.from_pretrained(folder).chat_template
    assert not [one for one in folder.iterdir() if "adapter" in one.name]


def test_an_embedder_is_merged_with_its_pooling(tmp_path, make_adapter, tiny_tokenizer):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    config = BertConfig(vocab_size=len(tiny_tokenizer), num_attention_heads=4, **sizes)
    BertModel(config).save_pretrained(tmp_path / "bert")
    tiny_tokenizer.save_pretrained(tmp_path / "bert")
    parts = [Transformer(str(tmp_path / "bert")), Pooling(32, "mean")]
    SentenceTransformer(modules=parts, device="cpu").save_pretrained(str(tmp_path / "base"))
    base = SentenceEmbeddings(tmp_path / "base", device="cpu", dtype="float32")
    folder = make_adapter(
        model=BertModel.from_pretrained(tmp_path / "bert"),
        target_modules=["query", "dense"],
        task_type="FEATURE_EXTRACTION",
    )
    store = AdapterStore(tmp_path / "adapters")
    ref = store.import_peft(
        folder, "e", kind="embeddings", base=str(tmp_path / "base"), base_digest=base.digest
    )
    merged = export_merged(store, ref, tmp_path / "out")
    found = SentenceEmbeddings(merged, device="cpu", dtype="float32").embed_query("The Lisa")
    assert torch.tensor(found) @ torch.tensor(base.embed_query("The Lisa")) < 0.999
    merge_pairs(base.transformer, read_lora(folder, expected=None), adapter="e")
    assert found == pytest.approx(base.embed_query("The Lisa"), abs=1e-5)
    with pytest.raises(AdapterError, match="vLLM does not serve"):
        export_vllm(store, ref, tmp_path / "vllm", served_name="bert")


def test_another_base_is_not_merged(registered, tmp_path, make_adapter, tiny_folder):
    store, ref, _ = registered()
    other = store.import_peft(store.path(ref), "other", base=str(tiny_folder), base_digest="0" * 32)
    with pytest.raises(AdapterMismatchError):
        export_merged(store, other, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_weights_that_are_used_twice_are_not_merged(make_adapter, tiny_folder):
    model = AutoModelForCausalLM.from_pretrained(tiny_folder)
    model.lm_head.weight = model.model.embed_tokens.weight
    pairs = read_lora(make_adapter(target_modules=["lm_head"]), expected=None)
    with pytest.raises(AdapterError, match="used twice"):
        merge_pairs(model, pairs, adapter="legal")


def test_targets_are_not_overwritten(registered, tmp_path):
    store, ref, _ = registered()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    with pytest.raises(AdapterError, match="is there already"):
        export_peft(store, ref, tmp_path / "full")
    (tmp_path / "empty").mkdir()
    assert export_peft(store, ref, tmp_path / "empty").is_dir()
    (tmp_path / "file").write_text("a file")
    with pytest.raises(AdapterError, match="is there already"):
        export_peft(store, ref, tmp_path / "file")
    with pytest.raises(AdapterError, match="can not be written"):
        export_peft(store, ref, tmp_path / "file" / "below")
    with pytest.raises(AdapterNotFoundError):
        export_peft(store, AdapterRef("legal", 9), tmp_path / "new")


def test_says_where_it_can_be_served():
    def rows(kind="generator", **settings):
        config = AdapterConfig(r=8, lora_alpha=16, **settings)
        manifest = AdapterManifest(kind=kind, base="b", base_digest="b")
        return {row.where: row for row in servability(manifest, config)}

    plain = rows()
    assert all(row.served for row in plain.values())
    assert "--max-lora-rank 8 " in plain["vLLM"].why
    assert "export_vllm writes its scaling" not in plain["vLLM"].why
    folded = rows(rank_pattern={"q_proj": 17}, use_rslora=True)
    assert "--max-lora-rank 32 " in folded["vLLM"].why
    assert "export_vllm writes its scaling" in folded["SGLang"].why
    assert not rows(target_modules=("lm_head",))["GGUF"].served
    assert [row.served for row in rows("embeddings").values()] == [True, True, False, False, False]
    manifest = AdapterManifest(kind="query-map", base="b", base_digest="b")
    assert [row.served for row in servability(manifest, None)] == [True, True, False, False, False]


def test_the_exported_folder_can_be_taken_in_again(registered, tmp_path):
    store, ref, _ = registered(use_rslora=True)
    folder = export_vllm(store, ref, tmp_path / "out", served_name="org/tiny")
    again = store.import_peft(folder, "again", base="hf:tiny", base_digest="b")
    assert check_folder(store.path(again)).config.base_model_name_or_path == "org/tiny"


@pytest.mark.parametrize("way", [export_peft, partial(export_vllm, served_name="tiny")])
def test_a_file_that_is_damaged_is_not_given_on(registered, tmp_path, way):
    store, ref, _ = registered()
    path = store.path(ref) / WEIGHTS
    data = bytearray(path.read_bytes())
    data[-2] ^= 0x41
    path.write_bytes(data)
    with pytest.raises(AdapterRefusedError, match="its manifest says"):
        way(store, ref, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("way", [export_peft, partial(export_vllm, served_name="tiny")])
def test_matrices_get_the_names_that_others_read(
    tmp_path, tiny_folder, tiny_engine, make_adapter, way
):
    folder = make_adapter(seed=2)
    expected = peft_logits(tiny_folder, folder)
    matrices = load_file(folder / WEIGHTS)
    other = {
        name.removeprefix("base_model.model.").replace(".weight", ".default.weight"): matrix
        for name, matrix in matrices.items()
    }
    save_file(other, folder / WEIGHTS)
    manifest = AdapterManifest(kind="generator", base="hf:tiny", base_digest=tiny_engine.digest)
    store = AdapterStore(tmp_path / "adapters")
    ref = store.register(folder, "legal", manifest=manifest)
    out = way(store, ref, tmp_path / "out")
    assert load_file(out / WEIGHTS).keys() == matrices.keys()
    torch.testing.assert_close(peft_logits(tiny_folder, out), expected)


@pytest.mark.parametrize("dtype", ["fp16", "Tensor", "int8"])
def test_numbers_that_are_none_are_told(registered, tmp_path, dtype):
    store, ref, _ = registered()
    with pytest.raises(ValueError, match=f"float32, bfloat16, float16, not {dtype!r}"):
        export_merged(store, ref, tmp_path / "out", dtype=dtype)
