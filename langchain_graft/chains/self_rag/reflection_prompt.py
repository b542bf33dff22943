"""Prompts of a model with reflection tokens, as token ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_graft.chains.self_rag.vocabulary import (
    NO_RETRIEVAL,
    PARAGRAPH,
    PARAGRAPH_END,
    REFLECTION_TOKENS,
    RELEVANT,
    RETRIEVE,
    without_reflection,
)
from langchain_graft.errors import ContextTooLongError
from langchain_graft.source_text import source_text, without_control_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.documents import Document

    from langchain_graft.chains.self_rag.roles import Draft, Judgement
    from langchain_graft.models.model_tokenizer import ModelTokenizer

TEMPLATE = "### Instruction:\n{question}\n\n### Response:\n"
"""As the authors' models were trained (Asai et al. 2023)."""
_BEHIND = 4
"""Reflection tokens that come behind a segment, at most."""
_LEAST_PASSAGE = 8


class ReflectionPrompt:
    """Makes prompts; what others wrote holds no token that stands for a label.

    Args:
        tokenizer: The model's.
        token_ids: By label; None: the tokens of that name.

    Raises:
        ValueError: A token is missing, or two labels have the same one.
    """

    def __init__(
        self, tokenizer: ModelTokenizer, token_ids: Mapping[str, int] | None = None
    ) -> None:
        self._tokenizer = tokenizer
        known = dict(tokenizer.fast.get_vocab() if token_ids is None else token_ids)
        if missing := [label for label in REFLECTION_TOKENS if label not in known]:
            msg = (
                f"The model has no token for {', '.join(map(repr, missing))}: take one that was "
                "trained with them, or give token_ids"
            )
            raise ValueError(msg)
        self.token_ids = {label: known[label] for label in REFLECTION_TOKENS}
        begun = tokenizer.prompt_ids("a")
        self._start = begun[: len(begun) - len(tokenizer.ids("a"))]
        self._marks = {
            mark: [known[mark]] if mark in known else self._ids(mark)
            for mark in (PARAGRAPH, PARAGRAPH_END)
        }
        if len(set(self.token_ids.values())) < len(self.token_ids):
            msg = f"Each label needs a token of its own, not {self.token_ids!r}"
            raise ValueError(msg)

    def of_draft(self, draft: Draft, room: int) -> list[int]:
        """What a segment is written behind; a passage is cut to what fits.

        Raises:
            ContextTooLongError: Not even the question fits.
        """
        begun = self._begun(draft.question, draft.before)
        if draft.passage is None:
            return self._within([*begun, self.token_ids[NO_RETRIEVAL]], room - draft.max_tokens)
        return self._with_passage(begun, draft.passage, room - draft.max_tokens - _BEHIND)

    def of_judgement(self, one: Judgement, room: int) -> list[int]:
        """What a judgement is read behind.

        Raises:
            ContextTooLongError: Not even the question fits.
        """
        begun = self._begun(one.question, one.before)
        if one.aspect == "retrieve":
            return self._within(begun, room)
        said = self.told(one.segment)
        if one.passage is None or one.aspect == "utility":
            return self._within([*begun, *said], room)
        prompt = self._with_passage(begun, one.passage, room - len(said) - _BEHIND)
        if one.aspect == "relevance":
            return prompt
        return [*prompt, self.token_ids[RELEVANT], *said]

    def _begun(self, question: str, before: str) -> list[int]:
        text = TEMPLATE.format(question=without_control_words(question))
        return [*self._start, *self.told(text), *self.told(before)]

    def _with_passage(self, begun: Sequence[int], passage: Document, room: int) -> list[int]:
        before = [*begun, self.token_ids[RETRIEVE], *self._marks[PARAGRAPH]]
        behind = self._marks[PARAGRAPH_END]
        left = room - len(before) - len(behind)
        if left < _LEAST_PASSAGE:
            needed = len(before) + len(behind) + _LEAST_PASSAGE
            raise ContextTooLongError(tokens=needed, limit=max(room, 0))
        return [*before, *self.told(source_text(passage))[:left], *behind]

    def _within(self, ids: list[int], room: int) -> list[int]:
        if len(ids) > room - _BEHIND:
            raise ContextTooLongError(tokens=len(ids), limit=max(room - _BEHIND, 0))
        return ids

    def told(self, text: str) -> list[int]:
        """The tokens of what others wrote: none that stands for a label, however it is spelt."""
        labels = set(self.token_ids.values())
        return [id_ for id_ in self._ids(without_reflection(text)) if id_ not in labels]

    def _ids(self, text: str) -> list[int]:
        with self._tokenizer.lock:
            ids: list[int] = self._tokenizer.fast(
                text, add_special_tokens=False, split_special_tokens=True, verbose=False
            )["input_ids"]
        return ids
