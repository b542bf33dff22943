"""Asking a model something between the question and the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.messages import AIMessage
    from langchain_core.prompts import BasePromptTemplate
    from langchain_core.runnables import Runnable

NOT_FOR_THE_USER = "nostream"
"""LangGraph's tag for what is not shown where messages are streamed."""


def ask_aside(
    model: BaseChatModel, *, max_tokens: int, **settings: Any
) -> Runnable[LanguageModelInput, AIMessage]:
    """The model, its reply bounded and not shown to the user.

    Args:
        model: Any chat model; one that does not know `max_tokens` has to ignore it.
        max_tokens: Most tokens of a reply.
        settings: What else is bound, such as `temperature`.
    """
    return model.bind(max_tokens=max_tokens, **settings).with_config(tags=[NOT_FOR_THE_USER])


def require_variables(prompt: BasePromptTemplate[Any], *names: str) -> None:
    """Check that a prompt uses these variables.

    Raises:
        ValueError: It does not.
    """
    if missing := set(names) - set(prompt.input_variables):
        msg = (
            f"The prompt needs the variables {', '.join(map(repr, names))}; it lacks "
            f"{', '.join(map(repr, sorted(missing)))} and has {prompt.input_variables!r}"
        )
        raise ValueError(msg)
