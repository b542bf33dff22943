"""Embeddings whose adapter can be exchanged while they answer."""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import run_in_executor

from langchain_graft.errors import AdapterNotFoundError, DigestMismatchError
from langchain_graft.finetune_bridge.adapters.ref import (
    BASE,
    AdapterRef,
    is_version,
    split_reference,
)
from langchain_graft.finetune_bridge.serving.shelf import (
    EmbeddingsShelf,
    ServedEmbeddings,
    StandingAdapter,
    has_network,
)
from langchain_graft.models.compute import compute_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from langchain_graft.finetune_bridge.adapters.lease import AdapterLease
    from langchain_graft.finetune_bridge.adapters.store import AdapterStore
    from langchain_graft.models.tokens import TokenCounter

_TRIES = 5
"""An alias may move, and its former version be removed, just when it was looked up."""


class AdapterEmbeddings(Embeddings):
    """Vectors by an embedder with an adapter of a store, or with none (`base`).

    Two kinds of adapters are served. LoRA lies beside the weights of a `SentenceEmbeddings`; made
    for both sides it changes all vectors, made for queries only it leaves the documents' as they
    are. A `QueryMap` changes queries' vectors after any embedder, a service's as well.

    What an alias stands for is looked up at each call, and that version answers the whole call,
    whatever is promoted meanwhile. Versions lie beside each other in memory: a new one is loaded
    by the first call that asks for it, while the former one still answers the calls that it began,
    and is then let go.

    The documents' vectors never change their meaning in an object's life: it has one `digest`, so
    that an index may write it down. An alias may move among the versions that leave documents as
    they are; when it comes to stand for one that does not, calls are refused, and a new object,
    with a new collection, is to be made (a knowledge base's releases do that).

    May be used by several threads at once.

    Args:
        base: A `SentenceEmbeddings`, or any embedder for query maps.
        store: Where the adapters lie.
        adapter: `base`, a version (`legal@000003`), or an alias (`legal@current`, or `legal`).

    Raises:
        AdapterNotFoundError: The store has none of that name.
        AdapterMismatchError: It was made for another embedder.
    """

    def __init__(self, base: Embeddings, store: AdapterStore, *, adapter: str = BASE) -> None:
        self._begin(base, EmbeddingsShelf(base, store), adapter)

    def _begin(self, base: Any, shelf: EmbeddingsShelf, adapter: str) -> None:
        shelf.clear_up()
        self._base = base
        self._shelf = shelf
        self._adapter = adapter
        ref, lease = _lease(shelf.store, adapter)
        self.digest = shelf.digests(ref)[0]
        is_fixed = lease is not None and is_version(split_reference(adapter)[1])
        self._standing = StandingAdapter(shelf, lease if is_fixed else None)
        weakref.finalize(self, shelf.clear_up_later(), self._standing.close).atexit = False

    @property
    def adapter(self) -> str:
        """What answers now: `base`, or a version."""
        with self._leased() as ref:
            return BASE if ref is None else str(ref)

    @property
    def query_digest(self) -> str:
        """What tells the queries' vectors from others'; it changes with the alias."""
        with self._leased() as ref:
            return self._shelf.digests(ref)[1]

    @property
    def max_tokens(self) -> int:
        """The base's."""
        tokens: int = self._base.max_tokens
        return tokens

    @property
    def token_counter(self) -> Callable[[], TokenCounter]:
        """The base's."""
        counter: Callable[[], TokenCounter] = self._base.token_counter
        return counter

    def pinned(self, adapter: str | None = None) -> AdapterEmbeddings:
        """These embeddings with a version that stays, loaded and ready; it can not be removed.

        Args:
            adapter: Another one than this object's; what an alias stands for now.
        """
        ref, lease = _lease(self._shelf.store, adapter or self._adapter)
        other = object.__new__(type(self))
        other._begin(self._base, self._shelf, BASE if ref is None else str(ref))
        with other._held():
            if lease is not None:
                lease.release()
            return other

    def close(self) -> None:
        """Let go of the adapter, and of a version's lease; a later call takes it again."""
        self._standing.close()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of passages, in the order of the texts."""
        if not has_network(self._base):
            return self._plain_documents(texts)
        with self._held() as served:
            if served.around is None or not served.documents_too:
                return self._plain_documents(texts)
            vectors: list[list[float]] = self._base.embed_documents(texts, around=served.around)
            return vectors

    def embed_queries(self, texts: Sequence[str]) -> list[list[float]]:
        """Vectors of queries, in one batch where the base can."""
        with self._held() as served:
            if served.around is not None:
                found: list[list[float]] = self._base.embed_queries(texts, around=served.around)
                return found
            return served.mapped(self._plain_queries(texts))

    def embed_query(self, text: str) -> list[float]:
        """The vector of one query."""
        return self.embed_queries([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Like `embed_documents`, off the event loop."""
        if has_network(self._base):
            return await run_in_executor(compute_pool(), self.embed_documents, texts)
        vectors: list[list[float]] = await self._base.aembed_documents(texts)
        return vectors

    async def aembed_query(self, text: str) -> list[float]:
        """Like `embed_query`, off the event loop; a service is asked by its own async call."""
        if has_network(self._base):
            return await run_in_executor(compute_pool(), self.embed_query, text)
        vector = await self._base.aembed_query(text)
        return (await run_in_executor(compute_pool(), self._map, [vector]))[0]

    def _map(self, vectors: list[list[float]]) -> list[list[float]]:
        with self._held() as served:
            return served.mapped(vectors)

    def _plain_documents(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._base.embed_documents(texts)
        return vectors

    def _plain_queries(self, texts: Sequence[str]) -> list[list[float]]:
        batched = getattr(self._base, "embed_queries", None)
        return batched(texts) if batched else [self._base.embed_query(text) for text in texts]

    @contextmanager
    def _held(self) -> Iterator[ServedEmbeddings]:
        """The version that answers this call, until the call ends."""
        self._shelf.clear_up()
        with self._leased() as ref:
            if ref is None:
                yield ServedEmbeddings(self.digest)
                return
            served = self._shelf.take(ref)
            try:
                self._check(ref, served)
                self._standing.move(ref)
                yield served
            finally:
                self._shelf.give_back(ref)

    def _check(self, ref: AdapterRef, served: ServedEmbeddings) -> None:
        if served.digest != self.digest:
            error = DigestMismatchError(self._adapter, expected=served.digest, found=self.digest)
            error.add_note(
                f"{self._adapter!r} stands for {ref} now, which embeds documents anew: make a new "
                "AdapterEmbeddings, and with it a new collection"
            )
            raise error

    @contextmanager
    def _leased(self) -> Iterator[AdapterRef | None]:
        """What the adapter's name stands for now, kept in the store meanwhile."""
        if self._adapter == BASE or self._standing.lease is not None:
            yield None if self._adapter == BASE else AdapterRef.parse(self._adapter)
            return
        ref, lease = _lease(self._shelf.store, self._adapter)
        try:
            yield ref
        finally:
            if lease is not None:
                lease.release()


def _lease(
    store: AdapterStore, adapter: str
) -> tuple[AdapterRef, AdapterLease] | tuple[None, None]:
    """The version that a name stands for, and a lease of it; neither for the base."""
    for tries_left in reversed(range(_TRIES)):
        ref = store.resolve(adapter)
        if ref is None:
            break
        try:
            return ref, store.lease(ref)
        except AdapterNotFoundError:  # removed since
            if not tries_left:
                raise
    return None, None
