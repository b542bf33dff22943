"""What was read becomes searchable: embedded, then published as the next generation."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from langchain_graft.knowledge_base.indexes import (
    Indexes,
    StaleIndexError,
    build_generation,
)
from langchain_graft.knowledge_base.lock import writes
from langchain_graft.knowledge_base.manifest import Manifest, generation_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from langchain_core.embeddings import Embeddings

    from langchain_graft.knowledge_base.ingest_report import IngestReport
    from langchain_graft.knowledge_base.journal import ChunkRecord, Journal
    from langchain_graft.models.pull import OnProgress

EMBED_BATCH = 128
_BATCH = 1000


class Publisher:
    """Embeds what is pending in the journal, and makes generations of it; the one writer's.

    Args:
        folder: The knowledge base.
        manifest: Its `kb.json`.
        journal: Its journal.
        embeddings: Its embedder.
        report: Where it writes down what it did.
        on_progress: Told ("embed" | "index", done, total).
    """

    def __init__(
        self,
        folder: Path,
        *,
        manifest: Manifest,
        journal: Journal,
        embeddings: Embeddings,
        report: IngestReport,
        on_progress: OnProgress,
    ) -> None:
        self._folder = folder
        self._manifest = manifest
        self._journal = journal
        self._embeddings = embeddings
        self._report = report
        self._tell = on_progress
        note_published(journal, manifest)

    def embed(self, *, to_the_end: bool = False) -> None:
        """Embed pending chunks, as long as there is a whole batch of them; or all."""
        least = 1 if to_the_end else EMBED_BATCH
        while (pending := self._journal.count("pending")) >= least:
            started = time.perf_counter()
            self._tell("embed", self._report.chunks, self._report.chunks + pending)
            batch = self._journal.pending(EMBED_BATCH)
            vectors = self._embeddings.embed_documents([chunk.embedded_text for chunk in batch])
            ids = (chunk.id for chunk in batch)
            self._journal.set_vectors(dict(zip(ids, vectors, strict=True)))
            self._report.chunks += len(batch)
            self._report.spend("embed", since=started)
            left = pending - len(batch)
            self._tell("embed", self._report.chunks, self._report.chunks + left)

    def publish(self) -> None:
        """Embed what is left and make the next generation, if anything changed."""
        self.embed(to_the_end=True)
        started = time.perf_counter()
        try:
            self._build()
        except StaleIndexError:
            # The last generation was damaged from outside: the journal is the truth, build anew.
            self._report.rebuilt = True
            self._journal.start_over()
            self._manifest = replace(self._manifest, generation=self._manifest.next_generation)
            self.embed(to_the_end=True)
            self._build(fresh=True)
        self._report.spend("index", since=started)

    def _build(self, *, fresh: bool = False) -> None:
        new = self._journal.count("embedded")
        current = self._manifest.generation
        base = generation_folder(self._folder, current) if current and not fresh else None
        if not new and not self._journal.count("removed") and not fresh:
            if base:
                self._check(base)
            return
        following = self._manifest.next_generation
        done = 0

        def on_indexed(count: int) -> None:
            nonlocal done
            done += count
            self._tell("index", done, new)

        self._tell("index", 0, new)
        chunks = build_generation(
            generation_folder(self._folder, following),
            base=base,
            kept=self._journal.ids("indexed"),
            came=_embedded(self._journal),
            embeddings=self._embeddings,
            on_indexed=on_indexed,
        )
        self._manifest = replace(self._manifest, generation=following, chunks=chunks)
        with writes(self._folder):
            self._manifest.write(self._folder)
        self._journal.finish(following)
        remove_old(self._folder, self._manifest, last=current)

    def _check(self, generation: Path) -> None:
        """Whether both indexes of a generation hold what the journal says."""
        chunks = self._journal.counts().get("indexed", 0)
        indexes = Indexes(generation, self._embeddings, base=generation, chunks=chunks)
        try:
            indexes.open("vector")
            indexes.open("bm25")
        finally:
            indexes.close()


def _embedded(journal: Journal) -> Iterator[ChunkRecord]:
    after = ("", -1)
    while batch := journal.embedded(after, _BATCH):
        yield from batch
        after = (batch[-1].source_id, batch[-1].ordinal)


def note_published(journal: Journal, manifest: Manifest) -> None:
    """Note the current generation, where a run was stopped between publishing and noting it."""
    if journal.generation() < manifest.generation:
        journal.finish(manifest.generation)


def remove_old(folder: Path, manifest: Manifest, *, last: int) -> None:
    """Remove all generations but those that are named.

    Args:
        folder: The knowledge base.
        manifest: Names the current one, and the one that is kept to go back to.
        last: The one before, which slow readers may still be reading.
    """
    named = {manifest.generation, manifest.kept_generation, last}
    names = {generation_folder(folder, number).name for number in named if number is not None}
    for other in (folder / "generations").glob("*"):  # none where nothing was ever published
        if other.name not in names:
            shutil.rmtree(other, ignore_errors=True)
