"""A knowledge base as it would be searched under an adapter that does not serve."""

from __future__ import annotations

import copy
from array import array
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

from langchain_graft.knowledge_base.indexes import Indexes, build_generation
from langchain_graft.knowledge_base.journal import Journal
from langchain_graft.knowledge_base.manifest import JOURNAL, generation_folder, read_manifest
from langchain_graft.knowledge_base.publishing import EMBED_BATCH
from langchain_graft.models.digest import embeddings_digest
from langchain_graft.models.pull import OnProgress, tell_nobody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.embeddings import Embeddings

    from langchain_graft.finetune_bridge.adapters.ref import AdapterRef
    from langchain_graft.knowledge_base.indexes import Kind
    from langchain_graft.knowledge_base.journal import ChunkRecord
    from langchain_graft.knowledge_base.knowledge_base import KnowledgeBase
    from langchain_graft.knowledge_base.live import LiveIndexes


@contextmanager
def trial_of(
    kb: KnowledgeBase, adapter: AdapterRef, *, on_progress: OnProgress | None = None
) -> Iterator[KnowledgeBase]:
    """The knowledge base with an adapter on its embedder, to be searched and measured.

    Nothing of it is changed, and what serves it goes on. An adapter that changes documents' vectors
    has all passages embedded into a folder that is thrown away.

    Args:
        kb: The knowledge base, with documents.
        adapter: One of its adapters, on an embedder.
        on_progress: Told ("embed", done, total).

    Raises:
        AdapterMismatchError: It was made for another embedder.
    """
    embedders, manifest = kb._embedders, read_manifest(kb.folder)  # noqa: SLF001 (one package)
    base = embedders.base_of(kb.adapters.manifest(adapter))
    embeddings = embedders.by_name(base, str(adapter))
    with ExitStack() as stack:
        folder = generation_folder(kb.folder, manifest.generation)
        if embeddings_digest(embeddings) != manifest.embeddings_digest:
            place = stack.enter_context(TemporaryDirectory(prefix="graft-trial-"))
            folder = generation_folder(Path(place), 1)
            folder.parent.mkdir(parents=True)
            _build(folder, kb.folder, embeddings, on_progress or tell_nobody)
        indexes = stack.enter_context(closing(Indexes(folder, embeddings, base=folder)))
        trial = copy.copy(kb)
        trial._live = cast("LiveIndexes", _Standing(indexes))  # noqa: SLF001
        yield trial


class _Standing:
    """Indexes that stay the same, as `LiveIndexes` gives them."""

    def __init__(self, indexes: Indexes) -> None:
        self._indexes = indexes

    @contextmanager
    def current(self, kind: Kind | None = None) -> Iterator[Indexes]:
        """Always these."""
        if kind:
            self._indexes.open(kind)
        yield self._indexes


def _build(target: Path, kb: Path, embeddings: Embeddings, tell: OnProgress) -> None:
    with closing(Journal(kb / JOURNAL, mode="ro")) as journal:
        chunks = list(journal.indexed())
    build_generation(
        target,
        base=None,
        kept=set(),
        came=_embedded(chunks, embeddings, tell),
        embeddings=embeddings,
        on_indexed=lambda _: None,
    )


def _embedded(
    chunks: list[ChunkRecord], embeddings: Embeddings, tell: OnProgress
) -> Iterator[ChunkRecord]:
    left, done = iter(chunks), 0
    while batch := list(islice(left, EMBED_BATCH)):
        vectors = embeddings.embed_documents([one.embedded_text for one in batch])
        for one, vector in zip(batch, vectors, strict=True):
            yield replace(one, vector=array("f", vector))
        done += len(batch)
        tell("embed", done, len(chunks))
