"""The releases of a knowledge base: made of adapters, promoted, gone back from."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import AdapterNotFoundError, ReleaseError
from langchain_graft.finetune_bridge.adapters.ref import BASE, AdapterRef, split_reference
from langchain_graft.finetune_bridge.adapters.versions import versions
from langchain_graft.knowledge_base.journal import Journal
from langchain_graft.knowledge_base.lock import writing
from langchain_graft.knowledge_base.manifest import ADAPTERS, JOURNAL, read_manifest
from langchain_graft.knowledge_base.promotion import Promotion
from langchain_graft.knowledge_base.release import (
    NOT_CHECKED,
    Release,
    current_release,
    read_release,
)
from langchain_graft.knowledge_base.thresholds import read_weakness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from langchain_core.embeddings import Embeddings

    from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest
    from langchain_graft.finetune_bridge.adapters.store import AdapterStore
    from langchain_graft.knowledge_base.embedders import Embedders
    from langchain_graft.knowledge_base.manifest import Manifest
    from langchain_graft.knowledge_base.promotion import Candidate
    from langchain_graft.knowledge_base.reembedding import ReembedEstimate
    from langchain_graft.models.pull import OnProgress


class Releases:
    """Promotes and goes back, for one knowledge base.

    Args:
        folder: The knowledge base.
        embedders: Gives the releases' embedders.
        store: Its adapters.
        probe: Loads a chat model's adapter and looks at what it answers, before it serves.
    """

    def __init__(
        self,
        folder: Path,
        *,
        embedders: Embedders,
        store: AdapterStore,
        probe: Callable[[AdapterRef, AdapterManifest], None],
    ) -> None:
        self._folder = folder
        self._embedders = embedders
        self._store = store
        self._probe = probe

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
        """Make a release with another adapter serve; see `KnowledgeBase.promote`."""
        ref = self._resolved(adapter)
        with (
            self._store.lease(ref),
            self._changing(on_estimate, on_progress) as (manifest, promotion),
        ):
            current = current_release(self._folder, manifest)
            adapter_manifest = self._store.manifest(ref)
            wanted = self._with(current, ref, adapter_manifest)
            wanted = replace(wanted, why=why or f"promotion of {ref}")
            wanted = replace(wanted, prompts=dict(current.prompts if prompts is None else prompts))
            if _parts(wanted) != _parts(current):
                embedder = self._embedders.by_name(wanted.embeddings, wanted.embeddings_adapter)
                _check_window(embedder, manifest)
                if adapter_manifest.kind == "generator":
                    self._probe(ref, adapter_manifest)
                current = promotion.promote(wanted, embedder, gate=gate, force=force)
            self._move_aliases(current)
        return current

    def rollback(
        self,
        *,
        on_estimate: Callable[[ReembedEstimate], None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> Release:
        """Make the former release serve; see `KnowledgeBase.rollback`."""
        with self._changing(on_estimate, on_progress) as (manifest, promotion):
            current = current_release(self._folder, manifest)
            if current.former is None:
                msg = f"Release {current.number} is the first one: there is none to go back to"
                raise ReleaseError(msg)
            former = read_release(self._folder, current.former, manifest)
            promotion.rollback(former, self._embedders.of(former))
            self._move_aliases(former)
        return former

    @contextmanager
    def _changing(
        self,
        on_estimate: Callable[[ReembedEstimate], None] | None,
        on_progress: OnProgress | None,
    ) -> Iterator[tuple[Manifest, Promotion]]:
        with writing(self._folder), closing(Journal(self._folder / JOURNAL)) as journal:
            manifest = read_manifest(self._folder)
            yield (
                manifest,
                Promotion(
                    self._folder,
                    journal=journal,
                    manifest=manifest,
                    on_progress=on_progress,
                    on_estimate=on_estimate,
                ),
            )

    def _resolved(self, adapter: AdapterRef | str) -> AdapterRef:
        """A name alone is its newest version: what it means elsewhere has been promoted."""
        if isinstance(adapter, str) and adapter != BASE and "@" not in adapter:
            home = self._folder / ADAPTERS / split_reference(adapter)[0]
            adapter = [adapter, *(versions(home) if home.is_dir() else ())][-1]
        ref = adapter if isinstance(adapter, AdapterRef) else self._store.resolve(adapter)
        if ref is None:
            msg = "The base is no adapter to promote; `rollback` goes back to a release without one"
            raise ReleaseError(msg)
        return ref

    def _with(self, current: Release, ref: AdapterRef, adapter: AdapterManifest) -> Release:
        """A release like the current one, but for this adapter."""
        new = replace(current, checked=NOT_CHECKED, forced=False)
        measured = read_weakness(self._folder, current)
        if adapter.kind == "generator":
            thresholds = asdict(measured) if measured else None
            return replace(
                new, generator=adapter.base, generator_adapter=str(ref), thresholds=thresholds
            )
        return replace(
            new,
            embeddings=self._embedders.base_of(adapter),
            embeddings_adapter=str(ref),
            thresholds=None,  # they were measured on the scores of another embedder
        )

    def _move_aliases(self, release: Release) -> None:
        """`current` means of each adapter what the release has, for those who ask by name."""
        for text in release.adapters:
            ref = AdapterRef.parse(text)
            if not self._is_current(ref):
                self._store.promote(ref)

    def _is_current(self, ref: AdapterRef) -> bool:
        try:
            return self._store.resolve(ref.name) == ref
        except AdapterNotFoundError:
            return False


def _parts(release: Release) -> tuple[Any, ...]:
    """What two releases have in common that answer alike."""
    return (
        release.embeddings,
        release.embeddings_adapter,
        release.generator,
        release.generator_adapter,
        release.prompts,
    )


def _check_window(embeddings: Embeddings, manifest: Manifest) -> None:
    window = getattr(embeddings, "max_tokens", None)
    tokens = manifest.settings.chunk_tokens
    if window is not None and tokens > window:
        msg = f"The chunks have up to {tokens} tokens, but the embedder reads {window} at once"
        raise ReleaseError(msg)
