"""`graft models`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_graft.cli.options import add_json

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
examples:
  graft models list
  graft models pull qwen2.5-coder-1.5b
  graft models verify minilm

Models are kept in the platform's cache folder, or in LANGCHAIN_GRAFT_CACHE.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("action", choices=("list", "pull", "verify"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="models; none: all that are here")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """List, pull or verify."""
    if arguments.action == "list":
        return _list(arguments)
    return _pull(arguments) if arguments.action == "pull" else _verify(arguments)


def _list(arguments: argparse.Namespace) -> int:
    from langchain_graft.cli.console import print_json, print_table  # noqa: PLC0415
    from langchain_graft.models.catalogue import CATALOGUE  # noqa: PLC0415
    from langchain_graft.models.pull import models_folder, pulled_models  # noqa: PLC0415

    here = pulled_models()
    rows = [
        {
            "name": model.name,
            "kind": model.kind,
            "bytes": model.size,
            "licence": model.licence,
            "languages": model.languages,
            "here": model.name in here,
            "description": model.description,
        }
        for model in CATALOGUE.values()
    ]
    if arguments.json:
        print_json(rows)
        return 0
    table = [
        (
            row["name"],
            row["kind"],
            f"{model.size / 1e6:.0f} MB",
            row["licence"],
            row["languages"],
            "yes" if row["here"] else "no",
        )
        for row, model in zip(rows, CATALOGUE.values(), strict=True)
    ]
    names = ("name", "kind", "size", "licence", "languages", "here")
    print_table(f"Models ({models_folder()})", names, table)
    return 0


def _pull(arguments: argparse.Namespace) -> int:
    from langchain_graft.cli.console import OUT, print_json, progress  # noqa: PLC0415
    from langchain_graft.models import pull_model  # noqa: PLC0415

    if not arguments.names:
        msg = "Name the models to pull; `graft models list` shows them"
        raise ValueError(msg)
    with progress() as on_progress:
        places = {name: str(pull_model(name, on_progress=on_progress)) for name in arguments.names}
    if arguments.json:
        print_json(places)
    else:
        for name, place in places.items():
            OUT.print(f"{name}: {place}", soft_wrap=True)
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from langchain_graft.cli.console import print_json, print_table  # noqa: PLC0415
    from langchain_graft.cli.main import DONE, FAILED  # noqa: PLC0415
    from langchain_graft.models import verify_model  # noqa: PLC0415
    from langchain_graft.models.pull import pulled_models  # noqa: PLC0415

    names = arguments.names or sorted(pulled_models())
    verdicts = {name: verify_model(name) for name in names}
    if arguments.json:
        print_json(verdicts)
    else:
        rows = [(name, *item) for name, files in verdicts.items() for item in files.items()]
        print_table("Checksums", ("model", "file", "sha256"), rows)
    good = all(verdict == "ok" for files in verdicts.values() for verdict in files.values())
    return DONE if good else FAILED
