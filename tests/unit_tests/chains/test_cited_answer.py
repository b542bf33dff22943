"""What leaves a model's stream: marks that name a document, whole, wherever the stream was cut."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_graft.chains.citations import CitedAnswer

DOCUMENTS = [
    Document(id="founders", page_content="Apple was founded by Steve Jobs and Steve Wozniak."),
    Document(id="price", page_content="The Apple I went on sale in July 1976 at 666.66 dollars."),
    Document(id="zh", page_content="苹果公司由史蒂夫·乔布斯创办。"),
]


def read(pieces, *, attribute=False, question=""):
    """What leaves, piece by piece."""
    answer = CitedAnswer(DOCUMENTS, question=question, attribute=attribute)
    left = [*map(answer.push, pieces), answer.finish()]
    assert "".join(left) == answer.text
    return left


def cited(text, **settings):
    return "".join(read([text], **settings))


@pytest.mark.parametrize(
    ("said", "leaves"),
    [
        ("Jobs. [1]", "Jobs. [1]"),
        ("Jobs. 【2】", "Jobs. [2]"),
        ("Jobs. ［２］", "Jobs. [2]"),
        ("Jobs [Source 1].", "Jobs [1]."),
        ("乔布斯。[来源3]", "乔布斯。[3]"),
        ("Jobs [^1].", "Jobs [1]."),
        ("Jobs [1, 3].", "Jobs [1][3]."),
        ("Jobs [1-3].", "Jobs [1][2][3]."),
        ("Jobs [1–2].", "Jobs [1][2]."),
        ("Jobs [2、3].", "Jobs [2][3]."),
        ("Jobs [1, 1].", "Jobs [1]."),
        ("Jobs [[1]].", "Jobs [[1]]."),
        ("see [the manual] and [sic]", "see [the manual] and [sic]"),
        ("in [1976] it was", "in [1976] it was"),
        ("x[-1] is the last", "x[-1] is the last"),
    ],
)
def test_marks_as_models_write_them(said, leaves):
    assert cited(said) == leaves


@pytest.mark.parametrize(
    ("said", "leaves"),
    [
        ("Jobs [4].", "Jobs."),
        ("Jobs [0].", "Jobs."),
        ("Jobs [999]", "Jobs"),
        ("Jobs [1, 9].", "Jobs [1]."),
        ("[7] Jobs", "Jobs"),
        ("Jobs [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 99].", "Jobs [1][2][3]."),
        ("Jobs [[99]98]", "Jobs98]"),
        ("Jobs [9[99]8]", "Jobs8]"),
        ("Jobs [Source 12]", "Jobs"),
    ],
)
def test_a_mark_that_names_no_document_never_leaves(said, leaves):
    assert cited(said) == leaves
    assert "".join(read(list(said))) == leaves


def test_held_back_is_from_the_bracket_on_and_no_longer():
    left = read(["Jobs ", "and Wozniak", ". [", "1", "]", " They", " met [in", " 1971].", " [2"])
    assert left == [
        "Jobs",
        " and Wozniak",
        ".",
        "",
        " [1]",
        " They",
        " met",
        " [in 1971].",
        "",
        " [2",
    ]


def test_white_space_around_an_answer_is_dropped():
    assert "".join(read(["\n\n", " Jobs", ". ", "\n"])) == "Jobs."


WORDS = '[ ] 【 】 1 2 9 99 , - source ^ . 。 Jobs Apple 乔布斯 [1] [7] J. "'.split()
MARKED = st.lists(st.sampled_from([*WORDS, " ", "\n"]), max_size=25).map("".join)


@given(MARKED, st.data(), st.booleans())
def test_where_the_stream_is_cut_changes_nothing(text, data, attribute):
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    left = "".join(read(pieces, attribute=attribute))
    assert left == cited(text, attribute=attribute)
    assert all(1 <= int(n) <= len(DOCUMENTS) for n in re.findall(r"\[(\d{1,3})\]", left))


@pytest.mark.parametrize("cut", [len, lambda text: 1], ids=["whole", "by character"])
@pytest.mark.parametrize(
    ("said", "leaves"),
    [
        ("Founded by Steve Jobs.", "Founded by Steve Jobs. [1]"),
        (
            "It cost 666.66 dollars. Jobs founded it.",
            "It cost 666.66 dollars. [2] Jobs founded it. [1]",
        ),
        ("1. Steve Jobs\n2. Steve Wozniak", "1. Steve Jobs [1]\n2. Steve Wozniak [1]"),
        ("由史蒂夫·乔布斯创办。", "由史蒂夫·乔布斯创办。[3]"),
        ("Steve Jobs [2].", "Steve Jobs [2]."),
        ("Nothing here is known.", "Nothing here is known."),
        ("The documents do not contain the answer.", "The documents do not contain the answer."),
    ],
)
def test_a_sentence_without_a_mark_gets_that_of_the_document_that_says_it(said, leaves, cut):
    size = cut(said)
    pieces = [said[start : start + size] for start in range(0, len(said), size)]
    assert "".join(read(pieces, attribute=True)) == leaves
