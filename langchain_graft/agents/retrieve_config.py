"""The settings of a retrieval chat, and AutoGen's as they are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from langchain_graft.agents.autogen_config import read_autogen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Task = Literal["default", "qa", "code"]
HumanInput = Literal["ALWAYS", "TERMINATE", "NEVER"]
AsksBy = Literal["auto", "check", "line", "tool"]

PLACES = ("{input_question}", "{input_context}", "{input_sources}")
"""What is filled in AutoGen's `customized_prompt`."""


@dataclass(frozen=True, kw_only=True)
class RetrieveConfig:
    """The settings of `create_retrieve_chat`."""

    task: Task = "default"
    """What the assistant is told to do, and whether code blocks go to the executor ("code")."""
    n_results: int = 20
    """How many documents are searched for at first; wider searches: 3, 5, 7, 9 times as many."""
    context_tokens: int = 2000
    """Most tokens of the documents in one prompt."""
    update_context: bool = True
    """Whether the assistant may ask for other documents."""
    answer_prefix: str = ""
    """What an answer has to contain, whatever its case; one without it is an answer on the way,
    by which more documents are searched and put to those there are."""
    prompt: str | None = None
    """In place of ours: with `{input_question}`, `{input_context}` and `{input_sources}`."""
    human_input: HumanInput = "NEVER"
    """When a person is asked: after each reply, before the end, or never."""
    max_rounds: int = 10
    """Most replies of the assistant to one question (since a person last said something)."""
    asks_by: AsksBy = "auto"
    """How the assistant asks for other documents: by a first line (`UPDATE CONTEXT`), by a call of
    the tool `update_context`, or by the probability with which it says that the sources hold the
    answer. "auto": the last, of models that offer logprobs; the line of others, and with a prompt
    of your own."""
    follow_ups: bool = True
    """Whether a question is rewritten by what was said before, so that it is understood alone."""
    search_string: str = ""
    """What a document has to contain; empty: nothing."""
    retrieval_seconds: float | None = 60.0
    """Most time of one search."""
    count_tokens: Callable[[str], int] | None = None
    """Text to its number of tokens; None: the model's own, or an estimate."""
    ingestion: Mapping[str, Any] = field(default_factory=dict)
    """AutoGen's settings of what is read and how it is cut, `docs_path` among them: for whoever
    fills the index."""
    told: Mapping[str, str] = field(default_factory=dict)
    """AutoGen's keys that were given, and what became of each."""

    def __post_init__(self) -> None:
        _check_one_of("task", self.task, Task)
        _check_one_of("human_input", self.human_input, HumanInput)
        _check_one_of("asks_by", self.asks_by, AsksBy)
        for name in ("n_results", "context_tokens", "max_rounds"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                msg = f"{name} must be a whole number, 1 or more, not {value!r}"
                raise ValueError(msg)
        if self.prompt is not None and not any(place in self.prompt for place in PLACES[:2]):
            msg = f"The prompt {self.prompt!r:.80} has to contain {PLACES[0]} or {PLACES[1]}"
            raise ValueError(msg)

    @classmethod
    def from_autogen(cls, retrieve_config: Mapping[str, Any] | None, **fields: Any) -> Self:
        """The settings in AutoGen 0.2's `retrieve_config`, unchanged.

        `told` says of each key what became of it. Documents are not read here: what concerns them
        is in `ingestion`, for whoever fills the index that is searched
        (`kb.ingest(*config.ingestion["docs_path"])`).

        Args:
            retrieve_config: As AutoGen's `RetrieveUserProxyAgent` takes it.
            fields: Settings of ours that AutoGen has elsewhere: `human_input` (its
                `human_input_mode`), `max_rounds` (`max_consecutive_auto_reply`), `n_results`.

        Raises:
            ValueError: AutoGen has no such key, or it can not be done here; the message says
                what to do instead.

        Example:
            >>> RetrieveConfig.from_autogen({"task": "qa", "model": "gpt-4"}).context_tokens
            6400
        """
        return cls(**{**read_autogen(retrieve_config or {}), **fields})

    def but(self, **fields: Any) -> Self:
        """The same settings but for these."""
        return replace(self, **fields)


def as_config(given: RetrieveConfig | Mapping[str, Any]) -> RetrieveConfig:
    """Settings as they are, or those of AutoGen's dict."""
    return given if isinstance(given, RetrieveConfig) else RetrieveConfig.from_autogen(given)


def _check_one_of(name: str, value: object, kinds: object) -> None:
    if value not in get_args(kinds):
        known = ", ".join(map(repr, get_args(kinds)))
        msg = f"{name} must be one of {known}, not {value!r}"
        raise ValueError(msg)
