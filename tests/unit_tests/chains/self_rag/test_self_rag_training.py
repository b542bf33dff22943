"""A tiny model learns to judge, lies beside its base, and serves in the chain, hot."""

import pytest
import torch
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from peft import PeftModel
from transformers import AutoModelForCausalLM

from langchain_graft.chains import create_self_rag_chain
from langchain_graft.chains.self_rag.training import train_self_rag
from langchain_graft.errors import AdapterError
from langchain_graft.finetune_bridge import (
    AdapterEngine,
    AdapterStore,
    LoraSettings,
    ReflectionRow,
    ReflectionSettings,
    export_merged,
    export_vllm,
)
from langchain_graft.models import TransformersEngine, TransformersSettings

GOOD, BAD = "The Lisa is of Apple.", "A computer of nobody."
ROWS = [
    ReflectionRow(
        "The Lisa?", "Apple", GOOD, retrieve=True, relevance=True, support="fully", utility=5
    ),
    ReflectionRow("The Lisa?", "", BAD, retrieve=True, relevance=False),
    ReflectionRow("1 and 1?", "2", retrieve=False, utility=5),
]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


pytestmark = pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
"""PEFT's own warning where it loads what was saved: of merging, which is refused."""


@pytest.fixture(scope="module")
def trained(roomy_folder, tmp_path_factory):
    settings = ReflectionSettings(
        base=f"hf:{roomy_folder}",
        out=str(tmp_path_factory.mktemp("self_rag") / "run"),
        lora=LoraSettings(r=4, alpha=16),
        epochs=60,
        batch_size=3,
        learning_rate=1e-2,
        eval_share=0.0,
        device="cpu",
        dtype="float32",
    )
    return train_self_rag(settings, ROWS)


@pytest.fixture(scope="module")
def engine(roomy_folder):
    settings = TransformersSettings(device="cpu", dtype="float32")
    return TransformersEngine.load(str(roomy_folder), settings)


@pytest.fixture(scope="module")
def store(trained, tmp_path_factory):
    store = AdapterStore(tmp_path_factory.mktemp("store") / "adapters")
    store.promote(store.register(trained.folder, "reflecting", manifest=trained.manifest))
    return store


@pytest.fixture(scope="module")
def adapters(engine, store):
    return AdapterEngine(engine, store)


def logits(model, ids):
    with torch.inference_mode():
        return model(ids, use_cache=False).logits


def test_the_base_is_as_it_was_and_the_adapter_is_pefts(trained, roomy_folder, engine, adapters):
    tokens = [token for token, _ in trained.manifest.settings["lora"]["token_rows"]]
    ids = torch.tensor([[5, 17, 120, 9, *tokens[:3]], [88, 4, *tokens[:5]]])
    before = logits(AutoModelForCausalLM.from_pretrained(roomy_folder).eval(), ids)
    stock = AutoModelForCausalLM.from_pretrained(roomy_folder)
    expected = logits(PeftModel.from_pretrained(stock, trained.folder).eval(), ids)
    with adapters.lease("reflecting") as lease:
        with engine.computing([lease.variant]):
            assert torch.allclose(logits(engine.model, ids), expected, atol=1e-4)
        with engine.computing([None, lease.variant]):
            mixed = logits(engine.model, ids)
    assert torch.allclose(mixed[0], before[0], atol=1e-5)
    assert torch.allclose(mixed[1], expected[1], atol=1e-4)
    assert torch.equal(logits(engine.model, ids), before)
    assert not torch.allclose(expected, before, atol=0.1)


def test_of_the_vocabulary_only_the_rows_of_its_tokens_change(trained, roomy_folder):
    base = AutoModelForCausalLM.from_pretrained(roomy_folder)
    before = base.get_input_embeddings().weight.detach().clone()
    model = PeftModel.from_pretrained(base, trained.folder).get_base_model().eval()
    tokens = {token for token, _ in trained.manifest.settings["lora"]["token_rows"]}
    with torch.inference_mode():
        now = model.get_input_embeddings()(torch.arange(len(before)))
        said = model.get_output_embeddings()(torch.eye(32)).T
    for rows in (now, said):
        changed = {n for n in range(len(before)) if not torch.allclose(rows[n], before[n])}
        assert changed == tokens


async def test_it_judges_and_writes_in_the_chain(adapters):
    documents = [Document(id="bad", page_content=BAD), Document(id="good", page_content=GOOD)]
    chain = create_self_rag_chain(
        adapters.chat_model("reflecting"), RunnableLambda(lambda _: documents)
    )
    output = await chain.ainvoke("The Lisa?")
    [segment] = output["segments"]
    assert segment["probability"] > 0.9
    bad, good = segment["candidates"]
    assert bad["scores"]["relevance"] < 0.2
    assert min(good["scores"]["relevance"], good["scores"]["support"]) > 0.8
    assert output["answer"] == "Apple [2]"
    closed = chain.invoke("1 and 1?")
    assert closed["segments"][0]["decision"] == "none"
    assert closed["answer"] == "2"


def test_another_version_serves_from_the_next_question_on(adapters, store, trained):
    chat = adapters.chat_model("reflecting")
    chain = create_self_rag_chain(chat, RunnableLambda(lambda _: []))
    assert chain.invoke("1 and 1?")["answer"] == "2"
    adapters.promote(store.register(trained.folder, "reflecting", manifest=trained.manifest))
    assert chain.invoke("1 and 1?")["answer"] == "2"
    assert adapters.resolve("reflecting") == "reflecting@000002"


def test_it_is_served_here_and_nowhere_else(store, tmp_path):
    [entry, *_] = store.list()
    with pytest.raises(AdapterError, match="has rows for tokens"):
        export_vllm(store, entry.ref, tmp_path / "vllm", served_name="tiny")
    with pytest.raises(AdapterError, match="used twice"):
        export_merged(store, entry.ref, tmp_path / "merged")
