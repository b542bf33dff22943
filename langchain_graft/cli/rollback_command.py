"""`graft rollback`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from langchain_graft.cli.options import add_json, add_kb

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
examples:
  graft rollback --kb my-kb

Of the embedder that served last the index is kept: only documents that came since are embedded
before it serves. Going back over two embedders, one after the other, embeds all chunks anew.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_kb(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Go back to the former release."""
    from langchain_graft.cli.console import progress  # noqa: PLC0415
    from langchain_graft.cli.promote_command import print_estimate  # noqa: PLC0415
    from langchain_graft.cli.releases_command import print_release  # noqa: PLC0415
    from langchain_graft.knowledge_base import KnowledgeBase  # noqa: PLC0415

    with (
        progress() as on_progress,
        closing(KnowledgeBase.open(arguments.kb, on_progress=on_progress)) as kb,
    ):
        release = kb.rollback(on_estimate=print_estimate, on_progress=on_progress)
    print_release(release, as_json=arguments.json)
    return 0
