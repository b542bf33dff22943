"""The folders of a store: names, versions, and what a killed process left."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from langchain_graft.finetune_bridge.adapters.aliases import FILE as ALIASES
from langchain_graft.finetune_bridge.adapters.aliases import read_aliases
from langchain_graft.finetune_bridge.adapters.ref import AdapterRef, check_name, is_version

if TYPE_CHECKING:
    from pathlib import Path

INCOMING, REMOVED = ".incoming-", ".removed-"
"""How the folders begin of versions that are being made, and that are being deleted."""


def tag(ref: AdapterRef) -> str:
    """The name of a version's folder."""
    return f"{ref.version:06}"


def homes(folder: Path) -> list[Path]:
    """The folders of the names."""
    return sorted(one for one in folder.iterdir() if _is_home(one)) if folder.is_dir() else []


def versions(home: Path) -> list[AdapterRef]:
    """The versions of a name, in their order."""
    there = [one for one in home.iterdir() if is_version(one.name) and not one.is_symlink()]
    return sorted(AdapterRef(home.name, int(one.name)) for one in there if int(one.name))


def next_version(home: Path) -> int:
    """A number that was never given."""
    return max([read_aliases(home).last, *(ref.version for ref in versions(home))]) + 1


def _is_home(folder: Path) -> bool:
    try:
        check_name(folder.name)
    except ValueError:
        return False
    return folder.is_dir() and not folder.is_symlink()


def sweep(home: Path) -> None:
    """Delete what a killed process left; nobody writes to the folder meanwhile."""
    for left in [*home.glob(f"{INCOMING}*"), *home.glob(f"{REMOVED}*")]:
        shutil.rmtree(left, ignore_errors=True)
    for left in home.glob(f".{ALIASES}-*"):
        left.unlink(missing_ok=True)
