"""Documents in the order in which a model makes the most of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.documents import Document


def lost_in_the_middle_order(documents: Sequence[Document]) -> list[Document]:
    """The best document first, the second best last, the worst in the middle.

    Models use best what stands at the ends of a long prompt (Liu et al. 2023, Lost in the Middle,
    section 4). Of five: 1 3 5 4 2; of six: 1 3 5 6 4 2.

    It belongs behind whatever cuts a ranking off at its end, a budget of tokens above all: what is
    cut off behind it would be the second best.

    Args:
        documents: Best first.
    """
    return [*documents[::2], *documents[1::2][::-1]]
