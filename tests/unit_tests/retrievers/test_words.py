"""Text to words."""

import pytest

from langchain_graft.retrievers.words import query_words, spread_han


@pytest.mark.parametrize(
    ("text", "spread"),
    [
        ("苹果II", " 苹 果 苹果 II"),
        ("蘋果II", " 苹 果 苹果 II"),
        ("好", " 好 "),
        ("中文字", " 中 文 字 中文 文字 "),
        ("plain English", "plain English"),
        ("", ""),
    ],
)
def test_chinese_is_spread_into_characters_and_pairs(text, spread):
    assert spread_han(text) == spread


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Machines' running, of the machine", ["machin", "run"]),
        ("To be or not to be", ["to", "be", "or", "not"]),
        ("Ünïcode CAFÉ", ["unicod", "cafe"]),
        ("a" * 61 + " kept", ["kept"]),
        ("苹果 apples", ["苹", "果", "苹果", "appl"]),
        ("IBM/360 - x", ["ibm", "360", "x"]),
        ("... !?", []),
        ("half ? a pair", ["half", "pair"]),
    ],
)
def test_the_words_of_a_query_are_those_of_the_index(text, expected):
    assert query_words(text) == expected
