"""`graft adapters`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_graft.cli.options import add_json, add_kb

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from langchain_graft.finetune_bridge import AdapterRef, AdapterStore

EXAMPLES = """\
examples:
  graft adapters list --kb my-kb
  graft adapters show legal@000003 --kb my-kb
  graft adapters import peft-folder/ legal --base hf:smollm2-135m --kb my-kb
  graft adapters import peft-folder/ medical --kind embeddings --kb my-kb
  graft adapters export legal@000003 legal-peft/ --kb my-kb
  graft adapters export legal@000003 legal-vllm/ --as vllm --served-name smollm --kb my-kb
  graft adapters remove legal@000002 --kb my-kb
  graft adapters remove legal@000001 --drop-alias --kb my-kb

REF is a version (legal@000003), an alias (legal@current), or a name, which is its alias `current`.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, purpose: str, do: Callable[[argparse.Namespace], int]) -> Any:
        sub = commands.add_parser(name, help=purpose, description=purpose[0].upper() + purpose[1:])
        add_kb(sub)
        add_json(sub)
        sub.set_defaults(do=do)
        return sub

    add("list", "all versions, and what stands for them", _list)
    show = add("show", "what an adapter is and was made of", _show)
    show.add_argument("adapter", metavar="REF")
    taken = add("import", "take in an adapter that PEFT saved, here or elsewhere", _import)
    taken.add_argument("folder", type=Path, metavar="FOLDER", help="as PEFT saves it")
    taken.add_argument("name", metavar="NAME")
    taken.add_argument(
        "--kind",
        choices=("generator", "embeddings", "query-map"),
        default="generator",
        help="for a chat model, an embedder, or the queries of any embedder (default: generator)",
    )
    taken.add_argument(
        "--base",
        metavar="SPEC",
        help="the model it was made for, as hf:NAME (default: the knowledge base's own embedder)",
    )
    taken.add_argument(
        "--side",
        choices=("both", "query"),
        default="both",
        help="embeddings: whether passages have it too (default: both)",
    )
    given = add("export", "write an adapter for others", _export)
    given.add_argument("adapter", metavar="REF")
    given.add_argument("target", type=Path, metavar="FOLDER", help="is made")
    given.add_argument(
        "--as",
        dest="form",
        choices=("peft", "merged", "vllm"),
        default="peft",
        help="PEFT's folder, the whole model with the adapter in its weights, or for vLLM "
        "(default: peft)",
    )
    given.add_argument(
        "--base", metavar="SPEC", help="merged: the base's folder or name (default: the adapter's)"
    )
    given.add_argument("--served-name", metavar="NAME", help="vllm: how its base model is called")
    remove = add("remove", "take a version out for good", _remove)
    remove.add_argument("adapter", metavar="REF")
    remove.add_argument(
        "--drop-alias",
        action="store_true",
        help="even if aliases stand for it, which go too",
    )


def run(arguments: argparse.Namespace) -> int:
    """List, show, import, export or remove."""
    code: int = arguments.do(arguments)
    return code


def _store(arguments: argparse.Namespace) -> AdapterStore:
    from langchain_graft.knowledge_base.adapters import open_adapters  # noqa: PLC0415
    from langchain_graft.knowledge_base.manifest import read_manifest  # noqa: PLC0415

    read_manifest(arguments.kb)  # there is a knowledge base
    return open_adapters(arguments.kb)


def _remove(arguments: argparse.Namespace) -> int:
    store = _store(arguments)
    ref = _resolved(store, arguments.adapter)
    store.remove(ref, drop_aliases=arguments.drop_alias)
    return _told(arguments, {"removed": str(ref)})


def _list(arguments: argparse.Namespace) -> int:
    from langchain_graft.cli.console import print_json, print_table  # noqa: PLC0415

    entries = _store(arguments).list()
    if arguments.json:
        print_json([{**asdict(entry), "ref": str(entry.ref)} for entry in entries])
        return 0
    rows = [
        (
            entry.ref,
            ", ".join(entry.aliases),
            entry.kind,
            entry.base,
            f"{entry.size_bytes / 1e6:.1f} MB",
            entry.created,
        )
        for entry in entries
    ]
    names = ("adapter", "alias", "kind", "base", "size", "created")
    print_table(f"Adapters ({arguments.kb})", names, rows)
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from langchain_graft.cli.console import print_json, print_table  # noqa: PLC0415
    from langchain_graft.finetune_bridge.adapters.folder import check_folder  # noqa: PLC0415
    from langchain_graft.finetune_bridge.adapters.servability import servability  # noqa: PLC0415

    store = _store(arguments)
    ref = _resolved(store, arguments.adapter)
    manifest = store.manifest(ref)
    served = servability(manifest, check_folder(store.path(ref)).config)
    values = {"adapter": str(ref), **manifest.to_json()}
    if arguments.json:
        print_json({**values, "servability": [asdict(one) for one in served]})
        return 0
    rows = [(name, value) for name, value in values.items() if value not in (None, "", {}, [], ())]
    print_table(str(ref), ("", ""), rows)
    servers = [(one.where, "yes" if one.served else "no", one.why) for one in served]
    print_table("Served by", ("", "", "how, or why not"), servers)
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from langchain_graft.cli.console import progress  # noqa: PLC0415
    from langchain_graft.knowledge_base import KnowledgeBase  # noqa: PLC0415

    with (
        progress() as on_progress,
        closing(KnowledgeBase.open(arguments.kb, on_progress=on_progress)) as kb,
    ):
        ref = kb.import_adapter(
            arguments.folder,
            arguments.name,
            kind=arguments.kind,
            base=arguments.base,
            side=arguments.side,
            on_progress=on_progress,
        )
    return _told(arguments, {"imported": str(ref)})


def _export(arguments: argparse.Namespace) -> int:
    from langchain_graft.finetune_bridge.serving import export  # noqa: PLC0415

    store = _store(arguments)
    ref = _resolved(store, arguments.adapter)
    if arguments.form == "vllm" and not arguments.served_name:
        msg = "--as vllm: say what `vllm serve` was started with, --served-name NAME"
        raise ValueError(msg)
    if arguments.form == "peft":
        export.export_peft(store, ref, arguments.target)
    elif arguments.form == "merged":
        export.export_merged(store, ref, arguments.target, base=arguments.base)
    else:
        export.export_vllm(store, ref, arguments.target, served_name=arguments.served_name)
    return _told(arguments, {"exported": str(ref), "to": str(arguments.target)})


def _told(arguments: argparse.Namespace, what: dict[str, Any]) -> int:
    from langchain_graft.cli.console import OUT, print_json  # noqa: PLC0415

    if arguments.json:
        print_json(what)
    else:
        OUT.print(", ".join(f"{name}: {value}" for name, value in what.items()), soft_wrap=True)
    return 0


def _resolved(store: AdapterStore, adapter: str) -> AdapterRef:
    ref = store.resolve(adapter)
    if ref is None:
        msg = f"{adapter!r} is the model without an adapter: name one of `graft adapters list`"
        raise ValueError(msg)
    return ref
