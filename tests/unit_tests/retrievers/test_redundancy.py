"""What is said twice: when two sentences say the same, and which of them stays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from pydantic import ValidationError

from langchain_graft.retrievers import RedundancyFilter
from langchain_graft.retrievers.redundancy import Said, say_the_same
from langchain_graft.testing import HashEmbeddings


class SameEmbeddings(HashEmbeddings):
    """All texts lie at one place: what differs, words have to tell."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def embed_documents(self, texts):
        self.asked.append(list(texts))
        return [[1.0, 0.0] for _ in texts]


def documents_of(*texts, title=""):
    return [Document(text, metadata={"title": title}) for text in texts]


def texts_of(documents):
    return [document.page_content for document in documents]


def filtered(*texts, **settings):
    documents = documents_of(*texts)
    redundancy = RedundancyFilter(**{"embeddings": SameEmbeddings(), **settings})
    found = redundancy.compress_documents(documents, "q")
    assert documents == documents_of(*texts)
    return texts_of(found)


def test_of_near_equal_sentences_the_one_with_more_words_stays():
    found = filtered("Jobs founded Apple. Wozniak built.", "In short, Jobs founded Apple early.")
    assert found == ["Wozniak built.", "In short, Jobs founded Apple early."]


def test_of_equal_ones_the_first_stays_and_a_document_without_any_goes():
    assert filtered("Jobs founded Apple.", "Jobs founded Apple.", "Wozniak built.") == [
        "Jobs founded Apple.",
        "Wozniak built.",
    ]


def test_a_scorer_says_what_tells_more():
    class Scorer:
        def logprobs(self, prompts, continuations):
            return [np.array([-9.0 if "built" in text else -1.0]) for text in continuations]

        def next_logprobs(self, prompts, token_ids):
            raise NotImplementedError

        def token_spans(self, text):
            return [(0, len(text))]

    long, short = "Jobs founded Apple long ago.", "Jobs built Apple."
    assert filtered(long, short) == [long]
    assert filtered(long, short, scorer=Scorer()) == [short]


def test_all_sentences_are_embedded_in_one_batch_and_far_ones_stay():
    embeddings = SameEmbeddings()
    filtered("Jobs founded. Jobs left.", "Jobs came.", embeddings=embeddings)
    assert embeddings.asked == [["Jobs founded.", "Jobs left.", "Jobs came."]]
    texts = ["Jobs founded Apple.", "Jobs sold a yellow chair."]
    assert filtered(*texts, embeddings=HashEmbeddings()) == texts


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The kit sold well.", "The kit was sold well."),
        ("Jobs founded Apple in 1976.", "In 1976 Jobs founded Apple."),
        ("It has 1,000 users.", "It has 1000 users, 1,000."),
        ("Later he met Jobs.", "He met Jobs later."),
        ("苹果公司创办了。", "苹果公司创办！"),
    ],
)
def test_the_same(one, other):
    assert say_the_same(Said(one), Said(other))
    assert say_the_same(Said(other), Said(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It was founded in 1976.", "It was founded in 1977."),
        ("It sold two machines.", "It sold three machines."),
        ("It sold.", "It sold 5."),
        ("He was there.", "He was not there."),
        ("He came.", "He never came."),
        ("Jobs founded it.", "Wozniak founded it."),
        ("He met Jobs.", "He met Émile."),
        ("Jobs hired Wozniak.", "Wozniak hired Jobs."),
        ("他在北京工作。", "他在上海工作。"),
        ("王伟创办公司。", "李伟创办公司。"),
        ("他有两台。", "他有三台。"),
        ("他来了。", "他没来。"),
        ("苹果公司", "Apple"),
    ],
)
def test_not_the_same(one, other):
    assert not say_the_same(Said(one), Said(other))
    assert not say_the_same(Said(other), Said(one))


def test_he_is_another_one_under_another_title():
    said = "He was born in Paris."
    assert say_the_same(Said(said, "Smith"), Said(said, "Smith"))
    assert not say_the_same(Said(said, "Smith"), Said(said, "Jones"))
    assert say_the_same(Said("Paris is old.", "Smith"), Said("Paris is old.", "Jones"))


class Failing(HashEmbeddings):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def embed_documents(self, texts):
        if isinstance(self.error, Exception):
            raise self.error
        return self.error(texts)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("gone"), "RuntimeError: gone"),
        (lambda texts: [[float("nan")] for _ in texts], "finite"),
        (lambda texts: [[1.0]], ""),
    ],
)
async def test_an_embedder_that_fails_leaves_the_documents_whole(error, said):
    documents = documents_of("Jobs founded Apple.", "Jobs founded Apple.")
    redundancy = RedundancyFilter(embeddings=Failing(error))
    found = redundancy.compress_documents(documents, "q")
    assert texts_of(found) == texts_of(documents)
    assert said in found[0].metadata["warnings"][0]
    assert await redundancy.acompress_documents(documents, "q") == found


@pytest.mark.parametrize("documents", [[], [Document("")], [Document(" \n")], [Document("One.")]])
def test_nothing_to_compare(documents):
    embeddings = SameEmbeddings()
    redundancy = RedundancyFilter(embeddings=embeddings)
    assert redundancy.compress_documents(documents, "q") == documents
    assert embeddings.asked == []


async def test_async_gives_the_same():
    documents = documents_of("Jobs founded Apple. He left.", "Jobs founded Apple. 他走了。")
    redundancy = RedundancyFilter(embeddings=HashEmbeddings())
    found = await redundancy.acompress_documents(documents, "q")
    assert found == redundancy.compress_documents(documents, "q")
    assert texts_of(found) == ["Jobs founded Apple. He left.", "他走了。"]
    assert found[1].metadata["compression"]["kept"] == 1
    assert found[1].metadata["compression"]["dropped"] == [(0, 20)]


def test_a_threshold_is_a_cosine():
    with pytest.raises(ValidationError):
        RedundancyFilter(embeddings=HashEmbeddings(), threshold=1.5)


WORDS = [*"Jobs Apple founded he not 7 . ! 。 苹果 公司 , [1]".split(), "\n\n", "\0"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join) | st.text(max_size=80)


@given(st.lists(TEXTS, max_size=4))
def test_whatever_the_text_what_goes_is_said_elsewhere(texts):
    found = filtered(*texts)
    left = [document.split() for document in found]
    for document in texts:
        for word in document.split():
            if any(letter.isdigit() for letter in word):
                assert any(word in words for words in left)
