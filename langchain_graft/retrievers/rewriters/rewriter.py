"""What all rewriters have in common: a question into a prompt, a reply into queries."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableLambda, RunnablePassthrough

from langchain_graft.language import language_of
from langchain_graft.models.asking import ask_aside, require_variables
from langchain_graft.retrievers.prompts import LANGUAGE_RULES
from langchain_graft.retrievers.query import Query
from langchain_graft.retrievers.rewriters.reply import read_queries, says_none
from langchain_graft.source_text import without_control_words

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from langchain_core.prompts import BasePromptTemplate

Examples = Mapping[str, Sequence[tuple[str, str]]]

MOST_QUERIES = 20
_TOKENS_EACH = 80
_MOST_QUESTION_CHARACTERS = 2000
_CUT = frozenset({"length", "max_tokens", "MAX_TOKENS"})

_logger = logging.getLogger(__name__)


def create_line_rewriter(
    model: BaseChatModel,
    prompt: BasePromptTemplate[Any],
    *,
    name: str,
    n: int,
    examples: Examples,
    weight: float = 1.0,
) -> Runnable[str, list[Query]]:
    """A rewriter whose model replies with one query per line.

    Args:
        model: Any chat model.
        prompt: With the variable `input`, perhaps `n`, `examples` (messages) and `language_rule`.
        name: The run's name.
        n: Most queries, from 1 to `MOST_QUERIES`.
        examples: By language ("en" for all but Chinese), questions and their replies.
        weight: Of each query.

    Raises:
        ValueError: `n` or `weight` is out of range, or the prompt lacks a variable.
    """
    if not 1 <= n <= MOST_QUERIES:
        msg = f"The number of queries must lie between 1 and {MOST_QUERIES}, not {n!r}"
        raise ValueError(msg)
    if not weight > 0:
        msg = f"weight must be above 0, not {weight!r}"
        raise ValueError(msg)

    def read(state: Mapping[str, Any]) -> list[Query]:
        reply = reply_text(state["reply"])
        queries = read_queries(reply, n=n, original=state["input"])
        if not (queries or says_none(reply) or read_queries(reply, n=1)):
            _logger.warning("%s: the model's reply holds no query: %.200r", name, reply)
        return [Query(query, weight=weight) for query in queries]

    steps = prompt_variables(prompt, n=n, examples=examples) | RunnablePassthrough.assign(
        reply=prompt | ask_aside(model, max_tokens=_TOKENS_EACH * n)
    )
    return (steps | RunnableLambda(read)).with_config(run_name=name)


def prompt_variables(
    prompt: BasePromptTemplate[Any], *, examples: Examples | None = None, **given: Any
) -> Runnable[str, dict[str, Any]]:
    """A step from a question to what a prompt needs, in the question's language.

    Raises:
        ValueError: The prompt does not use `input`.
    """
    require_variables(prompt, "input")

    def variables(question: str) -> dict[str, Any]:
        if not isinstance(question, str) or not question.strip():
            msg = f"A rewriter takes a question of at least one word, not {question!r:.200}"
            raise ValueError(msg)
        language = language_of(question)
        return {
            **given,
            "question": question,
            "input": without_control_words(question.strip()[:_MOST_QUESTION_CHARACTERS]),
            "language_rule": LANGUAGE_RULES[language],
            "examples": [
                turn
                for asked, reply in (examples or {}).get(language, ())
                for turn in (("human", asked), ("ai", reply))
            ],
        }

    return RunnableLambda(variables)


def reply_text(reply: BaseMessage) -> str:
    """A reply's text; when it was cut at `max_tokens`, without the line that is not whole."""
    text = str(reply.text)
    metadata = reply.response_metadata
    if {metadata.get("finish_reason"), metadata.get("stop_reason")} & _CUT:
        return text.rpartition("\n")[0] or text
    return text
