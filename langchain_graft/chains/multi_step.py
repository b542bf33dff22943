"""Questions that need the answer to another question first, answered one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from langchain_core.runnables import Runnable, RunnableBranch, RunnableConfig, RunnableLambda

from langchain_graft.chains.answer import create_answer_step
from langchain_graft.chains.inputs import question_of
from langchain_graft.chains.planning import Plan, create_planner, distinct, filled, step_of, told
from langchain_graft.chains.prompts import (
    STEP_PROMPT,
    STEPS_ANSWER_PROMPT,
    STEPS_PROMPT,
)
from langchain_graft.chains.rag import (
    Check,
    RagSettings,
    create_grounded_retrieval_step,
    create_rag_chain,
    suited,
)
from langchain_graft.chains.staged import create_staged_chain
from langchain_graft.models.asking import NOT_FOR_THE_USER, require_variables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.documents import Document
    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import BasePromptTemplate
    from langchain_core.retrievers import RetrieverLike

    from langchain_graft.chains.types import RagInput, RagOutput, Step

MAX_STEPS = 4
NO_PLAN = "the model gave no usable plan, the question was looked up as it is"
NOTHING_FOUND = "no step of the plan was answered, the question was looked up as it is"


def create_multi_step_chain(
    model: BaseChatModel,
    retriever: RetrieverLike,
    *,
    max_steps: int = MAX_STEPS,
    plan_prompt: BasePromptTemplate[Any] = STEPS_PROMPT,
    step_prompt: BasePromptTemplate[Any] = STEP_PROMPT,
    steps_prompt: BasePromptTemplate[Any] = STEPS_ANSWER_PROMPT,
    **settings: Unpack[RagSettings],
) -> Runnable[str | RagInput, RagOutput]:
    """A chain that looks up what a question depends on first, one question after another.

    The model plans the questions once, at most `max_steps`; one may refer to the answer of an
    earlier one (least-to-most and self-ask, Press et al. 2022; decomposed prompting, Khot et al.
    2022: a small model that decides after every step whether to go on does not end). Each is
    looked up and answered briefly from its own documents. The answer is written from the documents
    that the steps cite, and from the steps.

    The output is that of `create_rag_chain`, with `steps`. A simple question has none, and costs
    the plan alone; a plan that can not be used, or of which nothing is found, gives way to the
    question as it is, and `warnings` says so.

    Args:
        model: Any chat model.
        retriever: Any LangChain retriever, or a Runnable from a question to documents.
        max_steps: Most questions on the way, from 2 to 20.
        plan_prompt: With the variable `input`, perhaps `n` (which is `max_steps`) and `examples`.
        step_prompt: For a step's answer, with the variables `sources` and `input`.
        steps_prompt: For the answer from several steps, with `sources`, `input` and `steps_told`.
        settings: As for `create_rag_chain`. `prompt` is that for a simple question; the
            compressor and the budget count for each step.

    Raises:
        ValueError: `max_steps` is out of range, or a prompt lacks a variable.
    """
    require_variables(steps_prompt, "sources", "input", "steps_told")
    planner = create_planner(model, plan_prompt, max_steps=max_steps)
    step_settings: RagSettings = {**settings, "prompt": step_prompt}
    asking = create_rag_chain(model, retriever, **step_settings).with_config(
        run_name="answer_step", tags=[NOT_FOR_THE_USER]
    )

    def of_steps(state: Mapping[str, Any]) -> RetrieverLike | list[Document]:
        return distinct([one for step in state["steps"] for one in step["documents"]]) or retriever

    retrieval = create_grounded_retrieval_step(model, of_steps, **settings)
    return create_staged_chain(
        _create_look_up(planner, asking, retrieval),
        last=_create_answering(model, steps_prompt, settings),
        name="multi_step_chain",
    )


def _create_look_up(
    planner: Runnable[str, Plan],
    asking: Runnable[Any, Any],
    retrieval: Runnable[Mapping[str, Any], dict[str, Any]],
) -> Runnable[Mapping[str, Any], dict[str, Any]]:
    """Plan, take the steps, and pack what they found: the same thing twice, sync and async."""

    def look_up(state: Mapping[str, Any], config: RunnableConfig) -> dict[str, Any]:
        plan = planner.invoke(question_of(state), config)
        steps: list[Step] = []
        given: list[Mapping[str, Any]] = []
        for planned in plan.questions:
            question = filled(planned, steps)
            given += [asking.invoke(question, config)] if question else []
            steps.append(step_of(question or planned, given[-1] if question else None))
        given.append(retrieval.invoke({**state, "steps": steps}, config))
        return _told(plan, steps, given)

    async def alook_up(state: Mapping[str, Any], config: RunnableConfig) -> dict[str, Any]:
        plan = await planner.ainvoke(question_of(state), config)
        steps: list[Step] = []
        given: list[Mapping[str, Any]] = []
        for planned in plan.questions:
            question = filled(planned, steps)
            given += [await asking.ainvoke(question, config)] if question else []
            steps.append(step_of(question or planned, given[-1] if question else None))
        given.append(await retrieval.ainvoke({**state, "steps": steps}, config))
        return _told(plan, steps, given)

    return RunnableLambda(look_up, alook_up, name="take_steps")


def _told(plan: Plan, steps: Sequence[Step], given: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all searches together gave; left out is what no prompt had room for."""
    notes = [NO_PLAN] if plan.is_garbage else []
    if steps and not _any_found(steps):
        notes.append(NOTHING_FOUND)
    context = given[-1]["context"]
    shown = {document.id for document in context if document.id}
    left_out = {
        one["document_id"] or id(one): one
        for of in given
        for one in of["left_out"]
        if one["reason"] == "cut" or one["document_id"] not in shown
    }
    return {
        "steps": steps,
        "context": context,
        "left_out": list(left_out.values()),
        "warnings": list(dict.fromkeys([*notes, *(w for of in given for w in of["warnings"])])),
    }


def _create_answering(
    model: BaseChatModel, steps_prompt: BasePromptTemplate[Any], settings: RagSettings
) -> Runnable[Mapping[str, Any], dict[str, Any]]:
    """From the steps where they found something, otherwise as `create_rag_chain` does.

    When every step was answered, the check is not asked: no one source holds the whole answer.
    """
    check, prompt = suited(model, settings.get("check", "auto"), settings.get("prompt"))
    branched: Any = RunnableBranch(
        (lambda state: _any_found(state["steps"]), RunnableLambda(_with_steps) | steps_prompt),
        prompt,
    )
    checked: Check | None = check and RunnableBranch(
        (_all_found, RunnableLambda(_all_found)), check
    )
    attribute = settings.get("attribute", True)
    return create_answer_step(model, branched, check=checked, attribute=attribute)


def _with_steps(state: Mapping[str, Any]) -> dict[str, Any]:
    return {**state, "steps_told": told(state["steps"])}


def _any_found(steps: Sequence[Step]) -> bool:
    return any(step["documents"] for step in steps)


def _all_found(state: Mapping[str, Any]) -> bool:
    steps = state["steps"]
    return bool(steps) and all(step["documents"] for step in steps)
