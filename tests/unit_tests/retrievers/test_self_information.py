"""Compression: what goes, what stays whatever it is worth, and what is said about it."""

import asyncio
import re
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from pydantic import ValidationError

from langchain_graft.models.token_scorer import TokenScorer
from langchain_graft.retrievers import SelfInformationCompressor, self_information
from langchain_graft.retrievers.compression import Unit, units_to_drop
from langchain_graft.retrievers.units import is_guarded, sentences_of, without
from langchain_graft.sentences import Span

TOKEN = re.compile(r"\s*(?:[\u3400-\u9fff]|\w+|[^\w\s])|\s+\Z")


class FakeScorer:
    """A rare letter tells much: -log p of a token is the place in the alphabet of its last letter.

    What the prompt says already is sure: 0.
    """

    def __init__(self):
        self.calls = []

    def token_spans(self, text):
        return [found.span() for found in TOKEN.finditer(text)]

    def logprobs(self, prompts, continuations):
        self.calls.append((list(prompts), list(continuations)))
        return [
            np.array(
                [
                    0.0 if word.strip() in prompt else -float(ord(word.strip()[-1:] or "a") % 32)
                    for word in TOKEN.findall(continuation)
                ],
                dtype=np.float32,
            )
            for prompt, continuation in zip(prompts, continuations, strict=True)
        ]

    def next_logprobs(self, prompts, token_ids):
        raise NotImplementedError


@pytest.fixture
def scorer():
    return FakeScorer()


@pytest.fixture
def compress(scorer):
    def compress(*texts, query="", title="", **settings):
        compressor = SelfInformationCompressor(scorer=scorer, **settings)
        documents = [Document(text, metadata={"title": title}) for text in texts]
        before = [document.model_copy(deep=True) for document in documents]
        found = compressor.compress_documents(documents, query)
        assert documents == before
        return found

    return compress


def texts_of(documents):
    return [document.page_content for document in documents]


DULL, PLAIN, RARE = "A sea a sea.", "Some time more.", "Fuzzy jazz buzz."


def test_the_fake_is_a_scorer(scorer):
    assert isinstance(scorer, TokenScorer)


def test_the_least_informative_sentences_go_whatever_their_document(compress):
    found = compress(f"{RARE} {PLAIN}", f"{DULL} {PLAIN} {RARE}", ratio=0.3)
    assert texts_of(found) == [f"{RARE} {PLAIN}", f"{PLAIN} {RARE}"]
    assert found[1].metadata["compression"] == {
        "kept": 2,
        "of": 3,
        "guarded": 0,
        "tokens_before": 13,
        "tokens_after": 8,
        "dropped": [(0, 13)],
    }
    assert found[0].metadata["compression"]["dropped"] == []


def test_information_is_the_mean_over_tokens_with_the_title_before_them(compress, scorer):
    found = compress(f"{RARE} {DULL}", title="Fuzzy jazz buzz.", ratio=0.5)
    assert texts_of(found) == [DULL]
    assert scorer.calls == [(["Fuzzy jazz buzz.\n"] * 2, [RARE, DULL])]


def test_by_contrast_stays_what_tells_about_the_question(compress, scorer):
    text = "Jazz buzz fuzz. The sea is blue. Puzzle wiz quiz."
    found = compress(text, "One more sea. No.", query="Is the sea blue", ratio=0.6, title="T")
    assert texts_of(found)[0] == "The sea is blue."
    ((prompts, continuations),) = scorer.calls
    assert prompts[:2] == ["", "T: Jazz buzz fuzz.\n"]
    assert set(continuations) == {"Is the sea blue"}


def test_an_empty_question_is_no_contrast(compress, scorer):
    compress(f"{RARE} {DULL}", query="  ", measure="contrast")
    assert scorer.calls[0][1] == [RARE, DULL]


def test_phrases(compress):
    text = "Fuzzy jazz buzz, a sea in a sea, was quiz puzz. A sea."
    (found,) = compress(text, unit="phrase", ratio=0.4)
    assert found.page_content == "Fuzzy jazz buzz, was quiz puzz. A sea."[:31]


def test_a_token_that_spans_phrases_counts_to_both_by_characters(scorer):
    class Wide(FakeScorer):
        def token_spans(self, text):
            return [(0, 20), (20, len(text))]

        def logprobs(self, prompts, continuations):
            return [np.array([-1.0, -3.0]) for _ in continuations]

    text = "one tree is, two trees are more"
    compressor = SelfInformationCompressor(scorer=Wide(), unit="phrase", keep_facts=False)
    (found,) = compressor.compress_documents([Document(text)], "")
    first = len("one tree is") / 20
    assert found.metadata["compression"]["tokens_before"] == 2
    (of,) = [sentence.units for sentence in sentences_of(text, "phrase")]
    assert [unit.end for unit in of] == [11, len(text)]
    pieces = list(self_information._pieces([Document(text)], [sentences_of(text, "phrase")]))
    ((a, b),) = self_information.information(Wide(), pieces)
    assert a == pytest.approx((first, 1.0))
    assert b == pytest.approx((2 - first, (1 - first + 3) / (2 - first)))


@pytest.mark.parametrize(
    "fact", ["A 7 a 7.", "A sea is no sea.", 'A "sea" a.', "A sea [2].", "二个。", "没有海。"]
)
def test_facts_stay(compress, fact):
    text = f"{fact} {DULL} {RARE}"
    (found,) = compress(text, ratio=0.95)
    assert fact in found.page_content
    assert found.metadata["compression"]["guarded"] == 1
    (found,) = compress(text, ratio=0.95, keep_facts=False)
    assert fact not in found.page_content


def test_chinese(compress):
    text = "苹果公司在加州。苹果公司在加州。乔布斯创办了它。"
    (found,) = compress(text, ratio=0.3, title="苹果公司在加州")
    assert found.page_content == "苹果公司在加州。乔布斯创办了它。"


@pytest.mark.parametrize("text", ["", "  \n", "One sentence alone, whatever.", "一句话。"])
def test_a_document_of_one_unit_comes_back_as_it_is(compress, scorer, text):
    document = Document(text, metadata={"title": "T"}, id="1")
    compressor = SelfInformationCompressor(scorer=scorer, ratio=0.9)
    assert compressor.compress_documents([document], "q") == [document]
    assert scorer.calls == []


def test_a_document_keeps_a_sentence_whatever_it_is_worth(compress):
    found = compress(f"{DULL} {DULL}", f"{RARE} {RARE}", ratio=0.99)
    assert texts_of(found) == [DULL, RARE]


def test_id_and_metadata_stay(scorer):
    document = Document(f"{DULL} {RARE}", id="7", metadata={"title": "T", "source_id": "s"})
    compressor = SelfInformationCompressor(scorer=scorer)
    (found,) = compressor.compress_documents([document], "")
    assert found.id == "7"
    assert found.metadata.items() >= document.metadata.items()


class Failing(FakeScorer):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def logprobs(self, prompts, continuations):
        if isinstance(self.error, Exception):
            raise self.error
        return self.error(super().logprobs(prompts, continuations))


FAILURES = [
    (RuntimeError("out of memory"), "RuntimeError: out of memory"),
    (lambda found: [of * np.nan for of in found], "finite"),
    (lambda found: [of - np.inf for of in found], "finite"),
    (lambda found: found[:-1], "too few"),
    (lambda found: [of[:-1] for of in found], "tokens"),
]


@pytest.mark.parametrize(("error", "said"), FAILURES)
def test_a_scorer_that_fails_leaves_the_documents_whole(error, said):
    documents = [Document(f"{DULL} {RARE}"), Document(RARE, metadata={"warnings": ["old"]})]
    compressor = SelfInformationCompressor(scorer=Failing(error), measure="information")
    found = compressor.compress_documents(documents, "")
    assert texts_of(found) == texts_of(documents)
    assert said in found[0].metadata["warnings"][0]
    assert found[1].metadata["warnings"][0] == "old"


async def test_async_gives_the_same_off_the_event_loop():
    threads = []

    class Noting(FakeScorer):
        def logprobs(self, prompts, continuations):
            threads.append(threading.current_thread())
            return super().logprobs(prompts, continuations)

    compressor = SelfInformationCompressor(scorer=Noting())
    documents = [Document(f"{DULL} {PLAIN} {RARE}")]
    calls = [compressor.acompress_documents(documents, "sea") for _ in range(2)]
    one, two = await asyncio.gather(*calls)
    assert threading.main_thread() not in threads
    assert one == two == compressor.compress_documents(documents, "sea")


@pytest.mark.parametrize(
    "wrong", [{"ratio": 1.0}, {"ratio": -0.1}, {"unit": "word"}, {"scorer": 7}]
)
def test_wrong_settings_are_refused(scorer, wrong):
    with pytest.raises(ValidationError):
        SelfInformationCompressor(**{"scorer": scorer, **wrong})


def unit(number, tokens, value, **more):
    span = Span(number, number + 1)
    return Unit(document=0, sentence=number, span=span, tokens=tokens, value=value, **more)


def test_nothing_better_goes_in_the_place_of_what_must_stay():
    units = [unit(n, 10, float(n), is_guarded=n == 0) for n in range(5)]
    assert units_to_drop(units, ratio=0.4) == {units[1]}
    assert units_to_drop(units, ratio=0.6) == {units[1], units[2]}


@pytest.mark.parametrize(
    ("tokens", "ratio", "expected"),
    [
        ([10, 10, 10, 10], 0.5, {0, 1}),
        ([10, 10, 10, 10], 0.0, set()),
        ([10, 10, 10, 10], 0.3, {0}),  # 12: the second would be gone by 2 of 10
        ([10, 10, 10, 10], 0.4, {0, 1}),  # 16: by 6 of 10
        ([10, 10, 10, 10], 0.99, {0, 1, 2}),  # one stays
        ([40, 1, 1, 1], 0.3, set()),
    ],
)
def test_the_share_is_met_to_half_a_unit(tokens, ratio, expected):
    units = [unit(n, size, float(n)) for n, size in enumerate(tokens)]
    assert units_to_drop(units, ratio=ratio) == {units[n] for n in expected}


WORDS = (
    "sea Jazz who , which but ; 7 not ( ) “ ” . ! ? 。 ， 苹果 没 [1] - \n \n\n \0 \ud83d".split(
        " "
    )
)
TEXTS = st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join) | st.text(max_size=100)


@given(
    st.lists(TEXTS, max_size=4),
    st.text(max_size=20),
    st.sampled_from(["sentence", "phrase"]),
    st.sampled_from(["information", "contrast"]),
    st.floats(0, 0.99),
)
def test_whatever_the_text_facts_stay_and_spans_tell_what_went(texts, query, kind, measure, ratio):
    compressor = SelfInformationCompressor(
        scorer=FakeScorer(), unit=kind, measure=measure, ratio=ratio
    )
    documents = [Document(text) for text in texts]
    found = compressor.compress_documents(documents, query)
    assert len(found) == len(documents)
    for text, document in zip(texts, found, strict=True):
        assert "warnings" not in document.metadata
        compression = document.metadata.get("compression")
        spans = [Span(*span) for span in compression["dropped"]] if compression else []
        assert without(text, spans) == document.page_content
        assert bool(document.page_content.strip()) == bool(text.strip())
        for sentence in sentences_of(text, kind):
            for place in sentence.units:
                if is_guarded(text[place.start : place.end]):
                    said = text[place.start : place.end].lstrip(" \t\n,;:，；：–—")
                    assert said in document.page_content
