"""The citations of an answer: whose words, where they stand, and whether they hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_graft.chains import find_citations

DOCUMENTS = [
    Document(id="a", page_content="A garage. Apple was founded by Steve Jobs in 1976. It grew."),
    Document(
        id="b", page_content="苹果公司由乔布斯于1976年创办。后来上市。", metadata={"title": "苹果"}
    ),
    Document(page_content="No id: MITS sold the Altair as a kit."),
]


def test_a_citation_names_sentence_document_and_words():
    answer = "Yes. Steve Jobs founded Apple in 1976. [1]"
    assert find_citations(answer, DOCUMENTS) == [
        {
            "marker": 1,
            "document_id": "a",
            "start_index": 5,
            "end_index": 42,
            "cited_text": "Apple was founded by Steve Jobs in 1976.",
            "document_start": 10,
            "document_end": 50,
            "verified": True,
        }
    ]


def test_chinese_has_the_same_offsets():
    answer = "是的。乔布斯于1976年创办苹果公司。[2]后来上市。"
    [citation] = find_citations(answer, DOCUMENTS)
    assert answer[citation["start_index"] : citation["end_index"]] == (
        "乔布斯于1976年创办苹果公司。[2]"
    )
    assert citation["cited_text"] == "苹果公司由乔布斯于1976年创办。"
    assert citation["verified"]


@pytest.mark.parametrize(
    ("answer", "cited"),
    [
        ("Steve Jobs founded Apple in 1977. [1]", "Apple was founded by Steve Jobs in 1976."),
        ("The weather was lovely. [1]", ""),
    ],
)
def test_what_does_not_hold_is_reported(answer, cited):
    [citation] = find_citations(answer, DOCUMENTS)
    assert not citation["verified"]
    assert citation["cited_text"] == cited


def test_each_sentence_and_document_once_in_order():
    answer = "MITS sold the Altair [3][1][3]. Jobs founded Apple. [1] Nothing."
    citations = find_citations(answer, DOCUMENTS)
    assert [citation["marker"] for citation in citations] == [3, 1, 1]
    assert [citation["document_id"] for citation in citations] == [None, "a", "a"]
    assert [citation["verified"] for citation in citations] == [True, False, True]


@pytest.mark.parametrize("answer", ["", "No mark.", "Out of range. [4] [0] [99]"])
def test_nothing_cited_is_no_citation(answer):
    assert find_citations(answer, DOCUMENTS) == []
    assert find_citations("A mark. [1]", []) == []


WORDS = "Apple Jobs founded 1976 . ! 。 ” 苹果公司 创办 [1] [2] [3] [12] Dr. 😀".split()
ANSWERS = st.lists(st.sampled_from([*WORDS, " ", "\n"]), max_size=30).map("".join)


@given(ANSWERS | st.text(max_size=60), st.lists(ANSWERS, max_size=3), st.text(max_size=20))
def test_offsets_are_exact_and_it_never_raises(answer, texts, question):
    documents = [Document(page_content=text) for text in texts]
    for citation in find_citations(answer, documents, question=question):
        text = documents[citation["marker"] - 1].page_content
        sentence = answer[citation["start_index"] : citation["end_index"]]
        assert f"[{citation['marker']}]" in sentence
        assert sentence == sentence.strip()
        cited = text[citation["document_start"] : citation["document_end"]]
        assert cited == citation["cited_text"]
        assert citation["verified"] <= bool(cited)
