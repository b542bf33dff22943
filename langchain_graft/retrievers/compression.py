"""Which units of documents are left out, and the documents without them. Pure: it asks nobody."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import TypedDict

from langchain_graft.retrievers.units import Sentence, left_out, without

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from langchain_core.documents import Document

    from langchain_graft.sentences import Span


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A sentence or a phrase of a document, and what it is worth."""

    document: int
    sentence: int
    """Its number among all sentences."""
    span: Span
    tokens: float
    value: float
    is_guarded: bool = False
    """Not to be left out."""
    is_first: bool = False
    """The first phrase of its sentence."""


class Compression(TypedDict):
    """How a document was shortened: `metadata["compression"]`."""

    kept: int
    """Units that are still there."""
    of: int
    """Units that there were."""
    guarded: int
    """Units that could not be left out, because of what they hold."""
    tokens_before: int
    tokens_after: int
    dropped: list[tuple[int, int]]
    """What was left out, as offsets into the text before."""


def units_to_drop(units: Sequence[Unit], *, ratio: float) -> set[Unit]:
    """Of the units of least value, those that together hold a share of all tokens, all that may go.

    A unit that must stay is not made up for by a better one: guarded units, the last unit of a
    document, and a sentence's first phrase, which holds the subject, while another phrase stays.

    Args:
        units: Of all documents.
        ratio: The share, from 0 to 1; it is met to half a unit if all units may go.
    """
    room = ratio * sum(unit.tokens for unit in units)
    in_document = Counter(unit.document for unit in units)
    in_sentence = Counter(unit.sentence for unit in units)
    dropped: set[Unit] = set()
    for unit in sorted(units, key=lambda unit: (unit.value, unit.is_first)):
        room -= unit.tokens
        if room < -unit.tokens / 2:
            break
        is_subject = unit.is_first and in_sentence[unit.sentence] > 1
        if not (unit.is_guarded or is_subject or in_document[unit.document] == 1):
            dropped.add(unit)
            in_document[unit.document] -= 1
            in_sentence[unit.sentence] -= 1
    return dropped


def shortened(
    document: Document,
    sentences: Sequence[Sentence],
    units: Sequence[Unit],
    dropped: Collection[Unit],
) -> Document:
    """A copy of the document without the dropped units, which says what is missing.

    Args:
        document: The whole one.
        sentences: As `sentences_of` gives them.
        units: Those of this document. Without any it comes back as it is.
        dropped: Units to leave out, of this document or of others.
    """
    if not units:
        return document
    kept = [unit for unit in units if unit not in dropped]
    text = document.page_content
    spans = left_out(text, sentences, {unit.span for unit in kept})
    facts = Compression(
        kept=len(kept),
        of=len(units),
        guarded=sum(unit.is_guarded for unit in units),
        tokens_before=round(sum(unit.tokens for unit in units)),
        tokens_after=round(sum(unit.tokens for unit in kept)),
        dropped=[(start, end) for start, end in spans],
    )
    metadata = {**document.metadata, "compression": facts}
    return document.model_copy(update={"page_content": without(text, spans), "metadata": metadata})
