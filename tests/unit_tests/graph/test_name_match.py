"""How well names fit texts."""

import pytest

from langchain_graft.graph.name_match import in_both_scripts, name_score, name_words, word_grams


def score(text, *names):
    return name_score(name_words(text), names)


def test_the_score_is_its_formula():
    # "hanks" of "Tom Hanks": half of the name, all of the text
    assert score("hanks", "Tom Hanks") == pytest.approx(0.5 * (1 + 1) / 2)
    # the name is in the text, and is two of its four words
    assert score("did Tom Hanks sing", "Tom Hanks") == pytest.approx(1 * (1 + 0.5) / 2)


@pytest.mark.parametrize(
    ("text", "name"),
    [("tom hanks", "Tom Hanks"), ("ＩＢＭ", "ibm"), ("zoe", "Zoë"), ("苹果公司", "苹果公司")],
)
def test_case_width_and_accents_do_not_count(text, name):
    assert score(text, name) == 1


def test_the_better_name_wins_and_slips_are_forgiven():
    assert score("乔布斯创立了什么", "Steve Jobs", "乔布斯") > 0.5
    assert 0.7 < score("wozniack", "Wozniak") < 1
    assert score("苹果汁", "苹果公司") < score("苹果汁", "苹果汁")
    assert score("Bob", "Bill") == score("?!", "Ann") == score("Ann", "") == 0


@pytest.mark.parametrize(("asked", "name"), [("喬布斯", "乔布斯"), ("乔布斯", "喬布斯")])
def test_both_scripts_are_one_name_and_words_stay_as_written(asked, name):
    assert score(asked, name) == 1
    assert next(iter(name_words(asked))) == asked[:2]
    assert set(name_words(name)) <= set(in_both_scripts(name_words(asked)))


def test_function_words_tell_little():
    assert score("the", "The Matrix") < 0.2 < score("matrix", "The Matrix")


def test_chinese_gives_characters_and_pairs_and_words_give_grams():
    assert list(name_words("苹果II")) == ["苹果", "苹", "果", "ii"]
    assert word_grams(["tom", "hank"]) == ["0ha", "han", "ank", "nk0"]
