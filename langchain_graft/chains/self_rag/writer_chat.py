"""A writer that any chat model is: one segment from one passage."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableLambda

from langchain_graft.chains.answer import LANGUAGE_RULES
from langchain_graft.chains.prompts import SELF_RAG_ALONE_PROMPT, SELF_RAG_SEGMENT_PROMPT
from langchain_graft.chains.self_rag.critic_prompted import tokens_of, told_so_far
from langchain_graft.chains.self_rag.formulas import fluency
from langchain_graft.chains.self_rag.roles import Draft, Written
from langchain_graft.language import language_of
from langchain_graft.models.asking import ask_aside, require_variables
from langchain_graft.sentences import sentence_spans
from langchain_graft.source_text import source_text, without_control_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from langchain_core.prompt_values import PromptValue
    from langchain_core.prompts import BasePromptTemplate
    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_graft.chains.self_rag.vocabulary import Aspect

WHOLE = "Answer the question in one or two sentences."
CLOSED = "Answer with one of these, and nothing else: {choices}."
FIRST = "Write the first sentence of the answer, and only that."
NEXT = "Write the next sentence of the answer, and only that. If nothing is missing, reply: DONE"

_DONE = re.compile(r"\W*\bDONE\b\W*\Z")


class ChatWriter:
    """Writes segments with a chat model, which is shown one passage at a time.

    Args:
        model: Any chat model; of one that offers logprobs the fluency of a segment is known.
        prompt: With the variables `passage`, `input` and `task`, perhaps `so_far` and
            `language_rule`.
        alone_prompt: For segments without a passage.
        choices: The answers that there are, in closed mode; empty: any.

    Raises:
        ValueError: A prompt lacks a variable.
    """

    judges: frozenset[Aspect] = frozenset()

    def __init__(
        self,
        model: BaseChatModel,
        *,
        prompt: BasePromptTemplate[Any] = SELF_RAG_SEGMENT_PROMPT,
        alone_prompt: BasePromptTemplate[Any] = SELF_RAG_ALONE_PROMPT,
        choices: Sequence[str] = (),
    ) -> None:
        require_variables(prompt, "passage", "input", "task")
        require_variables(alone_prompt, "input", "task")
        self._prompt, self._alone_prompt = prompt, alone_prompt
        self._model, self._choices = model, tuple(choices)
        self._logprobs = {"logprobs": True} if getattr(model, "offers_logprobs", False) else {}

    def write(self, drafts: Sequence[Draft], config: RunnableConfig | None = None) -> list[Written]:
        """See `Writer`."""
        replies = self._asked(drafts).batch(list(drafts), config)
        return [self._read(*both) for both in zip(drafts, replies, strict=True)]

    async def awrite(
        self, drafts: Sequence[Draft], config: RunnableConfig | None = None
    ) -> list[Written]:
        """See `Writer`."""
        replies = await self._asked(drafts).abatch(list(drafts), config)
        return [self._read(*both) for both in zip(drafts, replies, strict=True)]

    def _asked(self, drafts: Sequence[Draft]) -> Runnable[Draft, BaseMessage]:
        most = max((one.max_tokens for one in drafts), default=1)
        model = ask_aside(self._model, max_tokens=most, **self._logprobs)
        told: Runnable[Draft, PromptValue] = RunnableLambda(self._told, name="tell_draft")
        return (told | model).with_config(run_name="generate")

    def _told(self, draft: Draft) -> PromptValue:
        question = without_control_words(draft.question)
        variables = {
            "input": question,
            "so_far": told_so_far(draft.before),
            "task": self._task(draft),
            "language_rule": LANGUAGE_RULES[language_of(question)],
        }
        if draft.passage is None:
            return self._alone_prompt.invoke(variables)
        return self._prompt.invoke({**variables, "passage": source_text(draft.passage)})

    def _task(self, draft: Draft) -> str:
        if self._choices:
            return CLOSED.format(choices=", ".join(self._choices))
        if not draft.goes_on:
            return WHOLE
        return NEXT if draft.before else FIRST

    def _read(self, draft: Draft, reply: BaseMessage) -> Written:
        text = str(reply.text)
        said = _DONE.sub("", text) if draft.goes_on else text
        spans = sentence_spans(said)
        end = spans[0].end if draft.goes_on and spans else len(said)
        logprobs = _logprobs(reply, end)
        return Written(
            text=self._chosen(said[:end]),
            fluency=fluency(logprobs),
            ended=not draft.goes_on or said != text,
            tokens=tokens_of(reply),
        )

    def _chosen(self, text: str) -> str:
        """The one choice that a reply names; what names none, or several, is no answer."""
        if not self._choices:
            return text
        named = [
            one
            for one in self._choices
            if re.search(rf"(?<!\w){re.escape(one)}(?!\w)", text, re.IGNORECASE)
        ]
        longest = [one for one in named if not any(one in other for other in named if other != one)]
        return longest[0] if len(longest) == 1 else ""


def _logprobs(reply: BaseMessage, end: int) -> list[float]:
    """Those of a reply's tokens up to that character."""
    content = (reply.response_metadata.get("logprobs") or {}).get("content") or []
    found, place = [], 0
    for one in content:
        if place >= end:
            break
        found.append(float(one["logprob"]))
        place += len(one["token"])
    return found
