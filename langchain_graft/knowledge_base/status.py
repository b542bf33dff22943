"""What a knowledge base holds, read without its embedder."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from langchain_graft.knowledge_base.journal import Journal
from langchain_graft.knowledge_base.lock import current_writer
from langchain_graft.knowledge_base.manifest import JOURNAL, read_manifest


@dataclass(frozen=True, kw_only=True)
class Status:
    """What a knowledge base holds."""

    folder: str
    embeddings: str | None
    """The embedder's name; None: an object."""
    embeddings_digest: str
    embeddings_adapter: str | None
    """The adapter on it, as `name@000003`."""
    release: int
    """The release that serves; 0: as it was ingested."""
    generation: int
    documents: dict[str, int]
    """Number of documents by state: ready, failed, duplicate."""
    chunks: dict[str, int]
    """Number of chunks by state; `indexed` ones can be found, the others are on their way."""
    failures: dict[str, str]
    """Documents that could not be read, or not all of it, and why."""
    graph: dict[str, int]
    """Number of chunks that a model read for the graph, by state: extracted, failed."""
    graph_failures: dict[str, str]
    """Chunks that could not be extracted, and why."""
    bytes: int
    """Size on disk."""
    writer: str | None
    """Who is writing to it now."""


def read_status(folder: Path | str) -> Status:
    """The status of the knowledge base in a folder.

    Raises:
        NotAKnowledgeBaseError: There is none.
        FormatVersionError: A newer version wrote it.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    journal = Journal(folder / JOURNAL, mode="ro")
    try:
        sources = journal.sources().values()
        chunks = journal.counts()
        graph, graph_failures = journal.graph.counts(), journal.graph.failures()
    finally:
        journal.close()
    return Status(
        folder=str(folder),
        embeddings=manifest.embeddings,
        embeddings_digest=manifest.embeddings_digest,
        embeddings_adapter=manifest.embeddings_adapter,
        release=manifest.release,
        generation=manifest.generation,
        documents=dict(Counter(source.state for source in sources)),
        chunks=chunks,
        failures={s.source_id: s.detail for s in sources if s.detail and s.state != "duplicate"},
        graph=graph,
        graph_failures=graph_failures,
        bytes=sum(_size(path) for path in folder.rglob("*")),
        writer=current_writer(folder),
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:  # a generation that is being replaced
        return 0
