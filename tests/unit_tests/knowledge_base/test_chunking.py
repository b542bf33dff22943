"""Cutting documents into chunks."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_graft.knowledge_base.chunking import chunk_document
from langchain_graft.knowledge_base.readers import ReadDocument, Section
from langchain_graft.models.tokens import TokenCounter

COUNT = TokenCounter()


def cut(*sections, title="T", chunk_tokens=40):
    document = ReadDocument(sections=list(sections))
    return chunk_document(document, title=title, count_tokens=COUNT, chunk_tokens=chunk_tokens)


def sentence(number, words=10):
    return f"Sentence {number} " + "word " * words + "ends."


def test_a_section_that_fits_is_one_chunk_under_its_headings():
    (chunk,) = cut(Section(text="Five thousand were sold in a year or so.", heading="Sales"))
    assert chunk.text == "Five thousand were sold in a year or so."
    assert chunk.embedded_text == f"T > Sales\n{chunk.text}"
    assert chunk.heading == "Sales"


def test_structure_comes_before_size():
    first, second = (Section(text=sentence(n), heading=f"H{n}") for n in (1, 2))
    chunks = cut(first, second, chunk_tokens=60)
    assert [chunk.heading for chunk in chunks] == ["H1", "H2"]


def test_a_small_section_is_joined_with_the_next_under_its_heading():
    (chunk,) = cut(
        Section(text="Short.", heading="A", pages=((0, 1),)),
        Section(text=sentence(1), heading="B", pages=((0, 2),)),
        chunk_tokens=80,
    )
    assert chunk.text == f"Short.\n\nB\n\n{sentence(1)}"
    assert (chunk.heading, chunk.page) == ("A", 1)


def test_small_text_does_not_swallow_a_question_or_a_row():
    chunks = cut(
        Section(text="Short."),
        Section(text="Woz.", question="Who built it?"),
        Section(text="Small."),
        Section(text="year: 1977", row=2),
    )
    assert [chunk.text for chunk in chunks] == ["Short.", "Woz.", "Small.", "year: 1977"]
    assert [chunk.question for chunk in chunks] == [None, "Who built it?", None, None]


def test_parts_with_metadata_of_their_own_are_not_joined():
    parts = [Section(text=f"Page by {name}.", metadata={"by": name}) for name in ("me", "you")]
    assert [(c.text, c.metadata) for c in cut(*parts)] == [
        ("Page by me.", {"by": "me"}),
        ("Page by you.", {"by": "you"}),
    ]


def test_long_text_is_cut_between_sentences():
    chunks = cut(Section(text=" ".join(sentence(n) for n in range(9))), chunk_tokens=60)
    assert len(chunks) > 2
    assert all(chunk.text.startswith("Sentence") for chunk in chunks)
    assert all(chunk.text.endswith("ends.") for chunk in chunks)


def test_a_paragraph_in_the_second_half_is_where_it_is_cut():
    paragraph = f"{sentence(1)} {sentence(2)}"
    chunks = cut(Section(text=f"{paragraph}\n\n{sentence(3)} {sentence(4)}"), chunk_tokens=64)
    assert chunks[0].text == paragraph


def test_chinese_is_cut_between_its_sentences():
    text = "他们在车库里做了第一台电脑。" * 8
    chunks = cut(Section(text=text), chunk_tokens=40)
    assert len(chunks) > 2
    assert all(chunk.text.endswith("。") for chunk in chunks)
    assert "".join(chunk.text for chunk in chunks) == text


@pytest.mark.parametrize("word", ["x" * 5000, "电" * 700, "ｗ" * 700, "가x" * 400, "😀" * 900])
def test_a_giant_word_is_cut_and_no_part_is_lost(word):
    chunks = cut(Section(text=word))
    assert "".join(chunk.text for chunk in chunks) == word
    assert max(COUNT([chunk.embedded_text for chunk in chunks])) <= 40


def test_pages_are_those_on_which_the_chunk_begins():
    text = " ".join(sentence(n) for n in range(6))
    chunks = cut(Section(text=text, pages=((0, 3), (len(text) // 2, 4))), chunk_tokens=60)
    assert chunks[0].page == 3
    assert chunks[-1].page == 4
    assert [c.page for c in chunks] == sorted(c.page for c in chunks)


def test_a_question_is_embedded_and_its_answer_comes_back():
    answer = " ".join(sentence(n) for n in range(5))
    chunks = cut(Section(text=answer, question="Who built it?", row=7), chunk_tokens=40)
    assert len(chunks) > 1
    assert {chunk.embedded_text for chunk in chunks} == {"Who built it?"}
    assert " ".join(chunk.text for chunk in chunks) == answer
    assert {(chunk.question, chunk.row) for chunk in chunks} == {("Who built it?", 7)}


def test_a_title_that_would_fill_the_chunk_is_not_put_before_it():
    (chunk,) = cut(Section(text="Text."), title="A very long title " * 10)
    assert chunk.embedded_text == "Text."


def test_a_question_longer_than_a_chunk_is_embedded_as_far_as_it_goes():
    (chunk,) = cut(Section(text="Yes.", question="Is it so? " * 60))
    assert COUNT([chunk.embedded_text])[0] <= 40
    assert chunk.embedded_text.startswith("Is it so?")
    assert chunk.question == "Is it so? " * 60


runs = st.builds(str.__mul__, st.sampled_from("ab .。，\n中电ｗ가é😀-#|1!?("), st.integers(1, 60))
texts = st.lists(runs, min_size=1, max_size=20).map("".join).filter(str.strip)
sections = st.builds(
    Section,
    text=texts,
    heading=st.none() | st.text("Ab 中", min_size=1, max_size=80),
    question=st.none() | texts,
    row=st.none() | st.integers(1, 9),
)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(sections, min_size=1, max_size=6), st.integers(16, 60), st.text("t 题", max_size=60)
)
def test_no_chunk_is_too_long_and_nothing_is_lost(parts, chunk_tokens, title):
    chunks = cut(*parts, title=title, chunk_tokens=chunk_tokens)
    assert max(COUNT([chunk.embedded_text for chunk in chunks])) <= chunk_tokens
    assert all(chunk.text for chunk in chunks)

    def characters(text):
        return re.sub(r"\s", "", text)

    there = characters("".join(chunk.text for chunk in chunks))
    position = 0
    for part in parts:
        position = there.index(characters(part.text), position) + len(characters(part.text))
