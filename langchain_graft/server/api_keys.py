"""Who may ask: keys from the environment or a file, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING

from langchain_graft.server.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from langchain_graft.server.settings import ServerSettings

VARIABLE = "GRAFT_API_KEYS"
_SHORTEST = 16


def read_api_keys(path: Path | None = None) -> list[str]:
    """The keys of a file, one a line, or else of `GRAFT_API_KEYS`, parted by commas or blanks.

    Args:
        path: The file; lines that begin with # are passed over.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It has no key, or a key is too short to be safe.
    """
    if path is None:
        return _checked(os.environ.get(VARIABLE, "").replace(",", " ").split())
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    keys = _checked([line for line in lines if line and not line.startswith("#")])
    if not keys:
        msg = f"No API key in {str(path)!r}: write one a line"
        raise ValueError(msg)
    return keys


class ApiKeys:
    """Keys that are let in; only their digests are kept.

    Args:
        keys: None at all: everybody who reaches the server is let in.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._digests = [_digest(key) for key in _checked(keys)]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def number_of(self, key: str) -> int | None:
        """Which of the keys it is, after a comparison with each of them; None: it is none."""
        asked = _digest(key)
        same = [hmac.compare_digest(asked, known) for known in self._digests]
        return same.index(True) if any(same) else None


def check_reach(settings: ServerSettings, keys: ApiKeys) -> None:
    """Check that a server that others can reach has keys.

    Raises:
        ValueError: It has none.
    """
    if not keys and not is_loopback(settings.host):
        msg = (
            f"{settings.host!r} can be reached from other machines, and there is no API key: set "
            f"{VARIABLE}, give a file of keys, or listen on 127.0.0.1"
        )
        raise ValueError(msg)


def _checked(keys: Iterable[str]) -> list[str]:
    keys = list(keys)
    if short := [key for key in keys if len(key) < _SHORTEST]:
        msg = (
            f"An API key has {len(short[0])} characters, {_SHORTEST} are needed. Make one: "
            "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
        raise ValueError(msg)
    if any(not key.isascii() or len(key.split()) != 1 for key in keys):
        msg = "An API key has letters beyond ASCII, or a blank, which clients send in other ways"
        raise ValueError(msg)
    return keys


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
