"""Dense search on Chroma: embedded or over HTTP, each collection stamped with its embedder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from langchain_graft.errors import DigestMismatchError, GraftError, MissingExtraError
from langchain_graft.models.digest import embeddings_digest
from langchain_graft.retrievers.chroma_metadata import (
    from_chroma_metadata,
    to_chroma,
    to_chroma_metadata,
)
from langchain_graft.retrievers.index import (
    DEFAULT_K,
    IndexRetriever,
    check_search,
    document_ids,
    filtered,
)
from langchain_graft.retrievers.query import Query, embed_queries

try:
    import chromadb
    import httpx
    import numpy as np
    from chromadb.config import Settings
    from chromadb.errors import NotFoundError
except ImportError as error:
    raise MissingExtraError("vectors") from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from chromadb.api import ClientAPI
    from langchain_core.embeddings import Embeddings

    from langchain_graft.retrievers.filters import Filter

CONNECT_TIMEOUT_SECONDS = 10.0
ANSWER_TIMEOUT_SECONDS = 120.0
DIGEST_KEY = "graft_embedder"
_MOST_RESULTS = 2**31 - 1
_HNSW = {"space": "cosine", "ef_construction": 200, "ef_search": 200, "max_neighbors": 32}


def open_chroma(where: Path | str) -> ClientAPI:
    """A Chroma client for a folder or for a server's address; it sends no telemetry.

    A server is waited for `CONNECT_TIMEOUT_SECONDS`, and `ANSWER_TIMEOUT_SECONDS` for an answer.

    Args:
        where: A folder, or "http://host:port".

    Raises:
        GraftError: The server does not answer.
    """
    settings = Settings(anonymized_telemetry=False)
    text = str(where)
    if text.startswith(("http://", "https://")):
        return _open_server(text, settings)
    return chromadb.PersistentClient(path=text, settings=settings)


def _open_server(url: str, settings: Settings) -> ClientAPI:
    scheme, _, address = url.partition("://")
    host, _, port = address.rstrip("/").partition(":")
    is_secure = scheme == "https"
    number = int(port or (443 if is_secure else 8000))
    try:  # chromadb 1.5 talks while it is made, and waits for ever
        httpx.get(f"{scheme}://{host}:{number}/api/v2/heartbeat", timeout=CONNECT_TIMEOUT_SECONDS)
    except httpx.TransportError as error:
        msg = (
            f"No Chroma server answers at {url!r} ({type(error).__name__}: {error}). Start it, "
            "chroma run --path FOLDER, or check host and port"
        )
        raise GraftError(msg) from error
    client = chromadb.HttpClient(host=host, port=number, ssl=is_secure, settings=settings)
    for session in _sessions(client):
        session.timeout = httpx.Timeout(ANSWER_TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS)
    return client


class VectorIndex:
    """A Chroma collection and the one embedder whose vectors it holds.

    Several queries are embedded in one batch and asked in one call. The collection carries the
    embedder's digest; with another embedder it can not be opened. One that was made elsewhere has
    none and is taken over with `adopt=True`, by who knows which embedder wrote it.

    May be used by several threads at once.

    Args:
        embeddings: The embedder.
        client: A Chroma client, or what `open_chroma` takes: a folder or a server's address.
        name: The collection's name.
        adopt: Stamp a collection that has no digest with this embedder's.

    Raises:
        DigestMismatchError: The collection holds vectors of another embedder.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        client: ClientAPI | Path | str,
        *,
        name: str = "graft",
        adopt: bool = False,
    ) -> None:
        self.embeddings = embeddings
        self.digest = embeddings_digest(embeddings)
        self._owns_client = isinstance(client, Path | str)
        self._client = open_chroma(client) if isinstance(client, Path | str) else client
        try:
            self._collection = self._open(name, adopt=adopt)
        except BaseException:
            self.close()
            raise
        self._space = (self._collection.configuration.get("hnsw") or {}).get("space", "l2")

    def _open(self, name: str, *, adopt: bool) -> chromadb.Collection:
        try:
            collection = self._client.get_collection(name, embedding_function=None)
        except NotFoundError:
            collection = self._client.get_or_create_collection(
                name,
                embedding_function=None,
                metadata={DIGEST_KEY: self.digest},
                configuration={"hnsw": _HNSW},  # type: ignore[arg-type]
            )
        found = (collection.metadata or {}).get(DIGEST_KEY)
        if found is None and adopt:
            kept = {k: v for k, v in (collection.metadata or {}).items() if ":" not in k}
            collection.modify(metadata={**kept, DIGEST_KEY: self.digest})
        elif found != self.digest:
            raise DigestMismatchError(name, expected=self.digest, found=found)
        return collection

    def add(
        self,
        documents: Sequence[Document],
        *,
        texts: Sequence[str] | None = None,
        vectors: Sequence[Sequence[float]] | None = None,
    ) -> None:
        """Put documents into the index; one whose id is there already is replaced.

        Args:
            documents: With ids, each once. Metadata of any JSON kind is kept; str, int, float and
                bool can be filtered by.
            texts: What is embedded for each; None: its `page_content`.
            vectors: Their vectors, if this embedder has made them already.
        """
        ids = document_ids(documents)
        texts = [document.page_content for document in documents] if texts is None else texts
        vectors = self.embeddings.embed_documents(list(texts)) if vectors is None else vectors
        _check_vectors(vectors, len(ids))
        for part in self._parts(len(ids)):
            gone = self._no_longer(ids[part])
            metadatas = [to_chroma_metadata(document.metadata) for document in documents[part]]
            self._collection.upsert(
                ids=ids[part],
                embeddings=vectors[part],  # type: ignore[arg-type]
                documents=[document.page_content for document in documents[part]],
                metadatas=[
                    {**gone.get(id_, {}), **(metadata or {})} or None  # type: ignore[misc]
                    for id_, metadata in zip(ids[part], metadatas, strict=True)
                ],
            )

    def _no_longer(self, ids: list[str]) -> dict[str, dict[str, None]]:
        """The metadata that documents have now, as None, which takes it away in an upsert."""
        known = self._collection.get(ids=ids, include=["metadatas"])
        metadatas = known["metadatas"] or []
        return {i: dict.fromkeys(m or {}) for i, m in zip(known["ids"], metadatas, strict=True)}

    def delete(self, ids: Iterable[str]) -> None:
        """Take documents out; ids that are not there are passed over."""
        wanted = list(ids)
        for part in self._parts(len(wanted)):
            self._collection.delete(ids=wanted[part])

    def close(self) -> None:
        """Close the client, if this index opened it."""
        if self._owns_client:
            self._client.close()  # type: ignore[attr-defined]
            for session in _sessions(self._client):
                session.close()

    def ids(self) -> set[str]:
        """Ids of all documents."""
        return set(self._collection.get(include=[])["ids"])

    def __len__(self) -> int:
        return self._collection.count()

    def search_many(
        self,
        queries: Sequence[Query],
        *,
        k: int = DEFAULT_K,
        filter: Filter | None = None,  # noqa: A002
    ) -> list[list[Document]]:
        """Up to `k` documents per query, the most similar first.

        `metadata["score"]` is the cosine similarity, from -1 to 1 (in an adopted collection whose
        distance is another one: that of vectors of length 1). One embedding batch and one call of
        Chroma; a filter that Chroma can not express, or that leaves fewer than `k`, may take a few
        more.
        """
        check_search(k, filter)
        if not queries:
            return []
        vectors = embed_queries(self.embeddings, queries)
        where = to_chroma(filter)
        first = self._query(vectors, k, where)

        def widen(number: int) -> Any:
            def search(wanted: int) -> list[tuple[Document, float]]:
                vector = vectors[number]
                found = first[number] if wanted == k else self._query([vector], wanted, where)[0]
                complete = len(found) == wanted or len(found) >= self._count(where)
                return found if complete else self._compare_all(vector, where)

            return search

        return [filtered(widen(n), k=k, where=filter) for n in range(len(queries))]

    def _parts(self, count: int) -> list[slice]:
        """So many documents as parts that Chroma takes at once."""
        step = self._client.get_max_batch_size()
        return [slice(start, start + step) for start in range(0, count, step)]

    def _query(
        self, vectors: list[list[float]], k: int, where: dict[str, Any] | None
    ) -> list[list[tuple[Document, float]]]:
        found = self._collection.query(
            query_embeddings=vectors,  # type: ignore[arg-type]
            n_results=min(k, _MOST_RESULTS),
            where=where,
            include=["documents", "metadatas", "distances"],
        )
        columns = (found["ids"], found["documents"], found["metadatas"], found["distances"])
        return [
            [
                (_document(id_, text, metadata), self._similarity(distance))
                for id_, text, metadata, distance in zip(*ranking, strict=True)
            ]
            for ranking in zip(*(column or [] for column in columns), strict=True)
        ]

    def _count(self, where: dict[str, Any] | None) -> int:
        return len(self._collection.get(where=where, include=[])["ids"]) if where else len(self)

    def _compare_all(
        self, vector: Sequence[float], where: dict[str, Any] | None
    ) -> list[tuple[Document, float]]:
        """All documents: HNSW does not reach those that are hidden behind many equal ones."""
        found = self._collection.get(where=where, include=["documents", "metadatas", "embeddings"])
        others = np.asarray(found["embeddings"])
        lengths = np.linalg.norm(others, axis=1) * np.linalg.norm(vector)
        scores = (others @ np.asarray(vector)) / lengths
        rows = zip(found["ids"], found["documents"] or [], found["metadatas"] or [], strict=True)
        documents = [_document(*row) for row in rows]
        return [(documents[n], float(scores[n])) for n in np.argsort(-scores, kind="stable")]

    def _similarity(self, distance: float) -> float:
        return 1.0 - (distance / 2 if self._space == "l2" else distance)

    def as_retriever(
        self,
        *,
        k: int = DEFAULT_K,
        filter: Filter | None = None,  # noqa: A002
    ) -> IndexRetriever:
        """A LangChain retriever over this index."""
        return IndexRetriever(index=self, k=k, filter=dict(filter) if filter else None)


def _check_vectors(vectors: Sequence[Sequence[float]], count: int) -> None:
    """Raise ValueError unless there is one vector per document, all of one length."""
    lengths = {len(vector) for vector in vectors}
    if len(vectors) != count or len(lengths) > 1:
        msg = f"{count} documents need as many vectors of one length, not {len(vectors)} of "
        raise ValueError(msg + f"{sorted(lengths)}")


def _sessions(client: ClientAPI) -> Iterator[httpx.Client]:
    """The connections of a client over HTTP, which chromadb 1.5 neither bounds nor closes."""
    for part in (client, getattr(client, "_admin_client", None)):
        session = getattr(getattr(part, "_server", None), "_session", None)
        if session is not None:
            yield session


def _document(id_: str, text: str | None, metadata: Mapping[str, Any] | None) -> Document:
    return Document(id=id_, page_content=text or "", metadata=from_chroma_metadata(metadata or {}))
