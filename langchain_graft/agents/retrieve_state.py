"""What a retrieval chat keeps of a conversation: all of it is in the checkpoint."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from langchain_core.documents import Document
from langchain_core.messages import AnyMessage
from typing_extensions import TypedDict

from langchain_graft.agents.langgraph_extra import add_messages
from langchain_graft.chains.types import Citation

Verdict = Literal["answer", "update", "append", "act", "asked"]
"""What an assistant's reply comes to: it answers, wants other documents, wants more to those that
it has, or calls a tool or has code run; "asked": it is to be asked (again)."""


class RetrieveInput(TypedDict, total=False):
    """What a chat takes: a question, or messages that end in one."""

    input: str
    messages: Annotated[list[AnyMessage], add_messages]


class RetrieveOutput(TypedDict, total=False):
    """What a turn gives."""

    messages: Annotated[list[AnyMessage], add_messages]
    """The conversation: questions and answers."""
    question: str
    """As it was searched and answered."""
    context: list[Document]
    answer: str
    citations: list[Citation]
    ended: str
    """"answered", "nothing_left" (to be shown), "max_rounds", "no_update" (it is switched off),
    "executed" (code that worked) or "human"."""
    queries: list[str]
    """All that were searched, in order."""
    rounds: int
    """How often the assistant replied."""
    updates: list[str]
    """How documents were come by after the first: "next", "wider", "appended", "nothing"."""
    executed: list[dict[str, Any]]
    """What tools and code gave: `name`, `worked`, `output`."""


class RetrieveState(RetrieveOutput):
    """All of it."""

    input: str
    found: list[Document]
    """Of the last ranking, what was not shown yet."""
    seen: list[str]
    """Keys of the documents that were shown for this question."""
    widened: int
    """How often the search was widened."""
    reply: str
    """The assistant's last."""
    reply_id: str
    """Under which its pieces were streamed as a message; the answer's message has it too."""
    verdict: Verdict
    pending: list[AnyMessage]
    """What was said between assistant, tools, executor and person since the last documents."""


def fresh_turn(question: str) -> dict[str, Any]:
    """The state at the beginning of a question."""
    return {
        "input": "",
        "question": question,
        "context": [],
        "answer": "",
        "citations": [],
        "ended": "",
        "queries": [],
        "rounds": 0,
        "updates": [],
        "executed": [],
        "found": [],
        "seen": [],
        "widened": 0,
        "reply": "",
        "reply_id": "",
        "verdict": "asked",
        "pending": [],
    }
