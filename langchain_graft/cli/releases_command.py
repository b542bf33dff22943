"""`graft releases`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from langchain_graft.cli.options import add_json, add_kb

if TYPE_CHECKING:
    import argparse

    from langchain_graft.knowledge_base import Release

EXAMPLES = """\
examples:
  graft releases list --kb my-kb
  graft releases show 2 --kb my-kb

A release is an embedder, its index, a chat model, prompts and thresholds that belong together.
`graft promote` makes one, `graft rollback` goes back to the one before.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("action", choices=("list", "show"))
    parser.add_argument(
        "number", nargs="?", type=int, metavar="N", help="show: which (default: what serves)"
    )
    add_kb(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """List or show; no model is loaded."""
    return _list(arguments) if arguments.action == "list" else _show(arguments)


def _list(arguments: argparse.Namespace) -> int:
    from langchain_graft.cli.console import print_json, print_table  # noqa: PLC0415
    from langchain_graft.knowledge_base.manifest import read_manifest  # noqa: PLC0415
    from langchain_graft.knowledge_base.release import list_releases  # noqa: PLC0415

    serving = read_manifest(arguments.kb).release
    releases = list_releases(arguments.kb)
    if arguments.json:
        print_json([{**asdict(one), "serves": one.number == serving} for one in releases])
        return 0
    names = ("release", "embedder", "chat model", "why")
    rows = [
        (
            f"{one.number}, serves" if one.number == serving else one.number,
            with_adapter(one.embeddings or "an object", one.embeddings_adapter),
            with_adapter(one.generator or "as asked", one.generator_adapter),
            f"{one.why} (forced)" if one.forced else one.why,
        )
        for one in releases
    ]
    print_table(f"Releases ({arguments.kb})", names, rows)
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from langchain_graft.knowledge_base.manifest import read_manifest  # noqa: PLC0415
    from langchain_graft.knowledge_base.release import read_release  # noqa: PLC0415

    manifest = read_manifest(arguments.kb)
    number = manifest.release if arguments.number is None else arguments.number
    print_release(read_release(arguments.kb, number, manifest), as_json=arguments.json)
    return 0


def print_release(release: Release, *, as_json: bool) -> None:
    """All that a release is made of."""
    from langchain_graft.cli.console import print_json, print_table  # noqa: PLC0415

    values: dict[str, Any] = asdict(release)
    if as_json:
        print_json(values)
        return
    rows = [(name, value) for name, value in values.items() if value not in (None, "", {})]
    print_table(f"Release {release.number}", ("", ""), rows)


def with_adapter(model: str, adapter: str | None) -> str:
    """A model's name, with its adapter's."""
    return f"{model} + {adapter}" if adapter else model
