"""Hypothetical documents: what an answer might look like, to be searched with."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnablePassthrough
from langchain_core.runnables.config import patch_config

from langchain_graft.models.asking import ask_aside
from langchain_graft.retrievers.prompts import HYDE_PROMPT
from langchain_graft.retrievers.query import Query
from langchain_graft.retrievers.rewriters.reply import read_passage
from langchain_graft.retrievers.rewriters.rewriter import prompt_variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import BasePromptTemplate

MOST_PASSAGES = 16
_AT_ONCE = 4

_logger = logging.getLogger(__name__)


def create_hyde_rewriter(
    model: BaseChatModel,
    n: int = 1,
    *,
    prompt: BasePromptTemplate[Any] = HYDE_PROMPT,
    max_tokens: int = 200,
    temperature: float | None = 0.7,
) -> Runnable[str, list[Query]]:
    """A rewriter that gives one `Query(question, passages=...)` (Gao et al. 2023, HyDE).

    Its passages are answers that the model makes up; wrong facts in them do no harm, they are only
    embedded, and averaged with the question. An index of words searches with the question alone.

    Args:
        model: Any chat model.
        n: How many documents are written, from 1 to 16, up to four at once.
        prompt: With the variable `input`, perhaps `language_rule`.
        max_tokens: Most tokens of each.
        temperature: Asked of the model where `n` is above 1, so that they differ (the paper's);
            None: the model's own.

    Raises:
        ValueError: `n` is out of range, or the prompt lacks a variable.
    """
    if not 1 <= n <= MOST_PASSAGES:
        msg = f"n must lie between 1 and {MOST_PASSAGES}, not {n!r}"
        raise ValueError(msg)
    sampling = {"temperature": temperature} if n > 1 and temperature is not None else {}
    generate = prompt | ask_aside(model, max_tokens=max_tokens, **sampling)

    def write(state: dict[str, Any], config: RunnableConfig) -> list[Any]:
        return generate.batch([state] * n, _bounded(config))

    async def awrite(state: dict[str, Any], config: RunnableConfig) -> list[Any]:
        return await generate.abatch([state] * n, _bounded(config))

    steps = prompt_variables(prompt) | RunnablePassthrough.assign(
        replies=RunnableLambda(write, awrite, name="write_passages")
    )
    return (steps | RunnableLambda(_read)).with_config(run_name="rewrite_hyde")


def _bounded(config: RunnableConfig) -> RunnableConfig:
    asked = config.get("max_concurrency") or _AT_ONCE
    return patch_config(config, max_concurrency=min(asked, _AT_ONCE))


def _read(state: Mapping[str, Any]) -> list[Query]:
    passages = [read_passage(str(reply.text)) for reply in state["replies"]]
    kept = tuple(dict.fromkeys(passage for passage in passages if passage))
    if not kept:
        _logger.warning("rewrite_hyde: the model wrote no passage: %.200r", state["replies"])
        return []
    return [Query(state["question"], passages=kept)]
