"""Texts in units, what is guarded, and texts without some units."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_graft.retrievers.units import (
    guarded_units,
    is_guarded,
    left_out,
    sentences_of,
    without,
)


@pytest.mark.parametrize(
    "text",
    [
        "It was founded in 1976.",
        "It sold twenty machines.",
        "World War II ended.",
        "It sold ½ of them.",
        "共卖出十二台。",
        "他有两个孩子。",
        "He was not there.",
        "It isn't sold.",
        "Nobody came without a hat.",
        "他没有去。",
        "产品未上市。",
        "这并非事实。",
        'They called it "Lisa".',
        "They called it ‘Lisa’ then.",
        "他们称之为《丽莎》。",
        "It was a kit. [3]",
        "It was a kit [a].",
        "这是套件【注】。",
    ],
)
def test_guarded(text):
    assert is_guarded(text)


@pytest.mark.parametrize(
    "text",
    [
        "It was founded by Steve Jobs.",
        "Jobs's machine was known for its colour.",
        "The notable nobleman knew it.",
        "苹果公司由乔布斯创办。",
        "不仅如此，它非常好。",
        "Norway is cold.",
    ],
)
def test_not_guarded(text):
    assert not is_guarded(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "The painter won the cup, which was made of gold, and then left.",
            ["The painter won the cup", ", which was made of gold", ", and then left"],
        ),
        ("Red, green and blue, all of them.", ["Red, green and blue", ", all of them"]),
        ("She was there (in the house, which was old).", None),
        ("It cost 1,000 dollars in the end.", None),
        (
            "苹果公司由乔布斯创办，总部位于库比蒂诺；后来上市了。",
            ["苹果公司由乔布斯创办", "，总部位于库比蒂诺", "后来上市了"],
        ),
    ],
)
def test_phrases(text, expected):
    found = [
        text[unit.start : unit.end]
        for sentence in sentences_of(text, "phrase")
        for unit in sentence.units
    ]
    assert found == (expected or [text.rstrip(".")])


TEXT = "Jobs came first, which was a surprise to all. Then it rained.\n\nHe left, but came soon."


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ({0, 1, 2, 3}, TEXT),
        ({0, 2, 3}, TEXT.replace(", which was a surprise to all", "")),
        ({1, 3}, "which was a surprise to all.\n\nHe left, but came soon."),
        ({0, 1}, "Jobs came first, which was a surprise to all."),
        ({3}, "He left, but came soon."),
        ({2}, "Then it rained."),
        (set(), ""),
    ],
)
def test_what_is_left_reads_on(kept, expected):
    sentences = sentences_of(TEXT, "phrase")
    units = [unit for sentence in sentences for unit in sentence.units]
    assert len(units) == 4
    spans = left_out(TEXT, sentences, {units[n] for n in kept})
    assert without(TEXT, spans) == expected


def test_a_mark_behind_the_full_stop_guards_the_last_phrase():
    text = "It was a kit for all, which many people liked. [2]"
    (sentence,) = sentences_of(text, "phrase")
    assert guarded_units(text, sentence) == {sentence.units[-1]}


WORDS = "Jobs who , which but ; 7 not ( ) “ ” . ! ? 。 ， ； 苹果 公司 没 [1] - — \n \n\n '".split(
    " "
)
TEXTS = st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join) | st.text(max_size=200)


@given(TEXTS, st.sampled_from(["sentence", "phrase"]), st.data())
def test_spans_are_in_order_and_hold_nothing_that_is_kept(text, kind, data):
    sentences = sentences_of(text, kind)
    units = [unit for sentence in sentences for unit in sentence.units]
    assert units == sorted(units)
    assert all(a.end <= b.start for a, b in pairwise(units))
    kept = {unit for unit in units if data.draw(st.booleans())}
    spans = left_out(text, sentences, kept)
    assert all(a.end < b.start for a, b in pairwise(spans))
    short = without(text, spans)
    assert len(short) == len(text) - sum(end - start for start, end in spans)
    for unit in units:
        inside = sum(max(0, min(unit.end, e) - max(unit.start, s)) for s, e in spans)
        gone = text[unit.start : unit.end].lstrip(" \t\n,;:，；：–—")
        assert inside <= unit.end - unit.start - len(gone) if unit in kept else inside > 0


@pytest.mark.parametrize("run", [", ", "(a), ", "! ", "!", "“, ", "a, "])
def test_a_long_sentence_takes_no_longer_than_its_length_allows(run):
    text = run * 20_000 + "x"
    assert sentences_of(text, "phrase")[-1].span.end == len(text)
