"""Where a text says a name."""

import pytest

from langchain_graft.graph.spans import SourceText

TEXT = "Steve Jobs founded NeXT. “The  Cube” came later. Jobs’s team left; 乔布斯在苹果公司。"


@pytest.mark.parametrize(
    ("name", "quote"),
    [
        ("Steve Jobs", "Steve Jobs"),
        ("steve jobs", "Steve Jobs"),
        ("ＮｅＸＴ", "NeXT"),
        ("the Cube", "Cube"),
        ("Jobs's team", "Jobs’s team"),
        ("The NeXT", "NeXT"),
        ("乔布斯", "乔布斯"),
        ("苹果", "苹果"),
        ("喬布斯", "乔布斯"),
    ],
)
def test_a_name_is_found_as_it_is_written_or_nearly(name, quote):
    place = SourceText(TEXT).places(name)[0]
    assert TEXT[place.start : place.end] == quote


@pytest.mark.parametrize("name", ["Appl", "Bill Gates", "ob", "", "?", "eXT", "Wozniak"])
def test_what_is_not_there_is_not_found(name):
    assert SourceText(TEXT).places(name) == ()


def test_evidence_is_the_shortest_run_of_whole_sentences():
    text = SourceText("Jobs was born in 1955. Jobs founded Apple. Woz helped.")
    start, end = text.shortest_evidence("Jobs", "Apple")
    assert text.text[start:end] == "Jobs founded Apple."
    start, end = text.shortest_evidence("Woz", "Apple")
    assert text.text[start:end] == "Jobs founded Apple. Woz helped."
    assert text.shortest_evidence("Jobs", "IBM") is None


def test_a_name_in_the_title_may_be_one_end():
    text = SourceText("The company was founded by Perot. Jobs left.", above="NeXT\nSteve Jobs")
    start, end = text.shortest_evidence("NeXT", "Perot")
    assert text.text[start:end] == "The company was founded by Perot."
    assert text.shortest_evidence("NeXT", "IBM") is None
    [place] = text.places("Steve Jobs")
    assert text.text[place.start : place.end] == "Jobs"
    assert SourceText("Jobs left.").places("Steve Jobs") == ()
