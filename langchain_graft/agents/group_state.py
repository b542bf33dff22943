"""What a group chat keeps of a conversation: all of it is in the checkpoint."""

from __future__ import annotations

from typing import Annotated, Any

from langchain_core.documents import Document
from langchain_core.messages import AnyMessage
from typing_extensions import TypedDict

from langchain_graft.agents.langgraph_extra import add_messages
from langchain_graft.chains.types import Citation


class Contribution(TypedDict):
    """What an agent said."""

    agent: str
    answer: str
    context: list[Document]
    citations: list[Citation]
    supported: bool
    """Whether the critic lets it stand."""
    criticism: str
    """Why not; empty where it stands."""


class GroupInput(TypedDict, total=False):
    """What a chat takes: a question, or messages that end in one."""

    input: str
    messages: Annotated[list[AnyMessage], add_messages]


class GroupOutput(TypedDict, total=False):
    """What a turn gives."""

    messages: Annotated[list[AnyMessage], add_messages]
    question: str
    answer: str
    context: list[Document]
    """What the answer's marks count; each document names its agent in `metadata["agent"]`."""
    citations: list[Citation]
    found_by: dict[str, list[str]]
    """Agent to the ids of the documents that it found and the answer cites."""
    contributions: list[Contribution]
    """What each agent said, in order."""
    ended: str
    """"answered", "nobody_knows", "max_rounds" or "human"."""
    rounds: int


class GroupState(GroupOutput):
    """All of it."""

    input: str
    speaker: str
    """Who is next; empty: nobody."""


def fresh_group_turn(question: str) -> dict[str, Any]:
    """The state at the beginning of a question."""
    return {
        "input": "",
        "question": question,
        "answer": "",
        "context": [],
        "citations": [],
        "found_by": {},
        "contributions": [],
        "ended": "",
        "rounds": 0,
        "speaker": "",
    }
