"""`graft mcp`."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from langchain_graft.cli.options import (
    add_answering,
    add_kb,
    load_model,
    make_retriever,
    open_filled,
)
from langchain_graft.cli.serve_command import add_listening, server_settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from langchain_core.language_models import BaseChatModel
    from mcp.server.mcpserver import MCPServer

    from langchain_graft.knowledge_base import KnowledgeBase

EXAMPLES = """\
examples:
  graft mcp --kb my-kb
  graft mcp --kb my-kb --graph bolt://localhost:7687
  graft mcp --kb my-kb --http --port 8001

On standard input and output, as agents start it; with --http at http://127.0.0.1:8001/mcp. Its
tools are ask and search, graph where there is one, and cypher and schema on a Neo4j. All only read.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_kb(parser)
    add_answering(parser)
    parser.add_argument(
        "--http", action="store_true", help="over HTTP instead of standard input and output"
    )
    add_listening(parser, port=8001)


def run(arguments: argparse.Namespace) -> int:
    """Serve until it is stopped, or the input ends."""
    from langchain_graft.cli.console import progress  # noqa: PLC0415
    from langchain_graft.server import (  # noqa: PLC0415
        ApiKeys,
        check_reach,
        create_mcp_server,  # noqa: F401 (what is missing is told before a model is loaded)
        read_api_keys,
    )

    settings, keys = server_settings(arguments), ApiKeys(read_api_keys(arguments.api_keys))
    if arguments.http:
        check_reach(settings, keys)
    with _free_output(), progress() as on_progress:
        kb = open_filled(arguments.kb, on_progress)
        model = load_model(arguments, on_progress, kb)
        server = make_server(arguments, kb, model)
    try:
        if arguments.http:
            _over_http(arguments, server, keys)
        else:
            server.run("stdio")
    except KeyboardInterrupt:
        return 0
    finally:
        kb.close()
    return 0


@contextmanager
def _free_output() -> Iterator[None]:
    """What a library prints goes to standard error: standard output is the protocol's alone.

    While the server runs, the SDK sees to it.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def make_server(
    arguments: argparse.Namespace, kb: KnowledgeBase, model: BaseChatModel
) -> MCPServer[Any]:
    """The server that was asked for, with the tools that can be had."""
    from langchain_graft.cli.graph_options import open_neo4j  # noqa: PLC0415
    from langchain_graft.cli.served_chains import (  # noqa: PLC0415
        graph_retriever,
        neo4j_address,
        served_chains,
    )
    from langchain_graft.server import create_mcp_server  # noqa: PLC0415

    address = neo4j_address(arguments)
    return create_mcp_server(
        chains=served_chains(arguments, kb, model),
        default=arguments.chain,
        retriever=make_retriever(arguments, kb, k=arguments.k, load=lambda: model),
        graph=graph_retriever(arguments),
        neo4j=open_neo4j(address) if address and not arguments.filter else None,
        timeout_seconds=arguments.timeout,
    )


def _over_http(arguments: argparse.Namespace, server: MCPServer[Any], keys: Any) -> None:
    from langchain_graft.server import Gate, Metrics, listen, mcp_app  # noqa: PLC0415

    settings = server_settings(arguments)
    gate = Gate(mcp_app(server), settings=settings, keys=keys, metrics=Metrics())

    def tell(address: str) -> None:
        sys.stderr.write(f"Serving {arguments.kb} at {address}/mcp (Ctrl-C ends)\n")
        sys.stderr.flush()

    listen(gate, host=settings.host, port=settings.port, on_ready=tell)
