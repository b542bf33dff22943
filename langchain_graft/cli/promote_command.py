"""`graft promote`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_graft.cli.options import add_json, add_kb

if TYPE_CHECKING:
    import argparse

    from langchain_graft.knowledge_base import ReembedEstimate

EXAMPLES = """\
examples:
  graft promote medical@000002 --kb my-kb
  graft promote legal --kb my-kb --why "contract questions"

An adapter on the embedder: all passages are embedded anew, beside the index that serves meanwhile.
When it is interrupted, the same command goes on where it stopped. `graft rollback` goes back.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("adapter", metavar="REF", help="as in `graft adapters list`: legal@000003")
    add_kb(parser)
    parser.add_argument(
        "--force", action="store_true", help="make it serve although it is not found to be better"
    )
    parser.add_argument("--why", default="", metavar="TEXT", help="what the release is for")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Promote an adapter."""
    from langchain_graft.cli.console import progress  # noqa: PLC0415
    from langchain_graft.cli.releases_command import print_release  # noqa: PLC0415
    from langchain_graft.knowledge_base import KnowledgeBase  # noqa: PLC0415

    with progress() as on_progress:
        kb = KnowledgeBase.open(arguments.kb, on_progress=on_progress)
        release = kb.promote(
            arguments.adapter,
            force=arguments.force,
            why=arguments.why,
            on_estimate=print_estimate,
            on_progress=on_progress,
        )
    kb.close()
    print_release(release, as_json=arguments.json)
    return 0


def print_estimate(estimate: ReembedEstimate) -> None:
    """What is left to be embedded."""
    from langchain_graft.cli.console import ERR  # noqa: PLC0415

    if estimate.texts:
        seconds = "?" if estimate.seconds is None else f"{estimate.seconds:.0f}"
        ERR.print(
            f"{estimate.texts} passages are left to be embedded, about {seconds} s (measured on "
            f"{estimate.measured}); {estimate.embedded} are",
            soft_wrap=True,
        )
