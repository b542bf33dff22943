"""What all rerankers have in common: documents in the order of their new scores."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING

from langchain_graft.models.tokens import estimate_tokens
from langchain_graft.retrievers.warned import all_warned, failure
from langchain_graft.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.documents import Document

_MOST_CHARACTERS_A_TOKEN = 4


def ranked(
    documents: Sequence[Document], scores: Sequence[float], *, top_n: int | None = None
) -> list[Document]:
    """Copies of the documents, highest score first, with it in `metadata["rerank_score"]`.

    What a retriever wrote into `metadata["score"]` stays. Ties keep their order.

    Args:
        documents: In their former order.
        scores: One per document.
        top_n: How many come out; None: all.

    Raises:
        ValueError: A score is missing, or no number.
    """
    if len(scores) != len(documents) or any(map(math.isnan, scores)):
        msg = f"{len(documents)} documents need as many scores, not {list(scores)!r:.200}"
        raise ValueError(msg)
    order = sorted(range(len(documents)), key=lambda n: -scores[n])
    return [_scored(documents[n], float(scores[n])) for n in order[:top_n]]


def not_reranked(
    documents: Sequence[Document], error: Exception, *, top_n: int | None = None
) -> list[Document]:
    """The documents in their former order, with a line in `metadata["warnings"]`; it is logged."""
    return all_warned(documents[:top_n], failure("not reranked", error))


def beginning(text: str, *, max_tokens: int) -> str:
    """The whole sentences from a text's beginning that fit; of the first one in any case a part.

    Args:
        text: Any text.
        max_tokens: Most tokens, by estimate.
    """
    part = text[: _MOST_CHARACTERS_A_TOKEN * max_tokens]
    if part == text and estimate_tokens(text) <= max_tokens:
        return text

    def tokens_until(end: int) -> int:
        return estimate_tokens(part[:end])

    whole = [span.end for span in sentence_spans(part)][:-1]  # the last one may be cut
    for ends in (whole, range(len(part) + 1)):
        if fitting := bisect_right(ends, max_tokens, key=tokens_until):
            return part[: ends[fitting - 1]]
    return ""


def _scored(document: Document, score: float) -> Document:
    metadata = {**document.metadata, "rerank_score": score}
    return document.model_copy(update={"metadata": metadata})
