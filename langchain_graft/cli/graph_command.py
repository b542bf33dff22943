"""`graft graph`: what a graph holds, where it goes, and what it looks like."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_graft.cli.graph_options import SCHEMES, add_graph, open_file, open_graph
from langchain_graft.cli.options import add_json, positive

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from langchain_graft.graph.schema import Property, Schema

EXAMPLES = """\
examples:
  graft graph status --kb my-kb
  graft graph schema --graph bolt://localhost:7687 --json
  graft graph copy --kb my-kb --to bolt://localhost:7687
  graft graph export --kb my-kb --out graph.jsonl
  graft graph show "Steve Jobs" --kb my-kb --out graph.html
  graft graph show 乔布斯 --kb my-kb --depth 1 --out graph.png
"""
_SHOWN = 60
_FOUND = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own commands."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, purpose: str, do: Callable[[argparse.Namespace], int]) -> Any:
        sub = commands.add_parser(name, help=purpose, description=purpose[0].upper() + purpose[1:])
        add_graph(sub)
        add_json(sub)
        sub.set_defaults(do=do)
        return sub

    add("status", "how many things of which type there are", _status)
    add("schema", "labels, relationship types and properties", _schema)
    copy = add("copy", "copy a graph into another store", _copy)
    copy.add_argument(
        "--to", required=True, metavar="URI", help="a Neo4j, or a file such as graph.sqlite"
    )
    export = add("export", "write what the documents say as JSON lines", _export)
    export.add_argument("--out", type=Path, required=True, metavar="FILE")
    show = add("show", "draw what is around a thing", _show)
    show.add_argument("name", metavar="NAME", help="what the thing is called")
    show.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="graph.html or graph.png"
    )
    show.add_argument("--depth", type=positive, default=1, help="steps from it (default: 1)")
    show.add_argument(
        "--limit",
        type=positive,
        default=_SHOWN,
        metavar="N",
        help=f"most relationships (default: {_SHOWN})",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked."""
    return int(arguments.do(arguments))


def _status(arguments: argparse.Namespace) -> int:
    from langchain_graft.cli.console import print_json, print_table  # noqa: PLC0415

    schema = _schema_of(arguments)
    counts = {one.label: one.count for one in schema.nodes}
    types = {one.type: one.count for one in schema.relationships}
    if arguments.json:
        print_json({"nodes": counts, "relationships": types})
        return 0
    rows = [(f"({label})", _told(count)) for label, count in counts.items()]
    rows += [(f"[{type_}]", _told(count)) for type_, count in types.items()]
    print_table(_name(arguments), ("", "count"), rows or [("nothing yet", "")])
    return 0


def _schema(arguments: argparse.Namespace) -> int:
    from langchain_graft.cli.console import print_json, print_table  # noqa: PLC0415

    schema = _schema_of(arguments)
    if arguments.json:
        print_json(asdict(schema))
        return 0
    nodes = [(one.label, _told(one.count), _properties(one.properties)) for one in schema.nodes]
    print_table("Nodes", ("label", "count", "properties"), nodes)
    ties = [
        (
            one.type,
            ", ".join(f"({start})->({end})" for start, end in one.endpoints),
            _told(one.count),
            _properties(one.properties),
        )
        for one in schema.relationships
    ]
    print_table("Relationships", ("type", "between", "count", "properties"), ties)
    return 0


def _copy(arguments: argparse.Namespace) -> int:
    from langchain_graft.cli.console import OUT, print_json, progress  # noqa: PLC0415
    from langchain_graft.graph.copying import copy_graph  # noqa: PLC0415

    copied = 0
    is_server = arguments.to.partition("://")[0] in SCHEMES
    with (
        closing(open_graph(arguments.graph, arguments.kb)) as source,
        closing(
            open_graph(arguments.to, None) if is_server else open_file(Path(arguments.to))
        ) as target,
        progress() as on_progress,
    ):

        def tell(seen: int) -> None:
            nonlocal copied
            copied = seen
            on_progress("copy", seen, None)

        copy_graph(source, target, on_progress=tell)
    if arguments.json:
        print_json({"copied": copied, "to": arguments.to})
    else:
        OUT.print(f"Copied to {arguments.to}: what {copied} passages say")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from langchain_graft.cli.console import ERR, OUT, print_json  # noqa: PLC0415
    from langchain_graft.cli.main import DONE, DONE_IN_PART  # noqa: PLC0415
    from langchain_graft.graph.whole_graph import whole_graph  # noqa: PLC0415

    with closing(open_graph(arguments.graph, arguments.kb)) as store:
        graph = whole_graph(store)
    rows = [{"kind": "node", **asdict(node)} for node in graph.nodes]
    rows += [{"kind": "relationship", **asdict(one)} for one in graph.relationships]
    with arguments.out.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    told = {
        "file": str(arguments.out),
        "nodes": len(graph.nodes),
        "relationships": len(graph.relationships),
        "truncated": graph.truncated,
    }
    if arguments.json:
        print_json(told)
    else:
        OUT.print("{file}: {nodes} nodes, {relationships} relationships".format(**told))
    if graph.truncated:
        ERR.print("Warning: there are more relationships, they were left out", style="yellow")
    return DONE_IN_PART if graph.truncated else DONE


def _show(arguments: argparse.Namespace) -> int:
    from langchain_graft.cli.console import ERR, OUT, print_json  # noqa: PLC0415
    from langchain_graft.graph.picture import graph_html, write_png  # noqa: PLC0415

    if arguments.out.suffix.lower() not in {".html", ".png"}:
        msg = f"The picture is .html or .png, not {arguments.out.name!r}"
        raise ValueError(msg)
    with closing(open_graph(arguments.graph, arguments.kb)) as store:
        found = store.find_entities(arguments.name, k=_FOUND)
        if not found:
            msg = f"The graph knows nothing called {arguments.name!r}"
            raise ValueError(msg)
        best = found[0].node
        graph = store.expand([best.id], depth=arguments.depth, limit=arguments.limit)
    warnings: list[str] = []
    if arguments.out.suffix.lower() == ".png":
        warnings = write_png(graph, arguments.out, title=best.name, marked={best.id})
    else:
        page = graph_html(graph, title=best.name, marked={best.id})
        arguments.out.write_text(page, encoding="utf-8")
    if graph.truncated:
        warnings.append(f"There is more than {arguments.limit} relationships: --limit, --depth")
    told = {
        "file": str(arguments.out),
        "shown": best.name,
        "also_found": [one.node.name for one in found[1:]],
        "nodes": len(graph.nodes),
        "relationships": len(graph.relationships),
        "warnings": warnings,
    }
    if arguments.json:
        print_json(told)
        return 0
    OUT.print("{file}: {shown}, {nodes} nodes, {relationships} relationships".format(**told))
    for warning in warnings:
        ERR.print(f"Warning: {warning}", style="yellow")
    return 0


def _schema_of(arguments: argparse.Namespace) -> Schema:
    with closing(open_graph(arguments.graph, arguments.kb)) as store:
        schema: Schema = store.schema(refresh=True)
    return schema


def _name(arguments: argparse.Namespace) -> str:
    return str(arguments.graph or arguments.kb)


def _told(count: int | None) -> str:
    return "?" if count is None else str(count)


def _properties(properties: tuple[Property, ...]) -> str:
    return ", ".join(f"{one.name}: {one.type}" for one in properties)
