"""A critic that any chat model is: asked for one word, read by its probability where it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableLambda

from langchain_graft.chains.prompts import (
    SELF_RAG_RELEVANCE_PROMPT,
    SELF_RAG_RETRIEVE_PROMPT,
    SELF_RAG_SUPPORT_PROMPT,
    SELF_RAG_UTILITY_PROMPT,
)
from langchain_graft.chains.self_rag.first_token import TOP, read_labels
from langchain_graft.chains.self_rag.roles import Judged, Judgement
from langchain_graft.chains.self_rag.vocabulary import (
    FULLY,
    IRRELEVANT,
    NO_RETRIEVAL,
    PARTIALLY,
    RELEVANT,
    RETRIEVE,
    UNSUPPORTED,
    UTILITY,
)
from langchain_graft.models.asking import ask_aside, require_variables
from langchain_graft.source_text import source_text, without_control_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from langchain_core.prompt_values import PromptValue
    from langchain_core.prompts import BasePromptTemplate
    from langchain_core.runnables import RunnableConfig

    from langchain_graft.chains.self_rag.vocabulary import Aspect

_VERDICT_TOKENS = 8


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How an aspect is asked about, and which words stand for its labels."""

    prompt: BasePromptTemplate[Any]
    """With some of the variables `input`, `so_far`, `passage` and `segment`."""
    words: Mapping[str, Sequence[str]]


_YES, _NO = ("yes", "是", "需要", "有"), ("no", "not", "否", "不", "没有")
ASKINGS: Mapping[Aspect, Asking] = {
    "retrieve": Asking(prompt=SELF_RAG_RETRIEVE_PROMPT, words={NO_RETRIEVAL: _NO, RETRIEVE: _YES}),
    "relevance": Asking(prompt=SELF_RAG_RELEVANCE_PROMPT, words={IRRELEVANT: _NO, RELEVANT: _YES}),
    "support": Asking(
        prompt=SELF_RAG_SUPPORT_PROMPT,
        words={
            PARTIALLY: ("partially", "partly", "部分"),
            UNSUPPORTED: ("no", "not", "none", "不", "没有"),
            FULLY: ("fully", "yes", "完全"),
        },
    ),
    "utility": Asking(
        prompt=SELF_RAG_UTILITY_PROMPT,
        words={label: (str(n),) for n, label in enumerate(UTILITY, 1)},
    ),
}


class PromptedCritic:
    """A critic that asks a chat model one thing at a time, for one word.

    Of a model that offers logprobs (ours on llama.cpp and torch do) the probabilities of the first
    token are read, as far as the server tells them; of others the word, which counts
    `first_token.VERDICT`. Neither the answer so far nor a passage can put words into the critic's
    mouth: only the reply is read.

    Args:
        model: Any chat model.
        askings: Other prompts, or other words, by aspect; those missing are the default.

    Raises:
        ValueError: A prompt lacks a variable.
    """

    def __init__(
        self, model: BaseChatModel, *, askings: Mapping[Aspect, Asking] | None = None
    ) -> None:
        self._askings = {**ASKINGS, **(askings or {})}
        for aspect, asking in self._askings.items():
            require_variables(asking.prompt, "input")
            if aspect in {"relevance", "support"}:
                require_variables(asking.prompt, "passage")
            if aspect in {"support", "utility"}:
                require_variables(asking.prompt, "segment")
        settings: dict[str, Any] = {"max_tokens": _VERDICT_TOKENS}
        if getattr(model, "offers_logprobs", False):
            settings = {"max_tokens": 1, "logprobs": True, "top_logprobs": TOP}
        told = RunnableLambda(self._prompt, name="tell_judgement")
        self._judge = (told | ask_aside(model, **settings)).with_config(run_name="judge")

    def judge(
        self, asked: Sequence[Judgement], config: RunnableConfig | None = None
    ) -> list[Judged]:
        """See `Critic`."""
        return self._read(asked, self._judge.batch(list(asked), config))

    async def ajudge(
        self, asked: Sequence[Judgement], config: RunnableConfig | None = None
    ) -> list[Judged]:
        """See `Critic`."""
        return self._read(asked, await self._judge.abatch(list(asked), config))

    def _prompt(self, one: Judgement) -> PromptValue:
        return self._askings[one.aspect].prompt.invoke(
            {
                "input": without_control_words(one.question),
                "so_far": told_so_far(one.before),
                "passage": source_text(one.passage) if one.passage else "",
                "segment": without_control_words(one.segment),
            }
        )

    def _read(self, asked: Sequence[Judgement], replies: Sequence[BaseMessage]) -> list[Judged]:
        return [
            Judged(
                probabilities=read_labels(reply, self._askings[one.aspect].words),
                tokens=tokens_of(reply),
            )
            for one, reply in zip(asked, replies, strict=True)
        ]


def told_so_far(before: str) -> str:
    """The answer so far, as a prompt tells it; nothing where it has not begun."""
    return f"Answer so far: {without_control_words(before)}\n" if before else ""


def tokens_of(reply: BaseMessage) -> int:
    """Tokens read and written for a reply, as far as the model tells."""
    usage = getattr(reply, "usage_metadata", None) or {}
    return int(usage.get("total_tokens", 0))
