"""A knowledge base: one folder that is ingested, asked and measured."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args, overload

from langchain_graft.errors import DigestMismatchError, KnowledgeBaseError
from langchain_graft.finetune_bridge.adapters.ref import RELEASE
from langchain_graft.knowledge_base.embedders import Embedders
from langchain_graft.knowledge_base.indexes import Kind
from langchain_graft.knowledge_base.ingest import Ingestion
from langchain_graft.knowledge_base.journal import Journal
from langchain_graft.knowledge_base.live import LiveIndex, LiveIndexes
from langchain_graft.knowledge_base.lock import writing
from langchain_graft.knowledge_base.manifest import GRAPH, JOURNAL, NAME, Manifest, read_manifest
from langchain_graft.knowledge_base.reading import Chunker
from langchain_graft.knowledge_base.release import current_release, list_releases, read_release
from langchain_graft.knowledge_base.settings import IngestSettings
from langchain_graft.knowledge_base.sources import (
    beir_root,
    beir_sources,
    document_sources,
    find_files,
)
from langchain_graft.knowledge_base.status import Status, read_status
from langchain_graft.knowledge_base.thresholds import read_weakness, write_weakness
from langchain_graft.models.chat import load_chat_model
from langchain_graft.models.digest import embeddings_digest
from langchain_graft.models.embeddings import load_embeddings
from langchain_graft.models.tokens import TokenCounter
from langchain_graft.retrievers.filters import matches
from langchain_graft.retrievers.fusion_retriever import FusionRetriever
from langchain_graft.retrievers.index import DEFAULT_K, IndexRetriever

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from langchain_core.document_loaders import BaseLoader
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel

    from langchain_graft.finetune_bridge.adapters.manifest import AdapterKind, AdapterSide
    from langchain_graft.finetune_bridge.adapters.ref import AdapterRef
    from langchain_graft.finetune_bridge.adapters.store import AdapterStore
    from langchain_graft.graph.embedded_store import EmbeddedGraphStore
    from langchain_graft.graph.entity_resolution import Merge
    from langchain_graft.graph.graph_retriever import GraphRetriever
    from langchain_graft.graph.schema import Schema
    from langchain_graft.graph.store import GraphStore
    from langchain_graft.knowledge_base.generators import Generators
    from langchain_graft.knowledge_base.graph_building import (
        GraphBuilding,
        GraphEstimate,
        GraphReport,
    )
    from langchain_graft.knowledge_base.ingest_report import IngestReport
    from langchain_graft.knowledge_base.promotion import Candidate
    from langchain_graft.knowledge_base.reembedding import ReembedEstimate
    from langchain_graft.knowledge_base.release import Release
    from langchain_graft.knowledge_base.releases import Releases
    from langchain_graft.models.pull import OnProgress
    from langchain_graft.retrievers.filters import Filter
    from langchain_graft.retrievers.weakness import Weakness

DEFAULT_EMBEDDINGS = "e5-multilingual"


class KnowledgeBase:
    """One folder: documents in, retrievers out.

    Any number of processes may read it while one writes; readers see a new generation by themselves
    when it is whole. Made by `KnowledgeBase.create`, opened by `KnowledgeBase.open`.

    Example:
        >>> kb = KnowledgeBase.create("my-kb")
        >>> kb.ingest("documents/")
        >>> chain = create_rag_chain(load_chat_model("qwen2.5-coder-1.5b"), kb.retriever(k=5))
    """

    def __init__(self, folder: Path, embeddings: Embeddings) -> None:
        self.folder = folder
        name = read_manifest(folder).embeddings
        self._embedders = Embedders(name, embeddings, lambda: self.adapters)
        self._live = LiveIndexes(folder, self._embedders.serving)
        self._lock = threading.Lock()
        self._graph: EmbeddedGraphStore | None = None
        self._adapters: AdapterStore | None = None
        self._generators: Generators | None = None

    @classmethod
    def create(
        cls,
        folder: Path | str,
        *,
        embeddings: str | Embeddings = DEFAULT_EMBEDDINGS,
        settings: IngestSettings | None = None,
        exist_ok: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Self:
        """Make a knowledge base in a folder.

        Args:
            folder: Is made if it is not there.
            embeddings: A name for `load_embeddings`, or an embedder; an object has to be given
                again when the knowledge base is opened.
            settings: How documents are read and cut.
            exist_ok: Open it where there is one already; how that was made stays.
            on_progress: Told about a model's download.

        Raises:
            KnowledgeBaseError: There is one already, or the folder can not be written.
            DigestMismatchError: The one that is there was made with another embedder.
        """
        folder = Path(folder)
        if not exist_ok:
            _check_free(folder)
        name = _lasting(embeddings) if isinstance(embeddings, str) else None
        embedder = _embedder(embeddings, on_progress)
        if exist_ok and (folder / NAME).exists():
            return cls.open(folder, embeddings=embedder)
        settings = settings or IngestSettings()
        _check_window(embedder, settings)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with writing(folder):
                _check_free(folder)  # again: another process may have made one meanwhile
                Journal(folder / JOURNAL, mode="rwc").close()
                Manifest(
                    embeddings=name,
                    embeddings_digest=embeddings_digest(embedder),
                    settings=settings,
                ).write(folder)
        except OSError as error:
            msg = f"Can not write to {str(folder)!r}: {error.strerror or error}"
            raise KnowledgeBaseError(msg) from error
        return cls(folder, embedder)

    @classmethod
    def open(
        cls,
        folder: Path | str,
        *,
        embeddings: Embeddings | None = None,
        on_progress: OnProgress | None = None,
    ) -> Self:
        """Open a knowledge base.

        Args:
            folder: Where it lies.
            embeddings: Its embedder, without an adapter, when it was made with an object.
            on_progress: Told about a model's download.

        Raises:
            NotAKnowledgeBaseError: There is none.
            FormatVersionError: A newer version wrote it.
            DigestMismatchError: The embedder is not the one that wrote it.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        if embeddings is None and manifest.embeddings is None:
            msg = f"{str(folder)!r} was made with an embedder object: open it with embeddings=..."
            raise KnowledgeBaseError(msg)
        embedder = _embedder(embeddings or str(manifest.embeddings), on_progress)
        found, needed = embeddings_digest(embedder), manifest.embeddings_digest
        if found != needed and not manifest.embeddings_adapter:
            raise DigestMismatchError(str(folder), expected=found, found=needed)
        return cls(folder, embedder)  # an adapter is looked at when it is used: one may go back

    def close(self) -> None:
        """Close indexes, graph and adapters; searches that are under way end first."""
        self._live.close()
        self._embedders.close()
        if self._generators:
            self._generators.close()
        self._close_graph()

    @property
    def embeddings(self) -> Embeddings:
        """The embedder of the release that serves."""
        return self._embedders.serving(read_manifest(self.folder))

    def ingest(self, *paths: Path | str, on_progress: OnProgress | None = None) -> IngestReport:
        """Bring the knowledge base up to date with files and folders.

        Unchanged files are passed over, changed ones replaced; what was ingested from one of these
        folders and is there no longer is removed. A document that can not be read is noted in the
        report and the journal, and tried again the next time; the rest goes on. When this is
        interrupted, calling it again goes on where it stopped.

        Args:
            paths: Files and folders.
            on_progress: Told ("read" | "embed" | "index", done, total).

        Raises:
            KnowledgeBaseLockedError: Another process is writing.
            FileNotFoundError: A path does not exist.
        """
        found = find_files(Path(path) for path in paths)
        return self._write(lambda ingestion: ingestion.files(found), on_progress)

    def ingest_beir(
        self, folder: Path | str, *, on_progress: OnProgress | None = None
    ) -> IngestReport:
        """Bring it up to date with the corpus of a BEIR folder."""
        folder = Path(folder)
        return self._write(
            lambda ingestion: ingestion.records(beir_sources(folder), root=beir_root(folder)),
            on_progress,
        )

    def ingest_documents(
        self,
        documents: BaseLoader | Iterable[Document],
        *,
        root: str = "",
        on_progress: OnProgress | None = None,
    ) -> IngestReport:
        """Ingest what a LangChain loader loads; documents with the same source are one.

        Args:
            documents: A loader, or documents with `metadata["source"]` or an id.
            root: A name for this collection: what a later run under the same name lacks is removed.
            on_progress: Told ("embed" | "index", done, total).
        """
        loaded = getattr(documents, "lazy_load", None)
        items: Iterable[Document] = loaded() if loaded else documents  # type: ignore[assignment]
        return self._write(
            lambda ingestion: ingestion.records(document_sources(items, root=root), root=root),
            on_progress,
        )

    def remove(self, *source_ids: str, on_progress: OnProgress | None = None) -> IngestReport:
        """Take documents out.

        Raises:
            ValueError: One of them is not there; nothing is removed.
        """
        return self._write(lambda ingestion: ingestion.remove(source_ids), on_progress)

    @overload
    def retriever(
        self, kind: Kind = "vector", *, k: int = DEFAULT_K, filter: Filter | None = None
    ) -> IndexRetriever: ...

    @overload
    def retriever(
        self,
        kind: Literal["hybrid"],
        *,
        k: int = DEFAULT_K,
        filter: Filter | None = None,
        **settings: Any,
    ) -> FusionRetriever: ...

    @overload
    def retriever(
        self,
        kind: Literal["graph"],
        *,
        k: int = DEFAULT_K,
        filter: Filter | None = None,
        **settings: Any,
    ) -> GraphRetriever: ...

    def retriever(
        self,
        kind: Kind | Literal["hybrid", "graph"] = "vector",
        *,
        k: int = DEFAULT_K,
        filter: Filter | None = None,  # noqa: A002
        **settings: Any,
    ) -> IndexRetriever | FusionRetriever | GraphRetriever:
        """A retriever that always searches the current generation.

        Args:
            kind: "vector" for meaning, "bm25" for words, "hybrid" for both, fused; "graph" for what
                its graph has (`build_graph`).
            k: Documents per question.
            filter: A border that no call can widen.
            settings: Fields of `FusionRetriever` for "hybrid", such as `rewriter` and `weakness`;
                of `GraphRetriever` for "graph", such as `depth`.

        Raises:
            ValueError: There is no such kind, or a setting is none of its own.
        """
        where = dict(filter) if filter else None
        if kind == "hybrid":
            both = [self.retriever(one, k=k, filter=filter) for one in get_args(Kind)]
            return FusionRetriever(retrievers=both, k=k, filter=where, **settings)
        if kind == "graph":
            from langchain_graft.graph.graph_retriever import GraphRetriever  # noqa: PLC0415

            passes = (lambda one: matches(where, one.metadata)) if where else None
            return GraphRetriever(store=self.graph, k=k, passes=passes, name=kind, **settings)
        if kind not in get_args(Kind) or settings:
            msg = (
                f"No retriever {kind!r} with {list(settings)!r}: vector, bm25, or hybrid or graph "
                "with more"
            )
            raise ValueError(msg)
        index = LiveIndex(self._live, kind)
        return IndexRetriever(index=index, k=k, filter=where, name=kind)

    @property
    def graph(self) -> EmbeddedGraphStore:
        """Its own graph, in `graph.sqlite`; empty until `build_graph` has run.

        Names of entities are embedded as they were first, whichever release serves.
        """
        from langchain_graft.graph.embedded_store import EmbeddedGraphStore  # noqa: PLC0415

        with self._lock:
            if self._graph is None:
                embeddings = self._first_embeddings()
                self._graph = EmbeddedGraphStore(self.folder / GRAPH, embeddings=embeddings)
            return self._graph

    def _first_embeddings(self) -> Embeddings:
        return self._embedders.of(read_release(self.folder, 0))

    def build_graph(  # noqa: PLR0913  # what the model reads, where it goes, how fast
        self,
        model: BaseChatModel,
        *,
        schema: Schema | None = None,
        strict: bool = False,
        store: GraphStore | None = None,
        store_name: str = "",
        max_concurrency: int = 2,
        on_estimate: Callable[[GraphEstimate], None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> GraphReport:
        """Bring the graph up to date: the model reads what it has not read, equal entities are one.

        Every reply is kept in the journal: when this is interrupted, calling it again goes on where
        it stopped, and no chunk that was read is read again. One that fails is noted in the report
        and the journal, and tried again the next time. Chunks that changed or are gone leave the
        graph.

        Args:
            model: Reads the chunks (`graph.create_extraction_chain`).
            schema: Labels and relationship types; None: the model chooses.
            strict: Nothing outside the schema is kept.
            store: Where the graph goes; None: `graph`, the knowledge base's own.
            store_name: What tells a given store from others, such as its address.
            max_concurrency: Most calls of the model at the same time.
            on_estimate: Told what is left to do, measured on two chunks, before it goes on.
            on_progress: Told ("extract" | "graph", done, total).

        Raises:
            KnowledgeBaseLockedError: Another process is writing.
            GraphError: The store can not be written.
            GraftError: Several calls in a row failed.
        """
        with self._graph_building(model, schema, strict, max_concurrency, on_progress) as building:
            if store is not None:
                store.chunks([])  # whether it is there is known before the model is asked
            try:
                if on_estimate:
                    on_estimate(building.estimate())
                building.extract()
            finally:
                self._publish(building, store, store_name)
            return building.report

    def estimate_graph(
        self, model: BaseChatModel, *, schema: Schema | None = None, strict: bool = False
    ) -> GraphEstimate:
        """What `build_graph` would take, measured on two chunks, whose replies are kept."""
        with self._graph_building(model, schema, strict, 1, None) as building:
            return building.estimate()

    def merges(self) -> list[Merge]:
        """Which entities of the graph were taken for one, why, and how sure that was."""
        from langchain_graft.knowledge_base.graph_building import merges_in  # noqa: PLC0415

        with closing(Journal(self.folder / JOURNAL)) as journal:
            return merges_in(journal)

    def undo_merge(self, merge: Merge) -> None:
        """Take two entities apart again, for good; the graph is as if they had never been merged.

        Args:
            merge: One of `merges`.

        Raises:
            ValueError: There is no such merge.
        """
        from langchain_graft.knowledge_base.graph_building import GraphBuilding  # noqa: PLC0415

        with writing(self.folder), closing(Journal(self.folder / JOURNAL)) as journal:
            building = GraphBuilding(journal, None)
            building.undo(merge)
            with closing(self.graph) as store:
                building.republish(store)

    @contextmanager
    def _graph_building(
        self,
        model: BaseChatModel,
        schema: Schema | None,
        strict: bool,  # noqa: FBT001
        max_concurrency: int,
        on_progress: OnProgress | None,
    ) -> Iterator[GraphBuilding]:
        from langchain_graft.graph.extraction import Extractor  # noqa: PLC0415
        from langchain_graft.knowledge_base.graph_building import GraphBuilding  # noqa: PLC0415

        extractor = Extractor(model, schema=schema, strict=strict)
        with writing(self.folder), closing(Journal(self.folder / JOURNAL)) as journal:
            yield GraphBuilding(
                journal, extractor, on_progress=on_progress, max_concurrency=max_concurrency
            )

    def _publish(self, building: GraphBuilding, store: GraphStore | None, name: str) -> None:
        if store is not None:
            embeddings = self._first_embeddings()
            building.publish(store, name=name or type(store).__name__, embeddings=embeddings)
            return
        if not (self.folder / GRAPH).exists():
            self._close_graph()  # what was removed is not written to
        with closing(self.graph) as own:
            building.publish(own, embeddings=self._first_embeddings())

    def _close_graph(self) -> None:
        with self._lock:
            if self._graph:
                self._graph.close()

    @property
    def adapters(self) -> AdapterStore:
        """Its adapters; those that a release needs can not be removed."""
        from langchain_graft.knowledge_base.adapters import open_adapters  # noqa: PLC0415

        with self._lock:
            self._adapters = self._adapters or open_adapters(self.folder)
            return self._adapters

    def import_adapter(
        self,
        folder: Path | str,
        name: str,
        *,
        kind: AdapterKind = "generator",
        base: str | None = None,
        side: AdapterSide = "both",
        on_progress: OnProgress | None = None,
    ) -> AdapterRef:
        """Take in an adapter that was made elsewhere, as the next version of a name.

        Nothing in its folder is executed or followed; what it is made for is loaded, to see whether
        it fits and to write down its digest.

        Args:
            folder: As PEFT saves it, or `QueryMap.save`.
            name: How it will be called.
            kind: "generator" for a chat model, "embeddings" for an embedder, "query-map".
            base: Its base's name; None: the knowledge base's own embedder, without adapter.
            side: Embeddings: "query" leaves documents as the base embeds them.
            on_progress: Told about a download.

        Raises:
            ValueError: A chat model's base is not named, or is not one that can have adapters.
            AdapterRefusedError: The folder is not what may be loaded; nothing was kept.
            AdapterMismatchError: The base has other layers.
        """
        from langchain_graft.knowledge_base import adapter_import  # noqa: PLC0415

        source = Path(folder)
        if kind == "generator":
            if base is None:
                msg = f"Say which chat model {name!r} was made for: base='hf:NAME'"
                raise ValueError(msg)
            return adapter_import.import_generator(
                self.adapters, source, name, base=_lasting(base), on_progress=on_progress
            )
        spec = _lasting(base) if base else read_manifest(self.folder).embeddings
        embeddings = self._embedders.by_name(spec, None)
        return adapter_import.import_for_embeddings(
            self.adapters, source, name, kind=kind, base=(spec, embeddings), side=side
        )

    @property
    def release(self) -> Release:
        """The release that serves; its number is 0 until something is promoted."""
        return current_release(self.folder)

    def releases(self) -> list[Release]:
        """All releases, the newest first."""
        return list_releases(self.folder)

    def promote(  # noqa: PLR0913  # what is promoted, what is told of it
        self,
        adapter: AdapterRef | str,
        *,
        gate: Callable[[Candidate], str] | None = None,
        force: bool = False,
        prompts: Mapping[str, str] | None = None,
        why: str = "",
        on_estimate: Callable[[ReembedEstimate], None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> Release:
        """Make an adapter part of what serves, as the next release.

        An adapter on the embedder that changes the vectors of documents: all chunks are embedded
        anew, beside the index that serves meanwhile; when this is interrupted, calling it again
        goes on where it stopped. One that only changes queries, or one of a chat model: nothing is
        embedded. Then embedder, index and release are exchanged in one step, which readers in other
        processes see by themselves. What serves already is given back as it is.

        Args:
            adapter: One of `adapters`: `name@000003`, an alias, or a name for its newest version.
            gate: Compares the candidate with what serves, says what it found, and raises
                `GateFailedError` if it should not serve; None: the release says "not checked".
            force: Make it serve although the gate fails.
            prompts: Wording that goes with it, by name; None: what the current release has.
            why: What it is for.
            on_estimate: Told how much there is to embed, measured on two batches, before the rest;
                what it raises stops the promotion.
            on_progress: Told ("embed" | "index", done, total).

        Returns:
            The release that serves now.

        Raises:
            AdapterNotFoundError: There is no such adapter.
            AdapterMismatchError: It was made for another model than is here.
            GateFailedError: It is not better; nothing was changed.
            KnowledgeBaseLockedError: Another process is writing.
        """
        with self._trying():
            release = self._releases().promote(
                adapter,
                gate=gate,
                force=force,
                prompts=prompts,
                why=why,
                on_estimate=on_estimate,
                on_progress=on_progress,
            )
        self._let_go()
        return release

    def rollback(
        self,
        *,
        on_estimate: Callable[[ReembedEstimate], None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> Release:
        """Make the former release serve again.

        With the same embedder it serves at once. Of the embedder that served last before this one
        the index is kept: documents that came since are embedded by it, and those that left are
        taken out, before it serves; when nothing changed, it serves at once. Of an embedder before
        that nothing is kept: all chunks are embedded anew, beside what serves.

        Args:
            on_estimate: As for `promote`.
            on_progress: As for `promote`.

        Returns:
            The release that serves now.

        Raises:
            ReleaseError: There is none before this one.
            KnowledgeBaseLockedError: Another process is writing.
        """
        release = self._releases().rollback(on_estimate=on_estimate, on_progress=on_progress)
        self._let_go()
        return release

    @contextmanager
    def _trying(self) -> Iterator[None]:
        """Chat models that come meanwhile are let go again when it fails."""
        before = self._generators.bases() if self._generators else ()
        try:
            yield
        except BaseException:
            if self._generators:
                self._generators.keep_only(before)
            raise

    def _let_go(self) -> None:
        """Close what does not serve any longer, so that its adapter can be removed."""
        with self._live.current():
            pass

    def _releases(self) -> Releases:
        from langchain_graft.knowledge_base.releases import Releases  # noqa: PLC0415

        return Releases(
            self.folder,
            embedders=self._embedders,
            store=self.adapters,
            probe=lambda ref, manifest: self._own_generators().probe(ref, manifest),
        )

    def chat_model(
        self,
        spec: str | None = None,
        *,
        adapter: str | None = None,
        on_progress: OnProgress | None = None,
        **settings: Any,
    ) -> BaseChatModel:
        """A chat model with the adapter of the release that serves, or with another one.

        Without `adapter` it follows the releases: after a promotion or rollback, in this process or
        another one, its next answer is by what serves then, with no restart. A call may ask for
        another adapter by `config["configurable"]["adapter"]`, and the answer's
        `response_metadata["adapter"]` says which one gave it.

        Args:
            spec: A name for `load_chat_model`; None: the base that the adapter was made for.
            adapter: `legal@000003`, `legal` (its alias `current`), `base` for none, or `release`,
                which is as without.
            on_progress: Told about a download.
            settings: As for `load_chat_model`.

        Raises:
            ValueError: Nothing says which model, or it can not have an adapter.
            AdapterNotFoundError: There is no such adapter.
            AdapterMismatchError: It was made for another base model.
        """
        adapter = None if adapter == RELEASE else adapter
        spec = _lasting(spec) if spec else self._base_of(adapter) or self.release.generator
        if spec is None:
            msg = "No release names a chat model yet: say which, as kb.chat_model('hf:NAME')"
            raise ValueError(msg)
        if adapter is None and not spec.startswith("hf:"):
            return load_chat_model(spec, on_progress=on_progress, **settings)
        return self._own_generators().chat_model(spec, adapter, on_progress=on_progress, **settings)

    def _base_of(self, adapter: str | None) -> str | None:
        ref = self.adapters.resolve(adapter) if adapter else None
        return self.adapters.manifest(ref).base if ref else None

    def _own_generators(self) -> Generators:
        from langchain_graft.knowledge_base.generators import Generators  # noqa: PLC0415

        with self._lock:
            self._generators = self._generators or Generators(self.folder)
            return self._generators

    @property
    def weakness(self) -> Weakness | None:
        """When a search here counts as weak, as it was measured; None: it was not."""
        return read_weakness(self.folder, self.release)

    def keep_weakness(self, weakness: Weakness) -> None:
        """Keep measured thresholds (`calibrate`) for those who open this knowledge base."""
        write_weakness(self.folder, self.release, weakness)

    def status(self) -> Status:
        """What it holds, and what could not be read."""
        return read_status(self.folder)

    def require(self, *, embeddings: str | None = None, **settings: object) -> None:
        """Check that it was made with these settings.

        Raises:
            ValueError: It was made with others, which stay as they are.
        """
        manifest = read_manifest(self.folder)
        made_with = {"embeddings": manifest.embeddings, **manifest.settings.to_json()}
        asked = {"embeddings": manifest.embeddings, **settings}
        if embeddings:
            asked["embeddings"] = _lasting(embeddings)
        for name, value in asked.items():
            if made_with[name] != value:
                msg = (
                    f"{str(self.folder)!r} was made with {name}={made_with[name]!r}, asked was "
                    f"{value!r}. Leave the option out, or make another knowledge base"
                )
                raise ValueError(msg)

    def _write(
        self, work: Callable[[Ingestion], IngestReport], on_progress: OnProgress | None
    ) -> IngestReport:
        with writing(self.folder):
            manifest = read_manifest(self.folder)
            embeddings = self._embedders.serving(manifest)
            ingestion = Ingestion(
                self.folder,
                manifest=manifest,
                embeddings=embeddings,
                chunker=Chunker(settings=manifest.settings, counter=_counter(embeddings)),
                on_progress=on_progress,
            )
            try:
                return work(ingestion)
            finally:
                ingestion.close()


def _check_free(folder: Path) -> None:
    if (folder / NAME).exists():
        msg = f"There is a knowledge base in {str(folder)!r} already: KnowledgeBase.open it"
        raise KnowledgeBaseError(msg)


def _lasting(spec: str) -> str:
    """An embedder's name that holds in every current folder."""
    provider, _, name = spec.partition(":")
    folder = Path(name).expanduser()
    return f"hf:{folder.absolute()}" if provider == "hf" and name and folder.is_dir() else spec


def _embedder(embeddings: str | Embeddings, on_progress: OnProgress | None) -> Embeddings:
    if isinstance(embeddings, str):
        return load_embeddings(embeddings, on_progress=on_progress)
    return embeddings


def _counter(embeddings: Embeddings) -> TokenCounter:
    own = getattr(embeddings, "token_counter", None)
    return own() if own else TokenCounter()


def _check_window(embeddings: Embeddings, settings: IngestSettings) -> None:
    window = getattr(embeddings, "max_tokens", None)
    if window is not None and settings.chunk_tokens > window:
        msg = f"chunk_tokens is {settings.chunk_tokens}, but the embedder reads {window} at once"
        raise ValueError(msg)
