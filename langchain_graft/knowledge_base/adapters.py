"""The adapters of a knowledge base."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_graft.finetune_bridge.adapters.store import AdapterStore
from langchain_graft.knowledge_base.manifest import ADAPTERS, NAME
from langchain_graft.knowledge_base.release import reachable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from langchain_graft.finetune_bridge.adapters.ref import AdapterRef


def open_adapters(folder: Path) -> AdapterStore:
    """The adapters of the knowledge base in a folder.

    What the release that serves needs, or one that `rollback` comes to, can not be removed.
    """
    return AdapterStore(folder / ADAPTERS, keeps=keeps_of(folder))


def keeps_of(folder: Path) -> Callable[[AdapterRef], str | None]:
    """Says why a version may not be removed: a release needs it; None: it may."""

    def keeps(ref: AdapterRef) -> str | None:
        for release in reachable(folder) if (folder / NAME).exists() else ():
            if str(ref) in release.adapters:
                return (
                    f"release {release.number} needs it, which serves or can be gone back to "
                    "(`graft releases list`)"
                )
        return None

    return keeps
