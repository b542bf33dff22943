"""Small pieces are searched, the documents that hold them come back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, RetrieverLike
from langchain_core.runnables.config import run_in_executor
from langchain_core.stores import BaseStore
from pydantic import Field

from langchain_graft.retrievers.filters import (
    Filter,
    OwnFilter,
    filter_keys,
    matches,
)
from langchain_graft.retrievers.index import DEFAULT_K, narrowed
from langchain_graft.retrievers.many import asearch_many, search_many
from langchain_graft.retrievers.query import Query, as_query
from langchain_graft.retrievers.together import raised
from langchain_graft.retrievers.warned import with_warnings

if TYPE_CHECKING:
    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )
    from langchain_core.runnables import RunnableConfig

FETCH_K = 20
_TOLD = ("start_index", "score")

Parents = Callable[[list[str]], Sequence[Document | None]]


class ParentRetriever(BaseRetriever):
    """Searches pieces and gives their parents, each once, in the order of their best pieces.

    `metadata["pieces"]` of a parent lists what led there: `id`, and `start_index` and `score` where
    the piece has them; `metadata["score"]` is its best piece's. A piece without a parent, or whose
    parent is not there, comes back itself, the latter with a line in `metadata["warnings"]`.

    A filter is asked of the pieces; what a parent does not say about the filter's keys is taken
    from its best piece, and a parent that says otherwise is left out.

    Example: summaries are searched, the originals come back.
        >>> index = VectorIndex(load_embeddings(), open_chroma("index"), name="summaries")
        >>> index.add(create_summaries(model, documents))
        >>> originals = InMemoryStore()
        >>> originals.mset([(document.id, document) for document in documents])
        >>> retriever = ParentRetriever(retriever=IndexRetriever(index=index), parents=originals)
    """

    retriever: RetrieverLike
    """Over the pieces."""
    parents: BaseStore[str, Any] | Parents
    """A store of documents by id, or a function from ids to a document or None for each."""
    parent_key: str = "parent_id"
    """Name of the metadata in which a piece names its parent."""
    k: int = Field(default=DEFAULT_K, ge=1)
    fetch_k: int = Field(default=FETCH_K, ge=1)
    """How many pieces are searched."""
    filter: OwnFilter = None

    def search_many(
        self,
        queries: Sequence[str | Query],
        *,
        k: int | None = None,
        filter: Filter | None = None,  # noqa: A002
        config: RunnableConfig | None = None,
    ) -> list[list[Document]]:
        """Parents for several queries; the pieces are searched in one call where that is possible.

        Args:
            queries: What is searched.
            k: Most parents per query; None: the retriever's own.
            filter: Narrows the retriever's own.
            config: For a retriever that is asked one by one.
        """
        k, where = narrowed(self, k, filter)
        asked = [as_query(query) for query in queries]
        wanted = max(k, self.fetch_k)
        rankings = search_many(self.retriever, asked, k=wanted, filter=where, config=config)
        found = [raised(one) for one in rankings]
        ids = self._ids(found)
        store = self.parents
        parents = store.mget(ids) if isinstance(store, BaseStore) else store(ids)
        return self._given(found, _by_id(ids, parents), k, where)

    async def asearch_many(
        self,
        queries: Sequence[str | Query],
        *,
        k: int | None = None,
        filter: Filter | None = None,  # noqa: A002
        config: RunnableConfig | None = None,
    ) -> list[list[Document]]:
        """Like `search_many`, off the event loop."""
        k, where = narrowed(self, k, filter)
        asked = [as_query(query) for query in queries]
        wanted = max(k, self.fetch_k)
        rankings = await asearch_many(self.retriever, asked, k=wanted, filter=where, config=config)
        found = [raised(one) for one in rankings]
        ids = self._ids(found)
        store = self.parents
        parents = await (
            store.amget(ids) if isinstance(store, BaseStore) else run_in_executor(None, store, ids)
        )
        return self._given(found, _by_id(ids, parents), k, where)

    def _ids(self, rankings: Sequence[Sequence[Document]]) -> list[str]:
        named = (self._parent_of(piece) for ranking in rankings for piece in ranking)
        return list(dict.fromkeys(id_ for id_ in named if id_))

    def _parent_of(self, piece: Document) -> str:
        named = piece.metadata.get(self.parent_key)
        return "" if named is None else str(named)

    def _given(
        self,
        rankings: Sequence[Sequence[Document]],
        parents: dict[str, Document],
        k: int,
        where: Filter,
    ) -> list[list[Document]]:
        return [self._whole_documents(ranking, parents, where)[:k] for ranking in rankings]

    def _whole_documents(
        self, pieces: Sequence[Document], parents: dict[str, Document], where: Filter
    ) -> list[Document]:
        """One document for each parent that pieces name, in the order of the pieces."""
        groups: dict[object, list[Document]] = {}
        for number, piece in enumerate(pieces):
            named = self._parent_of(piece)
            groups.setdefault(named if named in parents else number, []).append(piece)
        whole = [
            _with_pieces(parents[name], group, filter_keys(where))
            if isinstance(name, str)
            else self._orphan(group[0])
            for name, group in groups.items()
        ]
        return [document for document in whole if matches(where, document.metadata)]

    def _orphan(self, piece: Document) -> Document:
        named = self._parent_of(piece)
        return with_warnings(piece, [f"its parent {named!r} is not there"] if named else [])

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **asked: Any
    ) -> list[Document]:
        config: RunnableConfig = {"callbacks": run_manager.get_child()}
        return self.search_many([query], config=config, **asked)[0]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **asked: Any
    ) -> list[Document]:
        config: RunnableConfig = {"callbacks": run_manager.get_child()}
        return (await self.asearch_many([query], config=config, **asked))[0]


def _by_id(ids: Sequence[str], parents: Sequence[Document | None]) -> dict[str, Document]:
    if len(parents) != len(ids):
        msg = f"{len(ids)} parents were asked for, {len(parents)} came: give None for a missing one"
        raise ValueError(msg)
    return {id_: parent for id_, parent in zip(ids, parents, strict=True) if parent is not None}


def _with_pieces(parent: Document, pieces: Sequence[Document], keys: set[str]) -> Document:
    """A copy of the parent that says which pieces led there."""
    best = pieces[0].metadata
    told = [
        {"id": piece.id, **{key: piece.metadata[key] for key in _TOLD if key in piece.metadata}}
        for piece in pieces
    ]
    metadata = {
        **{key: best[key] for key in keys if key in best},
        **parent.metadata,
        **({"score": best["score"]} if "score" in best else {}),
        "pieces": told,
    }
    return parent.model_copy(update={"metadata": metadata})
