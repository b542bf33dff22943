"""A report card of rows: how many, how long, what they look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_graft.finetune_bridge.training.rows import (
    EmbeddingRow,
    GeneratorRow,
    ReflectionRow,
    question_of_row,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_graft.finetune_bridge.training.rows import Row

_EXAMPLES = 3
_LONGEST = 200


@dataclass(frozen=True, kw_only=True)
class RowReport:
    """What rows are like; lengths in signs: the middle, the 95th of a hundred, the longest."""

    kind: str
    rows: int
    questions: int
    """Different ones."""
    groups: int
    """Different ones that are named, such as documents."""
    negatives: int
    """Of all rows."""
    question_lengths: tuple[int, int, int]
    answer_lengths: tuple[int, int, int]
    examples: tuple[tuple[str, str], ...]
    """Question and answer of the first, the middle and the last row, cut."""

    def lines(self) -> list[tuple[str, str]]:
        """Names and values, for a table."""
        figures = [
            ("rows", f"{self.rows} ({self.kind})"),
            ("different questions", str(self.questions)),
            ("groups", str(self.groups)),
            ("negatives", str(self.negatives)),
            ("length of questions", _told(self.question_lengths)),
            ("length of answers", _told(self.answer_lengths)),
        ]
        return figures + [
            ("such as", f"{question} => {answer}") for question, answer in self.examples
        ]


def report_of(rows: Sequence[Row]) -> RowReport:
    """The report card of some rows.

    Raises:
        ValueError: There are none.
    """
    if not rows:
        msg = "No rows: there is nothing to report"
        raise ValueError(msg)
    questions, answers = [question_of_row(row) for row in rows], [_answer(row) for row in rows]
    shown = sorted({0, len(rows) // 2, len(rows) - 1})[:_EXAMPLES]
    return RowReport(
        kind=type(rows[0]).__name__,
        rows=len(rows),
        questions=len(set(questions)),
        groups=len({row.group for row in rows if row.group}),
        negatives=sum(len(row.negatives) for row in rows if isinstance(row, EmbeddingRow)),
        question_lengths=_lengths(questions),
        answer_lengths=_lengths(answers),
        examples=tuple((questions[n][:_LONGEST], answers[n][:_LONGEST]) for n in shown),
    )


def _answer(row: Row) -> str:
    if isinstance(row, EmbeddingRow):
        return row.positive
    if isinstance(row, ReflectionRow):
        return row.answer
    return row.messages[-1]["content"] if isinstance(row, GeneratorRow) else row.chosen


def _lengths(texts: Sequence[str]) -> tuple[int, int, int]:
    lengths = sorted(map(len, texts))
    return lengths[len(lengths) // 2], lengths[len(lengths) * 95 // 100], lengths[-1]


def _told(lengths: tuple[int, int, int]) -> str:
    return "{} signs, 95 % up to {}, longest {}".format(*lengths)
