"""A document to chunks: its language, and names that are kept with each chunk."""

import pytest

from langchain_graft.knowledge_base.readers import ReadDocument, Section
from langchain_graft.knowledge_base.reading import Chunker, detect_language
from langchain_graft.knowledge_base.settings import IngestSettings
from langchain_graft.models.tokens import TokenCounter


def cut(*sections, name="a", **document):
    chunker = Chunker(settings=IngestSettings(chunk_tokens=32), counter=TokenCounter())
    return chunker.cut(ReadDocument(sections=list(sections), **document), name=name)


def languages(*sections, **document):
    return [chunk.metadata["language"] for chunk in cut(*sections, **document)]


@pytest.mark.parametrize(
    ("said", "kept"),
    [("zh-CN", "zh"), ("EN_us", "en"), ("en", "en"), ("zh-Hant-TW", "zh"), ("fil", "fil")],
)
def test_a_language_is_kept_as_its_first_subtag(said, kept):
    assert languages(Section(text="Texto"), language=said) == [kept]


def test_a_word_that_is_no_tag_is_not_believed():
    assert languages(Section(text="苹果公司"), language="English") == ["zh"]


def test_each_row_has_its_own_language():
    rows = [
        Section(text="Yes.", question="Is it open?", row=1),
        Section(text="在加利福尼亚州。", question="苹果公司在哪里？", row=2),
        Section(text="In the garage of the parents of Steve Jobs in Los Altos.", row=3),
        Section(text="Das Haus der Eltern von Steve Jobs ist nicht sehr groß.", row=4),
    ]
    assert languages(*rows) == ["en", "zh", "en", "de"]


@pytest.mark.parametrize(
    ("text", "language"),
    [("Yes.", "en"), ("42", "en"), ("是的。", "zh"), ("はい。", "ja"), ("네.", "ko")],
)
def test_few_letters_tell_no_more_than_their_script(text, language):
    assert detect_language(text) == language


def test_few_letters_are_of_the_language_of_the_rest():
    german = "Das Haus der Eltern von Steve Jobs ist nicht sehr groß, und die Garage ist klein."
    parts = [Section(text=german), Section(text="Ja.", heading="Antwort")]
    assert languages(*parts) == ["de", "de"]


def test_names_are_bounded_and_clean():
    section = Section(text="text", heading="h" * 10_000)
    (chunk,) = cut(section, title="t\ud83d" * 10_000, date="d" * 10_000, language="en")
    assert chunk.metadata == {
        "title": "t" * 250,
        "date": "d" * 500,
        "heading": "h" * 500,
        "language": "en",
    }
