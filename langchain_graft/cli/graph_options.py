"""Which graph a command means: a knowledge base's own, a file, or a Neo4j."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

SCHEMES = ("neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc")


def add_graph(parser: argparse.ArgumentParser, *, kb: bool = True) -> None:
    """`--graph` and, unless the command has it already, `--kb`."""
    if kb:
        parser.add_argument(
            "--kb", type=Path, metavar="FOLDER", help="the graph of this knowledge base"
        )
    parser.add_argument(
        "--graph",
        metavar="URI",
        help="another graph: neo4j://HOST or bolt://HOST:PORT (user and password from "
        "NEO4J_USERNAME and NEO4J_PASSWORD), or a file graph.sqlite",
    )


def open_graph(spec: str | None, folder: Path | None) -> Any:
    """The store that was asked for; a knowledge base's graph needs no model.

    Raises:
        ValueError: Neither was given.
        FileNotFoundError: The file is not there.
    """
    if spec and spec.partition("://")[0] in SCHEMES:
        from langchain_graft.graph.neo4j_store import Neo4jGraphStore  # noqa: PLC0415

        return Neo4jGraphStore(spec)
    if not (spec or folder):
        msg = "Say which graph: --kb FOLDER for a knowledge base's own, or --graph URI"
        raise ValueError(msg)
    from langchain_graft.knowledge_base.manifest import GRAPH  # noqa: PLC0415

    path = Path(spec) if spec else Path(str(folder)) / GRAPH
    if path.is_dir():
        path /= GRAPH
    if not path.exists():
        msg = (
            f"There is no graph {str(path)!r}. Build one from the documents: "
            f"graft ingest PATH --kb {folder or 'FOLDER'} --graph"
        )
        raise FileNotFoundError(msg)
    return open_file(path)


def open_neo4j(spec: str | None) -> Any:
    """The Neo4j at an address; None: that of NEO4J_URI.

    Raises:
        ValueError: It is another kind of graph, or there is no address.
    """
    spec = spec or os.environ.get("NEO4J_URI")
    if not spec or spec.partition("://")[0] not in SCHEMES:
        msg = (
            f"text2cypher asks a Neo4j, not {spec!r}: give --graph bolt://HOST:PORT or set "
            "NEO4J_URI. Start one: graft neo4j start; put the graph there: graft graph copy"
        )
        raise ValueError(msg)
    return open_graph(spec, None)


def open_file(path: Path) -> Any:
    """The embedded graph in a file, which is made if it is not there."""
    from langchain_graft.graph.embedded_store import EmbeddedGraphStore  # noqa: PLC0415

    return EmbeddedGraphStore(path)
