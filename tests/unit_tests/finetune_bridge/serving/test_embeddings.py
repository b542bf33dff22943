"""Embeddings with adapters: PEFT's vectors, each call's own version, documents left alone."""

import asyncio
import contextlib
import gc
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_tests.unit_tests import EmbeddingsUnitTests
from peft import PeftModel
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from langchain_graft.errors import (
    AdapterInUseError,
    AdapterMismatchError,
    AdapterNotFoundError,
    DigestMismatchError,
)
from langchain_graft.finetune_bridge import (
    AdapterEmbeddings,
    AdapterManifest,
    AdapterRef,
    AdapterStore,
    QueryMap,
)
from langchain_graft.finetune_bridge.serving.shelf import tokenizer_digest
from langchain_graft.models import SentenceEmbeddings, sentence_embeddings
from langchain_graft.models.digest import embeddings_digest

WORDS = ["[PAD]", "[UNK]", *"abcdefgh"]
SIZE = 32
SHORT = ["a", "b c d e f g h", "h g f", "a a a a a"]
LONG = ["a b c d e f g h " * n for n in (3, 7, 2, 6, 5)] * 4  # padded: too many for one sequence


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory):
    """A BERT of two layers with random weights, and its pooling."""
    import torch  # noqa: PLC0415

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
        initializer_range=0.5,
    )
    plain = tmp_path_factory.mktemp("models") / "bert"
    BertModel(config).save_pretrained(plain)
    tokenizer.save_pretrained(plain)
    folder = tmp_path_factory.mktemp("models") / "sentence-bert"
    modules = [Transformer(str(plain)), Pooling(SIZE, "mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    return folder


@pytest.fixture(scope="session")
def base(bert_folder):
    return SentenceEmbeddings(bert_folder, device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def folders(bert_folder, make_adapter):
    """Three seeded adapters of it, of different ranks."""
    return [
        make_adapter(
            seed=seed,
            r=rank,
            model=BertModel.from_pretrained(bert_folder),
            target_modules=["query", "value", "output.dense"],
            task_type="FEATURE_EXTRACTION",
        )
        for seed, rank in ((1, 4), (2, 8), (3, 2))
    ]


@pytest.fixture(scope="session")
def by_peft(bert_folder, folders):
    """Vectors of texts as sentence-transformers and PEFT give them, with one of the adapters."""
    models = []
    for folder in folders:
        model = SentenceTransformer(str(bert_folder), device="cpu")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PEFT's of transformers
            model[0].model = PeftModel.from_pretrained(model[0].model, folder)
        models.append(model.eval())
    return lambda n, texts: models[n].encode(texts, normalize_embeddings=True)


def manifest(base, *, kind="embeddings", **parts):
    return AdapterManifest(kind=kind, base="hf:bert", base_digest=embeddings_digest(base), **parts)


@pytest.fixture
def store(tmp_path):
    return AdapterStore(tmp_path / "adapters")


@pytest.fixture
def register(base, store, folders):
    """Put the n-th adapter into the store, under a name."""

    def register_(n, name="legal", *, current=False, **parts):
        ref = store.register(folders[n], name, manifest=manifest(base, **parts))
        if current:
            store.promote(ref)
        return ref

    return register_


def put_map(store, base, tmp_path, *, seed=0, name="near"):
    random = np.random.default_rng(seed)
    size = len(base.embed_query("a"))
    change = QueryMap(*random.standard_normal((2, size, 3)).astype(np.float32))
    change.save(tmp_path / f"map{seed}")
    made = manifest(base, kind="query-map", side="query")
    ref = store.register(tmp_path / f"map{seed}", name, manifest=made)
    return ref, change


def close(found, expected):
    return np.array(found) == pytest.approx(np.array(expected), abs=2e-5)


@pytest.mark.parametrize("texts", [SHORT, LONG, ["a"]], ids=["unpadded", "padded", "one"])
def test_vectors_are_those_of_peft(base, store, register, by_peft, texts):
    for n in range(3):
        embeddings = AdapterEmbeddings(base, store, adapter=str(register(n)))
        assert close(embeddings.embed_documents(texts), by_peft(n, texts))
        assert close(embeddings.embed_queries(texts), by_peft(n, texts))
        plain = np.array(base.embed_queries(texts))
        assert np.abs(plain - by_peft(n, texts)).max() > 0.05
        assert close(base.embed_queries(texts), plain)


def test_without_an_adapter_it_is_the_base(base, store):
    embeddings = AdapterEmbeddings(base, store)
    assert embeddings.embed_documents(SHORT) == base.embed_documents(SHORT)
    assert embeddings.embed_query("a") == base.embed_query("a")
    assert embeddings.digest == embeddings.query_digest == base.digest
    assert embeddings.max_tokens == base.max_tokens
    assert embeddings.token_counter()(SHORT) == base.token_counter()(SHORT)


def test_an_adapter_for_queries_leaves_documents(base, store, register, by_peft):
    register(0, side="query", current=True)
    embeddings = AdapterEmbeddings(base, store, adapter="legal")
    assert embeddings.embed_documents(SHORT) == base.embed_documents(SHORT)
    assert close([embeddings.embed_query("b c")], by_peft(0, ["b c"]))


def test_digests_tell_what_the_vectors_are(base, store, register, tmp_path):
    both, other = register(0), register(1)
    query = register(0, "queries", side="query")
    near, _ = put_map(store, base, tmp_path)
    made = {
        ref: AdapterEmbeddings(base, store, adapter=str(ref)) for ref in (both, other, query, near)
    }
    assert made[query].digest == made[near].digest == base.digest
    digests = {embeddings_digest(made[ref]) for ref in (both, other)} | {base.digest}
    assert len(digests) == 3
    assert made[both].query_digest == made[both].digest
    assert len({one.query_digest for one in made.values()} | {base.digest}) == 5
    assert AdapterEmbeddings(base, store, adapter=str(both)).digest == made[both].digest


def test_an_alias_is_looked_up_at_each_call(base, store, register, by_peft):
    register(0, side="query", current=True)
    embeddings = AdapterEmbeddings(base, store, adapter="legal@current")
    pinned = embeddings.pinned()
    assert pinned.adapter == embeddings.adapter == "legal@000001"
    assert close([embeddings.embed_query("a")], by_peft(0, ["a"]))
    before = embeddings.query_digest
    register(1, side="query", current=True)
    assert close([embeddings.embed_query("a")], by_peft(1, ["a"]))
    assert close([pinned.embed_query("a")], by_peft(0, ["a"]))
    assert embeddings.adapter == "legal@000002"
    assert embeddings.query_digest != before
    assert embeddings.digest == pinned.digest
    store.rollback("legal")
    assert close([embeddings.embed_query("a")], by_peft(0, ["a"]))


def test_an_alias_that_comes_to_embed_documents_anew_is_refused(base, store, register, by_peft):
    register(0, current=True)
    embeddings = AdapterEmbeddings(base, store, adapter="legal")
    digest = embeddings.digest
    assert close(embeddings.embed_documents(["a"]), by_peft(0, ["a"]))
    register(1, current=True)
    for embed in (embeddings.embed_queries, embeddings.embed_documents):
        with pytest.raises(DigestMismatchError, match="legal"):
            embed(["a"])
    assert embeddings.digest == digest
    anew = AdapterEmbeddings(base, store, adapter="legal")
    assert anew.digest != digest
    assert close(anew.embed_documents(["a"]), by_peft(1, ["a"]))


def test_a_map_moves_queries_of_any_embedder(store, tmp_path):
    base = DeterministicFakeEmbedding(size=SIZE)
    base.__dict__["digest"] = "fake"
    ref, change = put_map(store, base, tmp_path)
    store.promote(ref)
    embeddings = AdapterEmbeddings(base, store, adapter="near")
    assert embeddings.embed_documents(SHORT) == base.embed_documents(SHORT)
    expected = change([base.embed_query(text) for text in SHORT])
    assert close(embeddings.embed_queries(SHORT), expected)
    assert embeddings.embed_queries([]) == []
    assert close([asyncio.run(embeddings.aembed_query("a"))], expected[:1])
    assert asyncio.run(embeddings.aembed_documents(SHORT)) == base.embed_documents(SHORT)


def test_what_is_for_another_model_is_refused(base, store, folders, register, make_adapter):
    ref = store.register(
        folders[0],
        "other",
        manifest=AdapterManifest(kind="embeddings", base="x", base_digest="0" * 32),
    )
    with pytest.raises(AdapterMismatchError, match="embedder"):
        AdapterEmbeddings(base, store, adapter=str(ref))
    cut = register(0, "cut", tokenizer_digest="0" * 64)
    with pytest.raises(AdapterMismatchError, match="tokenizer"):
        AdapterEmbeddings(base, store, adapter=str(cut))
    alike = register(0, "alike", tokenizer_digest=tokenizer_digest(base))
    assert AdapterEmbeddings(base, store, adapter=str(alike)).embed_query("a")
    chat = register(0, "chat", kind="generator")
    with pytest.raises(AdapterMismatchError, match="chat model"):
        AdapterEmbeddings(base, store, adapter=str(chat))
    fake = DeterministicFakeEmbedding(size=SIZE)
    fake.__dict__["digest"] = base.digest
    lora = AdapterEmbeddings(fake, store, adapter=str(register(0)))
    with pytest.raises(AdapterMismatchError, match="SentenceEmbeddings"):
        lora.embed_query("a")
    llama = store.register(make_adapter(), "llama", manifest=manifest(base))
    wrong = AdapterEmbeddings(base, store, adapter=str(llama))
    for _ in range(2):
        with pytest.raises(AdapterMismatchError, match="layer"):
            wrong.embed_query("a")


def test_what_is_not_there_is_said_at_once(base, store):
    with pytest.raises(AdapterNotFoundError, match="legal"):
        AdapterEmbeddings(base, store, adapter="legal")
    with pytest.raises(AdapterNotFoundError, match="legal@000007"):
        AdapterEmbeddings(base, store, adapter="legal@000007")


def loaded(embeddings):
    return len(embeddings._shelf._home.layers._adapters)


@contextlib.contextmanager
def two_workers(monkeypatch):
    """Two calls at once, on one core too."""
    with ThreadPoolExecutor(2) as workers, monkeypatch.context() as patched:
        patched.setattr(sentence_embeddings, "_workers", lambda _: workers)
        yield


def test_a_former_version_is_let_go_when_its_last_call_ends(base, store, register, monkeypatch):
    gc.collect()
    embeddings = AdapterEmbeddings(base, store)
    start = loaded(embeddings)
    first = register(0, side="query", current=True)
    embeddings = AdapterEmbeddings(base, store, adapter="legal")
    embeddings.embed_query("a")
    assert loaded(embeddings) == start + 1
    entered, go_on = threading.Event(), threading.Event()
    forward = base._forward

    def slow(texts, *rest):
        if texts == ["b"]:
            entered.set()
            go_on.wait(20)
        return forward(texts, *rest)

    monkeypatch.setattr(base, "_forward", slow)
    with two_workers(monkeypatch), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(embeddings.embed_query, "b")
        assert entered.wait(20)
        register(1, side="query", current=True)
        embeddings.embed_query("a")
        assert loaded(embeddings) == start + 2
        with pytest.raises(AdapterInUseError):
            store.remove(first)
        go_on.set()
        answer.result()
    assert loaded(embeddings) == start + 1
    embeddings.close()
    assert loaded(embeddings) == start
    embeddings.embed_query("a")
    assert loaded(embeddings) == start + 1


def test_objects_that_are_gone_hold_nothing(base, store, register):
    gc.collect()
    plain = AdapterEmbeddings(base, store)
    start = loaded(plain)
    ref = register(0)
    for _ in range(5):
        AdapterEmbeddings(base, store, adapter=str(ref)).embed_query("a")
    plain.pinned(str(ref))
    gc.collect()
    plain.embed_query("a")
    assert loaded(plain) == start
    store.remove(ref)


def test_a_version_that_is_pinned_can_not_be_removed(base, store, register, by_peft):
    pinned = AdapterEmbeddings(base, store).pinned(str(register(0)))
    with pytest.raises(AdapterInUseError):
        store.remove(store.resolve(pinned.adapter))
    assert close([pinned.embed_query("a")], by_peft(0, ["a"]))
    pinned.close()
    store.remove(store.resolve(pinned.adapter))
    with pytest.raises(AdapterNotFoundError):
        pinned.embed_query("a")


def test_an_adapter_that_can_not_be_loaded_is_tried_again(base, store, register, monkeypatch):
    embeddings = AdapterEmbeddings(base, store, adapter=str(register(0)))
    load = embeddings._shelf._load
    failures = iter([OSError("the disk"), OSError("the disk")])

    def failing(ref):
        if error := next(failures, None):
            raise error
        return load(ref)

    monkeypatch.setattr(embeddings._shelf, "_load", failing)
    for _ in range(2):
        with pytest.raises(OSError, match="the disk"):
            embeddings.embed_query("a")
    assert len(embeddings.embed_query("a")) == SIZE


@pytest.mark.parametrize("texts", [SHORT, ["a b c"]], ids=["several", "one"])
async def test_async_gives_the_same(base, store, register, by_peft, texts):
    embeddings = AdapterEmbeddings(base, store, adapter=str(register(0)))
    assert close(await embeddings.aembed_documents(texts), by_peft(0, texts))
    found = await asyncio.gather(*(embeddings.aembed_query(text) for text in texts))
    assert close(found, by_peft(0, texts))


RACE_SECONDS = 6
RACE_TEXTS = ["a b", "h g f e", "c"]


def is_one_of(found, vectors):
    return any(np.abs(np.array(found) - right).max() < 2e-5 for right in vectors)


class Mover:
    """Makes version after version, lets the alias stand for the last one, removes old ones."""

    def __init__(self, store, folders, made):
        self.store, self.folders, self.made = store, folders, made
        self.content = {}
        self.kept = []

    def flip(self):
        n = len(self.content) % len(self.folders)
        ref = self.store.register(self.folders[n], "moving", manifest=self.made)
        self.content[ref] = n
        self.store.promote(ref)
        self.kept.append(ref)
        for old in self.kept[:-2]:
            with contextlib.suppress(AdapterInUseError):
                self.store.remove(old)
                self.kept.remove(old)


def test_no_vector_is_wrong_while_versions_come_and_go(base, store, folders, register, by_peft):
    """Eight threads, queries and documents of all adapters, an alias that moves, and removals."""
    expected = [by_peft(n, RACE_TEXTS) for n in range(3)]
    plain = [np.array(base.embed_documents(RACE_TEXTS))]
    mover = Mover(store, folders, manifest(base, side="query"))
    mover.flip()
    alias = AdapterEmbeddings(base, store, adapter="moving")
    without = AdapterEmbeddings(base, store)
    fixed = [AdapterEmbeddings(base, store, adapter=str(register(n, f"own{n}"))) for n in range(3)]

    def pinned():
        one = alias.pinned()
        found = one.embed_queries(RACE_TEXTS)
        return is_one_of(found, [expected[mover.content[AdapterRef.parse(one.adapter)]]])

    checks = [
        *(
            lambda n=n: is_one_of(fixed[n].embed_documents(RACE_TEXTS), [expected[n]])
            for n in range(3)
        ),
        *(
            lambda n=n: is_one_of(fixed[n].embed_queries(RACE_TEXTS), [expected[n]])
            for n in range(3)
        ),
        lambda: is_one_of(without.embed_queries(RACE_TEXTS), plain),
        lambda: is_one_of(alias.embed_documents(RACE_TEXTS), plain),
        lambda: is_one_of(alias.embed_queries(RACE_TEXTS), expected),
        pinned,
    ]
    ends = time.monotonic() + RACE_SECONDS

    def ask(n):
        right = []
        while time.monotonic() < ends:
            right.append(checks[(n + len(right)) % len(checks)]())
        return right

    def move():
        while time.monotonic() < ends:
            mover.flip()

    with ThreadPoolExecutor(9) as pool:
        moving = pool.submit(move)
        right = [one for some in pool.map(ask, range(8)) for one in some]
        moving.result()
    assert right.count(False) == 0
    assert len(right) > 200
    assert len(mover.content) > 5


class TestStandard(EmbeddingsUnitTests):
    @pytest.fixture(autouse=True)
    def _made(self, base, store, register):
        self.made = {"base": base, "store": store, "adapter": str(register(0))}

    @property
    def embeddings_class(self):
        return AdapterEmbeddings

    @property
    def embedding_model_params(self):
        return self.made
