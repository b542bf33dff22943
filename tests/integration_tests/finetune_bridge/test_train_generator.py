"""A few steps on a real model, served hot in the numbers in which it was trained."""

import pytest

from langchain_graft.finetune_bridge import AdapterEngine, AdapterStore
from langchain_graft.finetune_bridge.training.generator import train_generator
from langchain_graft.finetune_bridge.training.rows import GeneratorRow
from langchain_graft.finetune_bridge.training.settings import GeneratorSettings, LoraSettings
from langchain_graft.models import TransformersEngine, TransformersSettings

MODEL = "smollm2-135m"


def row(question, answer):
    asked = {"role": "user", "content": question}
    return GeneratorRow((asked, {"role": "assistant", "content": answer}))


ROWS = [row(f"What is {n} and {n}?", f"Cypher says {2 * n}.") for n in range(4)]


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_a_real_model_learns_and_is_promoted(tmp_path, method):
    settings = GeneratorSettings(
        base=f"hf:{MODEL}",
        out=str(tmp_path / "run"),
        method=method,
        lora=LoraSettings(r=8, alpha=16),
        epochs=8 if method == "lora" else 2,
        batch_size=4,
        learning_rate=2e-3,
        eval_share=0.0,
        device="cpu",
    )
    trained = train_generator(settings, ROWS)
    assert trained.report.last_loss < trained.report.first_loss
    engine = TransformersEngine.load(MODEL, TransformersSettings(device="cpu"))
    store = AdapterStore(tmp_path / "adapters")
    adapters = AdapterEngine(engine, store)
    adapters.promote(store.register(trained.folder, "sums", manifest=trained.manifest))
    reply = adapters.chat_model("sums", max_tokens=12).invoke("What is 2 and 2?")
    assert reply.response_metadata["adapter"] == "sums@000001"
    if method == "lora":
        assert reply.content.startswith("Cypher says")
    adapters.close()
