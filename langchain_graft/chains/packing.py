"""Documents packed to a budget of tokens, and what had to be left out."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from langchain_core.language_models import BaseChatModel

from langchain_graft.chains.types import LeftOut
from langchain_graft.models.tokens import estimate_tokens
from langchain_graft.sentences import sentence_spans
from langchain_graft.source_text import source_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from langchain_core.documents import Document

CountTokens = Callable[[str], int]

_WORD = re.compile(r"[\u2e80-\u9fff]|[^\s\u2e80-\u9fff]+")
_AROUND_TOKENS = 8


class Packed(NamedTuple):
    """What fits into a budget, and what does not."""

    documents: list[Document]
    left_out: list[LeftOut]
    """In the order of the documents."""


def pack_documents(
    documents: Sequence[Document], *, budget: int | None, count_tokens: CountTokens
) -> Packed:
    """The documents that fit into a budget of tokens, in their order, and what was left out.

    A document that does not fit whole gives the sentences from its beginning that do, if they are
    about half of it or more. The first one gives what fits in any case, if need be up to a word
    within its first sentence. What comes behind is left out, unless it fits whole.

    Args:
        documents: Best first.
        budget: Most tokens of all together, titles included; None: all documents.
        count_tokens: Text to its number of tokens.
    """
    if budget is None:
        return Packed(list(documents), [])

    def tokens_of(document: Document) -> int:
        return count_tokens(source_text(document)) + _AROUND_TOKENS

    packed = Packed([], [])
    left = budget
    for document in documents:
        tokens = needed = tokens_of(document)
        short = document
        if needed > left and (not packed.documents or needed < 2 * left):
            ends = _ends(document.page_content, within_sentences=not packed.documents)
            short = _shortened(document, ends, left, tokens_of)
            tokens = tokens_of(short)
        fits = tokens <= left and bool(short.page_content)
        if fits:
            packed.documents.append(short)
            left -= tokens
        if not fits or short is not document:
            packed.left_out.append(
                _left_out(document, needed - tokens if fits else needed, cut=fits)
            )
    return packed


def token_counter_of(model: object) -> CountTokens:
    """How a model counts tokens, where it says so itself; otherwise an estimate.

    LangChain's own default asks the network for a tokenizer, which this never does.
    """
    own = isinstance(model, BaseChatModel) and model.custom_get_token_ids is not None
    return model.get_num_tokens if own else estimate_tokens  # type: ignore[attr-defined]


def _left_out(document: Document, tokens: int, *, cut: bool) -> LeftOut:
    source = document.metadata.get("source_id")
    return LeftOut(
        document_id=document.id,
        source_id=None if source is None else str(source),
        reason="cut" if cut else "budget",
        tokens=tokens,
    )


def _ends(text: str, *, within_sentences: bool) -> Iterator[Sequence[int]]:
    """Where a text may be cut, the best places first."""
    yield [span.end for span in sentence_spans(text)]
    if within_sentences:
        yield [word.end() for word in _WORD.finditer(text)]
        yield range(len(text) + 1)


def _shortened(
    document: Document,
    places: Iterable[Sequence[int]],
    room: int,
    tokens_of: Callable[[Document], int],
) -> Document:
    """The document up to the last place at which it has at most `room` tokens; empty if none."""

    def until(end: int) -> Document:
        return document.model_copy(update={"page_content": document.page_content[:end]})

    for ends in places:
        if fitting := bisect_right(ends, room, key=lambda end: tokens_of(until(end))):
            return until(ends[fitting - 1])
    return until(0)
