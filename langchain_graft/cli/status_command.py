"""`graft status`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from langchain_graft.cli.options import add_json, add_kb

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
examples:
  graft status --kb my-kb
  graft status --kb my-kb --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_kb(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show what there is; no model is loaded."""
    from langchain_graft.cli.console import print_json, print_table  # noqa: PLC0415
    from langchain_graft.cli.releases_command import with_adapter  # noqa: PLC0415
    from langchain_graft.knowledge_base.status import read_status  # noqa: PLC0415

    status = read_status(arguments.kb)
    if arguments.json:
        print_json(asdict(status))
        return 0
    embedder = with_adapter(status.embeddings or "an object", status.embeddings_adapter)
    rows = [
        ("documents", _counts(status.documents)),
        ("passages", _counts(status.chunks)),
        ("embedder", f"{embedder} ({status.embeddings_digest})"),
        ("release", status.release),
        ("generation", status.generation),
        ("size", f"{status.bytes / 1e6:.1f} MB"),
    ]
    if status.graph:
        rows.insert(2, ("graph", f"passages: {_counts(status.graph)}"))
    if status.writer:
        rows.append(("being written by", status.writer))
    print_table(status.folder, ("", ""), rows)
    if status.failures:
        failures = list(status.failures.items())
        print_table(f"{len(failures)} could not be read", ("document", "why"), failures)
    if status.graph_failures:
        failures = list(status.graph_failures.items())
        print_table(f"{len(failures)} are not in the graph", ("passage", "why"), failures)
    return 0


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"
