"""What decides on a route: rules, nearness to examples, or a model."""

from __future__ import annotations

import math
import re
import threading
from typing import TYPE_CHECKING, Any

from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.runnables.config import run_in_executor

from langchain_graft.chains.prompts import ROUTE_PROMPT
from langchain_graft.models.asking import ask_aside, require_variables
from langchain_graft.models.compute import compute_pool
from langchain_graft.retrievers.query import Query, embed_queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import BasePromptTemplate

    from langchain_graft.chains.router import Decider, Route

THRESHOLD = 0.8
"""Least cosine; embedders differ: measure it on questions of your own."""
_REPLY_TOKENS = 12
_MOST_CHARACTERS = 1000


def create_rule_decider(routes: Sequence[Route]) -> Decider:
    """A decider by the routes' conditions, in their order; costs nothing."""

    def decide(question: str) -> str | None:
        held = (route.name for route in routes if route.condition and route.condition(question))
        return next(held, None)

    return RunnableLambda(decide, name="decide_by_rule")


def create_embedding_decider(
    routes: Sequence[Route], embeddings: Embeddings, *, threshold: float = THRESHOLD
) -> Decider:
    """A decider by the nearest description or example, by cosine.

    Those are embedded once, as queries, with the first question.

    Args:
        routes: With a description each, and better with examples.
        embeddings: Any embedder.
        threshold: Least cosine that decides, from -1 to 1; below it the decider can not tell.

    Raises:
        ValueError: The threshold is no cosine.
    """
    if not -1 <= threshold <= 1:
        msg = f"threshold must lie between -1 and 1, not {threshold!r}"
        raise ValueError(msg)
    told = [(route.name, text) for route in routes for text in (route.description, *route.examples)]
    lock = threading.Lock()
    known: list[list[float]] = []

    def vectors() -> list[list[float]]:
        with lock:
            if not known:
                known.extend(embed_queries(embeddings, [Query(text) for _, text in told]))
            return known

    def decide(question: str) -> str | None:
        [asked] = embed_queries(embeddings, [Query(question)])
        near = [_cosine(asked, vector) for vector in vectors()]
        best = max(range(len(near)), key=near.__getitem__, default=None)
        return None if best is None or near[best] < threshold else told[best][0]

    async def adecide(question: str) -> str | None:
        return await run_in_executor(compute_pool(), decide, question)

    return RunnableLambda(decide, adecide, name="decide_by_embedding")


def create_model_decider(
    routes: Sequence[Route],
    model: BaseChatModel,
    *,
    prompt: BasePromptTemplate[Any] = ROUTE_PROMPT,
) -> Decider:
    """A decider by a model that is told the names, descriptions and examples; one short reply.

    A reply that names no route, or several, decides nothing.

    Args:
        routes: With a description each.
        model: Any chat model.
        prompt: With the variables `routes` and `input`, perhaps `examples` (messages).

    Raises:
        ValueError: The prompt lacks a variable.
    """
    require_variables(prompt, "routes", "input")
    listed = "\n".join(f"{route.name}: {route.description}" for route in routes)
    names = sorted((route.name for route in routes), key=len, reverse=True)
    pattern = re.compile("|".join(rf"(?<![\w-]){re.escape(name)}(?![\w-])" for name in names))

    turns = [
        turn
        for route in routes
        for example in route.examples
        for turn in (("human", f"Question: {example}\nKind:"), ("ai", route.name))
    ]

    def variables(question: str) -> dict[str, Any]:
        return {"routes": listed, "examples": turns, "input": question[:_MOST_CHARACTERS]}

    def read(reply: str) -> str | None:
        named = set(pattern.findall(reply.lower()))
        return named.pop() if len(named) == 1 else None

    decider: Runnable[Any, str | None] = (
        RunnableLambda(variables)
        | prompt
        | ask_aside(model, max_tokens=_REPLY_TOKENS)
        | StrOutputParser()
        | read
    )
    return decider.with_config(run_name="decide_by_model")


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    lengths = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths if lengths else 0.0
