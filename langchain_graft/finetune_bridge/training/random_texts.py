"""Texts without a meaning, by which an embedder that is trained is held to what it was."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_COUNT = 32
_QUERY_WORDS = 5, 14
_PASSAGE_WORDS = 15, 70
_FEWEST_WORDS = 20
_MARKERS = "▁Ġ"
"""Before a word, in the vocabularies of SentencePiece and of byte pairs."""
_CONTINUES = "##"


class RandomTexts:
    """Words of a vocabulary in any order, as long as queries and as passages are.

    They stand for all that is embedded and not trained on: an embedder that gives them its former
    vectors gives texts of other fields theirs, and no text of these fields is needed (as in the
    distillation of Rashid et al., arXiv 2012.15495, and Krishna et al., arXiv 1910.12366).

    Args:
        vocabulary: A tokenizer's.

    Raises:
        ValueError: It has too few whole words.
    """

    def __init__(self, vocabulary: Collection[str]) -> None:
        whole = (one.lstrip(_MARKERS) for one in vocabulary if not one.startswith(_CONTINUES))
        self._words = sorted({one for one in whole if one.isalnum()})
        if len(self._words) < _FEWEST_WORDS:
            msg = (
                f"keep needs a base with a vocabulary of words; this one has {len(self._words)}. "
                "Train with keep=0"
            )
            raise ValueError(msg)

    def queries(self, seed: int) -> list[str]:
        """32 texts; the same seed gives the same."""
        return self._texts(_QUERY_WORDS, random.Random(f"query {seed}"))  # noqa: S311

    def passages(self, seed: int) -> list[str]:
        """32 texts; the same seed gives the same."""
        return self._texts(_PASSAGE_WORDS, random.Random(f"passage {seed}"))  # noqa: S311

    def _texts(self, words: tuple[int, int], draw: random.Random) -> list[str]:
        return [" ".join(draw.choices(self._words, k=draw.randint(*words))) for _ in range(_COUNT)]
