"""`graft ingest`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_graft.cli.options import add_json, add_kb, positive

if TYPE_CHECKING:
    import argparse

    from langchain_graft.knowledge_base import IngestReport, KnowledgeBase
    from langchain_graft.models.pull import OnProgress

EXAMPLES = """\
examples:
  graft ingest documents/ --kb my-kb
  graft ingest report.pdf notes/ --kb my-kb --embeddings minilm
  graft ingest --beir scifact/ --kb scifact-kb

Unchanged files are passed over. When it is interrupted, run it again: it goes on.
Exit code 3 says that some documents could not be read; `graft status` lists them.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files and folders")
    add_kb(parser)
    parser.add_argument("--beir", type=Path, metavar="FOLDER", help="a BEIR folder's corpus")
    making = parser.add_argument_group("when the knowledge base is made")
    making.add_argument(
        "--embeddings",
        metavar="SPEC",
        help="the embedder: e5-multilingual (default; reads Chinese), minilm (English, faster), "
        "hf:FOLDER, openai:NAME, ...",
    )
    making.add_argument(
        "--chunk-tokens", type=positive, metavar="N", help="most tokens of a passage (default: 160)"
    )
    making.add_argument("--ocr", action="store_true", help="read scanned PDF pages by OCR")
    making.add_argument("--max-file-mb", type=positive, metavar="N", help="pass larger files over")
    making.add_argument("--max-text-mb", type=positive, metavar="N", help="most text of a document")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ingest, and say what was done."""
    from langchain_graft.cli.console import print_json, progress  # noqa: PLC0415
    from langchain_graft.cli.main import DONE, DONE_IN_PART  # noqa: PLC0415

    if bool(arguments.paths) == bool(arguments.beir):
        msg = "Name files or folders to ingest, or --beir FOLDER, and not both"
        raise ValueError(msg)
    for path in arguments.paths:
        if not path.exists():
            msg = f"No such file or folder: {str(path)!r}"
            raise FileNotFoundError(msg)
    with progress() as on_progress:
        kb = open_or_create(arguments, on_progress)
        report = ingest(kb, arguments, on_progress)
    if arguments.json:
        print_json(asdict(report))
    else:
        print_report(report)
    return DONE_IN_PART if report.failed else DONE


def open_or_create(arguments: argparse.Namespace, on_progress: OnProgress) -> KnowledgeBase:
    """The knowledge base; it is made when there is none."""
    from langchain_graft.knowledge_base import IngestSettings, KnowledgeBase  # noqa: PLC0415
    from langchain_graft.knowledge_base.knowledge_base import DEFAULT_EMBEDDINGS  # noqa: PLC0415
    from langchain_graft.knowledge_base.manifest import NAME  # noqa: PLC0415

    names = ("chunk_tokens", "ocr", "max_file_mb", "max_text_mb")
    asked = {name: value for name in names if (value := getattr(arguments, name))}
    if not (arguments.kb / NAME).exists():
        return KnowledgeBase.create(
            arguments.kb,
            embeddings=arguments.embeddings or DEFAULT_EMBEDDINGS,
            settings=IngestSettings(**asked),
            on_progress=on_progress,
        )
    kb = KnowledgeBase.open(arguments.kb, on_progress=on_progress)
    kb.require(embeddings=arguments.embeddings, **asked)
    return kb


def ingest(
    kb: KnowledgeBase, arguments: argparse.Namespace, on_progress: OnProgress
) -> IngestReport:
    """Ingest what was named."""
    if arguments.beir:
        return kb.ingest_beir(arguments.beir, on_progress=on_progress)
    return kb.ingest(*arguments.paths, on_progress=on_progress)


def print_report(report: IngestReport) -> None:
    """The report as tables."""
    from langchain_graft.cli.console import OUT, print_table  # noqa: PLC0415

    counts = ("added", "changed", "unchanged", "removed", "duplicates")
    parts = [f"{getattr(report, name)} {name}" for name in counts if getattr(report, name)]
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in report.seconds.items())
    OUT.print(
        f"{', '.join(parts) or 'nothing to do'}; {report.chunks} passages embedded ({seconds})"
    )
    if report.rebuilt:
        OUT.print("The indexes were damaged: they were built anew, and all passages embedded again")
    if report.skipped:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in report.skipped.items())
        OUT.print(f"Passed over, not documents: {kinds}")
    if report.failed:
        rows = list(report.failed.items())
        print_table(f"{len(rows)} could not be read", ("document", "why"), rows)
