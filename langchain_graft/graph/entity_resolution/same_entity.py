"""A model's word on two entities that the rules can not tell."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from langchain_graft.graph.prompts import SAME_ENTITY_PROMPT
from langchain_graft.models.asking import ask_aside
from langchain_graft.source_text import without_control_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import BaseChatModel

    from langchain_graft.graph.entity_resolution.entities import Entity

_MOST_TOKENS = 4
_MOST_CHARACTERS = 300
_logger = logging.getLogger(__name__)


class SameEntityModel:
    """Asks a model whether two entities are one, each pair once, at most so often.

    Args:
        model: Any chat model; None: the answer is no.
        known: Answers that were given before, by the pair of ids.
        most_calls: After so many calls the answer is no.
    """

    def __init__(
        self,
        model: BaseChatModel | None,
        *,
        known: Mapping[tuple[str, str], bool],
        most_calls: int,
    ) -> None:
        self._ask = (
            SAME_ENTITY_PROMPT | ask_aside(model, max_tokens=_MOST_TOKENS) if model else None
        )
        self._most_calls = most_calls
        self.answers = dict(known)
        self.calls = 0

    def same(self, one: Entity, other: Entity) -> bool:
        """Whether they are one."""
        pair = (min(one.id, other.id), max(one.id, other.id))
        if pair in self.answers:
            return self.answers[pair]
        if self._ask is None or self.calls >= self._most_calls:
            return False
        self.calls += 1
        reply = self._ask.invoke(
            {
                f"{place}_{key}": without_control_words(text)[:_MOST_CHARACTERS]
                for place, entity in (("first", one), ("second", other))
                for key, text in (
                    ("name", entity.name),
                    ("label", entity.label),
                    ("text", entity.context),
                )
            }
        )
        said = str(reply.text).strip().casefold()
        self.answers[pair] = said.startswith(("yes", "是", "**yes"))
        return self.answers[pair]
