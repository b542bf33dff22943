"""`graft promote`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_graft.cli.options import add_json, add_kb

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from langchain_graft.knowledge_base import Candidate, KnowledgeBase, ReembedEstimate, Release
    from langchain_graft.models.pull import OnProgress

EXAMPLES = """\
examples:
  graft promote medical@000002 --kb my-kb
  graft promote legal --kb my-kb --why "contract questions"
  graft promote medical --kb my-kb --target medquad_faq/ --guard nq_open_oracle/

With --target and --guard it has to be better on the one (95 % interval above 0), to lose no more
than 1 % on the other, and to be no slower; or else nothing is changed. Each is a BEIR folder, or a
file of questions as `graft eval` takes it. Without them the release says "not checked".

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
    for name, purpose in (("target", "be better on"), ("guard", "not be worse on")):
        parser.add_argument(
            f"--{name}",
            action="append",
            default=[],
            type=Path,
            metavar="PATH",
            help=f"questions that it has to {purpose}; may be given several times",
        )
    parser.add_argument("--why", default="", metavar="TEXT", help="what the release is for")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Promote an adapter."""
    from langchain_graft.cli.console import progress  # noqa: PLC0415
    from langchain_graft.cli.releases_command import print_release  # noqa: PLC0415
    from langchain_graft.errors import GateFailedError  # noqa: PLC0415
    from langchain_graft.knowledge_base import KnowledgeBase  # noqa: PLC0415

    with (
        progress() as on_progress,
        closing(KnowledgeBase.open(arguments.kb, on_progress=on_progress)) as kb,
    ):
        try:
            release = _promoted(arguments, kb, on_progress)
        except GateFailedError as error:
            msg = f"{error}. Nothing was changed; --force makes it serve nevertheless"
            raise GateFailedError(msg) from error
    print_release(release, as_json=arguments.json)
    return 0


def _promoted(arguments: argparse.Namespace, kb: KnowledgeBase, on_progress: OnProgress) -> Release:
    return kb.promote(
        arguments.adapter,
        gate=_gate(arguments, kb, on_progress),
        force=arguments.force,
        why=arguments.why,
        on_estimate=print_estimate,
        on_progress=on_progress,
    )


def _gate(
    arguments: argparse.Namespace, kb: KnowledgeBase, on_progress: OnProgress
) -> Callable[[Candidate], str] | None:
    if not arguments.target and not arguments.guard:
        return None
    from langchain_graft.knowledge_base import create_gate  # noqa: PLC0415

    return create_gate(kb, target=arguments.target, guard=arguments.guard, on_progress=on_progress)


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
