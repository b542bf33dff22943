"""One base model, many adapters: loaded beside it, chosen request by request, dropped when idle."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary

from langchain_graft.errors import AdapterError, AdapterMismatchError
from langchain_graft.finetune_bridge.adapter_probe import check_probes
from langchain_graft.finetune_bridge.adapter_ref import (
    BASE,
    AdapterRef,
    is_version,
    split_reference,
)
from langchain_graft.finetune_bridge.lora_layers import LoraLayers
from langchain_graft.finetune_bridge.lora_weights import read_lora

if TYPE_CHECKING:
    from collections.abc import Hashable

    from langchain_graft.finetune_bridge.adapter_chat import AdapterChatModel
    from langchain_graft.finetune_bridge.adapter_manifest import AdapterManifest
    from langchain_graft.finetune_bridge.adapter_store import AdapterStore
    from langchain_graft.models.transformers import TransformersEngine

MAX_LOADED = 32


@dataclass
class _Loaded:
    """An adapter in memory, and how many requests it answers."""

    ref: AdapterRef
    kept: Any
    """The store's lease: no process removes its files meanwhile."""
    requests: int
    superseded: bool = False
    """Whether no alias names it any more: it goes with its last request."""
    used: int = 0
    """Counts up: the lowest was unused for the longest time."""


class Lease:
    """An adapter for one request: it stays in memory until `release`, which may be called twice."""

    def __init__(self, engine: AdapterEngine, loaded: _Loaded | None) -> None:
        self._engine, self._loaded = engine, loaded
        self.adapter = str(loaded.ref) if loaded else BASE
        """What answers: `name@000003`, or `base`."""
        self.variant: Hashable = engine.variant(loaded.ref) if loaded else None
        """The `variant` for the methods of a `TransformersEngine`."""

    def release(self) -> None:
        """The request has ended."""
        loaded, self._loaded = self._loaded, None
        if loaded:
            self._engine._end_request(loaded)  # noqa: SLF001 (its other half)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
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
        self._named: dict[str, AdapterRef] = {}
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._uses = 0

    def chat_model(self, adapter: str = BASE, **settings: Any) -> AdapterChatModel:
        """A chat model that answers with an adapter.

        Args:
            adapter: `name` or `name@alias`, which follow the alias; `name@000003`; or `base`.
            settings: Fields of `TransformersChatModel`, such as `max_tokens`.

        Raises:
            AdapterNotFoundError: There is none of that name.
        """
        from langchain_graft.finetune_bridge.adapter_chat import AdapterChatModel  # noqa: PLC0415

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
        loaded = self._taken(ref) or self._load(ref)
        self._drop_idle()
        return Lease(self, loaded)

    def variant(self, ref: AdapterRef) -> Hashable:
        """The key under which an adapter computes."""
        return (str(self.store.folder), str(ref))

    def loaded(self) -> list[AdapterRef]:
        """What is in memory now."""
        with self._lock:
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
        self._drop_idle()
        return ref

    def close(self) -> None:
        """Drop all adapters that answer nothing; the base model stays."""
        with self._lock:
            for loaded in self._loaded.values():
                loaded.superseded = True
        self._drop_idle()

    def _taken(self, ref: AdapterRef) -> _Loaded | None:
        """What is in memory already, one request more."""
        with self._lock:
            if loaded := self._loaded.get(ref):
                self._uses += 1
                loaded.requests += 1
                loaded.used = self._uses
            return loaded

    def _load(self, ref: AdapterRef) -> _Loaded:
        with self._loading:
            if loaded := self._taken(ref):
                return loaded
            kept = self.store.lease(ref)
            try:
                manifest = self.store.manifest(ref)
                self._check(ref, manifest)
                pairs = read_lora(
                    self.store.path(ref), expected=manifest.files, shapes=self._layers.shape_of
                )
                placed = self._layers.placed(pairs)
                self.engine.run(partial(self._layers.add, self.variant(ref), placed)).result()
            except BaseException:
                kept.release()
                raise
            with self._lock:
                self._uses += 1
                loaded = self._loaded[ref] = _Loaded(ref, kept, requests=1, used=self._uses)
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
        if ref is not None:
            self._note(adapter, ref)
        return ref

    def _note(self, adapter: str, ref: AdapterRef) -> None:
        """What an alias stands for now; the version for which it stood before goes, if idle."""
        name, alias = split_reference(adapter)
        if is_version(alias):
            return
        with self._lock:
            before = self._named.get(f"{name}@{alias}")
            self._named[f"{name}@{alias}"] = ref
            named = self._named.values()
            if before and before != ref and before in self._loaded:
                self._loaded[before].superseded = before not in named
            if ref in self._loaded:
                self._loaded[ref].superseded = False

    def _end_request(self, loaded: _Loaded) -> None:
        with self._lock:
            loaded.requests -= 1
        self._drop_idle()

    def _drop_idle(self) -> None:
        """Forget what answers nothing: superseded versions, and the longest unused over the bound.

        It may run in the engine's thread, and waits for no forward.
        """
        with self._lock:
            idle = [one for one in self._loaded.values() if not one.requests]
            idle.sort(key=lambda one: (not one.superseded, one.used))
            over = len(self._loaded) - self._max_loaded
            gone = [one for n, one in enumerate(idle) if one.superseded or n < over]
            for one in gone:
                del self._loaded[one.ref]
        for one in gone:
            self.engine.run(partial(self._forget, self.variant(one.ref)))
            one.kept.release()

    def _forget(self, variant: Hashable) -> None:
        self._layers.remove(variant)
        self.engine.forget(variant)


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
