"""Where what is downloaded is kept, and who may write there."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_graft.errors import DownloadError, MissingExtraError

try:
    import filelock
    import platformdirs
except ImportError as error:
    raise MissingExtraError("models") from error

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK_TIMEOUT_SECONDS = 3600.0


def cache_folder() -> Path:
    """`LANGCHAIN_GRAFT_CACHE`, or a folder in the platform's cache."""
    named = os.environ.get("LANGCHAIN_GRAFT_CACHE")
    return Path(named) if named else platformdirs.user_cache_path("langchain-graft")


@contextmanager
def pull_lock(path: Path) -> Iterator[None]:
    """Held by the one process that pulls; others wait for it.

    Raises:
        DownloadError: It was not free within an hour.
    """
    try:
        with filelock.FileLock(path, timeout=LOCK_TIMEOUT_SECONDS):
            yield
    except filelock.Timeout as error:
        msg = f"Another process has been pulling for an hour; if it is dead, remove {str(path)!r}"
        raise DownloadError(msg) from error
