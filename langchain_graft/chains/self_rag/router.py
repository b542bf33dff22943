"""Self-RAG's decisions alone: is anything to be looked up, and which documents help?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from langchain_graft.chains.inputs import as_input
from langchain_graft.chains.self_rag.chain import as_critic, create_driver, settings_of
from langchain_graft.chains.self_rag.formulas import relevance_score, retrieve_probability
from langchain_graft.chains.self_rag.roles import Critic, Judged, Judgement
from langchain_graft.chains.self_rag.settings import SelfRagSettings
from langchain_graft.chains.types import RagInput, SelfRagDecision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import BaseChatModel
    from langchain_core.retrievers import RetrieverLike

    from langchain_graft.chains.rag import RagSettings
    from langchain_graft.chains.router import Decider
    from langchain_graft.chains.self_rag.correction import RetrievalCorrection
    from langchain_graft.chains.self_rag.driver import Retrieved
    from langchain_graft.chains.self_rag.paths import Level

LEAST_RELEVANCE = 0.5


def create_self_rag_router(
    critic: Critic | BaseChatModel,
    retriever: RetrieverLike,
    *,
    settings: SelfRagSettings | None = None,
    correction: RetrievalCorrection | None = None,
    least_relevance: float = LEAST_RELEVANCE,
    **rag_settings: Unpack[RagSettings],
) -> Runnable[str | RagInput, SelfRagDecision]:
    """A step that says whether a question needs documents, and which of them help.

    For use in front of any chain; nothing is written. It gives `retrieve`, `probability`, `context`
    (documents of `least_relevance` or more, the most relevant first), `relevances`, `left_out` and
    `warnings`. `configurable` is read as by `create_self_rag_chain`.

    Args:
        critic: What judges: a critic, or any chat model.
        retriever: Any LangChain retriever, or a Runnable from a question to documents.
        settings: When to retrieve, how many documents are judged, and what may be spent.
        correction: What is done where retrieval is bad; None: nothing.
        least_relevance: Of a document that is given, from 0 to 1.
        rag_settings: As for `create_rag_chain`, as far as documents are concerned.

    Raises:
        ValueError: `least_relevance` is no probability; in a run: a setting can not be used.

    Example:
        >>> router = create_self_rag_router(model, retriever)
        >>> router.invoke("What is 2 + 2?")["retrieve"]
        False
    """
    chosen = settings or SelfRagSettings()
    if not 0 <= least_relevance <= 1:
        msg = f"least_relevance must lie between 0 and 1, not {least_relevance!r}"
        raise ValueError(msg)
    driver = create_driver(critic, retriever, correction=correction, **rag_settings)  # type: ignore[arg-type]

    def route(given: str | RagInput, config: RunnableConfig) -> SelfRagDecision:
        state = as_input(given)
        found = driver.route(state, settings_of(chosen, config), config)
        return _decision(state, *found, least_relevance)

    async def aroute(given: str | RagInput, config: RunnableConfig) -> SelfRagDecision:
        state = as_input(given)
        found = await driver.aroute(state, settings_of(chosen, config), config)
        return _decision(state, *found, least_relevance)

    return RunnableLambda(route, aroute, name="self_rag_router").with_types(
        input_type=str | RagInput,  # type: ignore[arg-type]
        output_type=SelfRagDecision,
    )


def create_self_rag_decider(
    critic: Critic | BaseChatModel,
    *,
    retrieve: str,
    otherwise: str,
    threshold: float = SelfRagSettings.threshold,
) -> Decider:
    """A decider between two routes, by whether a critic says that documents are needed.

    It can not tell, and gives None, where the critic can not.

    Args:
        critic: What judges: a critic, or any chat model.
        retrieve: Name of the route that looks something up.
        otherwise: Name of the route that does not.
        threshold: Look something up where p(R) / (p(R) + p(N)) is above it; from 0 to 1.

    Raises:
        ValueError: The threshold is no probability.
    """
    SelfRagSettings(threshold=threshold)
    judging = as_critic(critic)

    def name(judged: list[Judged]) -> str | None:
        probability = retrieve_probability(judged[0].probabilities)
        if probability is None:
            return None
        return retrieve if probability > threshold else otherwise

    def decide(question: str, config: RunnableConfig) -> str | None:
        return name(judging.judge([_asked(question)], config))

    async def adecide(question: str, config: RunnableConfig) -> str | None:
        return name(await judging.ajudge([_asked(question)], config))

    return RunnableLambda(decide, adecide, name="decide_by_critic")


def _asked(question: str) -> Judgement:
    return Judgement(aspect="retrieve", question=question)


def _decision(
    state: Mapping[str, Any], level: Level | None, retrieved: Retrieved, least: float
) -> SelfRagDecision:
    judged = [
        (one.document, relevance_score(one.judged["relevance"]))
        for one in (level.candidates if level else ())
        if one.document is not None
    ]
    known = any(one.judged["relevance"] for one in (level.candidates if level else ()))
    if known:
        judged = [both for both in judged if both[1] >= least]
        judged.sort(key=lambda both: -both[1])
    return SelfRagDecision(
        input=state["input"],
        retrieve=level is None or level.decision != "none",
        probability=level.probability if level else None,
        context=[document for document, _ in judged],
        relevances=[score for _, score in judged] if known else [],
        correction=level.correction if level else "",
        left_out=retrieved.without_room,
        warnings=retrieved.warnings,
    )
