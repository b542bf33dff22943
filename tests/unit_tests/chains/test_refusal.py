"""Refusals: said in the question's language, and recognised in a model's own words."""

import pytest

from langchain_graft.chains import is_refusal
from langchain_graft.chains.refusal import REFUSALS, refusal
from langchain_graft.language import language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Who founded Apple?", "en"),
        ("谁创办了苹果公司？", "zh"),
        ("Apple 是谁创办的？", "zh"),
        ("What does 苹果 mean in English, and where does the word come from?", "en"),
        ("Steve Wozniak 是谁？", "zh"),
        ("Steve Jobs 何时离开 Apple Computer？", "zh"),
        ("请介绍 The Lord of the Rings", "zh"),
        ("The Who 乐队是哪年成立的？", "zh"),
        ("What is 北京大学?", "en"),
        ("Who founded 小米?", "en"),
        ("アップルは誰が作ったのですか", "en"),
        ("1976?", "en"),
        ("", "en"),
    ],
)
def test_the_language_of_a_question(text, language):
    assert language_of(text) == language
    assert refusal(text) == REFUSALS[language]


@pytest.mark.parametrize(
    "answer",
    [
        *REFUSALS.values(),
        "The sources do not mention who designed it.",
        "The provided context doesn't contain that information.",
        "Sorry, but the documents did not say. [1]",
        "I cannot find an answer in the sources.",
        "I don't know.",
        "There is no information about this in the passages.",
        "The price is not mentioned in the sources.",
        "That is not specified in the given text.",
        "The price is not stated.",
        "No information.",
        "None of the sources mention a price.",
        "The context provided does not include the price.",
        "Based on the provided sources, there is no information about the price.",
        "文档中没有提到该产品的价格。",
        "根据提供的资料，无法回答这个问题。",
        "没有找到相关信息。",
        "我不知道。",
        "",
        "  ",
    ],
)
def test_refusals_are_recognised(answer):
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "Steve Jobs. [1]",
        "The keyboard was not included in the price. [1]",
        "The Lisa was not given by Apple to dealers.",
        "Apple did not sell documents, it sold computers.",
        "It was sold as a kit. The sources do not say more.",
        "The text editor did not include a spell checker.",
        "The context menu did not have icons.",
        "Information did not include the price.",
        "苹果公司没有提供这项内容。",
        "乔布斯没有参加会议。",
        "苹果公司的第一台电脑没有键盘。",
        "IBM没有提供显示器。",
    ],
)
def test_answers_are_no_refusals(answer):
    assert not is_refusal(answer)
