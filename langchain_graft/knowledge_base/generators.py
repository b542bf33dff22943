"""The chat models of a knowledge base, with the adapter that its release has or a call asks for."""

from __future__ import annotations

import threading
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import AdapterError, AdapterMismatchError
from langchain_graft.finetune_bridge.adapters.ref import BASE, RELEASE, AdapterRef
from langchain_graft.finetune_bridge.adapters.store import AdapterStore
from langchain_graft.finetune_bridge.serving.engine import AdapterEngine
from langchain_graft.finetune_bridge.serving.probe import check_probes
from langchain_graft.knowledge_base.adapters import keeps_of
from langchain_graft.knowledge_base.manifest import ADAPTERS
from langchain_graft.knowledge_base.release import current_release
from langchain_graft.models import load_chat_model
from langchain_graft.models.transformers import TransformersEngine, TransformersSettings

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from langchain_core.language_models import BaseChatModel

    from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest
    from langchain_graft.models.pull import OnProgress


class ReleaseAdapters(AdapterStore):
    """A knowledge base's adapters as one base model serves them; it knows `release`.

    Args:
        folder: The knowledge base.
        base_digest: The base model's; a release of another model has no adapter for it.
        specs: The names by which the base was asked for, also later ones.
    """

    def __init__(self, folder: Path, base_digest: str, specs: Collection[str] = ()) -> None:
        super().__init__(folder / ADAPTERS, keeps=keeps_of(folder))
        self._knowledge_base = folder
        self._base_digest = base_digest
        self._specs = specs

    def resolve(self, adapter: str) -> AdapterRef | None:
        """The version that a name means now, `release` among them.

        Raises:
            AdapterMismatchError: The release's model goes by this one's name, and is another one.
        """
        if adapter != RELEASE:
            return super().resolve(adapter)
        release = current_release(self._knowledge_base)
        if release.generator_adapter is None:
            return None
        ref = AdapterRef.parse(release.generator_adapter)
        made_for = self.manifest(ref).base_digest
        if made_for == self._base_digest:
            return ref
        if release.generator in self._specs:
            raise AdapterMismatchError(
                str(ref), what="base model", expected=self._base_digest, found=made_for
            )
        return None


class Generators:
    """Chat models on transformers, each base loaded once, with a knowledge base's adapters.

    Args:
        folder: The knowledge base.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._engines: dict[TransformersEngine, AdapterEngine] = {}
        self._specs: dict[TransformersEngine, set[str]] = {}
        self._lock = threading.Lock()

    def chat_model(
        self,
        spec: str,
        adapter: str | None,
        *,
        on_progress: OnProgress | None = None,
        **settings: Any,
    ) -> BaseChatModel:
        """A chat model that answers with an adapter.

        Args:
            spec: The base model's name for `load_chat_model`.
            adapter: `name@000003`, `name`, or `base`; None: what the release has, whichever serves.
            on_progress: Told about a download.
            settings: As for `load_chat_model`.

        Raises:
            ValueError: Only models on transformers (`hf:`) have adapters.
            AdapterMismatchError: The model of that name is not the one that the release was made
                for.
        """
        plain = load_chat_model(spec, on_progress=on_progress, **settings)
        engine = getattr(plain, "engine", None)
        if not isinstance(engine, TransformersEngine):
            if adapter in (BASE, None):
                return plain
            msg = f"Only 'hf:' models answer with an adapter such as {adapter!r}, not {spec!r}"
            raise ValueError(msg)
        engines = {field.name for field in fields(TransformersSettings)}
        own = {name: value for name, value in settings.items() if name not in engines}
        return self._of(engine, spec).chat_model(adapter or RELEASE, **own)

    def probe(self, ref: AdapterRef, manifest: AdapterManifest) -> None:
        """Load an adapter on its base and ask it what it was asked where it was made.

        An engine that runs here is taken; otherwise the base is loaded.

        Raises:
            AdapterMismatchError: The base here is another one.
            AdapterError: It can not be loaded, or answers otherwise.
            UnknownModelError: There is no base of that name.
        """
        with self._lock:
            running = [one for one in self._engines if one.digest == manifest.base_digest]
        engine = running[0] if running else getattr(load_chat_model(manifest.base), "engine", None)
        if not isinstance(engine, TransformersEngine):
            msg = f"{str(ref)!r} is made for {manifest.base!r}, and only 'hf:' models have adapters"
            raise AdapterError(msg, adapter=str(ref))
        with self._of(engine, manifest.base).lease(str(ref)) as lease:
            check_probes(engine, str(ref), manifest.probe, variant=lease.variant)

    def bases(self) -> Collection[TransformersEngine]:
        """The base models that are held."""
        with self._lock:
            return set(self._engines)

    def keep_only(self, bases: Collection[TransformersEngine]) -> None:
        """Let go of the other base models."""
        with self._lock:
            for engine in self._engines.keys() - set(bases):
                self._specs.pop(engine)
                self._engines.pop(engine).close()

    def close(self) -> None:
        """Let go of the adapters; base models stay with whoever holds them."""
        with self._lock:
            for engine in self._engines.values():
                engine.close()
            self._engines, self._specs = {}, {}

    def _of(self, engine: TransformersEngine, spec: str) -> AdapterEngine:
        """The base with its adapters; it is known by that name too."""
        with self._lock:
            specs = self._specs.setdefault(engine, set())
            specs.add(spec)
            if engine not in self._engines:
                store = ReleaseAdapters(self._folder, engine.digest, specs)
                self._engines[engine] = AdapterEngine(engine, store)
            return self._engines[engine]
