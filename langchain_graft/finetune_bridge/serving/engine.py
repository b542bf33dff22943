"""One base model, many adapters: loaded beside it, chosen request by request, dropped when idle."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary

from langchain_graft.errors import AdapterError, AdapterMismatchError
from langchain_graft.finetune_bridge.adapters.lora_layers import LoraLayers
from langchain_graft.finetune_bridge.adapters.lora_weights import read_lora
from langchain_graft.finetune_bridge.adapters.ref import (
    BASE,
    AdapterRef,
    is_version,
    split_reference,
)
from langchain_graft.finetune_bridge.serving.probe import check_probes

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest
    from langchain_graft.finetune_bridge.adapters.store import AdapterStore
    from langchain_graft.finetune_bridge.serving.chat import AdapterChatModel
    from langchain_graft.models.transformers import TransformersEngine

MAX_LOADED = 32


@dataclass(eq=False)
class _Loaded:
    """An adapter in memory, and how many requests it answers; itself the key of its layers."""

    ref: AdapterRef
    requests: int = 1
    used: int = 0
    """Counts up: the lowest was unused for the longest time."""


class Lease:
    """An adapter for one request: it stays in memory, and in the store, until `release`.

    One that is forgotten is released when it is collected; a second release does nothing.
    """

    def __init__(self, engine: AdapterEngine, loaded: _Loaded | None, kept: Any = None) -> None:
        self._engine, self._loaded, self._kept = engine, loaded, kept
        self.adapter = str(loaded.ref) if loaded else BASE
        """What answers: `name@000003`, or `base`."""
        self.variant: Hashable = loaded
        """The `variant` for the methods of a `TransformersEngine`."""

    def release(self) -> None:
        """The request has ended. Neither waits nor fails: Python may be collecting garbage."""
        loaded, self._loaded = self._loaded, None
        if loaded:
            self._kept.release()
            self._engine._end_request(loaded)  # noqa: SLF001 (its other half)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()


class AdapterEngine:
    """Serves a store's adapters from one base model, which is loaded once and never changed.

    An adapter is loaded beside the others with the first request for it, while these go on; an
    alias is resolved once per request. A version that no alias names any more is dropped when its
    last request has ended, so that a promotion is: load, probe, flip, drain, delete. Requests for
    several adapters are computed in one batch (`LoraLayers`). May be used by any number of threads
    and event loops at once; several engines may share one `TransformersEngine`, and several
    processes one store.

    Args:
        engine: The base model.
        store: Where the adapters are.
        max_loaded: Adapters kept in memory; beyond it the one longest unused is dropped.
    """

    def __init__(
        self, engine: TransformersEngine, store: AdapterStore, *, max_loaded: int = MAX_LOADED
    ) -> None:
        if max_loaded < 1:
            msg = f"max_loaded must be 1 or more, not {max_loaded!r}"
            raise ValueError(msg)
        self.engine, self.store = engine, store
        self._layers = _layers_of(engine)
        self._max_loaded = max_loaded
        self._loaded: dict[AdapterRef, _Loaded] = {}
        self._named: dict[str, AdapterRef | None] = {}
        self._superseded: set[AdapterRef] = set()
        self._digests: dict[AdapterRef, str] = {}
        self._lock = threading.Lock()
        self._loading: defaultdict[AdapterRef, threading.Lock] = defaultdict(threading.Lock)
        self._ended: deque[_Loaded] = deque()
        self._uses = 0

    def chat_model(self, adapter: str = BASE, **settings: Any) -> AdapterChatModel:
        """A chat model that answers with an adapter.

        Args:
            adapter: `name` or `name@alias`, which follow the alias; `name@000003`; or `base`.
            settings: Fields of `TransformersChatModel`, such as `max_tokens`.

        Raises:
            AdapterNotFoundError: There is none of that name.
        """
        from langchain_graft.finetune_bridge.serving.chat import AdapterChatModel  # noqa: PLC0415

        self.resolve(adapter)
        return AdapterChatModel.of_adapters(self, adapter=adapter, **settings)

    def resolve(self, adapter: str) -> str:
        """What a name or an alias stands for now: `name@000003`, or `base`.

        Raises:
            AdapterNotFoundError: There is none of that name.
        """
        ref = self._resolved(adapter)
        return str(ref) if ref else BASE

    def lease(self, adapter: str) -> Lease:
        """An adapter for one request; it is loaded if it is not.

        Raises:
            AdapterNotFoundError: There is none of that name.
            AdapterError: It can not be loaded.
        """
        ref = self._resolved(adapter)
        if ref is None:
            return Lease(self, None)
        kept = self.store.lease(ref)
        lease = Lease(self, self._taken(ref) or self._load(ref), kept)
        self._settle()
        return lease

    def digest(self, adapter: str) -> str | None:
        """What tells a version's numbers from those of any other; None: `base`.

        Raises:
            AdapterNotFoundError: There is none of that name.
        """
        ref = self.store.resolve(adapter)
        if ref is None:
            return None
        if ref not in self._digests:
            self._digests[ref] = self.store.manifest(ref).digest
        return self._digests[ref]

    def loaded(self) -> list[AdapterRef]:
        """What is in memory now."""
        self._settle()
        with self._locked():
            return sorted(self._loaded)

    def load(self, ref: AdapterRef) -> None:
        """Load an adapter beside the others; requests go on meanwhile.

        Raises:
            AdapterNotFoundError: The store does not have it.
            AdapterRefusedError: Its files are not what may be loaded.
            AdapterMismatchError: It was made for another base model or tokenizer.
        """
        self.lease(str(ref)).release()

    def promote(self, ref: AdapterRef) -> None:
        """Let an adapter's name mean this version from now on: load it, probe it, flip the alias.

        Requests that have begun end on the version with which they began; that is dropped then.

        Raises:
            AdapterNotFoundError: The store does not have it.
            AdapterError: It can not be loaded, or does not answer as it did where it was made; the
                alias stays as it is.
        """
        with self.lease(str(ref)) as lease:
            probes = self.store.manifest(ref).probe
            check_probes(self.engine, str(ref), probes, variant=lease.variant)
            self.store.promote(ref)
            self._note(ref.name, ref)

    def rollback(self, name: str) -> AdapterRef:
        """Let a name mean the version again that it meant before.

        Raises:
            AdapterNotFoundError: There was none before.
        """
        ref = self.store.rollback(name)
        self._note(name, ref)
        self._settle()
        return ref

    def close(self) -> None:
        """Drop all adapters: those that answer something, when they have; the base model stays."""
        with self._locked():
            self._superseded.update(self._loaded)
        self._settle()

    def _taken(self, ref: AdapterRef) -> _Loaded | None:
        """What is in memory already, one request more."""
        with self._locked():
            if loaded := self._loaded.get(ref):
                self._uses += 1
                loaded.requests += 1
                loaded.used = self._uses
            return loaded

    def _load(self, ref: AdapterRef) -> _Loaded:
        with self._loading[ref]:  # others are loaded meanwhile
            if loaded := self._taken(ref):
                return loaded
            manifest = self.store.manifest(ref)
            self._check(ref, manifest)
            pairs = read_lora(
                self.store.path(ref), expected=manifest.files, shapes=self._layers.shape_of
            )
            loaded = _Loaded(ref)
            self._layers.add(loaded, pairs)
            with self._locked():
                self._uses += 1
                loaded.used = self._uses
                self._loaded[ref] = loaded
            return loaded

    def _check(self, ref: AdapterRef, manifest: AdapterManifest) -> None:
        if manifest.kind != "generator":
            msg = f"{str(ref)!r} is made for {manifest.kind}, not to answer. See `graft promote`"
            raise AdapterError(msg, adapter=str(ref))
        own = {"base model": self.engine.digest, "tokenizer": self.engine.tokenizer.digest}
        made = {"base model": manifest.base_digest, "tokenizer": manifest.tokenizer_digest}
        for what, expected in own.items():
            if made[what] not in (None, expected):
                raise AdapterMismatchError(
                    str(ref), what=what, expected=expected, found=str(made[what])
                )

    def _resolved(self, adapter: str) -> AdapterRef | None:
        ref = self.store.resolve(adapter)
        if adapter != BASE:
            self._note(adapter, ref)
        return ref

    def _note(self, adapter: str, ref: AdapterRef | None) -> None:
        """What an alias stands for now; the version for which it stood before goes, if idle."""
        name, alias = split_reference(adapter)
        if is_version(alias):
            return
        with self._locked():
            before = self._named.get(f"{name}@{alias}")
            self._named[f"{name}@{alias}"] = ref
            if before and before not in self._named.values():
                self._superseded.add(before)
            if ref:
                self._superseded.discard(ref)

    def _end_request(self, loaded: _Loaded) -> None:
        self._ended.append(loaded)
        self._settle()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """What ends meanwhile, and could not wait, is counted afterwards."""
        with self._lock:
            yield
        if self._ended:
            self._settle()

    def _settle(self) -> None:
        """Count the requests that have ended and drop what is idle; who holds the lock does it.

        It may run anywhere, where Python collects garbage too, and waits for nobody.
        """
        while self._lock.acquire(blocking=False):
            try:
                while self._ended:
                    self._ended.popleft().requests -= 1
                gone = self._idle()
            finally:
                self._lock.release()
            for one in gone:
                self.engine.run(partial(self._forget, one))
            if not self._ended:
                return

    def _idle(self) -> list[_Loaded]:
        """Take out what answers nothing: superseded ones, and the longest unused over the bound."""
        idle = [one for one in self._loaded.values() if not one.requests]
        idle.sort(key=lambda one: (one.ref not in self._superseded, one.used))
        over = len(self._loaded) - self._max_loaded
        gone = [one for n, one in enumerate(idle) if one.ref in self._superseded or n < over]
        for one in gone:
            del self._loaded[one.ref]
        return gone

    def _forget(self, loaded: _Loaded) -> None:
        self._layers.remove(loaded)
        self.engine.forget(loaded)


_layers: WeakKeyDictionary[TransformersEngine, LoraLayers] = WeakKeyDictionary()
_making = threading.Lock()


def _layers_of(engine: TransformersEngine) -> LoraLayers:
    """The model's layers with room for adapters: one for all who share the model."""
    with _making:
        if engine not in _layers:
            layers = engine.run(partial(LoraLayers, engine.model)).result()
            engine.computing = layers.serving
            _layers[engine] = layers
        return _layers[engine]
