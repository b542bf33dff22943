"""Files that are whole after a crash, or not there."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_durably(path: Path, data: bytes, *, alone: bool = False) -> None:
    """Replace a file as a whole: a reader sees the old one or the new one, after a crash too.

    Args:
        path: The file.
        data: All of it.
        alone: Nobody else writes to it meanwhile: what a killed process began is written over.
    """
    temporary = path.with_name(f".{path.name}-{'new' if alone else secrets.token_hex(4)}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the folder's names on the disk; where a system can not (Windows), it does so itself."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
