"""A graph of a knowledge base: chunk by chunk, resumable, and rebuilt without the model."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from langchain_core.documents import Document

from langchain_graft.errors import GraftError
from langchain_graft.graph.claims import graph_of_claims
from langchain_graft.graph.entity_resolution.resolution import Merge, Resolution
from langchain_graft.graph.entity_resolution.resolver import ResolutionSettings, resolve_entities
from langchain_graft.graph.extraction_reply import read_claims
from langchain_graft.graph.extraction_schema import schema_from_json, schema_to_json
from langchain_graft.knowledge_base.graph_journal import ExtractionRecord
from langchain_graft.models.digest import digest_of
from langchain_graft.models.pull import OnProgress, tell_nobody
from langchain_graft.models.tokens import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel

    from langchain_graft.graph.extraction import ExtractionReply, Extractor
    from langchain_graft.graph.store import GraphStore
    from langchain_graft.graph.types import GraphDocument
    from langchain_graft.knowledge_base.journal import ChunkRecord, Journal

DEFAULT_MAX_CONCURRENCY = 2
"""Calls at the same time; a local model has no more hands."""
BATCH = 200
"""Graph documents of one transaction of the store."""
SAMPLE = 2
"""Chunks on which an estimate measures."""
OWN_STORE = ""
_FAILURES_IN_A_ROW = 8
_CALLS_EACH = 2
_LEAST_REPLY_TOKENS = 40


@dataclass(frozen=True, kw_only=True)
class GraphEstimate:
    """What building a graph would take."""

    chunks: int
    """Chunks that have to be read by the model."""
    extracted: int
    """Chunks that have been."""
    calls: int
    input_tokens: int
    output_tokens: int
    seconds: float | None
    """None: nothing was measured."""
    measured: int = 0
    """Chunks on which speed and length of replies were measured; their replies are kept."""


@dataclass(kw_only=True)
class GraphReport:
    """What building a graph did."""

    extracted: int = 0
    """Chunks that the model read now."""
    kept: int = 0
    """Chunks whose replies were there."""
    failed: dict[str, str] = field(default_factory=dict)
    """Chunks that could not be extracted, and why; they are tried again the next time."""
    dropped: int = 0
    """Claims of the model that the text does not bear out."""
    nodes: int = 0
    relationships: int = 0
    merges: int = 0
    """Entities that were taken for one."""
    added: int = 0
    """Chunks whose graphs were put into the store."""
    removed: int = 0
    """Chunks that left the store."""
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def spend(self, on: str, *, since: float) -> None:
        """Add the time since then."""
        self.seconds[on] = self.seconds.get(on, 0.0) + time.perf_counter() - since


class GraphBuilding:
    """One building of one graph, under the knowledge base's writer lock.

    Every reply is in the journal before the next step; what the store holds is worked out from the
    journal alone. Whatever stops the building, the next one goes on from there.

    Args:
        journal: The knowledge base's.
        extractor: Asks the model; None: what it said before is enough.
        on_progress: Told ("extract" | "graph", done, total).
        max_concurrency: Most calls at the same time.
    """

    def __init__(
        self,
        journal: Journal,
        extractor: Extractor | None,
        *,
        on_progress: OnProgress | None = None,
        max_concurrency: int = DEFAULT_MAX_CONCURRENCY,
    ) -> None:
        if max_concurrency < 1:
            msg = f"max_concurrency must be 1 or more, not {max_concurrency!r}"
            raise ValueError(msg)
        self._journal = journal
        self._asking = extractor
        self._tell = on_progress or tell_nobody
        self._at_once = max_concurrency
        self.report = GraphReport()

    def estimate(self, *, sample: int = SAMPLE) -> GraphEstimate:
        """What building would take, measured on the first chunks; their replies are kept."""
        waiting, done = self._waiting()
        todo = [chunk for chunk in waiting if chunk.id not in done]
        measured, started = 0, time.perf_counter()
        for chunk in todo[:sample]:
            if self._extract(chunk).detail:
                break  # a model that is not there is not waited for twice
            measured += 1
        seconds = time.perf_counter() - started
        known = [record for record in self._records().values() if not record.detail]
        said = [record.output_tokens for record in known if record.output_tokens]
        asked = sum(self._extractor.prompt_tokens(_document(chunk)) for chunk in todo[measured:])
        left = len(todo) - measured
        guessed = sum(estimate_tokens(chunk.text) for chunk in todo[measured:]) // 2
        replies = (
            left * sum(said) // len(said) if said else max(guessed, left * _LEAST_REPLY_TOKENS)
        )
        return GraphEstimate(
            chunks=left,
            extracted=len(waiting) - left,
            calls=left,
            input_tokens=asked,
            output_tokens=replies,
            seconds=round(left * seconds / measured, 1) if measured else None,
            measured=measured,
        )

    def extract(self) -> None:
        """Have the model read every chunk that is indexed and was not read yet.

        Raises:
            GraftError: Several calls in a row failed: the model is not there.
        """
        started = time.perf_counter()
        chunks, done = self._waiting()
        todo = [chunk for chunk in chunks if chunk.id not in done]
        self.report.kept = len(chunks) - len(todo) - self.report.extracted
        in_a_row = 0
        self._tell("extract", 0, len(todo))
        with closing(self._extract_all(todo)) as records:
            for n, record in enumerate(records, 1):
                self._note(record)
                self._tell("extract", n, len(todo))
                in_a_row = in_a_row + 1 if record.detail else 0
                if in_a_row >= min(_FAILURES_IN_A_ROW, max(2, len(todo))):
                    self.report.spend("extract", since=started)
                    msg = (
                        f"The last {in_a_row} calls of the model failed, the last one: "
                        f"{record.detail} Mend that and do it again: it goes on where it stopped"
                    )
                    raise GraftError(msg)
        self.report.spend("extract", since=started)

    def publish(
        self,
        store: GraphStore,
        *,
        name: str = OWN_STORE,
        embeddings: Embeddings | None = None,
        model: BaseChatModel | None = None,
        resolution: ResolutionSettings | None = None,
    ) -> None:
        """Bring a store up to date with the replies in the journal.

        Args:
            store: Where the graph goes.
            name: What the journal calls it.
            embeddings: For entity resolution.
            model: Asked about entities that the rules can not tell; None: those stay apart.
            resolution: When two entities are one.
        """
        started = time.perf_counter()
        strict = self._extractor.schema if self._extractor.strict else None
        self._journal.graph.set_schema(schema_to_json(strict) if strict else "")
        raw = self._raw()
        before = self._journal.graph.merges()
        found = resolve_entities(
            raw,
            embeddings=embeddings,
            model=model,
            settings=resolution,
            undone=[pair for pair, (_, was_undone) in before.items() if was_undone],
            known=self._journal.graph.same_entity(),
        )
        self._journal.graph.keep_same_entity(found.answers)
        self._journal.graph.replace_merges({one.pair: asdict(one) for one in found.merges})
        self._put(store, name, found.apply(raw))
        self.report.merges = len(found.merges)
        self._journal.graph.forget_gone()
        self.report.spend("graph", since=started)

    def undo(self, merge: Merge) -> None:
        """Undo a merge, for good.

        Raises:
            ValueError: There is no such merge.
        """
        if not self._journal.graph.set_undone(merge.pair, undone=True):
            msg = f"No merge of {merge.left_name!r} and {merge.right_name!r} in this graph"
            raise ValueError(msg)

    def republish(self, store: GraphStore, *, name: str = OWN_STORE) -> None:
        """Put the graph into the store by the merges in the journal that were not undone."""
        raw = self._raw()
        kept = merges_in(self._journal)
        self._put(store, name, Resolution(merges=tuple(kept)).apply(raw))
        self.report.merges = len(kept)

    @property
    def _extractor(self) -> Extractor:
        if self._asking is None:
            msg = "Made without an extractor, which this needs"
            raise TypeError(msg)
        return self._asking

    def _waiting(self) -> tuple[list[ChunkRecord], set[str]]:
        """The indexed chunks, and the ids of those that the model has read, as they are now."""
        chunks = [*self._journal.indexed()]
        records = self._records()
        done = {
            chunk.id
            for chunk in chunks
            if (record := records.get(chunk.id))
            and not record.detail
            and record.key == self._key(chunk)
        }
        return chunks, done

    def _records(self) -> dict[str, ExtractionRecord]:
        return self._journal.graph.extractions()

    def _key(self, chunk: ChunkRecord) -> str:
        given = [self._extractor.digest, chunk.text]
        given += [str(chunk.metadata.get(key)) for key in ("title", "heading", "question")]
        return digest_of(*given)

    def _extract_all(
        self, chunks: Sequence[ChunkRecord]
    ) -> Generator[ExtractionRecord, None, None]:
        """What becomes of chunks, as they are done; few are asked about at a time."""
        waiting = iter(chunks)
        with ThreadPoolExecutor(self._at_once, thread_name_prefix="extract") as pool:
            running: dict[Future[ExtractionReply], ChunkRecord] = {}
            try:
                while True:
                    while len(running) < self._at_once and (chunk := next(waiting, None)):
                        running[pool.submit(self._ask, chunk)] = chunk
                    if not running:
                        return
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        yield self._kept(running.pop(future), future)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _extract(self, chunk: ChunkRecord) -> ExtractionRecord:
        future: Future[ExtractionReply] = Future()
        try:
            future.set_result(self._ask(chunk))
        except Exception as error:  # noqa: BLE001  # noted in the journal, whatever it is
            future.set_exception(error)
        record = self._kept(chunk, future)
        self._note(record)
        return record

    def _ask(self, chunk: ChunkRecord) -> ExtractionReply:
        for _ in range(_CALLS_EACH - 1):
            try:
                return self._extractor.ask(_document(chunk))
            except Exception:  # noqa: BLE001, S110  # once more; the second error is the one told
                pass
        return self._extractor.ask(_document(chunk))

    def _kept(self, chunk: ChunkRecord, future: Future[ExtractionReply]) -> ExtractionRecord:
        """Write into the journal what became of a chunk."""
        error = future.exception()
        if error is not None and not isinstance(error, Exception):
            raise error
        said = None if error else future.result()
        record = ExtractionRecord(
            chunk_id=chunk.id,
            key=self._key(chunk),
            reply=said.text if said else "",
            detail=f"{error} ({type(error).__name__})" if error else "",
            input_tokens=said.input_tokens if said else 0,
            output_tokens=said.output_tokens if said else 0,
        )
        self._journal.graph.keep(record)
        return record

    def _note(self, record: ExtractionRecord) -> None:
        if record.detail:
            self.report.failed[record.chunk_id] = record.detail
            return
        self.report.failed.pop(record.chunk_id, None)
        self.report.extracted += 1
        self.report.input_tokens += record.input_tokens
        self.report.output_tokens += record.output_tokens

    def _raw(self) -> list[GraphDocument]:
        """What the replies in the journal say of the chunks that are there, before resolution."""
        records, kept = self._records(), self._journal.graph.schema()
        schema = schema_from_json(kept) if kept else None
        found = []
        for chunk in self._journal.indexed():
            record = records.get(chunk.id)
            if record is None or record.detail:
                continue
            read = graph_of_claims(read_claims(record.reply), _document(chunk), schema=schema)
            self.report.dropped += len(read.dropped)
            found.append(read.document)
        return found

    def _put(self, store: GraphStore, name: str, documents: Sequence[GraphDocument]) -> None:
        """Make the store hold these documents and no others of ours.

        A store takes whole sources out. So a source that lost a chunk is taken out, and what is
        left of it put in again; until then the journal says of its chunks that nothing is sure.
        """
        self.report.nodes = len({node.id for one in documents for node in one.nodes})
        self.report.relationships = len({r.key for one in documents for r in one.relationships})
        wanted = {str(one.source.id): one for one in documents}
        held = self._held(store, name)
        gone = {chunk: where for chunk, where in held.items() if chunk not in wanted}
        if gone:
            sources = {source for source, _ in gone.values()}
            unsure = {
                chunk: (source, "") for chunk, (source, _) in held.items() if source in sources
            }
            self._journal.graph.put(name, unsure)
            store.remove(sources)
            self._journal.graph.take(name, unsure)
            held = {chunk: where for chunk, where in held.items() if chunk not in unsure}
            self.report.removed = len(gone)
        digests = {chunk: _digest(one) for chunk, one in wanted.items()}
        todo = [chunk for chunk in wanted if held.get(chunk, ("", ""))[1] != digests[chunk]]
        self._tell("graph", 0, len(todo))
        for start in range(0, len(todo), BATCH):
            batch = todo[start : start + BATCH]
            sources_of = {chunk: _source_of(wanted[chunk]) for chunk in batch}
            self._journal.graph.put(name, {chunk: (sources_of[chunk], "") for chunk in batch})
            store.add([wanted[chunk] for chunk in batch])
            self._journal.graph.put(
                name, {chunk: (sources_of[chunk], digests[chunk]) for chunk in batch}
            )
            self.report.added += len(batch)
            self._tell("graph", start + len(batch), len(todo))

    def _held(self, store: GraphStore, name: str) -> dict[str, tuple[str, str]]:
        """Source and digest of the chunks that the store holds; it may have been emptied."""
        held = self._journal.graph.in_store(name)
        ids = list(held)
        batches = (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))
        there = {str(one.id) for batch in batches for one in store.chunks(batch)}
        self._journal.graph.take(name, held.keys() - there)
        return {chunk: where for chunk, where in held.items() if chunk in there}


def merges_in(journal: Journal) -> list[Merge]:
    """The merges of entities that were not undone."""
    rows = journal.graph.merges().values()
    return [Merge(**merge) for merge, undone in rows if not undone]


def _document(chunk: ChunkRecord) -> Document:
    """A chunk as the model and the store see it."""
    metadata = {**chunk.metadata, "source_id": chunk.source_id, "chunk_index": chunk.ordinal}
    return Document(id=chunk.id, page_content=chunk.text, metadata=metadata)


def _source_of(document: GraphDocument) -> str:
    return str(document.source.metadata["source_id"])


def _digest(document: GraphDocument) -> str:
    return digest_of(
        [asdict(node) for node in document.nodes],
        [asdict(one) for one in document.relationships],
        document.source.page_content,
        document.source.metadata,
    )
