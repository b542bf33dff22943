"""Neo4j's own files, from a Maven repository: which they are, and each checked by its digest."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from langchain_graft.errors import DownloadError, LocalNeo4jError, MissingExtraError

try:
    from langchain_graft.models.cache_folder import cache_folder, pull_lock
    from langchain_graft.models.download import fetch, require_space
except ImportError as error:
    raise MissingExtraError("neo4j-local") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_graft.models.pull import OnProgress

PLUGINS = {"apoc": ("org.neo4j.procedure:apoc-core", "org.neo4j.procedure:apoc-common")}
"""Plugins by name: the Maven projects whose version is Neo4j's; jgo leaves out the second."""
REPOSITORY = "https://repo.maven.apache.org/maven2"
PARALLEL_DOWNLOADS = 8
_SPACE_BYTES = 200_000_000


@dataclass(frozen=True, kw_only=True)
class Jar:
    """A file of a Maven repository."""

    path: str
    """Below the repository's root."""
    digest: str
    """Hexadecimal: sha256 (64 digits) where we know it, else the repository's sha1 (40)."""
    size: int = 0
    """Bytes; 0: not known."""


def neo4j_folder() -> Path:
    """Where Neo4j's files are kept: below `cache_folder`."""
    return cache_folder() / "neo4j"


def pinned_versions() -> list[str]:
    """The versions whose files are known by their sha256."""
    lists = resources.files("langchain_graft.graph").joinpath("neo4j_versions").iterdir()
    return sorted(file.name.removesuffix(".txt") for file in lists if "+" not in file.name)


def pull_neo4j(
    version: str, *, plugins: Sequence[str] = (), on_progress: OnProgress | None = None
) -> list[Path]:
    """Make a version of Neo4j ready to be run, downloading what is missing.

    Two processes that pull wait for each other; a broken download is resumed. Nothing is given back
    before its digest is right. `LANGCHAIN_GRAFT_MAVEN` names another Maven repository, a mirror.

    Args:
        version: Such as "2026.09.0". Of a `pinned_versions` each file's sha256 is known beforehand;
            of another, jgo works out the files (minutes) and the repository says their sha1.
        plugins: Names of `PLUGINS`.
        on_progress: Told bytes.

    Raises:
        DownloadError: A file did not come, or not as promised.
        LocalNeo4jError: The repository has no such version, or the cache can not be written.
    """
    folder = neo4j_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        jars = _pinned(version, plugins) or _kept(folder, version, plugins)
        if jars and all((folder / "jars" / jar.path).is_file() for jar in jars):
            return [folder / "jars" / jar.path for jar in jars]
        with pull_lock(folder / "pull.lock"):
            jars = jars or _resolve(folder, version, plugins, on_progress)
            return _Pull(folder / "jars", jars, f"pull neo4j {version}", on_progress).run()
    except OSError as error:
        msg = (
            f"Can not write to {str(folder)!r}: {error.strerror or error}. "
            "Name another folder in LANGCHAIN_GRAFT_CACHE"
        )
        raise LocalNeo4jError(msg) from error


def read_list(text: str) -> list[Jar]:
    """The jars of a list with lines `digest size path`."""
    rows = (line.split() for line in text.splitlines() if line.strip())
    return [Jar(digest=digest, size=int(size), path=path) for digest, size, path in rows]


def _list_name(version: str, plugins: Sequence[str]) -> str:
    return "+".join([version, *sorted(plugins)]) + ".txt"


def _pinned(version: str, plugins: Sequence[str]) -> list[Jar]:
    lists = resources.files("langchain_graft.graph").joinpath("neo4j_versions")
    names = [f"{version}.txt", *(_list_name(version, [plugin]) for plugin in plugins)]
    files = [lists.joinpath(name) for name in names]
    if not all(file.is_file() for file in files):
        return []
    return [jar for file in files for jar in read_list(file.read_text(encoding="utf-8"))]


def _kept(folder: Path, version: str, plugins: Sequence[str]) -> list[Jar]:
    file = folder / _list_name(version, plugins)
    return read_list(file.read_text(encoding="utf-8")) if file.is_file() else []


def _resolve(
    folder: Path, version: str, plugins: Sequence[str], on_progress: OnProgress | None
) -> list[Jar]:
    """Work out the files of a version that we have no list of, and keep that."""
    if kept := _kept(folder, version, plugins):
        return kept
    paths = resolve_paths(version, plugins)
    with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
        jars = []
        for jar in pool.map(_with_sha1, paths):
            jars.append(jar)
            if on_progress:
                on_progress(f"checksums of neo4j {version}", len(jars), len(paths))
    file = folder / _list_name(version, plugins)
    fresh = file.with_suffix(".fresh")
    fresh.write_text("".join(f"{jar.digest} {jar.size} {jar.path}\n" for jar in jars), "utf-8")
    fresh.replace(file)
    return jars


def resolve_paths(version: str, plugins: Sequence[str]) -> list[str]:
    """What jgo says belongs to a version: paths below a Maven repository, the class path's order.

    Raises:
        LocalNeo4jError: There is no such version, or it can not be read.
    """
    try:
        from jgo.maven import MavenContext
    except ImportError as error:
        raise MissingExtraError("neo4j-local") from error
    projects = ["org.neo4j:neo4j", *(one for plugin in plugins for one in PLUGINS[plugin])]
    with tempfile.TemporaryDirectory() as poms:  # jgo would take a half-written file for whole
        context = MavenContext(
            repo_cache=Path(poms), remote_repos={"central": _repository()}, timeout=30
        )
        wanted = [context.create_dependency(f"{project}:{version}") for project in projects]
        try:
            inputs, others = context.resolver.resolve(wanted)
        except Exception as error:  # jgo raises whatever it meets
            msg = (
                f"Neo4j {version!r}{' with ' + ', '.join(plugins) if plugins else ''} can not be "
                f"had from {_repository()}: {error}. Is there such a version? Known to work: "
                f"{', '.join(pinned_versions())}"
            )
            raise LocalNeo4jError(msg) from error
        return [_path_of(dependency.artifact) for dependency in (*inputs, *others)]


def _path_of(artifact: object) -> str:
    prefix = artifact.component.path_prefix  # type: ignore[attr-defined]
    return str(PurePosixPath(prefix.as_posix(), artifact.filename))  # type: ignore[attr-defined]


def _with_sha1(path: str) -> Jar:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sha1"
        fetch(f"{_repository()}/{path}.sha1", file, on_bytes=_ignore, cancelled=threading.Event())
        return Jar(path=path, digest=file.read_text(encoding="ascii").split()[0])


def _ignore(_: int) -> None:
    pass


def _repository() -> str:
    return os.environ.get("LANGCHAIN_GRAFT_MAVEN", REPOSITORY).rstrip("/")


class _Pull:
    """One pull of a list of jars, under the lock."""

    def __init__(
        self, folder: Path, jars: Sequence[Jar], label: str, on_progress: OnProgress | None
    ) -> None:
        self._folder = folder
        self._jars = jars
        self._label = label
        self._on_progress = on_progress
        self._cancelled = threading.Event()
        self._counting = threading.Lock()
        self._done = 0
        self._total = 0

    def run(self) -> list[Path]:
        missing = [jar for jar in self._jars if not (self._folder / jar.path).is_file()]
        self._total = sum(jar.size for jar in missing)
        self._folder.mkdir(exist_ok=True)
        require_space(self._folder, self._total or _SPACE_BYTES)
        with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
            pending = [pool.submit(self._bring, jar) for jar in missing]
            try:
                for download in pending:
                    download.result()
            except BaseException:
                self._cancelled.set()
                pool.shutdown(cancel_futures=True)
                raise
        return [self._folder / jar.path for jar in self._jars]

    def _bring(self, jar: Jar) -> None:
        target = self._folder / jar.path
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(target.name + ".fresh")
        url = f"{_repository()}/{jar.path}"
        fetch(url, fresh, on_bytes=self._count, cancelled=self._cancelled)
        kind = "sha256" if len(jar.digest) == 64 else "sha1"  # noqa: PLR2004
        with fresh.open("rb") as file:
            found = hashlib.file_digest(file, kind).hexdigest()
        if found != jar.digest:
            fresh.unlink()
            msg = (
                f"{url} has the {kind} {found}, expected {jar.digest}. It was not used. "
                "Try again; if it stays so, name another Maven repository in LANGCHAIN_GRAFT_MAVEN"
            )
            raise DownloadError(msg)
        fresh.replace(target)

    def _count(self, received: int) -> None:
        with self._counting:
            self._done += received
            if self._on_progress:
                total = max(self._total, self._done) if self._total else None
                self._on_progress(self._label, self._done, total)
