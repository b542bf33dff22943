"""A question into the questions that have to be answered before it, in order. No retrieval here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.runnables import Runnable, RunnableLambda, RunnablePassthrough

from langchain_graft.chains.prompts import STEPS_EXAMPLES
from langchain_graft.chains.refusal import is_refusal
from langchain_graft.chains.types import Step
from langchain_graft.models.asking import ask_aside
from langchain_graft.retrievers.rewriters.reply import read_queries, says_none
from langchain_graft.retrievers.rewriters.rewriter import MOST_QUERIES, prompt_variables, reply_text
from langchain_graft.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.documents import Document
    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import BasePromptTemplate

_TOKENS_EACH = 60
_REFERENCE = re.compile(r"#\s?(\d{1,2})")
_MARK = re.compile(r"\s*\[\d{1,3}\]")
_MOST_FILLED_CHARACTERS = 200


class Plan(NamedTuple):
    """What has to be asked on the way."""

    questions: list[str]
    """In order; `#1` stands for the answer to the first. Empty for a simple question."""
    is_garbage: bool = False
    """Whether the model's reply could not be used."""


def create_planner(
    model: BaseChatModel, prompt: BasePromptTemplate[Any], *, max_steps: int
) -> Runnable[str, Plan]:
    """A step from a question to its plan.

    Args:
        model: Any chat model.
        prompt: With the variable `input`, perhaps `n` (which is `max_steps`) and `examples`.
        max_steps: Most questions of a plan, from 2 to 20.

    Raises:
        ValueError: `max_steps` is out of range, or the prompt lacks a variable.
    """
    if not 2 <= max_steps <= MOST_QUERIES:  # noqa: PLR2004 (one step is no plan)
        msg = f"max_steps must lie between 2 and {MOST_QUERIES}, not {max_steps!r}"
        raise ValueError(msg)

    def read(state: Mapping[str, Any]) -> Plan:
        return read_plan(reply_text(state["reply"]), most=max_steps, question=state["input"])

    steps = prompt_variables(prompt, n=max_steps, examples=STEPS_EXAMPLES)
    asked = RunnablePassthrough.assign(
        reply=prompt | ask_aside(model, max_tokens=_TOKENS_EACH * max_steps)
    )
    return (steps | asked | RunnableLambda(read)).with_config(run_name="plan_steps")


def read_plan(reply: str, *, most: int, question: str) -> Plan:
    """The plan in a model's reply; what it lists beside questions in order is garbage.

    A plan of one question, or one that refers to an answer which is not there yet, is none.
    """
    listed = read_queries(reply, n=most)
    if says_none(reply) or (len(listed) == 1 and not _references(listed[0])):
        return Plan([])
    questions = read_queries(reply, n=most, original=question)
    known = all(
        0 < reference <= before
        for before, asked in enumerate(questions)
        for reference in _references(asked)
    )
    return Plan(questions) if questions and known else Plan([], is_garbage=True)


def filled(question: str, steps: Sequence[Step]) -> str | None:
    """A planned question with the earlier answers; None where one of them was not found."""
    if any(not steps[reference - 1]["documents"] for reference in _references(question)):
        return None
    return _REFERENCE.sub(lambda found: _short(steps[int(found[1]) - 1]["answer"]), question)


def step_of(question: str, output: Mapping[str, Any] | None) -> Step:
    """A step from what a chain gave: with the documents cited, or the first one where none is.

    None, where it could not be asked, makes a step without an answer.
    """
    if output is None:
        return Step(question=question, answer="", documents=[])
    context, answer = output["context"], output["answer"]
    cited = [context[citation["marker"] - 1] for citation in output["citations"]] or context[:1]
    found = [] if is_refusal(answer) else distinct(cited)
    return Step(question=question, answer=_MARK.sub("", answer), documents=found)


def distinct(documents: Sequence[Document]) -> list[Document]:
    """Each document once, in order of first sight."""
    return list({document.id or document.page_content: document for document in documents}.values())


def told(steps: Sequence[Step]) -> str:
    """The steps as a prompt shows them."""
    return "\n".join(
        f"- {step['question']} {step['answer'] if step['documents'] else '?'}" for step in steps
    )


def _references(question: str) -> list[int]:
    return [int(number) for number in _REFERENCE.findall(question)]


def _short(answer: str) -> str:
    """An answer as it stands in the next question."""
    first = (sentences(answer) or [""])[0]
    return first.strip().rstrip(".。")[:_MOST_FILLED_CHARACTERS]
