"""Fetch a file over HTTP: resumed where it stopped, bounded waits, progress in bytes."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from langchain_graft.errors import DownloadError, MissingExtraError

try:
    import requests
except ImportError as error:
    raise MissingExtraError("models") from error

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

OnBytes = Callable[[int], None]
"""Told the number of bytes that came since the last call; negative when a part is dropped."""

CONNECT_TIMEOUT_SECONDS = 4.0
"""For all addresses of a host together, but not below a second for each."""
READ_TIMEOUT_SECONDS = 30.0
ATTEMPTS = 4
RETRY_SECONDS = 0.5
_BLOCK = 1 << 20


class HostUnreachableError(DownloadError):
    """The host does not answer at all, so that its other files need not be tried."""


class Cancelled(Exception):  # noqa: N818
    """The pull was interrupted; parts stay, to be resumed."""


def sha256_of(path: Path) -> str:
    """The file's sha256, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def without_password(url: str) -> str:
    """The address as it may be shown."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def require_space(folder: Path, needed: int) -> None:
    """Check that `needed` bytes are free where `folder` lies.

    Raises:
        DownloadError: They are not.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        msg = (
            f"{needed / 1e9:.1f} GB are needed in {str(folder)!r}, {free / 1e9:.1f} GB are free. "
            "Free some space, or name another folder in LANGCHAIN_GRAFT_CACHE"
        )
        raise DownloadError(msg)


def part_of(target: Path) -> Path:
    """Where a download lies until it is whole."""
    return target.with_name(target.name + ".part")


def fetch(url: str, target: Path, *, on_bytes: OnBytes, cancelled: threading.Event) -> None:
    """Download `url` to `target`; a broken transfer goes on from its part.

    Transient failures are tried again; waiting is bounded by `CONNECT_TIMEOUT_SECONDS` and, between
    two blocks, by `READ_TIMEOUT_SECONDS`.

    Raises:
        HostUnreachableError: No connection at all.
        DownloadError: The server refused, the transfer broke too often, or the disk is full.
    """
    part = part_of(target)
    on_bytes(_size(part))
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _transfer(url, part, on_bytes=on_bytes, cancelled=cancelled)
            part.replace(target)
        except requests.RequestException as error:
            if attempt == ATTEMPTS or _is_final(error):
                msg = f"{without_password(url)}: {_reason(error)}"
                raise DownloadError(msg) from error
            time.sleep(RETRY_SECONDS)
        except OSError as error:
            raise _disk_error(error, part) from error
        else:
            return


def _connect(url: str, start: int, *, again: bool = True) -> requests.Response:
    """Ask for the file from byte `start`; a host that refuses is asked twice."""
    try:
        return requests.get(
            url,
            headers={"Range": f"bytes={start}-"} if start else {},
            stream=True,
            timeout=(seconds_per_address(url), READ_TIMEOUT_SECONDS),
        )
    except requests.ConnectionError as error:
        if again and not isinstance(error, requests.ConnectTimeout):
            time.sleep(RETRY_SECONDS)
            return _connect(url, start, again=False)
        msg = f"{without_password(url)}: no connection ({_reason(error)})"
        raise HostUnreachableError(msg) from error


def seconds_per_address(url: str) -> float:
    """The addresses of a host, or of its proxy, are tried one after the other."""
    proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    parts = urlsplit(proxy or url)
    try:
        addresses = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except OSError:
        return CONNECT_TIMEOUT_SECONDS
    return max(CONNECT_TIMEOUT_SECONDS / len(addresses), 1.0)


def _transfer(url: str, part: Path, *, on_bytes: OnBytes, cancelled: threading.Event) -> None:
    start = _size(part)
    with _connect(url, start) as response:
        if start and response.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()
            on_bytes(-start)
            return _transfer(url, part, on_bytes=on_bytes, cancelled=cancelled)
        response.raise_for_status()
        resumed = response.status_code == requests.codes.partial_content
        if not resumed:
            on_bytes(-start)
        with part.open("ab" if resumed else "wb") as file:
            received = sum(_write_blocks(response, file.write, on_bytes, cancelled))
    promised = response.headers.get("Content-Length")
    if promised is not None and "Content-Encoding" not in response.headers:
        missing = int(promised) - received
        if missing:
            msg = f"the connection ended {missing} bytes early"
            raise requests.exceptions.ChunkedEncodingError(msg)
    return None


def _write_blocks(
    response: requests.Response,
    write: Callable[[bytes], object],
    on_bytes: OnBytes,
    cancelled: threading.Event,
) -> Iterator[int]:
    for block in response.iter_content(_BLOCK):
        if cancelled.is_set():
            raise Cancelled
        write(block)
        on_bytes(len(block))
        yield len(block)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_final(error: Exception) -> bool:
    response = getattr(error, "response", None)
    return response is not None and response.status_code < requests.codes.internal_server_error


def _reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code}"
    text = str(error.args[0] if error.args else error)
    return text if len(text) < 160 else type(error).__name__  # noqa: PLR2004


def _disk_error(error: OSError, part: Path) -> DownloadError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    hint = (
        "Free some space and pull again: it goes on where it stopped"
        if error.errno == errno.ENOSPC
        else "Check the folder's permissions, or name another one in LANGCHAIN_GRAFT_CACHE"
    )
    return DownloadError(f"Can not write {str(part)!r}: {reason}. {hint}")
