"""What sentences are worth as evidence together: one says where to look, another what is there."""

from __future__ import annotations

import math
from collections import Counter
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, NamedTuple

from langchain_graft.wording import content_words

if TYPE_CHECKING:
    from collections.abc import Sequence

LEADS = 2
"""So many units that tell most are where links start."""
_TINY = 1e-9


class Clue(NamedTuple):
    """A unit of a document."""

    document: int
    text: str
    """With the document's title: what it says "he" of."""
    value: float
    """What it tells about the question, in any measure."""
    is_first: bool
    """It stands in its document's first sentence, which often says what the document is about."""


def evidence(clues: Sequence[Clue], question: str) -> list[float]:
    """What each unit is worth: z(value) + 1 if it is first + z(link to the `LEADS` best).

    z takes the mean away and divides by the deviation. The best are those of the highest
    z(value) + 1 if first. A link is the share of a best unit's words, weighed by how rare they are
    among all units, without the question's, that a unit of another document has too: a question
    with two steps names the first, and its answer's words are only in what the first one leads to.
    Weights of 1 were chosen on 85 training questions of MuSiQue: 0.86 of the needed sentences are
    left at 0.59 of the tokens, of 0.78 by contrast alone (benchmarks/compression.py --data).
    """
    said = [content_words(clue.text) for clue in clues]
    counts = Counter(word for words in said for word in words)
    rarity = {word: math.log(1 + len(said) / count) for word, count in counts.items()}
    alone = [
        value + clue.is_first
        for value, clue in zip(_standard([clue.value for clue in clues]), clues, strict=True)
    ]
    best = sorted(range(len(clues)), key=lambda n: -alone[n])[:LEADS]
    asked = content_words(question)
    leads = [(clues[n].document, said[n] - asked) for n in best]
    links = [
        max(
            (
                _weight(new & words, rarity) / max(_weight(new, rarity), _TINY)
                for document, new in leads
                if document != clue.document
            ),
            default=0.0,
        )
        for clue, words in zip(clues, said, strict=True)
    ]
    return [a + b for a, b in zip(alone, _standard(links), strict=True)]


def _weight(words: set[str], rarity: dict[str, float]) -> float:
    return math.fsum(rarity[word] for word in words)


def _standard(values: Sequence[float]) -> list[float]:
    """The values with mean 0 and deviation 1; of equal ones, 0 each."""
    if not values:
        return []
    mean, deviation = fmean(values), pstdev(values)
    return [(value - mean) / (deviation + _TINY) for value in values]
