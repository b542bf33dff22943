"""A chain's answers measured: right, cited, refused where they should be."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from langchain_graft.evaluation.answers import answer_f1, contains_answer, exact_match
from langchain_graft.evaluation.bootstrap import Interval, mean_interval
from langchain_graft.evaluation.ranking import distinct, ranking_metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from langchain_core.documents import Document
    from langchain_core.runnables import Runnable

    from langchain_graft.evaluation.datasets import Question

MOST_GOLD_DOCUMENTS = 5


@dataclass(frozen=True, kw_only=True)
class AnswerRow:
    """What a chain answered to one question, and what is right about it."""

    id: str
    question: str
    answer: str
    refused: bool
    exact_match: float
    f1: float
    contains: float
    cited: list[str]
    """Source ids of the cited documents, one per citation."""
    verified: int
    """Citations whose document holds what their sentence says."""


def evaluate_answers(
    chain: Runnable[Any, Any],
    questions: Sequence[Question],
    *,
    is_refusal: Callable[[str], bool],
    on_answer: Callable[[int, int], None] | None = None,
) -> list[AnswerRow]:
    """Ask a chain every question.

    Args:
        chain: Gives `answer`, `context` and `citations`.
        questions: What is asked.
        is_refusal: Whether an answer says that there is none.
        on_answer: Told how many are done, of how many.
    """
    rows = []
    for done, question in enumerate(questions, 1):
        rows.append(_row(question, chain.invoke(question.question), is_refusal))
        if on_answer:
            on_answer(done, len(questions))
    return rows


def answer_summary(rows: Sequence[AnswerRow], questions: Sequence[Question]) -> dict[str, Interval]:
    """Means with 95 % intervals; what can not be measured on these questions is left out.

    | key | over | what |
    |---|---|---|
    | `exact_match`, `f1`, `contains` | answerable questions | against the accepted answers |
    | `answers_that_cite` | answers that are no refusal | have a citation |
    | `citations_that_hold` | citations | the document holds what the sentence says |
    | `citation_precision` | citations to answerable questions | the document is a gold one |
    | `citation_recall` | answers to answerable questions | cite at least one gold document |
    | `refused_unanswerable`, `refused_answerable` | those questions | were refused |
    """
    asked = {question.id: question for question in questions}
    answerable = [row for row in rows if asked[row.id].answerable]
    with_answers = [row for row in answerable if asked[row.id].answers]
    with_gold = [row for row in answerable if asked[row.id].documents and not row.refused]
    answered = [row for row in rows if not row.refused]
    gold = {row.id: set(asked[row.id].documents) for row in with_gold}
    citations = [flag for row in rows for flag in _flags(row.verified, len(row.cited))]
    values: dict[str, Iterable[float]] = {
        "exact_match": (row.exact_match for row in with_answers),
        "f1": (row.f1 for row in with_answers),
        "contains": (row.contains for row in with_answers),
        "answers_that_cite": (float(bool(row.cited)) for row in answered),
        "citations_that_hold": citations,
        "citation_precision": (float(s in gold[r.id]) for r in with_gold for s in r.cited),
        "citation_recall": (float(bool(gold[row.id] & set(row.cited))) for row in with_gold),
        "refused_unanswerable": (float(r.refused) for r in rows if not asked[r.id].answerable),
        "refused_answerable": (float(row.refused) for row in answerable),
    }
    lists = {name: list(of) for name, of in values.items()}
    return {name: mean_interval(of) for name, of in lists.items() if of}


def retrieval_summary(
    rankings: Mapping[str, Sequence[str]], questions: Sequence[Question], *, k: int = 5
) -> dict[str, Interval]:
    """Recall, nDCG and MRR at k by source document, with 95 % intervals.

    Only questions with at most `MOST_GOLD_DOCUMENTS` gold documents count: more do not fit into the
    first k.

    Args:
        rankings: Question id to source ids, best first.
        questions: With their gold documents.
        k: Documents that count.
    """
    judged = {
        question.id: dict.fromkeys(question.documents, 1)
        for question in questions
        if 0 < len(question.documents) <= MOST_GOLD_DOCUMENTS
    }
    if not judged:
        return {}
    ranked = {id_: distinct(ids) for id_, ids in rankings.items()}
    metrics = ranking_metrics(ranked, judged, k=k)
    return {name: mean_interval(list(values.values())) for name, values in metrics.items()}


def to_ragas_rows(
    rows: Iterable[Mapping[str, Any]], references: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Chain outputs as RAGAS's `SingleTurnSample` rows.

    Args:
        rows: What chains gave: `input`, `context`, `answer`.
        references: Question to its reference answer.
    """
    return [
        {
            "user_input": row["input"],
            "retrieved_contexts": [document.page_content for document in row["context"]],
            "response": row["answer"],
            "reference": (references or {}).get(row["input"]),
        }
        for row in rows
    ]


def rows_as_json(rows: Iterable[AnswerRow]) -> list[dict[str, Any]]:
    """Rows as plain values."""
    return [asdict(row) for row in rows]


def _row(
    question: Question, output: Mapping[str, Any], is_refusal: Callable[[str], bool]
) -> AnswerRow:
    answer, context = output["answer"], output["context"]
    citations = output["citations"]
    return AnswerRow(
        id=question.id,
        question=question.question,
        answer=answer,
        refused=is_refusal(answer),
        exact_match=exact_match(answer, question.answers),
        f1=answer_f1(answer, question.answers),
        contains=contains_answer(answer, question.answers),
        cited=[_source(context[citation["marker"] - 1]) for citation in citations],
        verified=sum(citation["verified"] for citation in citations),
    )


def _source(document: Document) -> str:
    return str(document.metadata.get("source_id") or document.id)


def _flags(true: int, of: int) -> list[float]:
    return [1.0] * true + [0.0] * (of - true)
