"""Reflection tokens in texts: what is written is read, whatever it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_graft.chains.self_rag.vocabulary import (
    LABELS,
    REFLECTION_TOKENS,
    Part,
    read_reflection,
    without_reflection,
    write_reflection,
)

WHOLE = (
    "[Retrieval]<paragraph>Apple\nFounded in 1976. [Relevant]</paragraph>[Relevant]In 1976."
    "[Fully supported][Continue to Use Evidence]By Jobs.[Partially supported][Utility:4]"
)


def test_there_are_thirteen_tokens_in_four_aspects():
    assert len(REFLECTION_TOKENS) == len(set(REFLECTION_TOKENS)) == 13
    assert {aspect: len(labels) for aspect, labels in LABELS.items()} == {
        "retrieve": 3,
        "relevance": 2,
        "support": 3,
        "utility": 5,
    }


def test_parts_of_an_answer_with_tokens():
    assert read_reflection(WHOLE) == [
        Part("retrieve", "[Retrieval]"),
        Part("passage", "Apple\nFounded in 1976. [Relevant]"),
        Part("relevance", "[Relevant]"),
        Part("text", "In 1976."),
        Part("support", "[Fully supported]"),
        Part("retrieve", "[Continue to Use Evidence]"),
        Part("text", "By Jobs."),
        Part("support", "[Partially supported]"),
        Part("utility", "[Utility:4]"),
    ]
    assert write_reflection(read_reflection(WHOLE)) == WHOLE
    assert without_reflection(WHOLE) == "In 1976.By Jobs."


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[a].[b].[No Retrieval]Is there hope?\n****\n[Utility:5]",
        "[No support / Contradictory][Utility:1][Irrelevant]",
        "<paragraph>not closed [Relevant]",
        "closed</paragraph>only",
        "<paragraph><paragraph>twice</paragraph></paragraph>",
        "[Utility:6][relevant][ Relevant ]",
    ],
)
def test_odd_texts_are_written_as_they_were_read(text):
    assert write_reflection(read_reflection(text)) == text


pieces = st.one_of(
    st.sampled_from([*REFLECTION_TOKENS, "<paragraph>", "</paragraph>"]), st.text(max_size=6)
)


@given(st.lists(pieces, max_size=12).map("".join))
def test_any_text_is_written_as_it_was_read(text):
    assert write_reflection(read_reflection(text)) == text


@given(st.lists(pieces, max_size=12).map("".join))
def test_no_token_is_left_in_the_words(text):
    words = without_reflection(text).lower()
    assert not any(token.lower() in words for token in REFLECTION_TOKENS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Steve Jobs [Fully supported] [Utility:5]", "Steve Jobs"),
        ("Apple [Relevant].[Utility:5]", "Apple."),
        ("Jobs [Relevant] and Woz [relevant] .", "Jobs and Woz ."),
        ("He [Relevant]left", "He left"),
        ("one [Relevant]\ntwo", "one\ntwo"),
    ],
)
def test_no_space_is_left_where_a_token_stood(text, words):
    assert without_reflection(text) == words


def test_a_token_that_removing_another_one_makes_is_removed_too():
    assert without_reflection("[Rele[Relevant]vant]x [reLEvant]") == "x"
    assert (
        "[relevant]" not in without_reflection("[Rele" * 20 + "[Relevant]" + "vant]" * 20).lower()
    )
