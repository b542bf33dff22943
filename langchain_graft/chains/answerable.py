"""Do the documents hold the answer? Asked of a model by the probability of its yes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from langchain_graft.chains.prompts import ANSWERABLE_PROMPT
from langchain_graft.models.asking import NOT_FOR_THE_USER as NOT_FOR_THE_USER  # noqa: PLC0414 (told here too)
from langchain_graft.models.asking import require_variables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.prompts import BasePromptTemplate
    from langchain_core.runnables import Runnable

THRESHOLD = 0.85
"""Least probability of yes (benchmarks/answerable.py shows what other thresholds give)."""
_TOP = 20
_YES = frozenset({"yes", "是", "有", "能"})
_NO = frozenset({"no", "not", "否", "没有", "没", "不"})


def create_answerable_check(
    model: BaseChatModel,
    *,
    threshold: float = THRESHOLD,
    prompt: BasePromptTemplate[Any] = ANSWERABLE_PROMPT,
) -> Runnable[Mapping[str, Any], bool]:
    """A step that says whether the sources in a prompt hold the answer to its question.

    The model is asked for one token; p(yes) / (p(yes) + p(no)) over its likeliest tokens decides. A
    small model that is told to refuse where need be refuses what it could answer; its probability
    tells the two apart. When the reply is neither yes nor no, the answer is taken to be there.

    Args:
        model: One that gives logprobs, such as llama.cpp's and OpenAI's.
        threshold: Least probability of yes, from 0 to 1.
        prompt: With the variables `sources` and `input`.

    Raises:
        ValueError: The threshold is no probability, or the prompt lacks a variable.
    """
    if not 0 <= threshold <= 1:
        msg = f"threshold must lie between 0 and 1, not {threshold!r}"
        raise ValueError(msg)
    require_variables(prompt, "sources", "input")

    def is_answerable(reply: BaseMessage) -> bool:
        probability = yes_probability(reply)
        return probability is None or probability >= threshold

    check: Runnable[Any, bool] = prompt | bind_judge(model) | is_answerable
    return check.with_config(run_name="check_answerable")


def bind_judge(model: BaseChatModel) -> Runnable[Any, AIMessage]:
    """The model, asked for one token and the likeliest tokens in its place."""
    judge = model.bind(logprobs=True, top_logprobs=_TOP, max_tokens=1)
    return judge.with_config(tags=[NOT_FOR_THE_USER])


def yes_probability(reply: BaseMessage) -> float | None:
    """p(yes) / (p(yes) + p(no)) of a reply's first token; None when it gives neither."""
    content = (reply.response_metadata.get("logprobs") or {}).get("content") or []
    candidates: Sequence[Mapping[str, Any]] = content[0]["top_logprobs"] if content else []
    yes = _mass(candidates, _YES)
    no = _mass(candidates, _NO)
    return yes / (yes + no) if yes + no else None


def _mass(candidates: Sequence[Mapping[str, Any]], words: frozenset[str]) -> float:
    return sum(
        math.exp(candidate["logprob"])
        for candidate in candidates
        if candidate["token"].strip().lower() in words
    )
