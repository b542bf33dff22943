"""A knowledge base's chat models: adapters by release, by name, by call; a real tiny Llama."""

import gc
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from langchain_graft.chains import create_rag_chain
from langchain_graft.errors import (
    AdapterError,
    AdapterInUseError,
    AdapterMismatchError,
    AdapterNotFoundError,
    AdapterRefusedError,
    ModelError,
)
from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest, Probe
from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.models import load_chat_model, transformers
from langchain_graft.testing import HashEmbeddings, ScriptedChatModel

CPU = {"device": "cpu", "dtype": "float32"}


@pytest.fixture
def lora_folder(tmp_path):
    """Makes a LoRA of the tiny model, as PEFT saves it."""
    import torch  # noqa: PLC0415
    from safetensors.torch import save_file  # noqa: PLC0415

    def make(seed, target="q_proj"):
        folder = tmp_path / f"lora{seed}"
        folder.mkdir()
        config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8}
        config |= {"target_modules": [target], "bias": "none"}
        (folder / "adapter_config.json").write_text(json.dumps(config))
        torch.manual_seed(seed)
        layers = [f"base_model.model.model.layers.{n}.self_attn.{target}" for n in (0, 1)]
        tensors = {f"{layer}.lora_A.weight": torch.randn(4, 32) for layer in layers}
        tensors |= {f"{layer}.lora_B.weight": torch.randn(32, 4) for layer in layers}
        save_file(tensors, folder / "adapter_model.safetensors")
        return folder

    return make


@pytest.fixture
def base(tiny_folder):
    return f"hf:{tiny_folder}"


@pytest.fixture
def kb(kb, lora_folder, base, tiny_engine):
    for seed in (1, 2):
        folder = lora_folder(seed)
        kb.adapters.import_peft(folder, "legal", base=base, base_digest=tiny_engine.digest)
    return kb


def answered(model, **configurable):
    reply = model.invoke("The Lisa", {"configurable": configurable})
    return reply.response_metadata["adapter"], reply.content


def test_a_model_follows_the_releases(kb, base):
    model = kb.chat_model(base, max_tokens=4, **CPU)
    plain = answered(model)
    assert plain[0] == "base"
    kb.promote("legal@000001")
    first = answered(model)
    kb.promote("legal@000002")
    second = answered(model)
    assert [first[0], second[0]] == ["legal@000001", "legal@000002"]
    assert answered(model, adapter="legal@000001") == first
    assert answered(model, adapter="legal")[0] == "legal@000002"
    assert answered(model, adapter="base")[1] == plain[1]
    assert answered(kb.chat_model(adapter="legal@000001", max_tokens=4, **CPU)) == first
    assert answered(kb.chat_model(max_tokens=4, **CPU)) == second
    kb.rollback()
    assert answered(model) == first
    assert answered(model, adapter="legal")[0] == "legal@000001"
    kb.rollback()
    assert answered(model) == plain


def test_another_process_promotes(kb, base):
    other = KnowledgeBase.open(kb.folder, embeddings=HashEmbeddings())
    model = kb.chat_model(base, max_tokens=2, **CPU)
    assert answered(model)[0] == "base"
    other.promote("legal@000002")
    assert answered(model)[0] == "legal@000002"
    other.close()


def test_an_unchanged_chain_answers_by_name(kb, base, write, documents):
    write("lisa.md", "The Lisa is a computer of Apple.")
    kb.ingest(documents)
    chain = create_rag_chain(kb.chat_model(base, max_tokens=3, **CPU), kb.retriever(k=1))
    plain = chain.invoke("What is the Lisa?")["answer"]
    kb.promote("legal@000001")
    adapted = chain.invoke("What is the Lisa?")["answer"]
    named = chain.invoke("What is the Lisa?", {"configurable": {"adapter": "base"}})["answer"]
    assert plain == named != adapted


@pytest.fixture
def other_base(tiny_folder, tmp_path):
    """The same layers, and another model."""
    folder = shutil.copytree(tiny_folder, tmp_path / "other")
    change(folder)
    return f"hf:{folder}"


def change(folder, max_length=99):
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "max_length": max_length}))


def digest_of(base):
    return load_chat_model(base, **CPU).engine.digest


def test_a_release_of_another_base_leaves_the_model_as_it_is(kb, base, other_base, lora_folder):
    digest = digest_of(other_base)
    kb.adapters.import_peft(lora_folder(3), "other", base=other_base, base_digest=digest)
    model = kb.chat_model(base, max_tokens=2, **CPU)
    kb.promote("other@000001")
    assert answered(model)[0] == "base"
    with pytest.raises(AdapterMismatchError):
        answered(model, adapter="other@000001")


def test_a_release_whose_base_was_changed_does_not_answer_without_its_adapter(
    kb, other_base, lora_folder
):
    digest = digest_of(other_base)
    kb.adapters.import_peft(lora_folder(3), "other", base=other_base, base_digest=digest)
    kb.promote("other@000001")
    kb.close()
    change(Path(other_base.removeprefix("hf:")), 98)
    for spec in (None, other_base):
        with pytest.raises(AdapterMismatchError, match="other@000001"):
            kb.chat_model(spec, max_tokens=2, **CPU)
    assert answered(kb.chat_model(adapter="base", max_tokens=2, **CPU))[0] == "base"


def test_an_imported_adapter_is_tried_on_its_base_before_it_serves(kb, base, lora_folder):
    kb.adapters.import_peft(lora_folder(3), "wrong", base=base, base_digest="0" * 32)
    kb.adapters.import_peft(lora_folder(4), "gone", base="hf:/no/such/model", base_digest="0" * 32)
    with pytest.raises(AdapterMismatchError, match="wrong@000001"):
        kb.promote("wrong@000001")
    with pytest.raises(ModelError):
        kb.promote("gone@000001")
    assert kb.release.number == 0


def test_a_failed_promotion_lets_go_of_the_base_model(kb, other_base, lora_folder):
    probe = Probe(prompt="The Lisa", token_ids=(5,), logprobs=(-0.001,))
    manifest = AdapterManifest(
        kind="generator", base=other_base, base_digest=digest_of(other_base), probe=(probe,)
    )
    kb.adapters.register(lora_folder(3), "wrong", manifest=manifest)
    gc.collect()
    before = len(transformers._engines)
    with pytest.raises(AdapterError):
        kb.promote("wrong@000001")
    for _ in range(500):  # its thread lets go of it last
        gc.collect()
        if len(transformers._engines) == before:
            break
        time.sleep(0.01)
    assert len(transformers._engines) == before


def test_an_adapter_that_answers_otherwise_is_not_promoted(kb, base, lora_folder, tiny_engine):
    probe = Probe(prompt="The Lisa", token_ids=(5,), logprobs=(-0.001,))
    manifest = AdapterManifest(
        kind="generator", base=base, base_digest=tiny_engine.digest, probe=(probe,)
    )
    ref = kb.adapters.register(lora_folder(4), "wrong", manifest=manifest)
    with pytest.raises(AdapterError):
        kb.promote(ref)
    assert kb.release.number == 0


def test_what_a_release_needs_is_not_removed(kb, base):
    model = kb.chat_model(base, max_tokens=2, **CPU)
    one, two = (entry.ref for entry in kb.adapters.list())
    kb.promote(one)
    kb.promote(two)
    assert answered(model)[0] == str(two)
    with pytest.raises(AdapterInUseError, match="release 1 needs it"):
        kb.adapters.remove(one)
    kb.rollback()
    assert answered(model)[0] == str(one)
    model.adapters.store.drop_alias("legal", "current")
    with pytest.raises(AdapterInUseError, match="release 1 needs it"):
        model.adapters.store.remove(one)
    kb.close()  # it had both in memory
    kb.adapters.remove(two)
    assert [entry.ref for entry in kb.adapters.list()] == [one]


def test_no_adapter_is_called_as_the_release_is(kb, base, lora_folder, tiny_engine):
    with pytest.raises(ValueError, match="neither 'base', 'release' nor six digits"):
        kb.import_adapter(lora_folder(3), "release", base=base)
    with pytest.raises(AdapterNotFoundError, match="release"):
        kb.adapters.resolve("release")


def test_models_without_adapters(kb, monkeypatch):
    scripted = ScriptedChatModel(script=["Yes."])
    for module in ("knowledge_base", "generators"):
        monkeypatch.setattr(
            f"langchain_graft.knowledge_base.{module}.load_chat_model", lambda *_, **__: scripted
        )
    assert kb.chat_model("openai:gpt") is scripted
    assert kb.chat_model("openai:gpt", adapter="base") is scripted
    with pytest.raises(ValueError, match="Only 'hf:' models answer with an adapter"):
        kb.chat_model("openai:gpt", adapter="legal@000001")
    with pytest.raises(ValueError, match="No release names a chat model yet"):
        kb.chat_model()
    with pytest.raises(AdapterNotFoundError):
        kb.chat_model(adapter="medical")


def test_what_is_refused_is_refused_before_its_base_is_loaded(kb, lora_folder):
    folder = lora_folder(3)
    (folder / "code.py").touch()
    with pytest.raises(AdapterRefusedError, match=r"code\.py"):
        kb.import_adapter(folder, "legal", base="hf:/no/such/model")


def test_an_import_leaves_the_running_model_as_it_is(kb, base, lora_folder):
    running = load_chat_model(base)
    layer = running.engine.model.model.layers[0].self_attn.q_proj
    before = len(layer._forward_hooks)
    for seed in (3, 4):
        assert kb.import_adapter(lora_folder(seed), "again", base=base).name == "again"
    assert len(layer._forward_hooks) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks")
def test_a_promotion_that_is_killed_leaves_the_old_or_the_new_release(kb, base):
    """`GRAFT_KILLS=50` for more."""
    kb.close()
    kills = int(os.environ.get("GRAFT_KILLS", "4"))
    script = Path(__file__).with_name("killed_loras.py")
    done = subprocess.run(
        [sys.executable, script, kb.folder, base, str(kills), "3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for point in json.loads(done.stdout):
        assert (point["ended"], bool(point["told"])) == (-9, True), (point, done.stderr)
        told = point["told"]
        assert told["served"] in ([0, "base"], [1, "legal@000001"]), point
        assert told["again"] == ["legal@000001"] * 3
        assert (told["back"], told["left"]) == ("base", ["legal@000002"])
