"""One writer at a time, and who it is."""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from langchain_graft.errors import (
    KnowledgeBaseError,
    KnowledgeBaseLockedError,
    MissingExtraError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

try:
    import filelock
except ImportError as error:
    raise MissingExtraError("knowledge-base") from error


NOTE = "writer.json"
_PATIENCE_SECONDS = 0.5  # for who only asks who writes


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold the folder's writer lock; it is freed also when this process is killed.

    Raises:
        KnowledgeBaseLockedError: Another process holds it; the message says which.
        KnowledgeBaseError: The folder can not be written.
    """
    note = folder / NOTE
    lock = filelock.FileLock(folder / "writer.lock", timeout=_PATIENCE_SECONDS)
    with writes(folder):
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise KnowledgeBaseLockedError(str(folder), holder=_holder(note)) from error
    try:
        with writes(folder):
            note.write_text(json.dumps(_me()), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            note.unlink()
        lock.release()


@contextmanager
def writes(folder: Path, kind: type[Exception] = OSError) -> Iterator[None]:
    """Say of errors of this kind, or of `OSError`, that the folder can not be written.

    Raises:
        KnowledgeBaseError: There was one: the disk is full, or not ours to write.
    """
    try:
        yield
    except (OSError, kind) as error:
        msg = (
            f"Can not write to {str(folder)!r}: {str(error) or 'no memory'}. Make room on the disk "
            "or mend the folder's permissions, then do it again: it goes on where it stopped"
        )
        raise KnowledgeBaseError(msg) from error


def current_writer(folder: Path) -> str | None:
    """Who holds the folder's writer lock; None when nobody does."""
    if not (folder / NOTE).exists():
        return None
    lock = filelock.FileLock(folder / "writer.lock", timeout=0)
    try:
        with lock:  # the note is one that a killed process left
            return None
    except filelock.Timeout:
        return _holder(folder / NOTE)
    except OSError:  # not ours to lock: then nobody of ours writes
        return None


def _me() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(sys.argv)[:200],
    }


def _holder(note: Path) -> str:
    try:
        me = json.loads(note.read_text(encoding="utf-8"))
        return f"process {me['pid']} on {me['host']} since {me['since']} ({me['command']})"
    except (OSError, ValueError, KeyError):
        return "another process"
