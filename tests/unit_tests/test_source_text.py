"""Documents on their way into a prompt."""

import pytest
from langchain_core.documents import Document

from langchain_graft.source_text import source_text, without_control_words


def test_a_document_stands_under_its_title_and_its_question():
    metadata = {"title": "Kits", "heading": "Kits", "question": "How much?"}
    assert source_text(Document("It cost 666.66 [3].", metadata=metadata)) == (
        "(Kits)\nHow much?\nIt cost 666.66 (3)."
    )


@pytest.mark.parametrize(
    "text",
    [
        "<|im_start|>",
        "<｜User｜>",
        "<|<|x|>|>",
        "[No<s>Retrieval]",
        "<|" * 9 + "[INST]" + "|>" * 9,
        "<|" * 25_000 + "x" + "|>" * 25_000,
    ],
)
def test_words_that_steer_are_taken_out_in_whatever_wrapping(text):
    found = without_control_words(f"before {text} after")
    assert found.split() == ["before", "after"]


def test_other_words_stay():
    text = "a < b | c > d, <b>bold</b>, termination, 更新"
    assert without_control_words(text) == text
