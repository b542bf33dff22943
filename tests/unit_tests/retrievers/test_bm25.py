"""Lexical search: what counts as a word, how much it counts, and the folder that keeps it."""

from math import log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_graft.retrievers import BM25Index, Query
from langchain_graft.retrievers.bm25 import TITLE_WEIGHT


def index_of(*texts, folder=None):
    index = BM25Index(folder)
    index.add([Document(id=f"{n}", page_content=text) for n, text in enumerate(texts)])
    return index


def scores(index, text, k=10):
    [ranking] = index.search_many([Query(text)], k=k)
    return {document.id: document.metadata["score"] for document in ranking}


def found(index, text, k=10):
    return list(scores(index, text, k))


def weight(count, *, length, mean, holding, documents):
    """BM25 of one word, written out: k1 1.2, b 0.75."""
    rarity = log(1 + (documents - holding + 0.5) / (holding + 0.5))
    return rarity * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * length / mean))


def test_scores_are_those_of_the_formula():
    index = index_of("apple apple pear", "apple fig", "plum plum plum plum")
    apple = {"mean": 3, "holding": 2, "documents": 3}
    assert scores(index, "apple") == pytest.approx(
        {"0": weight(2, length=3, **apple), "1": weight(1, length=2, **apple)}, rel=1e-5
    )
    fig = weight(1, length=2, mean=3, holding=1, documents=3)
    assert scores(index, "fig apple") == pytest.approx(
        {"1": fig + weight(1, length=2, **apple), "0": weight(2, length=3, **apple)}, rel=1e-5
    )


def test_a_rare_word_counts_more_and_a_long_text_less():
    index = index_of("slot", "slot and a mouse", "slot in the very long story of a slow tape")
    assert found(index, "slot mouse") == ["1", "0", "2"]


def test_a_word_that_the_query_repeats_counts_once():
    index = index_of("apple pear", "fig")
    assert scores(index, "apple apple apple") == scores(index, "apple")


def test_a_word_that_is_everywhere_does_not_count_beside_others():
    index = index_of("the end of it all", "apple", "the the the")
    assert found(index, "the apple") == ["1"]
    assert found(index, "the") == ["2", "0"]


def test_a_word_of_the_title_counts_more():
    index = BM25Index()
    texts = ["apple pear fig", "fig pear apple", "pear apple fig"]
    titles = ["plum", "fig", ["no title"]]
    documents = [
        Document(id=f"{n}", page_content=text, metadata={"title": title})
        for n, (text, title) in enumerate(zip(texts, titles, strict=True))
    ]
    index.add(documents, texts=texts)
    plain = weight(1, length=3, mean=3, holding=3, documents=3)
    title = weight(1, length=1, mean=2 / 3, holding=1, documents=3)
    assert scores(index, "fig") == pytest.approx(
        {"1": plain + TITLE_WEIGHT * title, "0": plain, "2": plain}, rel=1e-5
    )
    assert found(index, "plum") == ["0"]
    index.add(documents)
    assert found(index, "plum pear") == ["0", "2", "1"]


def test_a_filter_does_not_change_the_score():
    index = BM25Index()
    index.add([Document(id="0", page_content="apple pear", metadata={"year": 1984})])
    [[document]] = index.search_many([Query("apple")], filter={"year": 1984})
    assert document.metadata["score"] == scores(index, "apple")["0"]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Machines were running", "the machine runs"),
        ("a CAFÉ in Zürich", "cafe zurich"),
        ("麦金塔是苹果公司的电脑", "苹果电脑"),
        ("麦金塔是苹果公司的电脑", "苹"),
        ("苹果II有八个插槽", "苹果ii"),
        ("苹果II有八个插槽", "II"),
        ("麥金塔是蘋果公司的電腦", "苹果电脑"),
        ("麦金塔是苹果公司的电脑", "蘋果電腦"),
        ("マッキントッシュ", "マッキントッシュ"),
        ("the TRS-80 of 1977", "trs 80"),
    ],
)
def test_words_are_found_in_other_forms(text, query):
    assert found(index_of("nothing of this", text), query) == ["1"]


def test_a_pair_of_characters_counts_beside_the_characters():
    together, apart = "苹果很好", "果园有苹树"
    assert found(index_of(apart, together), "苹果") == ["1", "0"]


def test_no_word_of_the_query_is_there():
    assert found(index_of("apple"), "pear") == []


@pytest.fixture(scope="module")
def fruit():
    return index_of("apple pear", "苹果")


@settings(deadline=None)
@given(text=st.text() | st.text(alphabet="aA \"'()[]{}:*?~^+-&|!\\/苹果\0\ud800\U0001f389"))
def test_no_query_breaks_a_search(fruit, text):
    assert set(found(fruit, text)) <= {"0", "1"}


@settings(deadline=None, max_examples=50)
@given(text=st.text())
def test_every_text_comes_back_as_it_was(text):
    index = BM25Index()
    index.add([Document(id="1", page_content=text)], texts=["apple"])
    [[document]] = index.search_many([Query("apple")])
    assert document.page_content == text


def broken(*ids):
    yield from ids
    msg = "no more ids"
    raise RuntimeError(msg)


def test_a_deletion_that_fails_deletes_nothing():
    index = index_of("apple", "pear")
    with pytest.raises(RuntimeError):
        index.delete(broken("0"))
    index.add([Document(id="2", page_content="fig")])
    assert index.ids() == {"0", "1", "2"}


def test_what_is_written_half_is_not_kept():
    index = index_of("apple", "pear")

    def fail():
        with index._commit() as writer:
            writer.delete_documents_by_term("id", "0")
            raise MemoryError

    with pytest.raises(MemoryError):
        fail()
    index.delete(["nothing"])
    assert found(index, "apple") == ["0"]


class TestFolder:
    """An index on disk."""

    def test_it_is_there_when_it_is_opened_again(self, tmp_path):
        index_of("apple", "pear", folder=tmp_path / "words").close()
        again = BM25Index(str(tmp_path / "words"))
        assert found(again, "apples") == ["0"]
        assert again.ids() == {"0", "1"}

    def test_readers_see_what_is_written_later(self, tmp_path):
        writer = index_of("apple", folder=tmp_path)
        reader = BM25Index(tmp_path)
        assert found(reader, "pear") == []
        writer.add([Document(id="new", page_content="pear")])
        assert found(reader, "pear") == ["new"]
        writer.delete(["0"])
        assert reader.ids() == {"new"}

    def test_readers_see_every_one_of_many_quick_writes(self, tmp_path):
        writer, reader = index_of("apple", folder=tmp_path), BM25Index(tmp_path)
        for number in range(20):
            writer.add([Document(id=f"new {number}", page_content="pear")])
            assert len(reader) == 2
            writer.delete([f"new {number}"])
            assert len(reader) == 1

    def test_one_writes_until_it_is_closed(self, tmp_path):
        first, second = index_of("apple", folder=tmp_path), BM25Index(tmp_path)
        with pytest.raises(ValueError, match=r"(?i)lock"):
            second.add([Document(id="1", page_content="pear")])
        first.close()
        second.add([Document(id="1", page_content="pear")])
        assert first.ids() == {"0", "1"}
        second.close()
        first.add([Document(id="2", page_content="fig")])
        assert second.ids() == {"0", "1", "2"}
