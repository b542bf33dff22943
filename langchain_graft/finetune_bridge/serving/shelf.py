"""An embedder's adapters in memory, each as long as someone holds it."""

from __future__ import annotations

import sys
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from langchain_graft.errors import AdapterMismatchError
from langchain_graft.models.digest import embeddings_digest
from langchain_graft.models.download import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.embeddings import Embeddings

    from langchain_graft.finetune_bridge.adapters.lease import AdapterLease
    from langchain_graft.finetune_bridge.adapters.lora_layers import LoraLayers
    from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest
    from langchain_graft.finetune_bridge.adapters.query_map import QueryMap
    from langchain_graft.finetune_bridge.adapters.ref import AdapterRef
    from langchain_graft.finetune_bridge.adapters.store import AdapterStore
    from langchain_graft.models.sentence_embeddings import Around


@dataclass(frozen=True)
class ServedEmbeddings:
    """An adapter as it is in memory; without `around` and `query_map` it is the base."""

    digest: str
    """The documents' vectors'."""
    documents_too: bool = False
    around: Around | None = None
    """What holds while a batch is computed."""
    query_map: QueryMap | None = None
    drop: Callable[[], None] = lambda: None

    def mapped(self, vectors: list[list[float]]) -> list[list[float]]:
        """The base's vectors of queries, as the map, if it is one, changes them."""
        if self.query_map is None or not vectors:
            return vectors
        changed: list[list[float]] = self.query_map(vectors).tolist()
        return changed


@dataclass
class _Place:
    """An adapter that is loaded or being loaded, and how many want it."""

    loading: Future[ServedEmbeddings] = field(default_factory=Future)
    holders: int = 0


class EmbeddingsShelf:
    """One embedder's adapters in memory. Loading one makes nobody wait who wants another.

    Args:
        base: The embedder; it is not kept.
        store: Where the adapters lie.
    """

    def __init__(self, base: Embeddings, store: AdapterStore) -> None:
        self.store = store
        self.base_digest = embeddings_digest(base)
        self._kind = type(base).__qualname__
        self._home = _home_of(base)
        self._places: dict[AdapterRef, _Place] = {}
        self._lock = threading.Lock()

    def digests(self, ref: AdapterRef | None) -> tuple[str, str]:
        """The documents' digest and the queries'.

        Raises:
            AdapterMismatchError: The adapter was made for another embedder.
        """
        if ref is None:
            return self.base_digest, self.base_digest
        manifest = self.store.manifest(ref)
        self._check(ref, manifest)
        own = manifest.digest
        return (own if _changes_documents(manifest) else self.base_digest), own

    def take(self, ref: AdapterRef) -> ServedEmbeddings:
        """The adapter, loaded if nobody has it; to be given back, unless this raises."""
        with self._lock:
            place = self._places.setdefault(ref, _Place())
            place.holders += 1
            is_first = place.holders == 1
        try:
            if is_first:
                self._load_into(place.loading, ref)
            return place.loading.result()
        except BaseException:
            self.give_back(ref)
            raise

    def give_back(self, ref: AdapterRef) -> None:
        """One holds it less; after the last one its memory is free."""
        with self._lock:
            place = self._places[ref]
            place.holders -= 1
            if place.holders:
                return
            del self._places[ref]
        if place.loading.exception() is None:
            place.loading.result().drop()

    def clear_up_later(self) -> Callable[[Callable[[], None]], None]:
        """Takes what is to be done for an object that is gone.

        A finalizer may run anywhere, under any lock: it only notes what `clear_up` will do.
        """
        return self._home.left.append

    def clear_up(self) -> None:
        """Let go of what objects that are gone still held."""
        while self._home.left:
            try:
                undo = self._home.left.popleft()
            except IndexError:  # another thread did it
                return
            undo()

    def _load_into(self, loading: Future[ServedEmbeddings], ref: AdapterRef) -> None:
        try:
            loading.set_result(self._load(ref))
        except BaseException as error:
            loading.set_exception(error)
            raise

    def _load(self, ref: AdapterRef) -> ServedEmbeddings:
        manifest = self.store.manifest(ref)
        digest, _ = self.digests(ref)
        if manifest.kind == "query-map":
            from langchain_graft.finetune_bridge.adapters.query_map import read_query_map  # noqa: PLC0415

            query_map = read_query_map(self.store.path(ref), expected=manifest.files)
            return ServedEmbeddings(digest=digest, query_map=query_map)
        if self._home.layers is None:
            raise _mismatch(ref, "embedder", self._kind, "a SentenceEmbeddings, for LoRA")
        from langchain_graft.finetune_bridge.adapters.lora_weights import read_lora  # noqa: PLC0415

        layers = self._home.layers
        pairs = read_lora(self.store.path(ref), expected=manifest.files, shapes=layers.shape_of)
        key = object()  # other shelves may have adapters of that name in the same network
        layers.add(key, pairs)
        return ServedEmbeddings(
            digest=digest,
            documents_too=_changes_documents(manifest),
            around=partial(layers.serving, [key]),
            drop=partial(layers.remove, key),
        )

    def _check(self, ref: AdapterRef, manifest: AdapterManifest) -> None:
        if manifest.kind == "generator":
            raise _mismatch(ref, "kind of model", "an embedder", "a chat model")
        if manifest.base_digest != self.base_digest:
            raise _mismatch(ref, "embedder", self.base_digest, manifest.base_digest)
        if (made := manifest.tokenizer_digest) not in (None, own := self._home.tokenizer_digest):
            raise _mismatch(ref, "tokenizer", own or "without tokenizer.json", str(made))


class StandingAdapter:
    """What an object keeps between its calls: the version that answered last, a pinned lease."""

    def __init__(self, shelf: EmbeddingsShelf, lease: AdapterLease | None) -> None:
        self.lease = lease
        self._shelf = shelf
        self._ref: AdapterRef | None = None
        self._lock = threading.Lock()

    def move(self, ref: AdapterRef | None) -> None:
        """Keep this version instead of the former one; whoever calls holds it."""
        if ref == self._ref:
            return
        with self._lock:
            if ref is not None:
                self._shelf.take(ref)
            former, self._ref = self._ref, ref
        if former is not None:
            self._shelf.give_back(former)

    def close(self) -> None:
        """Keep nothing."""
        self.move(None)
        lease, self.lease = self.lease, None
        if lease is not None:
            lease.release()


@dataclass(frozen=True)
class _Home:
    """What goes with an embedder as long as that lives."""

    layers: LoraLayers | None
    """In its network, if that is here."""
    tokenizer_digest: str | None
    """Of the tokenizer that goes with the network."""
    left: deque[Callable[[], None]] = field(default_factory=deque)


_HOMES: WeakKeyDictionary[Any, _Home] = WeakKeyDictionary()
_settling = threading.Lock()


def _home_of(base: Any) -> _Home:
    """The embedder's own: its network gets one set of hooks, however many shelves there are."""
    if not has_network(base):
        return _Home(None, None)
    with _settling:
        if base not in _HOMES:
            from langchain_graft.finetune_bridge.adapters.lora_layers import LoraLayers  # noqa: PLC0415

            _HOMES[base] = _Home(LoraLayers(base.transformer), tokenizer_digest(base))
        return _HOMES[base]


def tokenizer_digest(base: Any) -> str | None:
    """What tells an embedder's tokenizer from others, its sha256; None: it has no file of it."""
    path = base.token_counter().path if has_network(base) else None
    return sha256_of(Path(path)) if path else None


def has_network(base: Any) -> bool:
    """Whether it is a `SentenceEmbeddings`, whose library is loaded only if there is one."""
    module = sys.modules.get("langchain_graft.models.sentence_embeddings")
    return module is not None and isinstance(base, module.SentenceEmbeddings)


def _changes_documents(manifest: AdapterManifest) -> bool:
    return manifest.kind == "embeddings" and manifest.side == "both"


def _mismatch(ref: AdapterRef, what: str, expected: str, found: str) -> AdapterMismatchError:
    return AdapterMismatchError(str(ref), what=what, expected=expected, found=found)
