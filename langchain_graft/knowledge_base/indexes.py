"""The two indexes of a generation, written once and then only read."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from langchain_core.documents import Document

from langchain_graft.errors import GraftError, KnowledgeBaseError
from langchain_graft.knowledge_base.lock import writes
from langchain_graft.retrievers.bm25 import BM25Index
from langchain_graft.retrievers.vector import VectorIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from langchain_core.embeddings import Embeddings

    from langchain_graft.knowledge_base.journal import ChunkRecord

Kind = Literal["vector", "bm25"]
IndexT = TypeVar("IndexT", VectorIndex, BM25Index)

COLLECTION = "chunks"
_BATCH = 1000
_PASSING = re.compile(
    "disk I/O error|disk is full|No space left|too large|quota|Too many open files|out of memory|"
    "Permission ?denied|read-?only|unable to open database|database is locked",
    re.IGNORECASE,
)
_LIBRARY_ERRORS = (ValueError, RuntimeError, AttributeError)  # tantivy's, and Chroma's at its start


class StaleIndexError(KnowledgeBaseError):
    """The indexes do not hold what the journal says they hold."""


class Indexes:
    """Vectors and words of one generation, each opened when it is first used.

    Args:
        folder: The generation's folder.
        embeddings: The embedder whose vectors it holds.
        base: Where what it holds comes from: the folder itself, or the generation it was copied
            from; None: it is new.
        chunks: How many each of the two has to hold; None: that is not checked.
    """

    def __init__(
        self, folder: Path, embeddings: Embeddings, *, base: Path | None, chunks: int | None = None
    ) -> None:
        self._folder = folder
        self._embeddings = embeddings
        self._base = base
        self._chunks = chunks
        self._links: TemporaryDirectory[str] | None = None

    @cached_property
    def vector(self) -> VectorIndex:
        """The vectors; their folder has to be one that can be written."""
        folder = self._folder / "chroma"
        with _told(self._folder, self._base):
            if not _is_ours(folder):
                msg = (
                    f"Can not search by meaning in {str(folder)!r}: Chroma has to write there, and "
                    "it is read-only or another user's. Search by words (bm25), or copy the "
                    "knowledge base to where you may write"
                )
                raise KnowledgeBaseError(msg)
            return self._checked(VectorIndex(self._embeddings, folder, name=COLLECTION))

    @cached_property
    def bm25(self) -> BM25Index:
        """The words."""
        folder = self._folder / "words"
        with _told(self._folder, self._base):
            if not _is_ours(folder):
                folder = self._linked(folder)
            return self._checked(BM25Index(folder))

    def open(self, kind: Kind) -> VectorIndex | BM25Index:
        """One of them.

        Raises:
            StaleIndexError: It is damaged or gone.
            KnowledgeBaseError: It can not be opened now, or not here.
        """
        with _told(self._folder, self._base):
            if not self._folder.is_dir():  # Chroma and tantivy would make empty ones
                raise FileNotFoundError(str(self._folder))
        return self.vector if kind == "vector" else self.bm25

    def close(self) -> None:
        """Free what they hold open."""
        for kind in ("vector", "bm25"):
            if index := self.__dict__.pop(kind, None):
                index.close()
        if self._links:
            self._links.cleanup()

    def _linked(self, folder: Path) -> Path:
        """A folder of links: tantivy locks the folder that it reads, which is not ours to write."""
        self._links = self._links or TemporaryDirectory(prefix="graft-words-")
        links = Path(self._links.name)
        for path in folder.iterdir():
            if path.suffix != ".lock" and not (links / path.name).is_symlink():
                (links / path.name).symlink_to(path.absolute())
        return links

    def _checked(self, index: IndexT) -> IndexT:
        found = len(index)
        if self._chunks not in (None, found):
            index.close()
            msg = f"{found} of {self._chunks} chunks are in {type(index).__name__}"
            raise ValueError(msg)
        return index


def build_generation(
    target: Path,
    *,
    base: Path | None,
    kept: set[str],
    came: Iterable[ChunkRecord],
    embeddings: Embeddings,
    on_indexed: Callable[[int], None],
) -> int:
    """Write the indexes of the next generation: an earlier one's, less what left, plus what came.

    They are written beside their place and moved there when they are whole. Chunks come in the
    order of their source and place in it, so that the same documents give the same indexes.

    Args:
        target: Where they will lie.
        base: The earlier generation's folder; None: there is none.
        kept: Ids of the chunks that stay as they are there.
        came: The others, with their vectors.
        embeddings: The embedder.
        on_indexed: Told the number of chunks after each batch.

    Returns:
        How many chunks it holds.

    Raises:
        StaleIndexError: The earlier generation does not hold what it should, or is damaged.
        KnowledgeBaseError: The folder can not be written.
    """
    building = target.with_name(target.name + ".building")
    shutil.rmtree(building, ignore_errors=True)
    with _told(target, base):
        if base is not None:
            shutil.copytree(base, building)
        building.mkdir(parents=True, exist_ok=True)
    indexes = Indexes(building, embeddings, base=base)
    try:
        with _told(target, base):
            _drop_and_check(indexes, kept)
        expected = len(kept)
        for batch in _batches(came):
            with _told(target, base):
                _add(indexes, batch)
            expected += len(batch)
            on_indexed(len(batch))
        if not len(indexes.vector) == len(indexes.bm25) == expected:
            msg = f"{len(indexes.vector)} vectors, {len(indexes.bm25)} texts, {expected} chunks"
            raise StaleIndexError(msg)
    finally:
        indexes.close()
    shutil.rmtree(target, ignore_errors=True)
    with writes(target.parents[1]):
        building.replace(target)
    return expected


@contextmanager
def _told(folder: Path, base: Path | None) -> Iterator[None]:
    """Say of an error what it is: damage of what lies in `base`, or a trouble that passes.

    Raises:
        StaleIndexError: Chroma or tantivy does not understand what lies there, or it is gone.
        KnowledgeBaseError: The disk, a permission, open files, memory: nothing is wrong with it.
    """
    from chromadb.errors import ChromaError  # loaded with `VectorIndex`

    try:
        yield
    except GraftError:
        raise
    except (OSError, MemoryError, ChromaError, *_LIBRARY_ERRORS) as error:
        if _passes(error) and base == folder:
            msg = (
                f"Can not read {str(folder)!r} now: {str(error) or 'no memory'}. Nothing is lost: "
                "mend that (permissions, memory, open files) and do it again"
            )
            raise KnowledgeBaseError(msg) from error
        if _passes(error) or base is None:
            with writes(folder.parents[1], Exception):
                raise
        msg = (
            f"The indexes in {str(base)!r} are damaged ({type(error).__name__}: {error}). "
            "The next `graft ingest` builds them anew from the journal"
        )
        raise StaleIndexError(msg) from error


def _passes(error: BaseException) -> bool:
    """Whether the cause is the machine; Chroma tells it in an error behind the one it raises."""
    if isinstance(error, OSError | MemoryError) and not isinstance(error, FileNotFoundError):
        return True
    behind = error.__cause__ or error.__context__
    return bool(_PASSING.search(str(error))) or (behind is not None and _passes(behind))


def _is_ours(folder: Path) -> bool:
    """Whether all that lies in a folder can be written; what is not there can be made."""
    if not folder.is_dir():
        return True
    there = (folder, *folder.iterdir())
    return all(os.access(path, os.W_OK) or not path.exists() for path in there)


def _drop_and_check(indexes: Indexes, kept: set[str]) -> None:
    """Take out all that the journal does not keep; all that it keeps has to be there."""
    for index in (indexes.vector, indexes.bm25):
        there = index.ids()
        if missing := kept - there:
            msg = f"{len(missing)} of {len(kept)} chunks are missing in {type(index).__name__}"
            raise StaleIndexError(msg)
        index.delete(there - kept)


def holds(folder: Path, embeddings: Embeddings, ids: set[str]) -> bool:
    """Whether both indexes of a generation have these chunks and no other ones.

    Raises:
        StaleIndexError: They are damaged or gone.
        DigestMismatchError: The vectors are another embedder's.
    """
    indexes = Indexes(folder, embeddings, base=folder)
    try:
        both: list[VectorIndex | BM25Index] = [indexes.open("vector"), indexes.open("bm25")]
        with _told(folder, folder):
            return all(index.ids() == ids for index in both)
    finally:
        indexes.close()


def _batches(chunks: Iterable[ChunkRecord]) -> Iterator[list[ChunkRecord]]:
    left = iter(chunks)
    while batch := list(islice(left, _BATCH)):
        yield batch


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
    """What is searched by words; a pair is found by those of its question and of its answer."""
    is_pair = chunk.metadata.get("question")
    return f"{chunk.embedded_text}\n{chunk.text}" if is_pair else chunk.embedded_text
