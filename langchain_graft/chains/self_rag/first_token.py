"""What a model's first token, or its words, say of labels."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import BaseMessage

TOP = 20
"""Most likeliest tokens that servers tell."""
VERDICT = 0.9
"""Probability of a label that a model without logprobs says outright."""

_WORD = re.compile(r"[a-z]+|\d+|[\u4e00-\u9fff]+", re.IGNORECASE)


def read_labels(reply: BaseMessage, words: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The probabilities of labels, of a reply's first token where it has logprobs, or of its words.

    Args:
        reply: A chat model's.
        words: By label, the words that stand for it, in small letters; a beginning is enough.

    Returns:
        By label; empty where nothing can be read.
    """
    content = (reply.response_metadata.get("logprobs") or {}).get("content") or []
    found = of_first_token(content[0], words) if content else {}
    return found or of_words(str(reply.text), words)


def of_first_token(
    first: Mapping[str, Any], words: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """The probabilities of labels, from the likeliest tokens in the place of the first one.

    A server tells a few tokens only, five or twenty. What a label has that is not among them is not
    known: it is as likely as the last that is told at most, and all such together have what those
    that are told leave; half of that is taken.
    """
    told = first.get("top_logprobs") or [first]
    chances = [(str(one["token"]), _chance(one["logprob"])) for one in told]
    masses = dict.fromkeys(words, 0.0)
    for token, chance in chances:
        if (label := _label(token, words)) is not None:
            masses[label] += chance
    missing = [label for label, mass in masses.items() if not mass]
    if len(missing) == len(words):
        return {}
    rest = max(0.0, 1.0 - sum(chance for _, chance in chances))
    least = min(chance for _, chance in chances)
    for label in missing:
        masses[label] = 0.5 * min(least, rest / len(missing))
    return masses


def of_words(text: str, words: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The label that a reply names first has `VERDICT`, the others share the rest."""
    for word in _WORD.findall(text.lower()):
        for label, known in words.items():
            if word in known or any(one in word for one in known if not one.isascii()):
                others = (1 - VERDICT) / (len(words) - 1)
                return {one: VERDICT if one == label else others for one in words}
    return {}


def _label(token: str, words: Mapping[str, Sequence[str]]) -> str | None:
    """The one label whose words the token begins, or that begin it."""
    part = token.strip(" \t\n▁Ġ\"'`*([.:").lower()
    if not part:
        return None
    held = [label for label, known in words.items() if any(one.startswith(part) for one in known)]
    return held[0] if len(held) == 1 else None


def _chance(logprob: Any) -> float:
    value = float(logprob)
    return math.exp(min(value, 0.0)) if not math.isnan(value) else 0.0
