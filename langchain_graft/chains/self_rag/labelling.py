"""Judgements that rows lack, by any critic: what a reflecting model is taught with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from langchain_graft.chains.self_rag.formulas import distribution
from langchain_graft.chains.self_rag.reflection_rows import SUPPORTS
from langchain_graft.chains.self_rag.roles import Judgement
from langchain_graft.chains.self_rag.vocabulary import NO_RETRIEVAL, RELEVANT, UTILITY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_graft.chains.self_rag.roles import Critic
    from langchain_graft.chains.self_rag.vocabulary import Aspect
    from langchain_graft.finetune_bridge.training.rows import ReflectionRow

_ASPECTS: tuple[Aspect, ...] = ("retrieve", "relevance", "support", "utility")


def label_rows(rows: Sequence[ReflectionRow], critic: Critic) -> list[ReflectionRow]:
    """The rows with the judgements that they lack, as a critic finds them likeliest.

    In the paper a critic that was trained labels what the generator learns (Asai et al. 2023,
    section 3.2.2); here it is any: a chat model that is asked (`PromptedCritic`), or a model with
    reflection tokens. What a row has stays; what the critic can not tell is left out.

    Args:
        rows: Questions with passages and answers.
        critic: What judges.
    """
    asked = [(place, aspect, row) for place, row in enumerate(rows) for aspect in _missing(row)]
    judged = critic.judge([_judgement(row, aspect) for _, aspect, row in asked])
    labels: list[dict[str, Any]] = [{} for _ in rows]
    for (place, aspect, _), one in zip(asked, judged, strict=True):
        known = distribution(one.probabilities, aspect)
        if known:
            likeliest = max(known, key=known.__getitem__)
            labels[place][aspect] = _value(aspect, likeliest)
    return [replace(row, **found) for row, found in zip(rows, labels, strict=True)]


def _missing(row: ReflectionRow) -> list[Aspect]:
    """The judgements that could be asked of a row, and that it has not."""
    possible = {
        "retrieve": True,
        "relevance": bool(row.passage),
        "support": bool(row.passage and row.answer),
        "utility": bool(row.answer),
    }
    return [one for one in _ASPECTS if possible[one] and getattr(row, one) is None]


def _judgement(row: ReflectionRow, aspect: Aspect) -> Judgement:
    of_passage = row.passage and aspect in {"relevance", "support"}
    return Judgement(
        aspect=aspect,
        question=row.question,
        passage=Document(page_content=row.passage) if of_passage else None,
        segment=row.answer if aspect in {"support", "utility"} else "",
    )


def _value(aspect: Aspect, label: str) -> Any:
    """A label as rows have it."""
    if aspect == "retrieve":
        return label != NO_RETRIEVAL
    if aspect == "relevance":
        return label == RELEVANT
    if aspect == "support":
        return next(name for name, known in SUPPORTS.items() if known == label)
    return UTILITY.index(label) + 1
