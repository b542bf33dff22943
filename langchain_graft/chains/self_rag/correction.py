"""What is done about bad retrieval (Yan et al., Corrective Retrieval Augmented Generation)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from langchain_graft.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.documents import Document
    from langchain_core.retrievers import RetrieverLike

Verdict = Literal["correct", "ambiguous", "incorrect"]

_STRIP_SENTENCES = 2


@dataclass(frozen=True, kw_only=True)
class RetrievalCorrection:
    """How retrieval is judged, and what follows.

    It is correct where one document is as relevant as `upper` or more, incorrect where none is as
    relevant as `lower`, otherwise ambiguous. Of correct ones the documents from `lower` on are
    read; of ambiguous ones these and the fallback's; of incorrect ones the fallback's alone.
    """

    upper: float = 0.6
    """Least p(Relevant) of the best document; the paper's are an evaluator's scores (0.5, -0.9)."""
    lower: float = 0.2
    fallback: RetrieverLike | None = None
    """Where else is looked; None: nowhere."""
    refine: bool = True
    """Whether documents are cut down to their relevant strips of two sentences."""

    def __post_init__(self) -> None:
        if not 0 <= self.lower <= self.upper <= 1:
            msg = (
                f"lower and upper must lie between 0 and 1, lower first, "
                f"not {self.lower!r} and {self.upper!r}"
            )
            raise ValueError(msg)

    def verdict(self, scores: Sequence[float]) -> Verdict:
        """What the relevances of the documents say of retrieval."""
        best = max(scores, default=-1.0)
        if best >= self.upper:
            return "correct"
        return "ambiguous" if best >= self.lower else "incorrect"


def corrected(
    documents: Sequence[Document],
    scores: Sequence[float],
    verdict: Verdict,
    rule: RetrievalCorrection,
) -> list[Document]:
    """The documents that are still read; where nothing else is looked for, never none of some."""
    kept = [one for one, score in zip(documents, scores, strict=True) if score >= rule.lower]
    if verdict == "incorrect" and rule.fallback is None:
        return list(documents)
    return kept


def strips_of(document: Document) -> list[Document]:
    """The document in strips of two sentences; none of one that is no longer than that."""
    parts = sentences(document.page_content)
    if len(parts) <= _STRIP_SENTENCES:
        return []
    return [
        document.model_copy(
            update={"page_content": " ".join(parts[start : start + _STRIP_SENTENCES])}
        )
        for start in range(0, len(parts), _STRIP_SENTENCES)
    ]
