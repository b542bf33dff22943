"""Signals of a first search, and when they say that it is weak."""

import math
from dataclasses import asdict

import pytest
from langchain_core.documents import Document

from langchain_graft.retrievers import Weakness
from langchain_graft.retrievers.weakness import Signals, signals_of


def ranking(ids, scores=None):
    scores = scores or [None] * len(ids)
    return [
        Document(id=id_, page_content=id_, metadata={} if score is None else {"score": score})
        for id_, score in zip(ids, scores, strict=True)
    ]


def test_signals_written_out():
    found = signals_of([ranking("abc", [0.9, 0.5, 0.4]), ranking("cd")])
    assert found.top_score == 0.9
    assert found.margin == pytest.approx(0.9 - 0.45)
    assert found.overlap == 1 / 2


@pytest.mark.parametrize(
    ("rankings", "expected"),
    [
        ([], Signals()),
        ([[]], Signals(is_empty=True)),
        ([[], []], Signals(overlap=0.0, is_empty=True)),
        ([ranking("a", [0.5])], Signals(top_score=0.5)),
        ([ranking("ab"), ranking("ab")], Signals(overlap=1.0)),
        ([ranking("ab"), []], Signals(overlap=0.0)),
    ],
)
def test_what_can_not_be_told_is_none(rankings, expected):
    assert signals_of(rankings) == expected


def test_documents_without_ids_overlap_by_their_text():
    one = [Document(page_content="same")]
    assert signals_of([one, [Document(page_content="same")]]).overlap == 1.0


def test_only_the_first_ten_count():
    first, second = "abcdefghijX", "klmnopqrstX"
    assert signals_of([ranking(first), ranking(second)]).overlap == 0.0


def test_a_signal_below_its_threshold_is_a_reason():
    weakness = Weakness(top_score=0.5, margin=0.1, overlap=None)
    assert weakness.reasons(Signals(top_score=0.4, margin=0.2, overlap=0)) == [
        "top_score 0.4 < 0.5"
    ]
    assert weakness.reasons(Signals(top_score=0.5, margin=0.1)) == []
    assert weakness.reasons(Signals()) == []


def test_a_search_that_finds_nothing_is_weak_by_any_threshold():
    assert Weakness(overlap=None).reasons(signals_of([[]])) == ["nothing found"]


def test_thresholds_are_written_and_read():
    weakness = Weakness(top_score=0.5, overlap=None)
    assert Weakness.from_json(asdict(weakness) | {"later": 1}) == weakness


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_threshold_is_a_number(value):
    with pytest.raises(ValueError, match="margin must be a number"):
        Weakness(margin=value)
