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
    from pathlib import Path

    from langchain_core.embeddings import Embeddings

    from langchain_graft.knowledge_base.ingest_report import IngestReport
    from langchain_graft.knowledge_base.journal import Journal
    from langchain_graft.models.pull import OnProgress

EMBED_BATCH = 128


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
        if journal.generation() < manifest.generation:
            journal.finish(manifest.generation)  # stopped between publishing and noting it

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
            self._manifest = replace(self._manifest, generation=self._manifest.generation + 1)
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
        done = 0

        def on_indexed(count: int) -> None:
            nonlocal done
            done += count
            self._tell("index", done, new)

        self._tell("index", 0, new)
        chunks = build_generation(
            generation_folder(self._folder, current + 1),
            base=base,
            journal=self._journal,
            embeddings=self._embeddings,
            on_indexed=on_indexed,
        )
        self._manifest = replace(self._manifest, generation=current + 1, chunks=chunks)
        with writes(self._folder):
            self._manifest.write(self._folder)
        self._journal.finish(current + 1)
        _remove_old(self._folder, current)

    def _check(self, generation: Path) -> None:
        """Whether both indexes of a generation hold what the journal says."""
        chunks = self._journal.counts().get("indexed", 0)
        indexes = Indexes(generation, self._embeddings, base=generation, chunks=chunks)
        try:
            indexes.open("vector")
            indexes.open("bm25")
        finally:
            indexes.close()


def _remove_old(folder: Path, last: int) -> None:
    """Remove all generations before the last one, which slow readers may still be reading."""
    for other in (folder / "generations").iterdir():
        if other.name.split(".")[0] < f"{last:06}":
            shutil.rmtree(other, ignore_errors=True)
