"""An ingestion: read what is new, embed it, publish a generation. Resumable at every point."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from langchain_graft.errors import SourceError
from langchain_graft.knowledge_base.indexes import (
    StaleIndexError,
    build_generation,
    open_generation,
)
from langchain_graft.knowledge_base.journal import ChunkRecord, Journal, SourceRecord
from langchain_graft.knowledge_base.lock import writes
from langchain_graft.knowledge_base.manifest import Manifest, generation_folder
from langchain_graft.knowledge_base.names import belongs, source_names
from langchain_graft.knowledge_base.reader_pool import ReaderPool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from langchain_core.embeddings import Embeddings

    from langchain_graft.knowledge_base.reading import Chunker, Read, ReadChunk
    from langchain_graft.knowledge_base.sources import FileSource, Found, RecordSource
    from langchain_graft.models.pull import OnProgress

EMBED_BATCH = 512


@dataclass
class IngestReport:
    """What an ingestion did."""

    added: int = 0
    """Documents that are new."""
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    duplicates: int = 0
    """Files with the content of another one; that one is indexed."""
    failed: dict[str, str] = field(default_factory=dict)
    """Documents that could not be read, or not all of it, and why; what was indexed of those that
    could not be read at all stays."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Files of other kinds, by their ending."""
    chunks: int = 0
    """Chunks that were embedded."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time spent reading, embedding and indexing."""


class Ingestion:
    """One run over one knowledge base, under its writer lock.

    Documents are read in processes of their own while chunks are embedded here. Whatever stops the
    run, the journal holds what was done, and the next run goes on from there; readers see the last
    published generation until the new one is whole.
    """

    def __init__(
        self,
        folder: Path,
        *,
        manifest: Manifest,
        embeddings: Embeddings,
        chunker: Chunker,
        on_progress: OnProgress | None,
    ) -> None:
        self._folder = folder
        self._manifest = manifest
        self._embeddings = embeddings
        self._chunker = chunker
        self._on_progress = on_progress
        self._journal = Journal(folder / "journal.sqlite")
        self._report = IngestReport()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        if self._journal.generation() < manifest.generation:
            self._journal.finish(manifest.generation)  # stopped between publishing and noting it

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def files(self, found: Found) -> IngestReport:
        """Ingest files; what a walked folder no longer has is removed."""
        known = self._journal.sources()
        self._report.skipped = dict(found.skipped)
        unreadable = dict(found.unreadable)
        names = source_names([*found.files, *unreadable], known)
        self._forget_missing(set(names.values()), found.roots, known)
        for source, why in unreadable.items():
            self._note(source, names[source.origin], SourceError(why), known)
        todo = [(source, names[source.origin]) for source in found.files]
        fresh = list(self._changed(todo, known))
        self._tell("read", 0, len(fresh))
        with ReaderPool(self._chunker, processes=self._processes(len(fresh))) as pool:
            started = time.perf_counter()
            for done, (source, read) in enumerate(pool.read_all([s for s, _ in fresh]), 1):
                self._note(source, names[source.origin], read, known)
                self._tell("read", done, len(fresh))
                self._seconds["read"] += time.perf_counter() - started
                self._embed(at_least=EMBED_BATCH)
                started = time.perf_counter()
        return self._publish()

    def records(self, sources: Iterable[RecordSource], *, root: str = "") -> IngestReport:
        """Ingest documents that are here already; what `root` no longer has is removed."""
        known = self._journal.sources()
        seen = set()
        started = time.perf_counter()
        for source in sources:
            seen.add(source.name)
            self._record(source, known)
            if len(seen) % EMBED_BATCH == 0:
                self._seconds["read"] += time.perf_counter() - started
                self._embed(at_least=EMBED_BATCH)
                started = time.perf_counter()
        self._seconds["read"] += time.perf_counter() - started
        self._forget_missing(seen, {root} if root else set(), known)
        return self._publish()

    def remove(self, source_ids: Iterable[str]) -> IngestReport:
        """Take documents out."""
        wanted = list(dict.fromkeys(source_ids))
        if unknown := set(wanted) - set(self._journal.sources()):
            msg = f"Not in the knowledge base: {', '.join(sorted(map(repr, unknown)))}"
            raise ValueError(msg)
        self._journal.forget(wanted)
        self._report.removed = len(wanted)
        return self._publish()

    def _changed(
        self, todo: Iterable[tuple[FileSource, str]], known: Mapping[str, SourceRecord]
    ) -> Iterator[tuple[FileSource, str]]:
        """The files that have to be read: new ones, changed ones, and those that failed before."""
        first_with: dict[tuple[str, str], str] = {}
        for source, name in todo:
            had = known.get(name)
            digest = _digest(source.path)
            kind = (
                source.path.suffix.lower()
            )  # the same bytes are another document to another reader
            first = first_with.setdefault((digest, kind), name) if digest else name
            if first != name:
                self._duplicate(source, name, digest, first)
            elif had and had.state == "ready" and had.digest == digest:
                self._report.unchanged += 1
                if had.detail:
                    self._report.failed[name] = had.detail
                here = replace(had, origin=source.origin, root=source.root or had.root)
                if here != had:
                    self._journal.record(here)
            else:
                yield source, name

    def _duplicate(self, source: FileSource, name: str, digest: str, first: str) -> None:
        self._report.duplicates += 1
        record = SourceRecord(
            source_id=name,
            origin=source.origin,
            root=source.root,
            digest=digest,
            state="duplicate",
            detail=first,
        )
        self._journal.record(record, [])

    def _note(
        self,
        source: FileSource,
        name: str,
        read: Read | SourceError,
        known: Mapping[str, SourceRecord],
    ) -> None:
        """Write into the journal what became of a file."""
        had = known.get(name)
        record = SourceRecord(
            source_id=name, origin=source.origin, root=source.root, digest="", state="failed"
        )
        if isinstance(read, SourceError):
            self._report.failed[name] = str(read)
            self._journal.record(replace(record, detail=str(read)))
            return
        self._count(had)
        if read.unread:
            self._report.failed[name] = read.unread
        self._journal.record(
            replace(record, digest=read.digest, state="ready", detail=read.unread),
            chunk_records(name, read.chunks, source=source.origin),
        )

    def _record(self, source: RecordSource, known: Mapping[str, SourceRecord]) -> None:
        """Cut a document that is here already, if it is new or changed."""
        had = known.get(source.name)
        record = SourceRecord(
            source_id=source.name,
            origin=source.origin,
            root=source.root,
            digest=source.digest,
            state="ready",
        )
        if had == record:
            self._report.unchanged += 1
            return
        try:
            chunks = self._chunker.cut(source.document, name="")
        except SourceError as error:
            self._report.failed[source.name] = str(error)
            self._journal.record(replace(record, digest="", state="failed", detail=str(error)))
            return
        self._count(had)
        self._journal.record(record, chunk_records(source.name, chunks, source=source.name))

    def _count(self, had: SourceRecord | None) -> None:
        if had and had.state == "ready":
            self._report.changed += 1
        else:
            self._report.added += 1

    def _forget_missing(
        self, seen: set[str], roots: set[str], known: Mapping[str, SourceRecord]
    ) -> None:
        """Remove what stood below these roots and is there no longer."""
        gone = [name for name, r in known.items() if name not in seen and belongs(r, roots)]
        if gone:
            self._journal.forget(gone)
            self._report.removed += len(gone)

    def _embed(self, *, at_least: int) -> None:
        """Embed pending chunks in batches, as long as there are at least so many."""
        while (pending := self._journal.counts().get("pending", 0)) >= at_least:
            started = time.perf_counter()
            batch = self._journal.pending(EMBED_BATCH)
            vectors = self._embeddings.embed_documents([chunk.embedded_text for chunk in batch])
            ids = (chunk.id for chunk in batch)
            self._journal.set_vectors(dict(zip(ids, vectors, strict=True)))
            self._report.chunks += len(batch)
            self._seconds["embed"] += time.perf_counter() - started
            left = pending - len(batch)
            self._tell("embed", self._report.chunks, self._report.chunks + left)

    def _publish(self) -> IngestReport:
        """Embed what is left and make the next generation, if anything changed."""
        self._embed(at_least=1)
        started = time.perf_counter()
        try:
            self._build()
        except StaleIndexError:
            # The last generation was damaged from outside: the journal is the truth, build anew.
            self._journal.start_over()
            self._manifest = replace(self._manifest, generation=self._manifest.generation + 1)
            self._embed(at_least=1)
            self._build(fresh=True)
        self._seconds["index"] = time.perf_counter() - started
        self._report.seconds = dict(self._seconds)
        return self._report

    def _build(self, *, fresh: bool = False) -> None:
        counts = self._journal.counts()
        new = counts.get("embedded", 0)
        current = self._manifest.generation
        base = generation_folder(self._folder, current) if current and not fresh else None
        if not new and not counts.get("removed") and (base is None or self._is_whole(base)):
            return
        done = 0

        def on_indexed(count: int) -> None:
            nonlocal done
            done += count
            self._tell("index", done, new)

        self._tell("index", 0, new)
        build_generation(
            generation_folder(self._folder, current + 1),
            base=base,
            journal=self._journal,
            embeddings=self._embeddings,
            on_indexed=on_indexed,
        )
        self._manifest = replace(self._manifest, generation=current + 1)
        with writes(self._folder):
            self._manifest.write(self._folder)
        self._journal.finish(current + 1)
        _remove_old(self._folder, current)

    def _is_whole(self, generation: Path) -> bool:
        try:
            open_generation(generation, self._embeddings).close()
        except StaleIndexError:
            return False
        return True

    def _processes(self, files: int) -> int | None:
        return 1 if files <= 2 else None  # noqa: PLR2004

    def _tell(self, label: str, done: int, total: int) -> None:
        if self._on_progress:
            self._on_progress(label, done, total)


def chunk_records(
    source_id: str, chunks: Iterable[ReadChunk], *, source: str
) -> Iterator[ChunkRecord]:
    """A document's chunks under their ids: a hash of source, text and occurrence.

    The same document gives the same ids on every machine.
    """
    occurrences: Counter[str] = Counter()
    for ordinal, chunk in enumerate(chunks):
        key = json.dumps([source_id, chunk.text, occurrences[chunk.text]], ensure_ascii=False)
        occurrences[chunk.text] += 1
        yield ChunkRecord(
            id=hashlib.sha256(key.encode()).hexdigest()[:32],
            source_id=source_id,
            ordinal=ordinal,
            text=chunk.text,
            embedded_text=chunk.embedded_text,
            metadata={**chunk.metadata, "source": source},
        )


def _digest(path: Path) -> str:
    """Sha256 of a file's bytes; '' when it can not be read, which its reader will explain."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _remove_old(folder: Path, last: int) -> None:
    """Remove all generations before the last one, which slow readers may still be reading."""
    for other in (folder / "generations").iterdir():
        if other.name.split(".")[0] < f"{last:06}":
            shutil.rmtree(other, ignore_errors=True)
