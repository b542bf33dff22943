"""Step-back: a more general question is asked first, and answered or looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable, RunnableBranch, RunnableLambda

from langchain_graft.chains.answer import LANGUAGE_RULES, create_answer_step
from langchain_graft.chains.context import RETRIEVAL_SECONDS
from langchain_graft.chains.inputs import question_of
from langchain_graft.chains.prompts import ALONE_PROMPT, PRINCIPLE_PROMPT, STEP_BACK_ANSWER_PROMPT
from langchain_graft.chains.rag import RagSettings, create_grounded_stages
from langchain_graft.chains.rag_fusion import with_settings
from langchain_graft.chains.staged import create_staged_chain
from langchain_graft.language import language_of
from langchain_graft.models.asking import ask_aside, require_variables
from langchain_graft.retrievers.query import Query
from langchain_graft.retrievers.rewriters.step_back import create_step_back_rewriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import BasePromptTemplate
    from langchain_core.retrievers import RetrieverLike

    from langchain_graft.chains.types import RagInput, RagOutput

PRINCIPLE_TOKENS = 160
NO_STEP_BACK = "the model gave no step-back question, only the question itself was asked"


def create_step_back_chain(
    model: BaseChatModel,
    retriever: RetrieverLike | Sequence[RetrieverLike] | None = None,
    *,
    rewriter: Runnable[str, list[Query]] | None = None,
    principle_prompt: BasePromptTemplate[Any] = PRINCIPLE_PROMPT,
    **settings: Unpack[RagSettings],
) -> Runnable[str | RagInput, RagOutput]:
    """A chain that asks a more general question before the one that it was given.

    Zheng et al. 2023, Take a Step Back. With a retriever, both questions are looked up and the
    answer is written and cited from what both find: their rankings are fused with equal weights,
    so that they take turns, as the paper puts both contexts into one prompt. Without one, the model
    answers the step-back question from what it knows, and its answer, `principle`, is put before
    the question; nothing is cited then.

    The output is that of `create_rag_chain`, with `step_back_question` (empty when the model gave
    none: `warnings` says so) and, without a retriever, `principle`.

    Args:
        model: Any chat model.
        retriever: One or several; None: abstraction only.
        rewriter: The question into the step-back question; None: `create_step_back_rewriter`.
        principle_prompt: Without a retriever: with the variable `step_back_question`.
        settings: As for `create_rag_chain`. Without a retriever only `prompt` counts, with the
            variables `step_back_question`, `principle` and `input`.
    """
    require_variables(principle_prompt, "step_back_question")
    rewriter = rewriter or create_step_back_rewriter(model)
    stepping_back = RunnableLambda(question_of) | rewriter | _step_back_question
    if retriever is None:
        return create_staged_chain(
            stepping_back,
            _create_recalling(model, principle_prompt),
            RunnableLambda(_no_documents, name="no_documents"),
            last=_create_abstract_answer_step(model, settings.get("prompt")),
            name="step_back_chain",
        )

    timeout_seconds = settings.get("retrieval_seconds", RETRIEVAL_SECONDS)

    # one that rewrites goes on doing so, with both questions
    rewrites = getattr(retriever, "rewriter", None) is not None
    retrievers: Any = [retriever] if rewrites else retriever

    def both(state: Mapping[str, Any]) -> RetrieverLike:
        other = state["step_back_question"]
        queries = [Query(other)] if other else []
        asking: Runnable[str, list[Query]] = RunnableLambda(lambda _: queries)
        given = {"rewriter": asking, "original_weight": 1.0, "weakness": None}
        return with_settings(retrievers, given, timeout_seconds=timeout_seconds)

    retrieval, answering = create_grounded_stages(model, both, **settings)
    return create_staged_chain(stepping_back, retrieval, last=answering, name="step_back_chain")


def _create_recalling(
    model: BaseChatModel, prompt: BasePromptTemplate[Any]
) -> Runnable[Mapping[str, Any], dict[str, Any]]:
    """A stage that has the step-back question answered, where there is one."""
    recall = (
        RunnableLambda(_with_language)
        | prompt
        | ask_aside(model, max_tokens=PRINCIPLE_TOKENS)
        | StrOutputParser()
        | _principle
    )
    without: Runnable[Any, dict[str, Any]] = RunnableLambda(lambda _: _principle(""))
    branch: Runnable[Any, dict[str, Any]] = RunnableBranch((_has_step_back, recall), without)
    return branch.with_config(run_name="recall_principle")


def _create_abstract_answer_step(
    model: BaseChatModel, prompt: BasePromptTemplate[Any] | None
) -> Runnable[Mapping[str, Any], dict[str, Any]]:
    """From the principle, or from the model alone where there is none."""
    prompt = prompt or STEP_BACK_ANSWER_PROMPT
    require_variables(prompt, "step_back_question", "principle", "input")
    branch: Any = RunnableBranch((lambda state: bool(state["principle"]), prompt), ALONE_PROMPT)
    return create_answer_step(model, branch, needs_context=False)


def _has_step_back(state: Mapping[str, Any]) -> bool:
    return bool(state["step_back_question"])


def _step_back_question(queries: Sequence[Query]) -> dict[str, Any]:
    return {"step_back_question": queries[0].text if queries else ""}


def _with_language(state: Mapping[str, Any]) -> dict[str, Any]:
    return {**state, "language_rule": LANGUAGE_RULES[language_of(question_of(state))]}


def _principle(reply: str) -> dict[str, Any]:
    return {"principle": reply.strip()}


def _no_documents(state: Mapping[str, Any]) -> dict[str, Any]:
    warnings = [] if state["step_back_question"] else [NO_STEP_BACK]
    return {"context": [], "left_out": [], "warnings": warnings}
