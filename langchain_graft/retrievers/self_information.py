"""Context compression: what tells least, or least about the question, is left out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from langchain_core.documents.compressor import BaseDocumentCompressor
from langchain_core.runnables.config import run_in_executor
from pydantic import ConfigDict, Field

from langchain_graft.models.compute import compute_pool
from langchain_graft.models.token_scorer import TokenScorer
from langchain_graft.retrievers.compression import Unit, shortened, units_to_drop
from langchain_graft.retrievers.evidence import Clue, evidence
from langchain_graft.retrievers.units import Sentence, UnitKind, guarded_units, sentences_of
from langchain_graft.retrievers.warned import all_warned, failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.callbacks import Callbacks
    from langchain_core.documents import Document

    from langchain_graft.sentences import Span

Measure = Literal["information", "contrast", "evidence"]

RATIO = 0.35
_MOST_QUERY_CHARACTERS = 2000
_TINY = 1e-9


class SelfInformationCompressor(BaseDocumentCompressor):
    """Leaves out the sentences or phrases that tell least, up to a share of all tokens.

    By "information" a unit is worth the mean of its tokens' I(x_t) = -log p(x_t | x_<t), read
    behind the document's title (Li et al. 2023, Selective Context, 3). By "contrast" it is worth
    what it tells about the question q: I(q) - I(q | title, unit) per token of q. By Bayes' rule
    that is I(unit) - I(unit | q) (Jiang et al. 2023, LongLLMLingua, 4), asked the other way round,
    so that what the unit says besides does not thin it out: it keeps more of the sentences that
    answers need (benchmarks/compression.py). "evidence" adds to the contrast what stands first in
    its document, and what says more of what the best units bring up (`evidence`): a question with
    two steps names only the first.

    The units of all documents are ranked together, and those of least worth that hold `ratio` of
    the tokens are left out. With `keep_facts` units with numbers, negations, quotation marks or
    citation marks stay all the same, so that less is left out; no better unit goes in their place.
    One unit of every document stays in any case. No order is changed, and no sentence is cut but
    between phrases.

    A shortened document is a copy with a shorter text; `metadata["compression"]` is a
    `Compression`. One of a single unit comes back as it is. If the scorer fails, all come back
    whole, with a line in `metadata["warnings"]`.

    Example:
        >>> compressor = SelfInformationCompressor(scorer=scorer)
        >>> chain = create_rag_chain(model, retriever, compressor=compressor)
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    scorer: TokenScorer
    ratio: float = Field(default=RATIO, ge=0, lt=1)
    """Share of the tokens in the units that are left out, those that must stay counted in."""
    unit: UnitKind = "sentence"
    measure: Measure = "evidence"
    """With an empty query it is "information" in any case."""
    keep_facts: bool = True

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002
    ) -> list[Document]:
        """The documents in their order, shortened; one call of the scorer for all."""
        split = [sentences_of(document.page_content, self.unit) for document in documents]
        pieces = list(_pieces(documents, split))
        try:
            scores = self._scores(pieces, query.strip()[:_MOST_QUERY_CHARACTERS])
        except Exception as error:  # noqa: BLE001 (the whole documents are good enough)
            return all_warned(documents, failure("not compressed", error))
        units = self._units(pieces, scores)
        dropped = units_to_drop(units, ratio=self.ratio)
        return [
            shortened(document, split[n], [unit for unit in units if unit.document == n], dropped)
            for n, document in enumerate(documents)
        ]

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Like `compress_documents`, off the event loop."""
        return await run_in_executor(
            compute_pool(), self.compress_documents, documents, query, callbacks
        )

    def _scores(self, pieces: Sequence[_Piece], query: str) -> list[list[Score]]:
        """Tokens and value of each unit of each sentence."""
        if not pieces:
            return []
        if self.measure == "information" or not query:
            return information(self.scorer, pieces)
        scores = contrast(self.scorer, pieces, query)
        return _as_evidence(pieces, scores, query) if self.measure == "evidence" else scores

    def _units(self, pieces: Sequence[_Piece], scores: Sequence[Sequence[Score]]) -> list[Unit]:
        units = []
        for number, (piece, of) in enumerate(zip(pieces, scores, strict=True)):
            guarded = guarded_units(piece.text, piece.sentence) if self.keep_facts else set()
            units += [
                Unit(
                    document=piece.document,
                    sentence=number,
                    span=span,
                    tokens=score.tokens,
                    value=score.value,
                    is_guarded=span in guarded,
                    is_first=span == piece.sentence.units[0],
                )
                for span, score in zip(piece.sentence.units, of, strict=True)
            ]
        return units


class Score(NamedTuple):
    """What a scorer says of a unit."""

    tokens: float
    """A token that spans units counts to each by its characters."""
    value: float


class _Piece(NamedTuple):
    """A sentence of a document."""

    document: int
    title: str
    text: str
    """The document's."""
    sentence: Sentence

    def said(self, span: Span | None = None) -> str:
        start, end = span or self.sentence.span
        return self.text[start:end]


def information(scorer: TokenScorer, pieces: Sequence[_Piece]) -> list[list[Score]]:
    """I(unit) of each sentence's units, in nats per token."""
    prompts = [f"{piece.title}\n" if piece.title else "" for piece in pieces]
    found = _logprobs(scorer, prompts, [piece.said() for piece in pieces])
    return [
        [
            Score(sum(shares), -_product(shares, logprobs) / max(sum(shares), _TINY))
            for shares in _shares(scorer, piece, len(logprobs))
        ]
        for piece, logprobs in zip(pieces, found, strict=True)
    ]


def contrast(scorer: TokenScorer, pieces: Sequence[_Piece], query: str) -> list[list[Score]]:
    """I(q) - I(q | title, unit) of each sentence's units, in nats per token of the question."""
    pairs = [(piece, span) for piece in pieces for span in piece.sentence.units]
    prompts = [
        f"{piece.title}: {piece.said(span)}\n" if piece.title else f"{piece.said(span)}\n"
        for piece, span in pairs
    ]
    found = _logprobs(scorer, ["", *prompts], [query] * (len(pairs) + 1))
    alone, *means = [sum(logprobs) / max(len(logprobs), 1) for logprobs in found]
    values = iter(means)
    return [
        [Score(sum(shares), next(values) - alone) for shares in _shares(scorer, piece)]
        for piece in pieces
    ]


def _as_evidence(
    pieces: Sequence[_Piece], scores: Sequence[Sequence[Score]], query: str
) -> list[list[Score]]:
    """The same units, worth what they are together."""
    clues, begun = [], set[int]()
    for piece, of in zip(pieces, scores, strict=True):
        is_first = piece.document not in begun
        begun.add(piece.document)
        clues += [
            Clue(piece.document, f"{piece.title} {piece.said(span)}", score.value, is_first)
            for span, score in zip(piece.sentence.units, of, strict=True)
        ]
    values = iter(evidence(clues, query))
    return [[Score(score.tokens, next(values)) for score in of] for of in scores]


def _pieces(documents: Sequence[Document], split: Sequence[Sequence[Sentence]]) -> Iterable[_Piece]:
    """The sentences of the documents that have more than one unit."""
    for number, (document, sentences) in enumerate(zip(documents, split, strict=True)):
        if sum(len(sentence.units) for sentence in sentences) > 1:
            title = str(document.metadata.get("title") or "")
            for sentence in sentences:
                yield _Piece(number, title, document.page_content, sentence)


def _logprobs(
    scorer: TokenScorer, prompts: Sequence[str], continuations: Sequence[str]
) -> list[list[float]]:
    found = [[float(one) for one in of] for of in scorer.logprobs(prompts, continuations)]
    if len(found) != len(prompts) or not all(math.isfinite(one) for of in found for one in of):
        msg = "the scorer gave log-probabilities that are no finite numbers, or too few"
        raise ValueError(msg)
    return found


def _shares(scorer: TokenScorer, piece: _Piece, count: int | None = None) -> list[list[float]]:
    """How much of each token of a sentence lies in each of its units: float[units][tokens]."""
    tokens = scorer.token_spans(piece.said())
    if count is not None and len(tokens) != count:
        msg = f"the scorer gave {count} log-probabilities for {len(tokens)} tokens"
        raise ValueError(msg)
    first = piece.sentence.span.start
    return [
        [_share(first + start, first + end, unit) for start, end in tokens]
        for unit in piece.sentence.units
    ]


def _share(start: int, end: int, unit: Span) -> float:
    if start == end:
        return float(unit.start <= start < unit.end)
    return max(0, min(end, unit.end) - max(start, unit.start)) / (end - start)


def _product(shares: Sequence[float], logprobs: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(shares, logprobs, strict=True))
