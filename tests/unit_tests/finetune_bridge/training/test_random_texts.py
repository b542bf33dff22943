"""Texts of random words."""

import pytest

from langchain_graft.finetune_bridge.training.random_texts import RandomTexts

WORDS = {f"w{n}" for n in range(90)} | {f"▁v{n}" for n in range(10)}


def test_they_are_of_whole_words_as_long_as_queries_and_passages():
    texts = RandomTexts([*WORDS, "##ing", "[CLS]", "Ġw1", "▁", "-"])
    queries, passages = texts.queries(7), texts.passages(7)
    assert {word for text in queries + passages for word in text.split()} == {
        word.lstrip("▁") for word in WORDS
    }
    assert {len(text.split()) for text in queries} <= set(range(5, 15))
    assert {len(text.split()) for text in passages} <= set(range(15, 71))
    assert len(queries) == len(passages) == 32


def test_a_step_has_the_same_again_and_another_step_others():
    assert RandomTexts(WORDS).queries(7) == RandomTexts(sorted(WORDS)).queries(7)
    assert RandomTexts(WORDS).queries(7) != RandomTexts(WORDS).queries(8)


def test_a_vocabulary_without_words_is_told():
    with pytest.raises(ValueError, match=r"has 1\. Train with keep=0"):
        RandomTexts(["a", "##b", "[CLS]"])
