"""multilingual-e5-small: one space for Chinese and English."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from langchain_graft.models import E5Embeddings, pull_model
from langchain_graft.models.catalogue import CATALOGUE

PAIRS = (
    ("The Macintosh was introduced in 1984.", "麦金塔电脑于1984年推出。"),
    ("Tigers eat goats.", "老虎吃山羊。"),
    ("The restaurant is closed on Mondays.", "这家餐厅星期一不营业。"),
    ("Interest rates were raised last week.", "上周提高了利率。"),
    ("She plays the violin in an orchestra.", "她在管弦乐团拉小提琴。"),
    ("The bridge was destroyed by a flood.", "洪水冲毁了那座桥。"),
)
ENGLISH, CHINESE = (list(texts) for texts in zip(*PAIRS, strict=True))


@pytest.fixture(scope="module")
def biased():
    digest = CATALOGUE["e5-multilingual"].digest
    return E5Embeddings(
        pull_model("e5-multilingual"), weights_digest=digest, remove_language_bias=False
    )


@pytest.mark.parametrize(("asked", "found"), [(ENGLISH, CHINESE), (CHINESE, ENGLISH)])
def test_a_translation_is_nearest(e5, asked, found):
    scores = np.array(e5.embed_queries(asked)) @ np.array(e5.embed_documents(found)).T
    assert list(scores.argmax(axis=1)) == list(range(len(PAIRS)))


def test_a_question_finds_the_document_in_the_other_language_too(e5, biased):
    """Among documents of both languages, the translation is second: behind the text itself."""

    def translations_among_two(embeddings):
        documents = np.array(embeddings.embed_documents(ENGLISH + CHINESE))
        best = np.argsort(-(np.array(embeddings.embed_queries(CHINESE)) @ documents.T), axis=1)
        return sum(n in best[n, :2] for n in range(len(PAIRS)))

    assert translations_among_two(e5) == len(PAIRS)
    assert translations_among_two(e5) >= translations_among_two(biased)


def test_taking_the_language_out_makes_another_embedder(e5, biased):
    assert e5.digest != biased.digest
    assert np.dot(e5.embed_query("apple"), biased.embed_query("apple")) < 0.999


def test_queries_and_passages_differ(e5):
    assert np.dot(e5.embed_query("apple"), e5.embed_documents(["apple"])[0]) < 0.999


def test_order_and_company_do_not_matter(e5):
    texts = [*ENGLISH, "", "a long text " * 100, *CHINESE]
    alone = [e5.embed_documents([text])[0] for text in texts]
    together = e5.embed_documents(texts)
    with ThreadPoolExecutor(4) as pool:
        threads = [
            vectors[0] for vectors in pool.map(lambda text: e5.embed_documents([text]), texts)
        ]
    for found in (together, threads):
        assert (np.array(found) * np.array(alone)).sum(axis=1) == pytest.approx(1, abs=1e-3)
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(len(texts)), abs=1e-4)


def test_the_end_of_a_long_text_counts(e5):
    start = "The weather was fine and nobody said a word. " * 60
    [without, with_end] = e5.embed_documents([start, start + "Tigers eat goats. " * 60])
    query = e5.embed_query("What do tigers eat?")
    assert np.dot(query, with_end) > np.dot(query, without) + 0.02


def test_no_text(e5):
    assert e5.embed_documents([]) == e5.embed_queries([]) == []


def test_tokens_are_counted(e5):
    counter = e5.token_counter()
    assert counter(["", " ", "a", "apple", "apple apple"]) == [0, 0, 1, 1, 2]
    assert counter([" ".join(["apple"] * 1000)]) == [1000]
    assert 1 <= counter(["苹果电脑"])[0] <= 4
