"""Of sentences that say the same, in whatever documents, one is kept."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from langchain_core.documents.compressor import BaseDocumentCompressor
from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import run_in_executor
from pydantic import ConfigDict, Field

from langchain_graft.errors import MissingExtraError
from langchain_graft.han import HAN
from langchain_graft.models.compute import compute_pool
from langchain_graft.models.token_scorer import TokenScorer
from langchain_graft.models.tokens import estimate_tokens
from langchain_graft.retrievers.compression import Unit, shortened
from langchain_graft.retrievers.unit_vectors import unit_vectors
from langchain_graft.retrievers.units import Sentence, has_negation, number_words, sentences_of
from langchain_graft.retrievers.warned import all_warned, failure
from langchain_graft.sentences import Span
from langchain_graft.wording import content_words, numbers_in

try:
    import numpy as np
except ImportError as error:
    raise MissingExtraError("models") from error

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from langchain_core.callbacks import Callbacks
    from langchain_core.documents import Document

THRESHOLD = 0.95
_WORD = re.compile(r"[^\W\d_][\w'’-]*")
_POINTS_BACK = re.compile(
    r"\b(?:he|she|it|they|him|her|them|his|hers|its|their|theirs|this|that|these|those|such|here"
    r"|there|i|we|my|our)\b|[他她它这那此该其我]",
    re.IGNORECASE,
)


class RedundancyFilter(BaseDocumentCompressor):
    """Leaves out sentences that another one, of the same or another document, says as well.

    Two sentences say the same when the cosine of their vectors is `threshold` or more, and they

    - have the same numbers, and both or neither a negation,
    - have no word with a capital letter, and no Chinese word, that the other one lacks,
    - point back to nothing ("he", "this", 该), or stand under the same title.

    Of several that say the same the one with most information stays: the sum of its tokens'
    -log p with a scorer, else its number of content words; the earlier one where both are equal. A
    document of which nothing is left is left out. Others are shortened as by
    `SelfInformationCompressor`. If the embedder or the scorer fails, all come back whole, with a
    line in `metadata["warnings"]`.

    Example:
        >>> filter = RedundancyFilter(embeddings=load_embeddings())
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    embeddings: Embeddings
    """All sentences are embedded in one batch."""
    threshold: float = Field(default=THRESHOLD, ge=0, le=1)
    scorer: TokenScorer | None = None

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,  # noqa: ARG002
        callbacks: Callbacks | None = None,  # noqa: ARG002
    ) -> list[Document]:
        """The documents in their order, without what is said twice."""
        split = [sentences_of(document.page_content, "sentence") for document in documents]
        said = list(_said(documents, split))
        try:
            repeated = self._repeated(said)
        except Exception as error:  # noqa: BLE001 (the whole documents are good enough)
            return all_warned(documents, failure("repetitions not left out", error))
        return list(_without(documents, split, said, repeated))

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Like `compress_documents`, off the event loop."""
        return await run_in_executor(
            compute_pool(), self.compress_documents, documents, query, callbacks
        )

    def _repeated(self, said: Sequence[Said]) -> set[int]:
        """Numbers of the sentences that one with more information says as well."""
        if len(said) < 2:  # noqa: PLR2004
            return set()
        vectors = unit_vectors(self.embeddings.embed_documents([one.text for one in said]))
        values = self._information(said)
        ranking = sorted(range(len(said)), key=lambda n: (-values[n], n))
        vectors = vectors[ranking]
        kept: list[int] = []  # places in the ranking; their vectors are moved to its front
        for place, number in enumerate(ranking):
            near = np.flatnonzero(vectors[: len(kept)] @ vectors[place] >= self.threshold)
            if not any(say_the_same(said[number], said[ranking[kept[n]]]) for n in near):
                vectors[len(kept)] = vectors[place]
                kept.append(place)
        return set(range(len(said))) - {ranking[place] for place in kept}

    def _information(self, said: Sequence[Said]) -> list[float]:
        if self.scorer is None:
            return [float(len(content_words(one.text))) for one in said]
        prompts = [f"{one.title}\n" if one.title else "" for one in said]
        found = self.scorer.logprobs(prompts, [one.text for one in said])
        return [-float(np.sum(of)) for of in found]


class Said(NamedTuple):
    """A sentence, and where it is said."""

    text: str
    title: str = ""
    document: int = 0
    span: Span = Span(0, 0)


def say_the_same(one: Said, other: Said) -> bool:
    """Whether two sentences whose vectors are near each other differ in nothing that counts."""
    return (
        (one.title == other.title or not _POINTS_BACK.search(f"{one.text} {other.text}"))
        and _numbers(one.text) == _numbers(other.text)
        and has_negation(one.text) == has_negation(other.text)
        and _han_words(one.text) == _han_words(other.text)
        and _name_alike(one.text, other.text)
    )


def _numbers(text: str) -> set[str]:
    return numbers_in(text) | number_words(text)


def _han_words(text: str) -> set[str]:
    """Chinese has no capital letters: any word may be a name."""
    return {word for word in content_words(text) if HAN.match(word)}


def _name_alike(one: str, other: str) -> bool:
    """Whether each has the names of the other, in the same order."""
    names, others = _names(one), _names(other)
    words, other_words = content_words(one), content_words(other)
    in_both = [[name for name in of if name in names and name in others] for of in (names, others)]
    return other_words >= set(names) and words >= set(others) and in_both[0] == in_both[1]


def _names(text: str) -> list[str]:
    """Stems of the words with a capital letter, each once."""
    capitals = (word for word in _WORD.findall(text) if word[0].isupper())
    return list(dict.fromkeys(stem for word in capitals for stem in content_words(word)))


def _said(documents: Sequence[Document], split: Sequence[Sequence[Sentence]]) -> Iterator[Said]:
    for number, (document, sentences) in enumerate(zip(documents, split, strict=True)):
        title = str(document.metadata.get("title") or "")
        for start, end in (sentence.span for sentence in sentences):
            yield Said(document.page_content[start:end], title, number, Span(start, end))


def _without(
    documents: Sequence[Document],
    split: Sequence[Sequence[Sentence]],
    said: Sequence[Said],
    repeated: Collection[int],
) -> Iterator[Document]:
    """The documents without the repeated sentences; not those of which nothing is left."""
    units = [
        Unit(
            document=one.document,
            sentence=number,
            span=one.span,
            tokens=estimate_tokens(one.text),
            value=-float(number in repeated),
        )
        for number, one in enumerate(said)
    ]
    dropped = {unit for unit in units if unit.value}
    for number, document in enumerate(documents):
        own = [unit for unit in units if unit.document == number]
        if dropped.isdisjoint(own):
            yield document
        elif not dropped.issuperset(own):
            yield shortened(document, split[number], own, dropped)
