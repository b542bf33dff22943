"""The embedders that releases name, each loaded once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import DigestMismatchError, KnowledgeBaseError
from langchain_graft.models.digest import embeddings_digest
from langchain_graft.models.embeddings import load_embeddings

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.embeddings import Embeddings

    from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest
    from langchain_graft.finetune_bridge.adapters.store import AdapterStore
    from langchain_graft.knowledge_base.manifest import Manifest
    from langchain_graft.knowledge_base.release import Release


class Embedders:
    """Gives the embedder of a release: its base, with its adapter beside the weights.

    May be used by several threads at once.

    Args:
        name: The name of the embedder that is here already; None: it has none.
        given: That embedder.
        store: Gives the store in which the adapters lie.
    """

    def __init__(
        self, name: str | None, given: Embeddings, store: Callable[[], AdapterStore]
    ) -> None:
        self._bases: dict[str | None, Embeddings] = {name: given}
        self._adapted: dict[tuple[str | None, str], Any] = {}
        self._store = store
        self._lock = threading.Lock()

    def of(self, release: Release | Manifest) -> Embeddings:
        """The embedder of a release, or of what `kb.json` names.

        Raises:
            DigestMismatchError: Its vectors are not those of the release.
            AdapterError: Its adapter is gone, or was made for another base.
            KnowledgeBaseError: It needs an object that was not given.
        """
        embedder = self.by_name(release.embeddings, release.embeddings_adapter)
        if (found := embeddings_digest(embedder)) != release.embeddings_digest:
            named = " with ".join(filter(None, (release.embeddings, release.embeddings_adapter)))
            raise DigestMismatchError(
                named or "an object", expected=found, found=release.embeddings_digest
            )
        return embedder

    def serving(self, manifest: Manifest) -> Embeddings:
        """The embedder that `kb.json` names; any other one lets its adapter go."""
        embedder = self.of(manifest)
        with self._lock:
            others = {key: one for key, one in self._adapted.items() if one is not embedder}
            for key, other in others.items():
                del self._adapted[key]
                other.close()  # a search that began with it takes the adapter again
        return embedder

    def close(self) -> None:
        """Let all adapters go; an embedder that is asked again takes its own again."""
        with self._lock:
            adapted, self._adapted = self._adapted, {}
        for embedder in adapted.values():
            embedder.close()

    def by_name(self, name: str | None, adapter: str | None) -> Embeddings:
        """An embedder with an adapter, as `name@000003`, or with none."""
        with self._lock:
            base = self._base(name)
            if adapter is None:
                return base
            if (name, adapter) not in self._adapted:
                from langchain_graft.finetune_bridge.serving.embeddings import (  # noqa: PLC0415
                    AdapterEmbeddings,
                )

                made = AdapterEmbeddings(base, self._store(), adapter=adapter)
                self._adapted[name, adapter] = made
            found: Embeddings = self._adapted[name, adapter]
            return found

    def base_of(self, manifest: AdapterManifest) -> str | None:
        """The name of the embedder that an adapter was made for; one that is here goes first."""
        with self._lock:
            for name, base in self._bases.items():
                if embeddings_digest(base) == manifest.base_digest:
                    return name
        return manifest.base

    def _base(self, name: str | None) -> Embeddings:
        if name not in self._bases:
            if name is None:
                msg = "This release has an embedder object: open it with embeddings=..."
                raise KnowledgeBaseError(msg)
            self._bases[name] = load_embeddings(name)
        return self._bases[name]
