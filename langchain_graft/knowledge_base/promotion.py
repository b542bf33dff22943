"""From one release to another: what is missing is made beside, then one pointer is replaced."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from langchain_graft.errors import GateFailedError
from langchain_graft.knowledge_base.indexes import Indexes, StaleIndexError, build_generation, holds
from langchain_graft.knowledge_base.lock import writes
from langchain_graft.knowledge_base.manifest import Manifest, generation_folder
from langchain_graft.knowledge_base.publishing import note_published, remove_old
from langchain_graft.knowledge_base.reembedding import Reembedding, ReembedEstimate, remove_vectors
from langchain_graft.knowledge_base.release import Release, current_release, now
from langchain_graft.models.digest import embeddings_digest
from langchain_graft.models.pull import OnProgress, tell_nobody

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from langchain_core.embeddings import Embeddings

    from langchain_graft.knowledge_base.journal import Journal


@dataclass(frozen=True)
class Candidate:
    """A release that is ready to serve and does not yet."""

    release: Release
    former: Release
    """The one that serves."""
    indexes: Indexes | None
    """What it would search, opened with its embedder; None: there are no documents."""


class Promotion:
    """One change of release, under the writer lock of a knowledge base.

    Whatever stops it, the former release serves until `kb.json` is replaced and the new one from
    then on; vectors that were made are kept, and doing it again goes on with them. The former
    generation is kept, with what came since put into it by its own embedder when it is gone back
    to.

    Args:
        folder: The knowledge base.
        journal: Its journal.
        manifest: Its `kb.json`.
        on_progress: Told ("embed" | "index", done, total).
        on_estimate: Told how much there is to embed, measured on two batches, before the rest.
    """

    def __init__(
        self,
        folder: Path,
        *,
        journal: Journal,
        manifest: Manifest,
        on_progress: OnProgress | None = None,
        on_estimate: Callable[[ReembedEstimate], None] | None = None,
    ) -> None:
        self._folder = folder
        self._journal = journal
        self._manifest = manifest
        self._tell = on_progress or tell_nobody
        self._on_estimate = on_estimate
        note_published(journal, manifest)

    def promote(
        self,
        release: Release,
        embeddings: Embeddings,
        *,
        gate: Callable[[Candidate], str] | None = None,
        force: bool = False,
    ) -> Release:
        """Make a release serve.

        Args:
            release: What it is made of; number, generation and what was checked are filled in.
            embeddings: Its embedder.
            gate: Compares it with the one that serves and says what it found.
            force: Go on when the gate fails.

        Raises:
            GateFailedError: It is not better; nothing was changed.
        """
        former = current_release(self._folder, self._manifest)
        number = self._manifest.releases + 1
        ready = self._ready(embeddings)
        release = replace(
            release,
            number=number,
            embeddings_digest=embeddings_digest(embeddings),
            generation=ready.generation,
            created=now(),
            former=former.number,
        )
        release = self._checked(release, former, embeddings, gate, force=force)
        if not self._manifest.releases:
            former.write(self._folder)
        release.write(self._folder)
        self._flip(replace(ready, releases=number), release)
        return release

    def rollback(self, release: Release, embeddings: Embeddings) -> None:
        """Make a release serve that did before."""
        self._flip(self._ready(embeddings), release)

    def _ready(self, embeddings: Embeddings) -> Manifest:
        """What `kb.json` will say of the indexes; they are there when this returns."""
        now = self._manifest
        digest = embeddings_digest(embeddings)
        is_empty = not now.generation and not self._journal.count_since(-1)
        if digest == now.embeddings_digest or is_empty:
            return now
        if now.kept_generation is not None and now.kept_digest == digest:
            try:
                return self._made(embeddings, now.kept_generation)
            except StaleIndexError:  # it was damaged from outside: made anew
                pass
        return self._made(embeddings, None)

    def _made(self, embeddings: Embeddings, base: int | None) -> Manifest:
        """The indexes with that embedder's vectors: an earlier generation's and what came since."""
        since = -1 if base is None else base
        kept = self._journal.kept_ids(since)
        source = None if base is None else generation_folder(self._folder, base)
        is_same = not self._journal.count_since(since)
        if base is not None and source and is_same and holds(source, embeddings, kept):
            generation, chunks = base, len(kept)
        else:
            generation = self._manifest.next_generation
            chunks = self._build(generation, source, kept, since, embeddings)
        former = self._manifest
        return replace(
            former,
            generation=generation,
            chunks=chunks,
            kept_generation=former.generation or None,
            kept_digest=former.embeddings_digest if former.generation else None,
        )

    def _build(
        self, generation: int, base: Path | None, kept: set[str], since: int, embeddings: Embeddings
    ) -> int:
        with closing(Reembedding(self._folder, embeddings)) as vectors:
            vectors.embed(
                lambda: self._journal.since(since),
                on_estimate=self._on_estimate,
                on_progress=self._tell,
            )
            done, total = 0, self._journal.count_since(since)

            def on_indexed(count: int) -> None:
                nonlocal done
                done += count
                self._tell("index", done, total)

            self._tell("index", 0, total)
            return build_generation(
                generation_folder(self._folder, generation),
                base=base,
                kept=kept,
                came=vectors.with_vectors(self._journal.since(since)),
                embeddings=embeddings,
                on_indexed=on_indexed,
            )

    def _checked(
        self,
        candidate: Release,
        former: Release,
        embeddings: Embeddings,
        gate: Callable[[Candidate], str] | None,
        *,
        force: bool,
    ) -> Release:
        """The candidate with what the gate says of it."""
        if gate is None:
            return candidate
        generation = generation_folder(self._folder, candidate.generation)
        indexes = Indexes(generation, embeddings, base=generation) if candidate.generation else None
        try:
            return replace(candidate, checked=gate(Candidate(candidate, former, indexes)))
        except GateFailedError as error:
            if not force:
                remove_old(self._folder, self._manifest, last=self._manifest.generation)
                raise
            return replace(candidate, checked=f"failed: {error}", forced=True)
        finally:
            if indexes:
                indexes.close()

    def _flip(self, ready: Manifest, release: Release) -> None:
        """Replace the pointer, then note it and clear up."""
        former = self._manifest
        self._manifest = replace(
            ready,
            release=release.number,
            embeddings=release.embeddings,
            embeddings_adapter=release.embeddings_adapter,
            embeddings_digest=release.embeddings_digest,
        )
        with writes(self._folder):
            self._manifest.write(self._folder)
        if self._manifest.generation == former.next_generation:
            self._journal.finish(self._manifest.generation, also_pending=True)
        remove_vectors(self._folder)
        remove_old(self._folder, self._manifest, last=former.generation)
