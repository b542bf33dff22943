"""Sentences by rule: where they end, where they do not, and that nothing is lost between them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_graft.sentences import sentence_spans, sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It was a kit. It sold well!", ["It was a kit.", "It sold well!"]),
        ("Really?! Yes.", ["Really?!", "Yes."]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("Version 3.11 is out. Use it.", ["Version 3.11 is out.", "Use it."]),
        ("See apple.com for more. Bye.", ["See apple.com for more.", "Bye."]),
        ("No full stop at the end", ["No full stop at the end"]),
        ("  Spaces around.  \n ", ["Spaces around."]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_english(text, expected):
    assert sentences(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith and Mr. Jones met.",
        "Apple Inc. was founded by Ronald G. Wayne.",
        "The books of J.R.R. Tolkien are long.",
        "He has a Ph.D. from MIT.",
        "Machines, e.g. the Altair, were kits.",
        "It came in Jan. 1975 (approx. then).",
        "See fig. 3 and vol. 2.",
    ],
)
def test_abbreviations_and_initials_end_no_sentence(text):
    assert sentences(text) == [text]


def test_a_year_ends_a_sentence_when_a_capital_letter_follows():
    assert sentences("It was founded in 1976. Jobs left.") == [
        "It was founded in 1976.",
        "Jobs left.",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("苹果成立于1976年。乔布斯离开了！", ["苹果成立于1976年。", "乔布斯离开了！"]),
        ("他说：“再见。”然后走了。", ["他说：“再见。”", "然后走了。"]),
        ("真的吗？！是的…", ["真的吗？！", "是的…"]),
        ("联想(Lenovo)由柳传志创办；后来上市。", ["联想(Lenovo)由柳传志创办；", "后来上市。"]),
    ],
)
def test_chinese(text, expected):
    assert sentences(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1. Steve Jobs\n2. Steve Wozniak", ["1. Steve Jobs", "2. Steve Wozniak"]),
        ("They were:\n- Jobs\n* Wayne", ["They were:", "- Jobs", "* Wayne"]),
        ("a) one\n10) ten", ["a) one", "10) ten"]),
        ("A heading\n\nA paragraph", ["A heading", "A paragraph"]),
        ("one line\nthat goes on", ["one line\nthat goes on"]),
    ],
)
def test_lists_and_paragraphs(text, expected):
    assert sentences(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A kit. [1] It sold [2].", ["A kit. [1]", "It sold [2]."]),
        ("A kit.[1][2] It sold.", ["A kit.[1][2]", "It sold."]),
        ("A kit. [1]. It sold.", ["A kit. [1].", "It sold."]),
        ("这是套件。[1]它卖得好。[2]", ["这是套件。[1]", "它卖得好。[2]"]),
    ],
)
def test_marks_behind_the_full_stop_belong_to_the_sentence_before(text, expected):
    assert sentences(text) == expected


WORDS = "Dr. J. a B 12 1976 . ! ? 。 ！ … ” ) [1] - 苹果 😀".split()
PIECES = st.sampled_from([*WORDS, " ", "\n", "\n\n", "\u3000", "\x00"])


@given(st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=200))
def test_spans_are_ordered_disjoint_in_range_and_leave_only_white_space(text):
    spans = sentence_spans(text)
    between, end = [], 0
    for span in spans:
        assert end <= span.start < span.end <= len(text)
        assert text[span.start : span.end] == text[span.start : span.end].strip()
        between.append(text[end : span.start])
        end = span.end
    assert not "".join([*between, text[end:]]).strip()


def test_a_long_text_takes_no_longer_than_its_length_allows():
    text = "word " * 20_000 + "\n" * 20_000 + " " * 20_000 + "1. " * 10_000
    assert sentence_spans(text)[-1].end == len(text.rstrip())


@pytest.mark.parametrize("run", [".", "!", ".!?", '!"', ". ", "[1]."])
def test_a_long_run_of_full_stops_is_read_once(run):
    """Read from each of its places, a table of contents would take minutes."""
    text = run * 50_000 + "x"
    assert sentence_spans(text)[-1].end == len(text)
