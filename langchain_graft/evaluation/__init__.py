"""Evaluation: rankings, answers and citations measured, with intervals."""

from typing import TYPE_CHECKING

from langchain_graft._lazy import lazy_exports

__all__ = [
    "Question",
    "ReplyCache",
    "answer_f1",
    "answer_summary",
    "evaluate_answers",
    "exact_match",
    "load_beir",
    "load_questions",
    "mean_interval",
    "paired_bootstrap",
    "ranking_metrics",
    "retrieval_summary",
    "to_ragas_rows",
    "with_reply_cache",
]

if TYPE_CHECKING:
    from langchain_graft.evaluation.answers import answer_f1, exact_match
    from langchain_graft.evaluation.bootstrap import mean_interval, paired_bootstrap
    from langchain_graft.evaluation.datasets import Question, load_beir, load_questions
    from langchain_graft.evaluation.rag import (
        answer_summary,
        evaluate_answers,
        retrieval_summary,
        to_ragas_rows,
    )
    from langchain_graft.evaluation.ranking import ranking_metrics
    from langchain_graft.evaluation.replies import ReplyCache, with_reply_cache
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "Question": "datasets",
            "ReplyCache": "replies",
            "answer_f1": "answers",
            "answer_summary": "rag",
            "evaluate_answers": "rag",
            "exact_match": "answers",
            "load_beir": "datasets",
            "load_questions": "datasets",
            "mean_interval": "bootstrap",
            "paired_bootstrap": "bootstrap",
            "ranking_metrics": "ranking",
            "retrieval_summary": "rag",
            "to_ragas_rows": "rag",
            "with_reply_cache": "replies",
        },
    )
