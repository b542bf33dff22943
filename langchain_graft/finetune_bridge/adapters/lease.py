"""Who uses an adapter's version: seen by all processes, forgotten when one of them dies."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from langchain_graft.errors import AdapterInUseError, AdapterNotFoundError
from langchain_graft.finetune_bridge.adapters.folder import MANIFEST

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_graft.finetune_bridge.adapters.ref import AdapterRef

if sys.platform != "win32":
    import fcntl

    _SHARED, _ALONE = fcntl.LOCK_SH | fcntl.LOCK_NB, fcntl.LOCK_EX | fcntl.LOCK_NB


class AdapterLease:
    """A version stays in the store until `release`; leaving the `with` block releases it too.

    A lease that is forgotten is released when it is collected.
    """

    def __init__(self, leases: AdapterLeases, ref: AdapterRef) -> None:
        self._leases: AdapterLeases | None = leases
        self.ref = ref
        """What is kept."""

    def release(self) -> None:
        """Let it go; a second time does nothing."""
        leases, self._leases = self._leases, None
        if leases is not None:
            leases.release(self.ref)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()


@dataclass
class _Held:
    handle: int
    count: int


class AdapterLeases:
    """The leases of one store in this process: one locked file a version, however many there are.

    The lock is `flock`'s, shared, on the version's own `manifest.json`: it needs no right to write,
    the kernel frees it when the process dies, and nothing is left to clean up. (filelock's
    ReadWriteLock would be a SQLite database a version, written to by who only reads.) On Windows an
    open file keeps its folder from being moved, which is the same bar.
    """

    def __init__(self) -> None:
        self._held: dict[AdapterRef, _Held] = {}
        self._lock = threading.Lock()
        self._released: deque[AdapterRef] = deque()

    def take(self, ref: AdapterRef, folder: Path) -> AdapterLease:
        """Keep a version.

        Raises:
            AdapterNotFoundError: There is none, or it is being removed.
        """
        try:
            with self._lock:
                if held := self._held.get(ref):
                    held.count += 1
                else:
                    self._held[ref] = _Held(_shared(ref, folder), 1)
        finally:
            self._settle()
        return AdapterLease(self, ref)

    def release(self, ref: AdapterRef) -> None:
        """End one lease. A collected lease may come here anywhere, so nothing is waited for."""
        self._released.append(ref)
        self._settle()

    def _settle(self) -> None:
        """Count what was released; who holds the lock now does it when they leave."""
        while self._released and self._lock.acquire(blocking=False):
            try:
                while self._released:
                    self._end(self._released.popleft())
            finally:
                self._lock.release()

    def _end(self, ref: AdapterRef) -> None:
        held = self._held[ref]
        held.count -= 1
        if not held.count:
            del self._held[ref]
            os.close(held.handle)  # no unlock: a forked child's copy would lose it too


class RemovalLock:
    """Held while a version is removed: nobody leases it, and nobody can.

    Raises:
        AdapterInUseError: Somebody leases it.
    """

    def __init__(self, ref: AdapterRef, folder: Path) -> None:
        self._ref = ref
        self._path = folder / MANIFEST
        self._handle: int | None = None

    def __enter__(self) -> None:
        if sys.platform == "win32" or not self._path.exists():  # a damaged one is in nobody's use
            return
        handle = _opened(self._path)
        try:
            fcntl.flock(handle, _ALONE)
        except BlockingIOError as error:
            os.close(handle)
            raise in_use(self._ref) from error
        self._handle = handle

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            os.close(self._handle)


def in_use(ref: AdapterRef) -> AdapterInUseError:
    """The error that a version is leased."""
    msg = (
        f"{str(ref)!r} serves requests now, in this process or another. Promote another version, "
        "wait until its requests have ended, then remove it"
    )
    return AdapterInUseError(msg, adapter=str(ref))


def _shared(ref: AdapterRef, folder: Path) -> int:
    path = folder / MANIFEST
    try:
        handle = _opened(path)
    except OSError as error:
        raise AdapterNotFoundError(str(ref), available=()) from error
    try:
        if sys.platform != "win32":
            fcntl.flock(handle, _SHARED)
            if not os.path.samestat(os.fstat(handle), path.stat()):
                raise FileNotFoundError(path)
    except OSError as error:  # being removed
        os.close(handle)
        raise AdapterNotFoundError(str(ref), available=()) from error
    return handle


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
