"""MiniLM: the vectors of sentence-transformers, of texts of any length."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from langchain_graft.errors import ModelError
from langchain_graft.models import SentenceEmbeddings, pull_model, sentence_embeddings
from langchain_graft.models.sentence_embeddings import token_windows
from langchain_graft.models.unpadded import vectors_of

TEXTS = [
    "The Macintosh has a mouse.",
    "Prices rose by five percent during the year.",
    "",
    "a",
    "苹果电脑公司",
    "A longer text about computers, their makers and their users. " * 12,
]


@pytest.fixture(scope="module")
def plain():
    return SentenceTransformer(
        str(pull_model("minilm")), device="cpu", model_kwargs={"dtype": "float32"}
    )


def cosines(some, others):
    return [float(np.dot(a, b)) for a, b in zip(some, others, strict=True)]


@pytest.mark.parametrize("dtype", [None, "float32", "bfloat16"])
def test_vectors_are_those_of_sentence_transformers(plain, dtype):
    embeddings = SentenceEmbeddings(pull_model("minilm"), dtype=dtype)
    expected = plain.encode(TEXTS, normalize_embeddings=True)
    vectors = embeddings.embed_documents(TEXTS)
    assert min(cosines(vectors, expected)) >= 0.999
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-3)
    assert min(cosines(embeddings.embed_queries(TEXTS), expected)) >= 0.999


@pytest.mark.parametrize(
    "text",
    [
        "antidisestablishmentarianism is a long word " * 60,
        "苹果电脑" * 200,
        "x" * 90 + " " + "unbreakable" * 90,
    ],
    ids=["words", "chinese", "one word"],
)
def test_nothing_of_a_long_text_is_cut(minilm, text):
    windows = minilm._windows(text)
    counts = minilm.token_counter()(windows)
    assert max(counts) <= minilm.max_tokens
    assert sum(counts) >= minilm.token_counter()([text])[0]
    assert "".join(windows).replace(" ", "") == text.replace(" ", "")
    vectors = np.array(minilm.embed_documents(windows))
    mean = vectors.mean(axis=0) / np.linalg.norm(vectors.mean(axis=0))
    assert cosines([mean], minilm.embed_documents([text])) == pytest.approx([1], abs=1e-3)


def test_the_end_of_a_long_text_counts(minilm):
    start = "The weather was fine and nobody said a word. " * 40
    [without, with_end] = minilm.embed_documents([start, start + "Tigers eat goats. " * 40])
    query = minilm.embed_query("What do tigers eat?")
    assert np.dot(query, with_end) > np.dot(query, without) + 0.2


def test_windows_are_cut_between_words():
    def tokens(*starts):
        """Twelve tokens of one letter, a blank before those numbers."""
        places = [n + sum(start <= n for start in starts) for n in range(12)]
        return [(place, place + 1) for place in places]

    assert token_windows(tokens(3, 7, 9), 8) == [(0, 7), (7, 12)]
    assert token_windows(tokens(3, 8), 8) == [(0, 8), (8, 12)]
    assert token_windows(tokens(3), 8) == [(0, 8), (8, 12)]
    assert token_windows(tokens(3), 12) == [(0, 12)]
    assert token_windows([], 3) == []


def test_a_question_finds_its_answer(minilm):
    documents = minilm.embed_documents(["Tigers eat goats.", "Paris is in France."])
    query = minilm.embed_query("Where is Paris?")
    assert np.argmax(documents @ np.array(query)) == 1


def test_threads_get_the_same(minilm):
    expected = [minilm.embed_documents([text])[0] for text in TEXTS]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: minilm.embed_documents([text])[0], TEXTS))
    assert min(cosines(found, expected)) > 0.9999


FORK = """
import os, signal
from langchain_graft import load_embeddings
embeddings = load_embeddings("minilm")
expected = embeddings.embed_query("apple")
pid = os.fork()
if pid == 0:
    signal.alarm(60)
    os._exit(7 if embeddings.embed_query("apple") == expected else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_few_texts_are_shared_out_among_the_threads(minilm):
    threads = sentence_embeddings._threads("cpu")
    batches = list(minilm._batches([f"text {n} " * 100 for n in range(2 * threads)]))
    assert [len(batch) for batch in batches] == [2] * threads
    assert sorted(n for batch in batches for n in batch) == list(range(2 * threads))
    assert list(minilm._batches([])) == []


QUESTIONS = ["Where is Paris?", "Paris", "a city on the Seine that is the capital of France", ""]


@pytest.fixture
def padding(monkeypatch):
    """MiniLM in fp32, which pads."""
    embeddings = SentenceEmbeddings(pull_model("minilm"), dtype="float32")
    monkeypatch.setattr(embeddings, "_unpads", False)
    return embeddings


def test_few_short_texts_are_shared_out_by_their_tokens():
    assert sentence_embeddings.shared_out([9, 5, 5, 1], 2) == [[0, 3], [1, 2]]
    assert sentence_embeddings.shared_out([4], 2) == [[0]]
    assert sentence_embeddings.shared_out([], 2) == []


def test_few_short_texts_are_one_sequence_with_the_vectors_of_padded_ones(padding, monkeypatch):
    embeddings = SentenceEmbeddings(pull_model("minilm"), dtype="float32")
    shapes = []

    def forward(model, row):
        shapes.append(tuple(row["input_ids"].shape))
        return vectors_of(model, row)

    monkeypatch.setattr(sentence_embeddings, "vectors_of", forward)
    found = embeddings.embed_queries(QUESTIONS)
    tokens = sum(embeddings.token_counter()(QUESTIONS)) + 2 * len(QUESTIONS)
    assert shapes == [(1, tokens)]
    assert np.array(found) == pytest.approx(np.array(padding.embed_queries(QUESTIONS)), abs=1e-5)


def test_texts_of_more_tokens_than_estimated_are_padded(minilm):
    texts = ["苹果电脑公司" * 10] * 5
    expected = [minilm.embed_query(text) for text in texts]
    assert min(cosines(minilm.embed_queries(texts), expected)) > 0.999


def test_a_forked_process_embeds_too():
    ran = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, check=True, timeout=300
    )
    assert ran.stdout == "7\n"


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(pull_model("minilm"), tmp_path / "minilm")


@pytest.mark.parametrize("name", ["2_Dense/pytorch_model.bin", "2_Dense/weights.pt", "0_X/a.pkl"])
def test_a_pickle_is_refused(copy, name):
    (copy / name).parent.mkdir()
    (copy / name).write_bytes(b"")
    with pytest.raises(ModelError, match=r"may be a pickle.*save_pretrained"):
        SentenceEmbeddings(copy)


def test_a_pickle_beside_safetensors_is_not_read(copy):
    (copy / "pytorch_model.bin").write_bytes(b"no pickle")
    assert len(SentenceEmbeddings(copy).embed_query("apple")) == 384


def test_a_folder_without_safetensors_is_refused(copy):
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="safetensors"):
        SentenceEmbeddings(copy)


def test_a_folder_that_can_not_be_loaded(copy):
    (copy / "config.json").write_text("{}")
    (copy / "modules.json").write_text('[{"idx": 0, "name": "0", "path": "", "type": "no.Such"}]')
    with pytest.raises(ModelError, match=r"minilm.* can not be loaded"):
        SentenceEmbeddings(copy)


def test_tokens_are_estimated_without_a_tokenizer_file(copy):
    (copy / "tokenizer.json").unlink()
    embeddings = SentenceEmbeddings(copy)
    assert len(embeddings.embed_query("apple")) == 384
    assert embeddings.token_counter()(["苹果"]) == [2]


def test_pooling_is_part_of_the_digest(copy):
    read = SentenceEmbeddings(copy)
    assert SentenceEmbeddings(copy, dtype="float32").digest == read.digest
    pooling = copy / "1_Pooling" / "config.json"
    pooling.write_text(pooling.read_text().replace("true", "false").replace("false", "true", 1))
    assert SentenceEmbeddings(copy).digest != read.digest
