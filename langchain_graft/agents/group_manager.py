"""Who speaks next in a group chat."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Literal

from langchain_graft.agents.langgraph_extra import interrupt
from langchain_graft.agents.prompts import NEXT_SPEAKER_PROMPT
from langchain_graft.models.asking import ask_aside

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable

    from langchain_graft.agents.group_agent import GroupAgent

Manager = Literal["auto", "round_robin", "random", "manual"]
_NAME_TOKENS = 16


def waiting_agents(state: Mapping[str, Any], agents: Sequence[GroupAgent]) -> list[str]:
    """Who has not spoken, in order; those to whom the last one hands over first."""
    spoken = [one["agent"] for one in state["contributions"]]
    waiting = [one.name for one in agents if one.name not in spoken]
    last = next((one for one in agents if spoken and one.name == spoken[-1]), None)
    handed = [name for name in (last.hands_to if last else ()) if name in waiting]
    return [*handed, *(name for name in waiting if name not in handed)]


def handed_over(state: Mapping[str, Any], agents: Sequence[GroupAgent]) -> str:
    """To whom the last speaker hands over; empty: to nobody who has not spoken."""
    waiting = waiting_agents(state, agents)
    spoken = [one["agent"] for one in state["contributions"]]
    last = next((one for one in agents if spoken and one.name == spoken[-1]), None)
    return waiting[0] if waiting and last and waiting[0] in last.hands_to else ""


def settle(
    manager: Manager | Callable[[Mapping[str, Any]], str | None],
    state: Mapping[str, Any],
    agents: Sequence[GroupAgent],
    *,
    asks_model: bool,
) -> str | None:
    """Who is next; empty: nobody; None: a model has to choose."""
    said = state["contributions"]
    own = manager == "manual" or callable(manager)
    if not own and said and not said[-1]["supported"] and (name := handed_over(state, agents)):
        return name
    if asks_model and len(waiting_agents(state, agents)) > 1:
        return None
    return choose(manager, state, agents)


def choose(
    manager: Manager | Callable[[Mapping[str, Any]], str | None],
    state: Mapping[str, Any],
    agents: Sequence[GroupAgent],
) -> str:
    """The next speaker's name, where no model is asked; empty: nobody.

    Raises:
        ValueError: A function or a person names an agent that is not there.
    """
    waiting = waiting_agents(state, agents)
    if callable(manager):
        return _known(manager(state), agents)
    if manager == "manual":
        answers = [(one["agent"], one["answer"]) for one in state["contributions"]]
        question = {"question": state["question"], "agents": waiting, "answers": answers}
        return _known(interrupt(question), agents)
    if not waiting:
        return ""
    return random.choice(waiting) if manager == "random" else waiting[0]  # noqa: S311


def create_chooser(model: BaseChatModel) -> Runnable[Any, BaseMessage]:
    """Asks a model who is next."""
    return (NEXT_SPEAKER_PROMPT | ask_aside(model, max_tokens=_NAME_TOKENS)).with_config(
        run_name="choose_speaker"
    )


def choice_variables(state: Mapping[str, Any], agents: Sequence[GroupAgent]) -> dict[str, str]:
    """What the model is told: who can be asked, and what was said."""
    waiting = waiting_agents(state, agents)
    offered = [one for one in agents if one.name in waiting]
    said = [f"{one['agent']}: {one['answer'][:300]}" for one in state["contributions"]]
    return {
        "agents": "\n".join(f"- {one.name}: {one.description or one.name}" for one in offered),
        "input": state["question"],
        "so_far": "Said so far:\n" + "\n".join(said) + "\n\n" if said else "",
    }


def chosen(reply: BaseMessage, waiting: Sequence[str]) -> str:
    """The agent that a reply's first line names; the first that waits, where it names none."""
    lines = str(reply.text).strip().splitlines()
    line = lines[0].strip(" *_`'\".:-").casefold() if lines else ""
    return next((name for name in waiting if name.casefold() == line), waiting[0])


def _known(name: object, agents: Sequence[GroupAgent]) -> str:
    if not name or (isinstance(name, str) and name.strip().lower() in {"", "exit"}):
        return ""
    names = [one.name for one in agents]
    if name not in names:
        msg = f"There is no agent {name!r} in this chat; there are {', '.join(names)}"
        raise ValueError(msg)
    return str(name)
