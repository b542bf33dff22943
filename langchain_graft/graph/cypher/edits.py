"""Changes to a statement's text by place, so that what is not changed stays as it was written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_graft.graph.schema import Schema

Edit = tuple[int, int, str]
"""From, to, and what stands there instead."""


@dataclass(frozen=True)
class Repaired:
    """A statement after a repair, and what was done to it; nothing was when there are no notes."""

    cypher: str
    notes: tuple[str, ...] = field(default=())


Repair = Callable[[str, "Schema", str], Repaired]
"""From a statement, the schema and the question."""


def edited(cypher: str, edits: Iterable[Edit]) -> str:
    """The text with its edits; of two that overlap the first counts."""
    pieces, at = [], 0
    for start, end, text in sorted(set(edits)):
        if start >= at:
            pieces += [cypher[at:start], text]
            at = end
    return "".join([*pieces, cypher[at:]])
