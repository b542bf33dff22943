"""Text to words."""

import pytest

from langchain_graft.retrievers.words import spread_han, words


@pytest.mark.parametrize(
    ("text", "spread"),
    [
        ("苹果II", " 苹 果 苹果 II"),
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
        ("The Machines' running", ["the", "machin", "run"]),
        ("Ünïcode CAFÉ", ["unicod", "cafe"]),
        ("a" * 61 + " kept", ["kept"]),
        ("苹果 apples", ["苹", "果", "苹果", "appl"]),
        ("IBM/360 - x", ["ibm", "360", "x"]),
        ("... !?", []),
        ("half \ud83d a pair", ["half", "a", "pair"]),
    ],
)
def test_words_are_those_of_the_index(text, expected):
    assert words(text) == expected
