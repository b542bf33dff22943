"""The two indexes of a generation, written once and then only read."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from langchain_graft.errors import GraftError, KnowledgeBaseError
from langchain_graft.knowledge_base.lock import writes
from langchain_graft.retrievers.bm25 import BM25Index
from langchain_graft.retrievers.vector import VectorIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from langchain_core.embeddings import Embeddings

    from langchain_graft.knowledge_base.journal import ChunkRecord, Journal

COLLECTION = "chunks"
_BATCH = 1000
_NO_ROOM = re.compile("disk I/O error|disk is full|No space left|too large|quota", re.IGNORECASE)


class StaleIndexError(KnowledgeBaseError):
    """The indexes do not hold what the journal says they hold."""


class Indexes:
    """Vectors and words of one generation.

    Args:
        folder: The generation's folder.
        embeddings: The embedder whose vectors it holds.
    """

    def __init__(self, folder: Path, embeddings: Embeddings) -> None:
        self.vector = VectorIndex(embeddings, folder / "chroma", name=COLLECTION)
        try:
            self.bm25 = BM25Index(folder / "words")
        except BaseException:
            self.vector.close()
            raise

    def close(self) -> None:
        """Free what they hold open."""
        self.vector.close()
        self.bm25.close()


def build_generation(
    target: Path,
    *,
    base: Path | None,
    journal: Journal,
    embeddings: Embeddings,
    on_indexed: Callable[[int], None],
) -> None:
    """Write the indexes of the next generation: the last one's, less what left, plus what came.

    They are written beside their place and moved there when they are whole. Chunks come in the
    order of their source and place in it, so that the same documents give the same indexes.

    Args:
        target: Where they will lie.
        base: The last generation's folder; None: there is none.
        journal: Tells what is `embedded`, `indexed` and `removed`.
        embeddings: The embedder.
        on_indexed: Told the number of chunks after each batch.

    Raises:
        StaleIndexError: The last generation does not hold what the journal says, or is damaged.
        KnowledgeBaseError: The folder can not be written.
    """
    building = target.with_name(target.name + ".building")
    shutil.rmtree(building, ignore_errors=True)
    with _told(target, base):
        if base is not None:
            shutil.copytree(base, building)
        building.mkdir(parents=True, exist_ok=True)
        indexes = Indexes(building, embeddings)
    try:
        kept = journal.ids("indexed")
        with _told(target, base):
            _drop_and_check(indexes, kept)
        for batch in _embedded(journal):
            with _told(target, base):
                _add(indexes, batch)
            on_indexed(len(batch))
        expected = len(kept) + journal.counts().get("embedded", 0)
        if not len(indexes.vector) == len(indexes.bm25) == expected:
            msg = f"{len(indexes.vector)} vectors, {len(indexes.bm25)} texts, {expected} chunks"
            raise StaleIndexError(msg)
    finally:
        indexes.close()
    shutil.rmtree(target, ignore_errors=True)
    with writes(target.parents[1]):
        building.replace(target)


def open_generation(folder: Path, embeddings: Embeddings) -> Indexes:
    """The indexes of a published generation, to be read.

    Raises:
        StaleIndexError: It is damaged or gone.
    """
    with _told(folder, folder):
        if not folder.is_dir():  # Chroma and tantivy would make empty ones
            raise FileNotFoundError(str(folder))
        indexes = Indexes(folder, embeddings)
        vectors, texts = len(indexes.vector), len(indexes.bm25)
        if vectors != texts:
            indexes.close()
            msg = f"{vectors} vectors, {texts} texts"
            raise ValueError(msg)
    return indexes


@contextmanager
def _told(folder: Path, base: Path | None) -> Iterator[None]:
    """Say of any error of the indexes, which are of many kinds, whether it is room or damage."""
    try:
        yield
    except GraftError:
        raise
    except Exception as error:
        if _NO_ROOM.search(str(error)) or base is None:
            with writes(folder.parents[1], Exception):
                raise
        msg = (
            f"The indexes in {str(base)!r} are damaged ({type(error).__name__}: {error}). "
            "The next `graft ingest` builds them anew from the journal"
        )
        raise StaleIndexError(msg) from error


def _drop_and_check(indexes: Indexes, kept: set[str]) -> None:
    """Take out all that the journal does not keep; all that it keeps has to be there."""
    for index in (indexes.vector, indexes.bm25):
        there = index.ids()
        if missing := kept - there:
            msg = f"{len(missing)} of {len(kept)} chunks are missing in {type(index).__name__}"
            raise StaleIndexError(msg)
        index.delete(there - kept)


def _embedded(journal: Journal) -> Iterator[list[ChunkRecord]]:
    after = ("", -1)
    while batch := journal.embedded(after, _BATCH):
        yield batch
        after = (batch[-1].source_id, batch[-1].ordinal)


def _add(indexes: Indexes, chunks: list[ChunkRecord]) -> None:
    documents = [as_document(chunk) for chunk in chunks]
    vectors = [list(chunk.vector or ()) for chunk in chunks]
    indexes.vector.add(documents, vectors=vectors)
    indexes.bm25.add(documents, texts=[_words(chunk) for chunk in chunks])


def as_document(chunk: ChunkRecord) -> Document:
    """A chunk as retrievers give it."""
    metadata: dict[str, Any] = {**chunk.metadata, "source_id": chunk.source_id}
    return Document(id=chunk.id, page_content=chunk.text, metadata=metadata)


def _words(chunk: ChunkRecord) -> str:
    """What is searched by words: the title twice, since its words say what the text is about.

    A pair is found by the words of its question and of its answer.
    """
    if chunk.metadata.get("question"):
        return f"{chunk.embedded_text}\n{chunk.text}"
    return f"{chunk.metadata.get('title', '')}\n{chunk.embedded_text}"
