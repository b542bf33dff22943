"""A router: each question goes to the chain that suits it."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from langchain_graft.chains.inputs import question_of
from langchain_graft.chains.staged import create_staged_chain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_graft.chains.types import RagInput, RagOutput

Decider = Runnable[str, "str | None"]
"""From a question to a route's name, or None when it can not tell."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Route:
    """One way to answer a question."""

    name: str
    """Small letters, digits, `-` and `_`; it is in the output as `route`."""
    description: str
    """Which questions it is for, in a sentence: what a model or an embedder decides by."""
    runnable: Runnable[Any, Any]
    """Any chain of ours, or another one that takes and gives the same."""
    condition: Callable[[str], bool] | None = None
    """Whether a question is surely for it; None: no rule says so."""
    examples: Sequence[str] = ()
    """Questions that are for it."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            msg = f"A route's name has small letters, digits, '-' and '_', unlike {self.name!r}"
            raise ValueError(msg)
        if not self.description.strip():
            msg = f"The route {self.name!r} needs a description"
            raise ValueError(msg)


def create_router(
    routes: Sequence[Route], *, decider: Decider | Sequence[Decider], fallback: str
) -> Runnable[str | RagInput, RagOutput]:
    """A chain that hands each question over to the chain of one route.

    The output is that chain's, with `route`; its stream passes through as it comes, after a chunk
    with `route`, and closing this stream closes it. Settings of the call reach it.

    Args:
        routes: The ways there are.
        decider: One, or several that are asked in order until one gives a route's name. One that
            fails, or gives a name that there is none of, is passed over with a warning in the log.
        fallback: Name of the route for what nobody decided.

    Raises:
        ValueError: Two routes have one name, or the fallback is none of them.

    Example:
        >>> routes = [
        ...     Route("talk", "Greetings and thanks.", create_plain_chain(model), is_small_talk),
        ...     Route("rag", "Questions of fact.", create_rag_chain(model, retriever)),
        ... ]
        >>> create_router(routes, decider=create_rule_decider(routes), fallback="rag")
    """
    chains = {route.name: route.runnable for route in routes}
    if len(chains) < len(routes) or fallback not in chains:
        msg = (
            f"Every route needs a name of its own, and the fallback {fallback!r} has to be one of "
            f"them: {[route.name for route in routes]!r}"
        )
        raise ValueError(msg)
    deciders = [decider] if isinstance(decider, Runnable) else list(decider)
    return create_staged_chain(
        _create_deciding(deciders, chains, fallback),
        last=lambda state: (chains[state["route"]], state),
        name="router",
    )


def _create_deciding(  # noqa: C901 (the same step twice, sync and async)
    deciders: Sequence[Decider], names: Mapping[str, Any], fallback: str
) -> Runnable[Mapping[str, Any], dict[str, Any]]:
    def decide(state: Mapping[str, Any], config: RunnableConfig) -> dict[str, Any]:
        for decider in deciders:
            try:
                name = _checked(decider.invoke(question_of(state), config), names)
            except Exception as error:  # noqa: BLE001 (the next one is asked)
                _passed_over(error)
                continue
            if name:
                return {"route": name}
        return {"route": fallback}

    async def adecide(state: Mapping[str, Any], config: RunnableConfig) -> dict[str, Any]:
        for decider in deciders:
            try:
                name = _checked(await decider.ainvoke(question_of(state), config), names)
            except Exception as error:  # noqa: BLE001
                _passed_over(error)
                continue
            if name:
                return {"route": name}
        return {"route": fallback}

    return RunnableLambda(decide, adecide, name="decide_route")


def _checked(name: str | None, names: Mapping[str, Any]) -> str | None:
    if name is not None and name not in names:
        msg = f"There is no route {name!r}, only {sorted(names)!r}"
        raise ValueError(msg)
    return name


def _passed_over(error: Exception) -> None:
    _logger.warning("a decider is passed over: %s: %.300s", type(error).__name__, error)
