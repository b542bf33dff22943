"""Embedding adapters are trained on a BERT of two layers: what is learned, kept, and served."""

import itertools
import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from langchain_graft.errors import TrainingError
from langchain_graft.finetune_bridge import AdapterEmbeddings, AdapterStore
from langchain_graft.finetune_bridge.serving.shelf import tokenizer_digest
from langchain_graft.finetune_bridge.training import embeddings
from langchain_graft.finetune_bridge.training.contrastive_batches import (
    answers_of,
    batch_places,
    learned_and_held,
    make_batch,
)
from langchain_graft.finetune_bridge.training.contrastive_step import (
    StepSizes,
    TrainableEmbedder,
    contrastive_loss,
    drift,
)
from langchain_graft.finetune_bridge.training.embeddings import train_embeddings
from langchain_graft.finetune_bridge.training.ranked_passages import ndcg_at_10
from langchain_graft.finetune_bridge.training.rows import EmbeddingRow
from langchain_graft.finetune_bridge.training.settings import EmbeddingSettings, LoraSettings
from langchain_graft.finetune_bridge.training.strength import STRENGTHS
from langchain_graft.models import SentenceEmbeddings

WORDS = ["[PAD]", "[UNK]", *(f"w{n}" for n in range(60))]
SIZE = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A sentence-transformers BERT with random weights, whose queries have a prompt."""
    torch.manual_seed(2)
    words = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token=WORDS[1]))
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token=WORDS[1], pad_token=WORDS[0]
    )
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=SIZE,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=0,
        initializer_range=0.3,
    )
    plain = tmp_path_factory.mktemp("models") / "bert"
    BertModel(config).save_pretrained(plain)
    tokenizer.save_pretrained(plain)
    folder = tmp_path_factory.mktemp("models") / "sentence-bert"
    modules = [Transformer(str(plain)), Pooling(SIZE, "mean"), Normalize()]
    prompts = {"query": "w0 ", "document": ""}
    SentenceTransformer(modules=modules, device="cpu", prompts=prompts).save(str(folder))
    return folder


@pytest.fixture(scope="module")
def rows():
    """Each question has two words of its passage's topic; a passage is long or short."""
    return [
        EmbeddingRow(
            f"w{5 + n} w{5 + (n * 7) % 50}",
            " ".join(f"w{5 + (n * k) % 50}" for k in range(3, 6 + 9 * (n % 3))),
        )
        for n in range(48)
    ]


@pytest.fixture
def settings(folder, tmp_path):
    return EmbeddingSettings(
        base=f"hf:{folder}",
        out=str(tmp_path / "run"),
        lora=LoraSettings(r=4, alpha=8),
        batch_size=8,
        learning_rate=5e-3,
        epochs=3,
        checkpoint_every=4,
        device="cpu",
        dtype="float32",
        patience=9,
    )


def losses(settings):
    lines = Path(settings.out, "loss.jsonl").read_text().splitlines()
    return [record["loss"] for record in map(json.loads, lines) if "loss" in record]


def by_peft(folder, adapter):
    model = SentenceTransformer(str(folder), device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model[0].model = PeftModel.from_pretrained(model[0].model, adapter)
    return model.eval()


def test_what_is_trained_is_what_is_served(folder, rows, settings, tmp_path):
    told = []
    done = train_embeddings(settings, rows, on_progress=told.append)
    report = done.report
    assert report.last_loss < 0.7 * report.first_loss
    assert report.metrics["loss"] < report.metrics["base_loss"]
    assert (report.steps, told[-1].step, told[-1].steps) == (18, 18, 18)
    assert report.held_out == 5
    store = AdapterStore(tmp_path / "adapters")
    ref = store.register(done.folder, "legal", manifest=done.manifest)
    base = SentenceEmbeddings(folder, device="cpu", dtype="float32")
    assert done.manifest.tokenizer_digest == tokenizer_digest(base)
    served = AdapterEmbeddings(base, store, adapter=str(ref))
    texts = [row.positive for row in rows[:9]]
    stock = by_peft(folder, done.folder)
    expected = stock.encode(texts, prompt="")
    assert np.array(served.embed_documents(texts)) == pytest.approx(expected, abs=1e-5)
    assert np.abs(expected - np.array(base.embed_documents(texts))).max() > 0.05
    expected = stock.encode(texts, prompt_name="query")
    assert np.array(served.embed_queries(texts)) == pytest.approx(expected, abs=1e-5)
    config = json.loads((done.folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == settings.base
    assert train_embeddings(settings, rows) == done  # it is done: found, not trained again


def test_stopped_anywhere_it_goes_on_to_the_same_losses(rows, settings, tmp_path):
    class StopError(Exception):
        pass

    whole = replace(settings, out=str(tmp_path / "whole"))
    expected = train_embeddings(whole, rows)
    stops = iter([2, 6, 8, 13])
    stop = next(stops)

    def stop_there(progress):
        if progress.step == stop:
            raise KeyboardInterrupt if stop == 6 else StopError

    for _ in range(4):
        with pytest.raises((StopError, TrainingError)):
            train_embeddings(settings, rows, on_progress=stop_there)
        stop = next(stops, None)
    done = train_embeddings(settings, rows)
    assert done.report.resumed_at == 12
    assert losses(settings) == pytest.approx(losses(whole), rel=1e-5)
    assert done.report.metrics == pytest.approx(expected.report.metrics, rel=1e-5)


KILLED = """
import os, signal, sys, json
from langchain_graft.finetune_bridge.training.embeddings import train_embeddings
from langchain_graft.finetune_bridge.training.settings import EmbeddingSettings
from langchain_graft.finetune_bridge.training.rows import EmbeddingRow
given = json.load(sys.stdin)
rows = [EmbeddingRow(*row) for row in given["rows"]]
def kill(progress):
    if progress.step == given["step"]:
        os.kill(os.getpid(), signal.SIGKILL)
train_embeddings(EmbeddingSettings.from_json(given["settings"]), rows, on_progress=kill)
"""


def test_killed_it_goes_on(rows, settings, tmp_path):
    whole = replace(settings, out=str(tmp_path / "whole"))
    train_embeddings(whole, rows)
    given = {
        "settings": settings.to_json(),
        "rows": [[row.query, row.positive] for row in rows],
        "step": 10,
    }
    killed = subprocess.run(
        [sys.executable, "-c", KILLED],
        input=json.dumps(given),
        text=True,
        capture_output=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert killed.returncode == -9, killed.stderr
    assert train_embeddings(settings, rows).report.resumed_at == 8
    assert losses(settings) == pytest.approx(losses(whole), rel=1e-5)


def test_only_queries_change(folder, rows, settings, tmp_path):
    done = train_embeddings(replace(settings, side="query"), rows)
    assert done.report.metrics["loss"] < done.report.metrics["base_loss"]
    store = AdapterStore(tmp_path / "adapters")
    ref = store.register(done.folder, "legal", manifest=done.manifest)
    base = SentenceEmbeddings(folder, device="cpu", dtype="float32")
    served = AdapterEmbeddings(base, store, adapter=str(ref))
    assert served.embed_documents(["w7 w9"]) == base.embed_documents(["w7 w9"])
    assert served.embed_query("w7 w9") != base.embed_query("w7 w9")


def test_held_out_queries_choose_among_all_passages_where_those_are_fixed(folder, rows, settings):
    done = train_embeddings(replace(settings, side="query", max_steps=1), rows)
    base = SentenceEmbeddings(folder, device="cpu", dtype="float32")
    _, held = learned_and_held(rows, settings)
    batch = make_batch(held, answers_of(rows), negatives=0, pool=[row.positive for row in rows])
    vectors = [base.embed_queries(batch.queries), base.embed_documents(batch.passages)]
    expected = ndcg_at_10(*map(np.array, vectors), batch)
    assert done.report.metrics["base_ndcg_at_10"] == pytest.approx(expected)


@pytest.mark.parametrize("side", ["query", "both"])
def test_vectors_of_other_texts_are_kept_near_the_base(folder, rows, settings, tmp_path, side):
    base = SentenceEmbeddings(folder, device="cpu", dtype="float32")
    texts = ["w3 w55 w8", "w41"]
    near = {}
    for keep in (0.0, 100.0):
        out = str(tmp_path / f"{keep}")
        changed = replace(settings, side=side, keep=keep, strength=1.0, out=out)
        done = train_embeddings(changed, rows)
        store = AdapterStore(tmp_path / f"adapters {keep}")
        ref = store.register(done.folder, "legal", manifest=done.manifest)
        served = AdapterEmbeddings(base, store, adapter=str(ref))
        both = np.array([served.embed_queries(texts), base.embed_queries(texts)])
        near[keep] = float((both[0] * both[1]).sum(axis=1).min())
        assert len(losses(changed)) == 18
    assert near[0.0] < 0.9
    assert near[100.0] > 0.93


def test_what_is_learned_is_served_by_its_strength(rows, settings, tmp_path):
    half = replace(settings, strength=0.5, out=str(tmp_path / "half"))
    done = train_embeddings(half, rows)
    assert json.loads((done.folder / "adapter_config.json").read_text())["lora_alpha"] == 4
    assert done.report.metrics["strength"] == 0.5


def test_many_held_out_rows_choose_the_strength(rows, settings, tmp_path, monkeypatch):
    few = train_embeddings(settings, rows).report.metrics
    monkeypatch.setattr(embeddings, "FEWEST_TO_CHOOSE_BY", 5)
    many = train_embeddings(replace(settings, out=str(tmp_path / "many")), rows).report.metrics
    assert few["strength"] == 1
    assert many["strength"] in STRENGTHS
    assert many["ndcg_at_10"] >= few["ndcg_at_10"]


def test_drift_written_out():
    vectors = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    base = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    assert drift(vectors, base).item() == pytest.approx((0 + 0.2) / 2)


def test_a_query_map_is_learned_over_any_embedder(folder, rows, settings, tmp_path):
    told = []
    asked = replace(settings, method="query-map", dtype=None)
    done = train_embeddings(asked, rows, on_progress=told.append)
    assert (done.manifest.kind, done.manifest.side) == ("query-map", "query")
    assert done.report.metrics.keys() == {"ndcg_at_10", "base_ndcg_at_10"}
    assert len(told) == done.report.steps == 2
    store = AdapterStore(tmp_path / "adapters")
    ref = store.register(done.folder, "near", manifest=done.manifest)
    base = SentenceEmbeddings(folder, device="cpu")
    served = AdapterEmbeddings(base, store, adapter=str(ref))
    assert served.embed_documents(["w7 w9"]) == base.embed_documents(["w7 w9"])
    assert served.embed_query("w7 w9") != base.embed_query("w7 w9")


@pytest.mark.parametrize("change", [{"side": "query"}, {"method": "query-map", "dtype": None}])
def test_known_vectors_are_not_computed_again(folder, rows, settings, monkeypatch, change):
    base = SentenceEmbeddings(folder, device="cpu", dtype=change.get("dtype", "float32"))
    texts = [row.positive for row in rows[:-1]]
    known = dict(zip(texts, base.embed_documents(texts), strict=True))
    asked = replace(settings, **change)
    whole = train_embeddings(replace(asked, out=f"{settings.out}-whole"), rows)
    embed, embedded = SentenceEmbeddings.embed_documents, []

    def counted(self, texts, **others):
        embedded.extend(texts)
        return embed(self, texts, **others)

    monkeypatch.setattr(SentenceEmbeddings, "embed_documents", counted)
    done = train_embeddings(asked, rows, known=known)
    assert set(texts) & set(embedded) <= {texts[0], "a\nb"}  # one of them is tried
    assert rows[-1].positive in embedded
    assert done.report.metrics == pytest.approx(whole.report.metrics, abs=0.05)


def test_known_vectors_of_another_embedder_are_refused(rows, settings):
    known = {rows[3].positive: [1.0] * 32}
    with pytest.raises(ValueError, match="known vector of 'w"):
        train_embeddings(replace(settings, side="query"), rows, known=known)


def test_other_known_vectors_begin_a_map_anew(folder, rows, settings):
    asked = replace(settings, method="query-map", dtype=None, checkpoint_every=1)

    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(TrainingError):
        train_embeddings(asked, rows, on_progress=stop)
    base = SentenceEmbeddings(folder, device="cpu")
    known = {row.positive: base.embed_documents([row.positive])[0] for row in rows[:9]}
    assert train_embeddings(asked, rows, known=known).report.resumed_at is None


def test_it_stops_when_the_held_out_rows_get_no_better(rows, settings):
    spoiled = replace(settings, learning_rate=3.0, warmup=0.0, patience=2, checkpoint_every=1)
    done = train_embeddings(spoiled, rows)
    assert done.report.ended == "early"
    assert done.report.steps < 18
    assert done.report.metrics["loss"] <= done.report.metrics["base_loss"]


def test_a_loss_that_is_no_number_is_told(rows, settings, monkeypatch):
    from langchain_graft.finetune_bridge.training import contrastive_training  # noqa: PLC0415

    def nothing(queries, passages, batch, **others):
        return (queries * float("nan")).sum() + passages.sum()

    monkeypatch.setattr(contrastive_training, "contrastive_loss", nothing)
    with pytest.raises(TrainingError, match=r"step 1 the loss is nan.*learning_rate"):
        train_embeddings(replace(settings, eval_share=0.0), rows)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"method": "qlora"}, "'lora', or 'query-map'"),
        ({"lora": LoraSettings(target_modules=("q_proj",))}, "target modules"),
    ],
)
def test_what_can_not_be_trained_is_told(rows, settings, change, told):
    with pytest.raises((ValueError, TrainingError), match=told):
        train_embeddings(replace(settings, **change), rows)


def test_the_doctor_examines_before_and_after(rows, settings):
    told = []
    found = train_embeddings(settings, rows, on_progress=told.append).report.findings
    before = ["targets", "size", "false negatives", "false negatives", *["normalisation"] * 2]
    assert [one.check for one in found] == [*before, "loss", "held out", "tensors", "moved"]
    assert [one.check for one in found if not one.ok] == ["size"]
    assert told[0].findings == (found[1],)


def test_an_embedder_that_reads_line_ends_otherwise_is_refused(rows, settings, monkeypatch):
    embed = SentenceEmbeddings.embed_documents

    def joined(self, texts, **settings):
        return embed(self, [text.replace("\n", "") for text in texts], **settings)

    monkeypatch.setattr(SentenceEmbeddings, "embed_documents", joined)
    with pytest.raises(TrainingError, match=r"\(normalisation\).*'one\\ntwo' is read otherwise"):
        train_embeddings(settings, rows)


def test_too_few_rows(rows, settings):
    with pytest.raises(ValueError, match="There are 2 rows"):
        train_embeddings(settings, rows[:2])


def trainable(folder, *, sizes):
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": "float32"})
    return model, TrainableEmbedder(model, sizes=sizes, numbers=torch.float32)


@pytest.mark.parametrize(("tokens", "kept"), [(10_000, 10_000), (40, 10_000), (40, 100), (1, 0)])
def test_slopes_are_those_of_sentence_transformers(folder, rows, tokens, kept):
    """However the batch is shared out, kept or computed twice."""
    stock = SentenceTransformer(str(folder), device="cpu").eval()
    some = rows[:12]
    negatives = [rows[n + 20].positive for n in range(12)]
    columns = [
        stock.preprocess([f"w0 {row.query}" for row in some]),
        stock.preprocess([row.positive for row in some]),
        stock.preprocess(negatives),
    ]
    expected = MultipleNegativesRankingLoss(stock, scale=20.0)(columns, labels=None)
    expected.backward()
    some = [replace(row, negatives=(text,)) for row, text in zip(some, negatives, strict=True)]
    sizes = StepSizes(max_tokens=64, mini_batch_tokens=tokens, kept_tokens=kept)
    model, ours = trainable(folder, sizes=sizes)
    batch = make_batch(some, answers_of(some), negatives=1)
    loss = ours.backward(batch, partial(contrastive_loss, batch=batch, scale=20.0), seed=0)
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    slopes = dict(stock.named_parameters())
    for name, one in model.named_parameters():
        if slopes[name].grad is not None:
            assert torch.allclose(one.grad, slopes[name].grad, atol=1e-5), name


def test_the_loss_written_out():
    queries = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    passages = torch.tensor([[0.6, 0.8, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    rows = [EmbeddingRow("a", "x", ("z",)), EmbeddingRow("b", "y")]
    batch = make_batch(rows, answers_of([*rows, EmbeddingRow("b", "x")]), negatives=1)
    assert batch.passages == ["x", "y", "z"]
    assert batch.right_too == [(1, 0)]
    found = contrastive_loss(queries, passages, batch, scale=2.0)
    e = np.exp
    first = -np.log(e(1.2) / (e(1.2) + e(0) + e(0)))
    second = -np.log(e(2.0) / (e(2.0) + e(0)))  # x is right too: neither right nor wrong
    assert found.item() == pytest.approx((first + second) / 2)
    cut = contrastive_loss(queries, passages, batch, scale=2.0, sizes=(3,))
    assert cut.item() == pytest.approx(found.item())
    assert contrastive_loss(queries, passages, batch, scale=2.0, sizes=(1,)).isfinite()


def test_nothing_is_twice_in_a_batch():
    rows = [EmbeddingRow(f"q{n % 20}", f"p{n // 3}") for n in range(60)]
    batches = batch_places(rows, size=8, seed=1, epoch=0)
    for batch in batches:
        assert len({rows[n].query for n in batch}) == len(batch)
        assert len({rows[n].positive for n in batch}) == len(batch)
    places = [n for batch in batches for n in batch]
    assert len(places) == len(set(places)) > 50
    assert batches == batch_places(rows, size=8, seed=1, epoch=0)
    assert batches != batch_places(rows, size=8, seed=1, epoch=1)
    assert len(batch_places(rows[:3], size=64, seed=1, epoch=0)) == 3  # all of one passage


def test_rows_of_a_group_share_batches():
    rows = [EmbeddingRow(f"q{n}", f"p{n}", (), f"d{n // 6}") for n in range(48)]
    alone = [EmbeddingRow(f"a{n}", f"pa{n}") for n in range(16)]
    batches = batch_places([*rows, *alone], size=16, seed=1, epoch=0, group_rows=4)
    together = [n for batch in batches for n in batch]
    assert sorted(together) == list(range(64))
    following = [(one, two) for one, two in itertools.pairwise(together) if one < 48 and two < 48]
    share = sum(one // 6 == two // 6 for one, two in following) / 48
    assert share >= 0.6  # 4 and 2 of a document: 32 of 48 follow one of their own
    assert batches != batch_places([*rows, *alone], size=16, seed=1, epoch=1, group_rows=4)


def test_ranking_written_out():
    batch = make_batch(
        [EmbeddingRow("a", "x"), EmbeddingRow("b", "y")], {}, negatives=0, pool=["z"]
    )
    queries = np.array([[1.0, 0.0], [0.0, 1.0]])
    passages = np.array([[1.0, 0.0], [0.0, 0.5], [0.0, 1.0]])
    assert ndcg_at_10(queries, passages, batch) == pytest.approx((1 + 1 / np.log2(3)) / 2)
    both = make_batch(
        [EmbeddingRow("b", "y")], {"b": frozenset("yz")}, negatives=0, pool=["x", "z"]
    )
    order = [both.passages.index(name) for name in "yxz"]
    vectors = np.array([[0.0, 1.0], [0.0, 0.5], [0.0, 0.1]])[np.argsort(order)]
    best = 1 + 1 / np.log2(3)
    assert ndcg_at_10(queries[1:], vectors, both) == pytest.approx((1 + 1 / np.log2(4)) / best)
