"""Passages whose vectors an index has are not embedded once more to learn from them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Vector = Sequence[float]

_ALIKE = 0.99
"""Cosine of one embedder's vectors of a text, in whatever numbers they were kept."""


def known_of(
    texts: Sequence[str],
    known: Mapping[str, Vector],
    embed: Callable[[list[str]], list[list[float]]],
) -> dict[str, Vector]:
    """Those of the texts whose vectors are known, and are `embed`'s: the first one is tried.

    Raises:
        ValueError: They are another embedder's.
    """
    found = {text: known[text] for text in texts if text in known}
    for text, vector in found.items():
        if not _are_alike(embed([text])[0], vector):
            msg = (
                f"The known vector of {text!r:.80} is not the one that the base gives it. Give "
                "vectors by the same embedder and its base weights, or none"
            )
            raise ValueError(msg)
        break
    return found


def _are_alike(one: Vector, two: Vector) -> bool:
    if len(one) != len(two):
        return False
    inner = math.fsum(a * b for a, b in zip(one, two, strict=True))
    return inner >= _ALIKE * math.hypot(*one) * math.hypot(*two)
