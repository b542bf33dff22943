"""What a chain is given, made sure of."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage, convert_to_messages

from langchain_graft.chains.types import RagInput, RagOutput

_MADE_HERE = frozenset(RagOutput.__annotations__) - frozenset(RagInput.__annotations__)
MOST_QUESTION_CHARACTERS = 10_000
MOST_MESSAGES = 12
"""How much of a conversation is told to the model that rewrites a question."""
_MOST_MESSAGE_CHARACTERS = 1000


def as_input(given: str | Mapping[str, Any]) -> dict[str, Any]:
    """A question, or a dict with `input` and perhaps `chat_history`, as the latter.

    What a chain makes itself is dropped, so that the output of one run can be given to the next.

    Raises:
        TypeError: It is neither, or `chat_history` is no list.
        ValueError: The question is empty, or longer than `MOST_QUESTION_CHARACTERS`.
    """
    state = {"input": given} if isinstance(given, str) else given
    if not isinstance(state, Mapping) or not isinstance(state.get("input"), str):
        msg = f"A chain takes a question or {{'input': question}}, not {given!r:.200}"
        raise TypeError(msg)
    if not state["input"].strip():
        msg = "The question is empty: give a question of at least one word"
        raise ValueError(msg)
    if (length := len(state["input"])) > MOST_QUESTION_CHARACTERS:
        msg = (
            f"The question has {length} characters, at most {MOST_QUESTION_CHARACTERS} are taken. "
            "Ask a shorter one; put a long text into a document and ask about that"
        )
        raise ValueError(msg)
    history = state.get("chat_history") or []
    if not isinstance(history, list | tuple):
        msg = f"chat_history has to be a list of messages, not {history!r:.200}"
        raise TypeError(msg)
    given = {name: value for name, value in state.items() if name not in _MADE_HERE}
    return {**given, "chat_history": list(history)}


def question_of(state: Mapping[str, Any]) -> str:
    """What is searched and answered: the rewritten question where there is one."""
    return str(state.get("question") or state["input"])


def conversation_text(history: Sequence[Any]) -> str:
    """The last turns of a conversation as lines, long ones shortened.

    Args:
        history: Messages, or what LangChain takes for them, such as `("human", "Hello")`.
    """
    messages: list[BaseMessage] = convert_to_messages(history)
    names = {"human": "User", "ai": "Assistant"}
    return "\n".join(
        f"{names.get(message.type, message.type)}: {str(message.text)[:_MOST_MESSAGE_CHARACTERS]}"
        for message in messages[-MOST_MESSAGES:]
    )
