"""`graft remove`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from langchain_graft.cli.options import add_json, add_kb

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
examples:
  graft remove machines/apple-i.md --kb my-kb
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("documents", nargs="+", metavar="DOCUMENT", help="their ids, as in sources")
    add_kb(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Take documents out."""
    from langchain_graft.cli.console import print_json, progress  # noqa: PLC0415
    from langchain_graft.cli.ingest_command import print_report  # noqa: PLC0415
    from langchain_graft.knowledge_base import KnowledgeBase  # noqa: PLC0415

    with progress() as on_progress:
        kb = KnowledgeBase.open(arguments.kb, on_progress=on_progress)
        report = kb.remove(*arguments.documents, on_progress=on_progress)
    if arguments.json:
        print_json(asdict(report))
    else:
        print_report(report)
    return 0
