"""Indexes as readers see them: always those of the current generation."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from langchain_graft.errors import GraftError
from langchain_graft.knowledge_base.indexes import Indexes, Kind
from langchain_graft.knowledge_base.manifest import NAME, generation_folder, read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings

    from langchain_graft.knowledge_base.manifest import Manifest
    from langchain_graft.retrievers.filters import Filter
    from langchain_graft.retrievers.query import Query


class _Opened:
    """The indexes of one generation, and how many searches are in them."""

    def __init__(self, indexes: Indexes | None, manifest: bytes) -> None:
        self.indexes = indexes
        self.manifest = manifest
        self.searches = 0
        self.superseded = False


class LiveIndexes:
    """Opens the current generation when it is first searched, and a newer one when there is one.

    A search that has begun ends on the generation on which it began, with the embedder that wrote
    it; that is closed when the last search has left it. May be used by several threads.

    Args:
        folder: The knowledge base.
        embedder_of: Gives the embedder that `kb.json` names.
    """

    def __init__(self, folder: Path, embedder_of: Callable[[Manifest], Embeddings]) -> None:
        self._folder = folder
        self._embedder_of = embedder_of
        self._lock = threading.Lock()
        self._opened: _Opened | None = None

    @contextmanager
    def current(self, kind: Kind | None = None) -> Iterator[Indexes | None]:
        """The current generation's indexes for one search; None while nothing is published.

        Args:
            kind: The one that is searched, which is opened; None: none yet.
        """
        with self._lock:
            opened = self._newest(kind)
            opened.searches += 1
        try:
            yield opened.indexes
        finally:
            with self._lock:
                opened.searches -= 1
                _close_unused(opened)

    def close(self) -> None:
        """Close what is open, once no search is in it."""
        with self._lock:
            if self._opened:
                self._opened.superseded = True
                _close_unused(self._opened)
            self._opened = None

    def _newest(self, kind: Kind | None) -> _Opened:
        """The current generation; it may be replaced and removed while it is being opened."""
        while True:
            opened = self._named_now()
            try:
                if opened.indexes and kind:
                    opened.indexes.open(kind)
            except GraftError:
                if opened is self._named_now():
                    raise
                continue
            return opened

    def _named_now(self) -> _Opened:
        """The generation that `kb.json` names."""
        manifest = (self._folder / NAME).read_bytes()  # its times tell no two quick writes apart
        if self._opened is None or self._opened.manifest != manifest:
            newer = _Opened(self._indexes(), manifest)
            if self._opened:
                self._opened.superseded = True
                _close_unused(self._opened)
            self._opened = newer
        return self._opened

    def _indexes(self) -> Indexes | None:
        manifest = read_manifest(self._folder)
        if not manifest.generation:
            return None
        folder = generation_folder(self._folder, manifest.generation)
        embeddings = self._embedder_of(manifest)
        return Indexes(folder, embeddings, base=folder, chunks=manifest.chunks)


class LiveIndex:
    """One of the live indexes, as an `IndexRetriever` searches it."""

    def __init__(self, live: LiveIndexes, kind: Kind) -> None:
        self._live = live
        self._kind = kind

    def search_many(
        self,
        queries: Sequence[Query],
        *,
        k: int,
        filter: Filter | None = None,  # noqa: A002
    ) -> list[list[Document]]:
        """Search the current generation; nothing is found while there is none."""
        with self._live.current(self._kind) as indexes:
            if indexes is None:
                return [[] for _ in queries]
            return indexes.open(self._kind).search_many(queries, k=k, filter=filter)


def _close_unused(opened: _Opened) -> None:
    if opened.superseded and not opened.searches and opened.indexes:
        opened.indexes.close()
        opened.indexes = None
