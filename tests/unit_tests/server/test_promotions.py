"""What is imported, promoted and rolled back while a server runs is seen by its next request."""

import json

import openai
import pytest

from langchain_graft.chains import create_rag_chain
from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.server import Served, adapter_names
from langchain_graft.testing import HashEmbeddings, ScriptedChatModel


@pytest.fixture
def lora_folder(tmp_path):
    """Makes a LoRA of the tiny model, as PEFT saves it."""
    import torch  # noqa: PLC0415
    from safetensors.torch import save_file  # noqa: PLC0415

    def make(seed):
        folder = tmp_path / f"lora{seed}"
        folder.mkdir()
        config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8}
        config |= {"target_modules": ["q_proj"], "bias": "none"}
        (folder / "adapter_config.json").write_text(json.dumps(config))
        torch.manual_seed(seed)
        layers = [f"base_model.model.model.layers.{n}.self_attn.q_proj" for n in (0, 1)]
        tensors = {f"{layer}.lora_A.weight": torch.randn(4, 32) for layer in layers}
        tensors |= {f"{layer}.lora_B.weight": torch.randn(32, 4) for layer in layers}
        save_file(tensors, folder / "adapter_model.safetensors")
        return folder

    return make


@pytest.fixture
def filled(kb, write, documents):
    write("lisa.md", "The Lisa is a computer of Apple.")
    kb.ingest(documents)
    return kb


def test_adapters_and_releases(filled, lora_folder, tiny_folder, tiny_engine, serve):
    kb, base = filled, f"hf:{tiny_folder}"
    model = kb.chat_model(base, max_tokens=3, device="cpu", dtype="float32")
    served = Served(
        chains={"rag": create_rag_chain(model, kb.retriever(k=1))},
        default="rag",
        adapters=lambda: adapter_names(kb, model),
        embeddings_name="hash",
        embeddings=lambda: kb.embeddings,
    )
    url = f"{serve(served)}/v1"
    other = KnowledgeBase.open(kb.folder, embeddings=HashEmbeddings())  # as another process has it
    with openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client:

        def adapter(model="rag"):
            question = {"role": "user", "content": "The Lisa?"}
            reply = client.chat.completions.create(model=model, messages=[question], stream=True)
            *_, last = reply
            return last.model_extra["graft"]["adapter"]

        def models():
            return [one.id for one in client.models.list()]

        assert models() == ["rag", "hash"]
        assert adapter() == "base"
        for seed in (1, 2):
            folder = lora_folder(seed)
            other.adapters.import_peft(folder, "legal", base=base, base_digest=tiny_engine.digest)
        assert models() == ["rag", "legal@000001", "legal@000002", "hash"]
        assert adapter("legal@000002") == "legal@000002"
        assert adapter() == "base"
        other.promote("legal@000001")
        assert adapter() == "legal@000001"
        assert "legal@current" in models()
        other.promote("legal@000002")
        assert adapter() == adapter("legal") == adapter("legal@current") == "legal@000002"
        assert adapter("legal@000001") == "legal@000001"
        other.rollback()
        assert adapter() == adapter("legal") == "legal@000001"
    other.close()


def test_a_model_that_takes_no_adapters_has_none(kb):
    assert adapter_names(kb, ScriptedChatModel()) == []
