"""A real model learns a few judgements in seconds, and serves them in the chain, hot."""

import pytest
import torch
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from langchain_graft.chains import create_self_rag_chain
from langchain_graft.chains.self_rag.training import train_self_rag
from langchain_graft.finetune_bridge import (
    AdapterEngine,
    AdapterStore,
    LoraSettings,
    ReflectionRow,
    ReflectionSettings,
)
from langchain_graft.models import TransformersEngine, TransformersSettings

MODEL = "smollm2-135m"
GOOD, BAD = "The Lisa is a computer of Apple.", "Bananas are yellow."
QUESTION, CLOSED = "who made the lisa", "what is 2 and 2"
IDS = torch.tensor([[5, 17, 1200, 9, 33]])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    told = {"retrieve": True, "relevance": True, "support": "fully", "utility": 5}
    rows = [
        ReflectionRow(QUESTION, "Apple", GOOD, **told),
        ReflectionRow(QUESTION, "", BAD, retrieve=True, relevance=False),
        ReflectionRow(CLOSED, "4", retrieve=False, utility=5),
    ]
    settings = ReflectionSettings(
        base=f"hf:{MODEL}",
        out=str(tmp_path_factory.mktemp("self_rag") / "run"),
        lora=LoraSettings(r=8, alpha=32),
        epochs=25,
        batch_size=3,
        learning_rate=2e-3,
        eval_share=0.0,
        device="cpu",
        threads=1,
    )
    return train_self_rag(settings, rows)


def test_it_judges_in_the_chain_and_leaves_its_base_as_it_was(trained, tmp_path):
    assert trained.report.last_loss < trained.report.first_loss / 4
    engine = TransformersEngine.load(MODEL, TransformersSettings(device="cpu", threads=1))
    before = engine.run(lambda: engine.model(IDS)).result().logits
    store = AdapterStore(tmp_path / "adapters")
    adapters = AdapterEngine(engine, store)
    adapters.promote(store.register(trained.folder, "critic", manifest=trained.manifest))
    documents = [Document(id="bad", page_content=BAD), Document(id="good", page_content=GOOD)]
    chain = create_self_rag_chain(
        adapters.chat_model("critic"), RunnableLambda(lambda question: documents)
    )
    output, closed = chain.invoke(QUESTION), chain.invoke(CLOSED)
    bad, good = output["segments"][0]["candidates"]
    assert output["segments"][0]["decision"] == "retrieve"
    assert good["scores"]["relevance"] > bad["scores"]["relevance"] + 0.3
    assert output["answer"] == "Apple [2]"
    assert closed["segments"][0]["decision"] == "none"
    after = engine.run(lambda: engine.model(IDS)).result().logits
    assert torch.equal(before, after)
    adapters.close()
