"""Pairs of entities that are worth comparing: those that share a word, letters, or meaning."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING, Any

from langchain_graft.graph.entity_resolution.kinds import agree
from langchain_graft.graph.entity_resolution.names import core_name, initials, plain_name
from langchain_graft.han import HAN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_graft.graph.entity_resolution.entities import Entity

_LARGEST_BLOCK = 200
"""A word that more entities share tells none of them apart; but a whole name always does."""
_LEAST_WORD = 2
NEAREST = 5
LEAST_COSINE = 0.5
_ROWS = 1024


def candidate_pairs(entities: Sequence[Entity], vectors: Any | None) -> set[tuple[int, int]]:
    """Positions of entities that may be one, smaller first; of kinds that agree.

    Blocks by whole name, by word, by initials, by first letters (Chinese: by the first character
    and the first two), and by the nearest name vectors.

    Args:
        entities: All of them.
        vectors: `float32[entity, dimension]` of their names, length 1, centred; None: none.
    """
    blocks: dict[str, list[int]] = defaultdict(list)
    for n, entity in enumerate(entities):
        for key in _keys(entity.name):
            blocks[key].append(n)
    pairs: set[tuple[int, int]] = set()
    for key, block in blocks.items():
        if len(block) <= _LARGEST_BLOCK or key.startswith("="):
            pairs.update(combinations(block, 2))
    if vectors is not None and len(entities) > 1:
        pairs.update(_nearest(vectors))
    return {(a, b) for a, b in pairs if agree(entities[a].kind, entities[b].kind)}


def _keys(name: str) -> set[str]:
    plain, core = plain_name(name), core_name(name)
    keys = {f"={plain}", f"={core}", plain.replace(" ", "")}
    keys |= {word for word in core.split() if len(word) >= _LEAST_WORD}
    letters = plain.replace(" ", "")
    if HAN.match(letters):
        keys |= {f"^{letters[0]}", letters[:2]} | set(letters.split("·"))
    else:
        keys |= {f"~{letters}"} if len(letters) <= 6 else set()  # noqa: PLR2004
        keys |= {f"~{short}" for short in (initials(name), initials(core)) if short}
        keys |= {f"{letters[:4]}…"} if len(letters) > 4 else set()  # noqa: PLR2004
    return keys - {""}


def _nearest(vectors: Any) -> Iterator[tuple[int, int]]:
    for start in range(0, len(vectors), _ROWS):
        cosines = vectors[start : start + _ROWS] @ vectors.T
        for row, near in enumerate(cosines.argsort(axis=1)[:, -NEAREST - 1 :]):
            one = start + row
            for other in map(int, near):
                if other != one and cosines[row, other] >= LEAST_COSINE:
                    yield min(one, other), max(one, other)
