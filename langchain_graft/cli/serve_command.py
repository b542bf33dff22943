"""`graft serve`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_graft.cli.options import add_answering, add_kb, load_model, open_filled, positive

if TYPE_CHECKING:
    import argparse

    from langchain_graft.server import ServerSettings

EXAMPLES = """\
examples:
  graft serve --kb my-kb
  graft serve --kb my-kb --port 8080 --model hf:smollm2-135m --retriever hybrid
  graft serve --kb my-kb --host 0.0.0.0 --api-keys keys.txt

It speaks OpenAI's API at http://127.0.0.1:8000/v1: chains (rag, rag-fusion, ...) and adapters
(legal@current) are its models. API keys come from GRAFT_API_KEYS or a file, one a line; without
any, only this machine is answered. What is promoted or ingested meanwhile is seen at once.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_kb(parser)
    add_answering(parser)
    add_listening(parser, port=8000)


def add_listening(parser: argparse.ArgumentParser, *, port: int) -> None:
    """Where a server listens, and its limits."""
    parser.add_argument(
        "--host", default="127.0.0.1", help="where it listens (default: this machine alone)"
    )
    parser.add_argument(
        "--port", type=int, default=port, metavar="N", help=f"0: any (default: {port})"
    )
    parser.add_argument(
        "--api-keys", type=Path, metavar="FILE", help="keys, one a line (default: GRAFT_API_KEYS)"
    )
    parser.add_argument(
        "--timeout",
        type=positive,
        default=300,
        metavar="SECONDS",
        help="most time for a request (default: 300)",
    )
    parser.add_argument(
        "--max-concurrent",
        type=positive,
        default=16,
        metavar="N",
        help="requests that are worked on at once; 128 more wait (default: 16)",
    )
    parser.add_argument(
        "--rate",
        type=positive,
        default=600,
        metavar="N",
        help="most requests a minute of each key (default: 600)",
    )


def server_settings(arguments: argparse.Namespace) -> ServerSettings:
    """What `add_listening` was given."""
    from langchain_graft.server import ServerSettings  # noqa: PLC0415

    return ServerSettings(
        host=arguments.host,
        port=arguments.port,
        timeout_seconds=arguments.timeout,
        max_concurrent=arguments.max_concurrent,
        requests_per_minute=arguments.rate,
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until it is stopped."""
    from langchain_graft.cli.console import progress  # noqa: PLC0415
    from langchain_graft.cli.served_chains import (  # noqa: PLC0415
        embeddings_name,
        has_graph,
        neo4j_address,
        served_chains,
    )
    from langchain_graft.server import (  # noqa: PLC0415
        ApiKeys,
        Served,
        adapter_names,
        check_reach,
        create_app,
        listen,
        read_api_keys,
    )

    settings, keys = server_settings(arguments), read_api_keys(arguments.api_keys)
    check_reach(settings, ApiKeys(keys))  # before a model is loaded
    with progress() as on_progress:
        kb = open_filled(arguments.kb, on_progress)
        model = load_model(arguments, on_progress, kb)
    reads_graph = has_graph(arguments) or neo4j_address(arguments)
    try:
        served = Served(
            chains=served_chains(arguments, kb, model),
            default=arguments.chain,
            fixed=("self-rag",),
            unfiltered=("text2cypher", "overview", *(("auto",) if reads_graph else ())),
            adapters=lambda: adapter_names(kb, model),
            embeddings_name=embeddings_name(kb),
            embeddings=lambda: kb.embeddings,
        )
        app = create_app(served, settings=settings, api_keys=keys)

        def tell(address: str) -> None:
            names = ", ".join(served.models())
            sys.stderr.write(f"Serving {arguments.kb} at {address}/v1 (Ctrl-C ends): {names}\n")
            sys.stderr.flush()

        listen(app, host=settings.host, port=settings.port, on_ready=tell)
    finally:
        kb.close()
    return 0
