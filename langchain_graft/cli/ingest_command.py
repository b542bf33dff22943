"""`graft ingest`."""

from __future__ import annotations

from contextlib import closing, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_graft.cli.options import DEFAULT_MODEL, add_json, add_kb, open_filled, positive

if TYPE_CHECKING:
    import argparse

    from langchain_graft.knowledge_base import IngestReport, KnowledgeBase
    from langchain_graft.knowledge_base.graph_building import GraphEstimate, GraphReport
    from langchain_graft.models.pull import OnProgress

EXAMPLES = """\
examples:
  graft ingest documents/ --kb my-kb
  graft ingest report.pdf notes/ --kb my-kb --embeddings minilm
  graft ingest --beir scifact/ --kb scifact-kb
  graft ingest documents/ --kb my-kb --graph --dry-run
  graft ingest --kb my-kb --graph --graph-schema schema.json

Unchanged files are passed over. When it is interrupted, run it again: it goes on.
Exit code 3 says that some documents could not be read; `graft status` lists them.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files and folders")
    add_kb(parser)
    parser.add_argument("--beir", type=Path, metavar="FOLDER", help="a BEIR folder's corpus")
    graph = parser.add_argument_group("the graph of what the documents say")
    graph.add_argument("--graph", action="store_true", help="have a model build it, or go on")
    graph.add_argument(
        "--dry-run",
        action="store_true",
        help="with --graph: ingest, tell what the graph would take, and stop; two passages are "
        "read to measure it",
    )
    graph.add_argument(
        "--graph-model",
        default=DEFAULT_MODEL,
        metavar="SPEC",
        help=f"the chat model that reads the documents (default: {DEFAULT_MODEL})",
    )
    graph.add_argument(
        "--graph-schema",
        type=Path,
        metavar="FILE",
        help='keep nothing else: JSON such as {"labels": ["Person", "Firm"], "relationships": '
        '{"OWNS": [["Person", "Firm"]]}}',
    )
    graph.add_argument(
        "--graph-store", metavar="URI", help="a Neo4j instead of the knowledge base's own graph"
    )
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

    only_graph = _check(arguments)
    told: dict[str, object] = {}
    failed = False
    with progress() as on_progress:
        kb = open_filled(arguments.kb, on_progress) if only_graph else None
        kb = kb or open_or_create(arguments, on_progress)
        if not only_graph:
            report = ingest(kb, arguments, on_progress)
            told, failed = asdict(report), bool(report.failed)
        graph = build_graph(kb, arguments, on_progress) if arguments.graph else None
    failed = failed or bool(getattr(graph, "failed", None))
    if arguments.json:
        print_json({**told, "graph": asdict(graph)} if graph else told)
        return DONE_IN_PART if failed else DONE
    if not only_graph:
        print_report(report)
    if graph:
        print_graph(graph)
    return DONE_IN_PART if failed else DONE


def _check(arguments: argparse.Namespace) -> bool:
    """Whether the graph alone is asked for, of what is there."""
    only_graph: bool = arguments.graph and not arguments.paths and not arguments.beir
    if arguments.dry_run and not arguments.graph:
        msg = "--dry-run tells what a graph would take: say --graph too"
        raise ValueError(msg)
    if bool(arguments.paths) == bool(arguments.beir) and not only_graph:
        msg = "Name files or folders to ingest, or --beir FOLDER, and not both"
        raise ValueError(msg)
    for path in arguments.paths:
        if not path.exists():
            msg = f"No such file or folder: {str(path)!r}"
            raise FileNotFoundError(msg)
    return only_graph


def build_graph(
    kb: KnowledgeBase, arguments: argparse.Namespace, on_progress: OnProgress
) -> GraphReport | GraphEstimate:
    """Build the graph, or tell what it would take."""
    from langchain_graft.cli.graph_options import open_graph  # noqa: PLC0415
    from langchain_graft.graph import schema_from_json  # noqa: PLC0415
    from langchain_graft.models import load_chat_model  # noqa: PLC0415

    path = arguments.graph_schema
    schema = schema_from_json(path.read_text(encoding="utf-8")) if path else None
    model = load_chat_model(arguments.graph_model, on_progress=on_progress)
    if arguments.dry_run:
        return kb.estimate_graph(model, schema=schema, strict=schema is not None)
    address = arguments.graph_store
    with closing(open_graph(address, None)) if address else nullcontext() as store:
        return kb.build_graph(
            model,
            schema=schema,
            strict=schema is not None,
            store=store,
            store_name=address or "",
            on_estimate=print_estimate,
            on_progress=on_progress,
        )


def print_estimate(estimate: GraphEstimate) -> None:
    """What the graph will take, on stderr, if the model has anything left to read."""
    from langchain_graft.cli.console import ERR  # noqa: PLC0415

    if estimate.calls:
        ERR.print(f"The graph takes {_expected(estimate)}", soft_wrap=True)


def print_graph(graph: GraphReport | GraphEstimate) -> None:
    """What was done for the graph, or what it would take."""
    from langchain_graft.cli.console import OUT, print_table  # noqa: PLC0415
    from langchain_graft.knowledge_base.graph_building import GraphEstimate  # noqa: PLC0415

    if isinstance(graph, GraphEstimate):
        OUT.print(f"The graph would take {_expected(graph)}")
        return
    OUT.print(
        f"graph: {graph.nodes} entities, {graph.relationships} relationships; {graph.extracted} "
        f"passages read, {graph.kept} before; {graph.merges} merges of entities, {graph.dropped} "
        f"claims dropped that the text does not bear out"
    )
    if graph.failed:
        rows = list(graph.failed.items())
        print_table(f"{len(rows)} could not be read for the graph", ("passage", "why"), rows)


def _expected(estimate: GraphEstimate) -> str:
    seconds = "?" if estimate.seconds is None else f"{estimate.seconds:.0f}"
    return (
        f"{estimate.calls} calls, some {estimate.input_tokens} tokens read and "
        f"{estimate.output_tokens} written, about {seconds} s (measured on {estimate.measured} "
        f"passages). {estimate.extracted} passages are read already"
    )


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
