"""An ingestion: read what is new, embed it, publish a generation. Resumable at every point."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from langchain_graft.errors import SourceError
from langchain_graft.knowledge_base.duplicates import content_of, duplicates_of, holders
from langchain_graft.knowledge_base.ingest_report import IngestReport
from langchain_graft.knowledge_base.journal import ChunkRecord, Journal, SourceRecord
from langchain_graft.knowledge_base.manifest import JOURNAL, Manifest
from langchain_graft.knowledge_base.names import belongs, source_names
from langchain_graft.knowledge_base.publishing import Publisher
from langchain_graft.knowledge_base.reader_pool import ReaderPool
from langchain_graft.models.pull import OnProgress, tell_nobody

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from langchain_core.embeddings import Embeddings

    from langchain_graft.knowledge_base.reading import Chunker, Read, ReadChunk
    from langchain_graft.knowledge_base.sources import FileSource, Found, RecordSource


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
        self._chunker = chunker
        self._report = IngestReport()
        self._tell = on_progress or tell_nobody
        self._journal = Journal(folder / JOURNAL)
        self._publisher = Publisher(
            folder,
            manifest=manifest,
            journal=self._journal,
            embeddings=embeddings,
            report=self._report,
            on_progress=self._tell,
        )

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def files(self, found: Found) -> IngestReport:
        """Ingest files; what a walked folder no longer has is removed."""
        known = self._journal.sources()
        self._report.skipped = dict(found.skipped)
        unreadable = dict(found.unreadable)
        names = source_names([*found.files, *unreadable], known)
        gone = self._forget_missing(set(names.values()), found.roots, known)
        for source, why in unreadable.items():
            self._note(source, names[source.origin], SourceError(why), known)
        self._read({names[source.origin]: source for source in found.files}, gone, known)
        return self._published()

    def records(self, sources: Iterable[RecordSource], *, root: str = "") -> IngestReport:
        """Ingest documents that are here already; what `root` no longer has is removed."""
        known = self._journal.sources()
        seen = set()
        started = time.perf_counter()
        for source in sources:
            seen.add(source.name)
            self._record(source, known)
            self._report.spend("read", since=started)
            self._publisher.embed()
            started = time.perf_counter()
        self._forget_missing(seen, {root} if root else set(), known)
        return self._published()

    def remove(self, source_ids: Iterable[str]) -> IngestReport:
        """Take documents out."""
        wanted = list(dict.fromkeys(source_ids))
        known = self._journal.sources()
        if unknown := set(wanted) - set(known):
            msg = f"Not in the knowledge base: {', '.join(sorted(map(repr, unknown)))}"
            raise ValueError(msg)
        self._journal.forget(wanted)
        self._report.removed = len(wanted)
        self._read({}, set(wanted), known)
        return self._published()

    def _read(
        self, asked: Mapping[str, FileSource], gone: set[str], known: Mapping[str, SourceRecord]
    ) -> None:
        """Read files that are new or changed, and what was a duplicate of what is gone."""
        known = {name: record for name, record in known.items() if name not in gone}
        files = self._changed(asked, gone, known)
        names = {source.origin: name for name, source in files.items()}
        self._tell("read", 0, len(files))
        with ReaderPool(self._chunker, processes=_processes(len(files))) as pool:
            started = time.perf_counter()
            for done, (source, read) in enumerate(pool.read_all(files.values()), 1):
                self._note(source, names[source.origin], read, known)
                self._tell("read", done, len(files))
                self._report.spend("read", since=started)
                self._publisher.embed()
                started = time.perf_counter()

    def _changed(
        self, asked: Mapping[str, FileSource], gone: set[str], known: Mapping[str, SourceRecord]
    ) -> dict[str, FileSource]:
        """The files that have to be read: new ones, changed ones, and those that failed before."""
        contents = {name: content_of(source.path) for name, source in asked.items()}
        other = {n for n, c in contents.items() if n in known and known[n].digest != c.digest}
        files = duplicates_of(gone | other, known) | dict(asked)
        contents |= {n: content_of(s.path) for n, s in files.items() if n not in contents}
        held_by = holders(contents, known)
        fresh = {}
        for name, source in sorted(files.items(), key=lambda item: item[1].origin):
            had, digest = known.get(name), contents[name].digest
            first = held_by[contents[name]] if digest else name
            if first != name:
                self._duplicate(source, name, digest, first)
            elif had and had.state == "ready" and had.digest == digest:
                self._unchanged(source, had)
            else:
                fresh[name] = source
        return fresh

    def _unchanged(self, source: FileSource, had: SourceRecord) -> None:
        self._report.unchanged += 1
        if had.detail:
            self._report.failed[had.source_id] = had.detail
        here = replace(had, origin=source.origin, root=source.root or had.root)
        if here != had:
            self._journal.record(here)

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
    ) -> set[str]:
        """Remove what stood below these roots and is there no longer."""
        gone = {name for name, r in known.items() if name not in seen and belongs(r, roots)}
        if gone:
            self._journal.forget(gone)
            self._report.removed += len(gone)
        return gone

    def _published(self) -> IngestReport:
        self._publisher.publish()
        return self._report


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


def _processes(files: int) -> int | None:
    return 1 if files <= 2 else None  # noqa: PLR2004
