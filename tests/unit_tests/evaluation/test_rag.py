"""A chain measured on five questions, every figure worked out by hand."""

import json

import pytest
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from langchain_graft.evaluation import (
    Question,
    answer_summary,
    evaluate_answers,
    retrieval_summary,
    to_ragas_rows,
)
from langchain_graft.evaluation.rag import rows_as_json

QUESTIONS = [
    Question(id="1", question="Who?", answers=("Jobs",), documents=("a.md",)),
    Question(id="2", question="When?", answers=("1976",), documents=("a.md", "b.md")),
    Question(id="3", question="Where?", answers=("a garage",), documents=("c.md",)),
    Question(id="4", question="World Cup?", answerable=False),
    Question(id="5", question="Weather?", answerable=False),
]
CONTEXT = [
    Document(id="a#1", page_content="A", metadata={"source_id": "a.md"}),
    Document(id="b#1", page_content="B", metadata={"source_id": "b.md"}),
    Document(id="plain", page_content="C"),
]
REFUSED = "No."
SAID = {  # answer, and (marker, verified) of its citations
    "Who?": ("Jobs. [1]", [(1, True)]),
    "When?": ("In 1976. [2][3]", [(2, False), (3, True)]),
    "Where?": (REFUSED, []),
    "World Cup?": (REFUSED, []),
    "Weather?": ("Sunny.", []),
}


def said(question):
    answer, citations = SAID[question]
    cited = [{"marker": marker, "verified": verified} for marker, verified in citations]
    return {"input": question, "context": CONTEXT, "answer": answer, "citations": cited}


@pytest.fixture
def rows():
    return evaluate_answers(RunnableLambda(said), QUESTIONS, is_refusal=lambda a: a == REFUSED)


def test_rows_say_what_was_answered_and_cited(rows):
    assert [row.refused for row in rows] == [False, False, True, True, False]
    assert [row.cited for row in rows] == [["a.md"], ["b.md", "plain"], [], [], []]
    assert [row.verified for row in rows] == [1, 1, 0, 0, 0]
    assert [row.exact_match for row in rows] == [1, 0, 0, 0, 0]
    assert [row.contains for row in rows] == [1, 1, 0, 0, 0]
    assert rows[1].f1 == pytest.approx(2 / 3)
    assert json.loads(json.dumps(rows_as_json(rows)))[0]["answer"] == "Jobs. [1]"


def test_the_summary_worked_out_by_hand(rows):
    summary = {name: interval.mean for name, interval in answer_summary(rows, QUESTIONS).items()}
    assert summary == pytest.approx(
        {
            "exact_match": 1 / 3,
            "f1": (1 + 2 / 3) / 3,
            "contains": 2 / 3,
            "answers_that_cite": 2 / 3,  # the weather has none
            "citations_that_hold": 2 / 3,
            "citation_precision": 2 / 3,  # a.md, b.md; not plain
            "citation_recall": 1.0,  # of the two that were answered
            "refused_unanswerable": 1 / 2,
            "refused_answerable": 1 / 3,
        }
    )


def test_what_can_not_be_measured_is_left_out():
    plain = [Question(id="5", question="Weather?", answerable=False)]
    rows = evaluate_answers(RunnableLambda(said), plain, is_refusal=lambda a: a == REFUSED)
    assert set(answer_summary(rows, plain)) == {"answers_that_cite", "refused_unanswerable"}


def test_progress_is_told():
    told = []
    evaluate_answers(
        RunnableLambda(said),
        QUESTIONS[:2],
        is_refusal=bool,
        on_answer=lambda *done: told.append(done),
    )
    assert told == [(1, 2), (2, 2)]


def test_rankings_are_measured_by_source_document():
    many = Question(id="many", question="?", documents=tuple("abcdef"))
    rankings = {"1": ["x", "x", "a.md"], "2": ["b.md", "a.md"], "3": [], "many": ["a"]}
    summary = retrieval_summary(rankings, [*QUESTIONS, many], k=2)
    assert {name: interval.mean for name, interval in summary.items()} == pytest.approx(
        {
            "recall@2": (1 + 1 + 0) / 3,
            "mrr@2": (1 / 2 + 1 + 0) / 3,
            "ndcg@2": (0.6309298 + 1 + 0) / 3,
        }
    )
    assert retrieval_summary(rankings, [many]) == {}


def test_chain_outputs_become_rows_of_ragas():
    outputs = [said("Who?"), said("When?")]
    assert to_ragas_rows(outputs, {"Who?": "Jobs"}) == [
        {
            "user_input": "Who?",
            "retrieved_contexts": ["A", "B", "C"],
            "response": "Jobs. [1]",
            "reference": "Jobs",
        },
        {
            "user_input": "When?",
            "retrieved_contexts": ["A", "B", "C"],
            "response": "In 1976. [2][3]",
            "reference": None,
        },
    ]
