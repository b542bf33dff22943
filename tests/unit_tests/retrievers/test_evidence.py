"""Evidence: what stands first, and what says more of what the best units bring up."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_graft.retrievers import SelfInformationCompressor
from langchain_graft.retrievers.evidence import Clue, evidence
from langchain_graft.retrievers.self_information import Score, _as_evidence, _Piece
from langchain_graft.retrievers.units import sentences_of

QUESTION = "Who founded the orchard that supplied Kessler?"
LEAD = Clue(0, "Kessler: Kessler was supplied by Brambleworth.", 1.0, is_first=False)
LINKED = Clue(1, "Brambleworth: Ada planted it.", 0.0, is_first=False)
OTHER = Clue(2, "Zinc: a metal.", 0.0, is_first=False)


def test_what_says_more_of_what_the_best_brings_up_is_worth_more():
    _, linked, other = evidence([LEAD, LINKED, OTHER], QUESTION)
    assert linked > other


def test_the_documents_own_and_the_questions_words_are_no_link():
    again = Clue(0, "Kessler: Brambleworth, Brambleworth.", 0.0, is_first=False)
    asked = Clue(1, "Kessler: founded and supplied.", 0.0, is_first=False)
    lead, *others = evidence([LEAD, again, asked, OTHER], QUESTION)
    assert len({round(other, 9) for other in others}) == 1
    assert lead > others[0]


def test_what_stands_first_is_worth_a_deviation_more():
    clues = [Clue(n, f"word{n}", value, is_first=n == 1) for n, value in enumerate([1.0, 0.0, 0.0])]
    mean, deviation = 1 / 3, math.sqrt(2) / 3
    expected = [(1 - mean) / deviation, -mean / deviation + 1, -mean / deviation]
    assert evidence(clues, "?") == pytest.approx(expected, abs=1e-6)


def test_chinese_links_by_its_words():
    lead = Clue(0, "凯斯勒：由布兰果园供货。", 1.0, is_first=False)
    linked = Clue(1, "布兰果园：艾达种的。", 0.0, is_first=False)
    other = Clue(2, "锌：一种金属。", 0.0, is_first=False)
    _, near, far = evidence([lead, linked, other], "谁创建了凯斯勒的供货商？")
    assert near > far


def test_the_first_unit_of_each_document_is_told_apart():
    texts = ["One is here. Two is there.", "Three is on. Four is off."]
    pieces = [
        _Piece(n, "", text, sentence)
        for n, text in enumerate(texts)
        for sentence in sentences_of(text, "sentence")
    ]
    scores = [[(5.0, 0.0)] for _ in pieces]
    found = _as_evidence(pieces, [[Score(*one) for one in of] for of in scores], "?")
    seen = [of[0].value for of in found]
    assert seen == pytest.approx([1.0, 0.0, 1.0, 0.0])
    assert [of[0].tokens for of in found] == [5.0] * 4


def test_it_is_the_default():
    assert SelfInformationCompressor.model_fields["measure"].default == "evidence"


@given(
    st.lists(
        st.builds(
            Clue,
            st.integers(0, 3),
            st.text(max_size=20),
            st.floats(-1e6, 1e6),
            st.booleans(),
        ),
        max_size=8,
    ),
    st.text(max_size=20),
)
def test_a_finite_number_for_each(clues, question):
    found = evidence(clues, question)
    assert len(found) == len(clues)
    assert all(map(math.isfinite, found))
