"""Does a passage hold what a sentence says? English and Chinese, numbers, names, denials."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_graft.chains.support import find_support

PASSAGE = (
    "The Homebrew Club met in a garage. Apple was founded by Steve Jobs and Steve Wozniak on "
    "April 1, 1976. Ronald Wayne sold his share for 800 dollars. The Apple I cost 666.66 dollars."
)
ZH = (
    "家酿俱乐部在车库里聚会。苹果公司由乔布斯和沃兹尼亚克于1976年4月1日创办。"
    "韦恩以800美元卖掉了股份。"
)


def support(claim, passage=PASSAGE, **settings):
    found = find_support(claim, passage, **settings)
    return passage[found.span.start : found.span.end] if found else None, bool(
        found and found.holds
    )


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (
            "Steve Jobs and Steve Wozniak founded Apple in 1976.",
            "Apple was founded by Steve Jobs and Steve Wozniak on April 1, 1976.",
        ),
        ("Wayne sold his share. [3]", "Ronald Wayne sold his share for 800 dollars."),
        ("The price was 666.66 dollars.", "The Apple I cost 666.66 dollars."),
        ("A club was meeting in garages.", "The Homebrew Club met in a garage."),
    ],
)
def test_the_sentence_that_says_it_is_found_and_holds(claim, words):
    assert support(claim) == (words, True)


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ("乔布斯和沃兹尼亚克创办了苹果公司。", "苹果公司由乔布斯和沃兹尼亚克于1976年4月1日创办。"),
        ("韦恩卖掉了股份，得到800美元。", "韦恩以800美元卖掉了股份。"),
    ],
)
def test_chinese_is_found_and_holds(claim, words):
    assert support(claim, ZH) == (words, True)


@pytest.mark.parametrize(
    "claim",
    [
        "Apple was founded by Steve Jobs and Steve Wozniak on April 1, 1977.",
        "Apple was founded by Steve Jobs and Steve Wozniak on April 2, 1976.",
        "Apple was founded by Steve Jobs and Steve Wozniak on May 1, 1976.",
        "Ronald Wayne sold his share for 900 dollars.",
        "The Apple I cost 66.66 dollars.",
        "Apple was founded by Steve Jobs and Bill Gates in 1976.",
        "Ronald Wayne never sold his share.",
    ],
)
def test_another_number_date_or_name_or_a_denial_does_not_hold(claim):
    assert not support(claim)[1]


@pytest.mark.parametrize(
    "claim",
    [
        "苹果公司由乔布斯和沃兹尼亚克于1977年4月1日创办。",
        "苹果公司由乔布斯和沃兹尼亚克于1976年5月1日创办。",
        "韦恩以九百美元卖掉了股份。",
        "韦恩没有卖掉股份。",
    ],
)
def test_the_same_in_chinese(claim):
    assert not support(claim, ZH)[1]


def test_numbers_are_the_same_however_they_are_written():
    passage = "The firm sold 1,000,000 machines in twelve years."
    assert support("The firm sold 1000000 machines.", passage)[1]
    assert support("公司有十二名员工。", "公司有12名员工。")[1]
    assert support("公司有１２名员工。", "公司有12名员工。")[1]


def test_across_languages_numbers_and_names_in_latin_letters_decide():
    assert support("IBM 于1981年推出PC。", "IBM announced the PC in 1981.")[1]
    assert not support("IBM 于1982年推出PC。", "IBM announced the PC in 1981.")[1]


def test_words_that_stood_in_the_question_do_not_carry_a_claim():
    passage = "Apple was founded in a garage in California."
    claim = "Apple was founded by a rich aristocratic banker."
    question = "Who founded Apple in California?"
    found = find_support(claim, passage, question=question)
    assert found.score < find_support("It was in a garage.", passage, question=question).score
    assert not found.holds


def test_title_and_headings_count_as_said():
    passage = "It was sold as a kit."
    assert not support("The Altair 8800 was sold as a kit.", passage)[1]
    assert support("The Altair 8800 was sold as a kit.", passage, about="Altair 8800")[1]


@pytest.mark.parametrize(
    ("claim", "passage"),
    [
        ("", PASSAGE),
        ("[1]", PASSAGE),
        ("It was so.", PASSAGE),
        ("Nothing alike.", ""),
        ("苹果", ""),
    ],
)
def test_a_claim_without_content_or_trace_has_no_support(claim, passage):
    assert find_support(claim, passage) is None


WORDS = "Apple Jobs founded 1976 1,5 . 。 不 苹果 公司 三十 没有 not never [1] ’s \n".split(" ")
TEXTS = st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join) | st.text(max_size=100)


@given(TEXTS, TEXTS, TEXTS)
def test_it_never_raises_and_stays_in_range(claim, passage, question):
    found = find_support(claim, passage, question=question, about=question)
    if found:
        assert 0 <= found.span.start < found.span.end <= len(passage)
        assert 0 < found.score <= 1 + 1e-9
