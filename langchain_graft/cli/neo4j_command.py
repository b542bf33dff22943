"""`graft neo4j`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_graft.cli.options import add_json

if TYPE_CHECKING:
    import argparse

    from langchain_graft.graph.local_neo4j import RunningNeo4j

EXAMPLES = """\
examples:
  graft neo4j start
  graft neo4j start --folder my-graph --version 5.26.28 --heap 2g
  eval "$(graft neo4j status --env)"
  graft neo4j stop

The first start downloads Neo4j's Community Edition (GPL-3.0, 180 MB) into the platform's cache
folder, or into LANGCHAIN_GRAFT_CACHE. It runs until `stop`; the data stays in its folder.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("action", choices=("start", "stop", "status", "logs"))
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="FOLDER",
        help="data, logs and password (default: neo4j in the platform's data folder)",
    )
    parser.add_argument(
        "--version", metavar="V", help="start: of Neo4j (default: 2026.09.0; 5.26.28 is LTS)"
    )
    parser.add_argument("--heap", default="1g", metavar="SIZE", help="start: such as 512m or 4g")
    parser.add_argument(
        "--env", action="store_true", help="status: print the environment variables alone"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Start, stop, or tell."""
    actions = {"start": _start, "stop": _stop, "status": _status, "logs": _logs}
    return actions[arguments.action](arguments, arguments.folder or _default_folder())


def _start(arguments: argparse.Namespace, folder: Path) -> int:
    from langchain_graft.cli.console import ERR, progress  # noqa: PLC0415
    from langchain_graft.graph.local_neo4j import (  # noqa: PLC0415
        DEFAULT_VERSION,
        LocalNeo4j,
        find_running,
    )

    found = find_running(folder)
    if found is None or not found.ready:
        version = arguments.version or DEFAULT_VERSION
        with progress() as on_progress:
            server = LocalNeo4j(
                folder, version=version, heap=arguments.heap, on_progress=on_progress
            )
            with ERR.status(f"Neo4j {version} starts ..."):
                server.start(detached=True)
        found = find_running(folder)
    elif arguments.version not in (None, found.version):
        msg = f"Neo4j {found.version} runs there already. Stop it: graft neo4j stop"
        raise ValueError(msg)
    return _tell(arguments, folder, found)


def _stop(arguments: argparse.Namespace, folder: Path) -> int:
    from langchain_graft.cli.console import OUT, print_json  # noqa: PLC0415
    from langchain_graft.graph.local_neo4j import stop_neo4j  # noqa: PLC0415

    stopped = stop_neo4j(folder)
    if arguments.json:
        print_json({"folder": str(folder), "stopped": stopped})
    else:
        OUT.print(f"{'Stopped' if stopped else 'Nothing runs'}: {folder}", soft_wrap=True)
    return 0


def _status(arguments: argparse.Namespace, folder: Path) -> int:
    from langchain_graft.graph.local_neo4j import find_running  # noqa: PLC0415

    return _tell(arguments, folder, find_running(folder))


def _tell(arguments: argparse.Namespace, folder: Path, found: RunningNeo4j | None) -> int:
    from langchain_graft.cli.console import OUT, print_json  # noqa: PLC0415
    from langchain_graft.cli.main import DONE, FAILED  # noqa: PLC0415

    if arguments.json:
        print_json(_as_json(folder, found))
    elif found is None:
        OUT.print(f"No Neo4j runs over {folder}. Start it: graft neo4j start", soft_wrap=True)
    else:
        if not arguments.env:
            state = "is ready" if found.ready else "is starting"
            since = found.since.isoformat(" ", "seconds")
            OUT.print(
                f"Neo4j {found.version} {state} at {found.uri} (process {found.pid}, since {since})"
                f"\nData: {folder}\n\nTo use it:\n",
                soft_wrap=True,
            )
        for name, value in _environment(found).items():
            OUT.print(f"export {name}='{value}'", soft_wrap=True)
    return DONE if found else FAILED


def _environment(found: RunningNeo4j) -> dict[str, str]:
    return {
        "NEO4J_URI": found.uri,
        "NEO4J_USERNAME": found.user,
        "NEO4J_PASSWORD": found.password,
    }


def _as_json(folder: Path, found: RunningNeo4j | None) -> dict[str, Any]:
    if found is None:
        return {"folder": str(folder), "running": False}
    return {
        "folder": str(folder),
        "running": True,
        "ready": found.ready,
        "version": found.version,
        "pid": found.pid,
        "since": found.since.isoformat(timespec="seconds"),
        "environment": _environment(found),
    }


def _logs(arguments: argparse.Namespace, folder: Path) -> int:
    from langchain_graft.cli.console import OUT, print_json, printable  # noqa: PLC0415
    from langchain_graft.graph.local_neo4j import logs  # noqa: PLC0415

    lines = {name: printable(text) for name, text in logs(folder).items()}
    if arguments.json:
        print_json(lines)
        return 0
    for name, text in lines.items():
        OUT.print(f"== {folder / name}\n{text}", soft_wrap=True)
    if not lines:
        OUT.print(f"No logs in {folder}", soft_wrap=True)
    return 0


def _default_folder() -> Path:
    from langchain_graft.errors import MissingExtraError  # noqa: PLC0415

    try:
        import platformdirs  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("neo4j-local") from error
    return platformdirs.user_data_path("langchain-graft") / "neo4j"
