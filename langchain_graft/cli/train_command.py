"""`graft train`."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_graft.cli.options import DEFAULT_MODEL, add_json, add_kb, positive

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from langchain_graft.finetune_bridge.training.doctor import Finding
    from langchain_graft.finetune_bridge.training.settings import TrainSettings
    from langchain_graft.finetune_bridge.training.trained_adapter import (
        TrainedAdapter,
        TrainProgress,
    )
    from langchain_graft.knowledge_base import KnowledgeBase
    from langchain_graft.models.pull import OnProgress

EXAMPLES = """\
examples:
  graft train embeddings --kb my-kb --rows pairs.jsonl --name medical
  graft train embeddings --kb my-kb --generate 500 --negatives 4 --name own
  graft train generator --kb my-kb --rows chats.jsonl --base hf:smollm2-135m --name style
  graft train self-rag --kb my-kb --generate 200 --rows judged.jsonl --base hf:smollm2-135m
  graft train embeddings --kb my-kb --rows pairs.jsonl --dry-run

A row of an embedder is {"query", "positive"}, and may have "negatives" and "group" (its document);
one of a chat model {"messages": [{"role", "content"}, ...]}, one of preferences {"prompt",
"chosen", "rejected"}, one of self-rag {"question"} with any of "passage", "answer", "retrieve",
"relevance", "support" and "utility". Without --rows and --generate the questions and answers that
the documents have are learned. A tenth of the documents is held out, and named in the next step:
`graft promote NAME --target FILE`. --settings takes a JSON object of EmbeddingSettings,
GeneratorSettings, PreferenceSettings or ReflectionSettings. When it is interrupted, the same
command goes on.
"""

_TASKS = ("embeddings", "generator", "preferences", "self-rag")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("task", choices=_TASKS, help="what is trained")
    add_kb(parser)
    parser.add_argument("--rows", type=Path, metavar="FILE", help="what is learned, as JSON lines")
    parser.add_argument(
        "--generate",
        type=positive,
        metavar="N",
        help="have a chat model ask a question of N passages, kept if it finds its passage again; "
        "for self-rag it answers and judges too",
    )
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="SPEC",
        help=f"what asks, answers and judges there (default: {DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--negatives", type=positive, metavar="N", help="mine N wrong passages for each row"
    )
    parser.add_argument("--settings", type=Path, metavar="FILE", help="how it is trained, as JSON")
    parser.add_argument(
        "--base", metavar="SPEC", help="the base model (default: what the knowledge base has)"
    )
    parser.add_argument("--name", default="trained", help="of the adapter (default: trained)")
    parser.add_argument(
        "--guard",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="what `graft promote` will be given: none of its questions may be among the rows",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="train four steps in a folder that is thrown away, and say what it would take",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, and keep the adapter."""
    from langchain_graft.cli.console import print_json, progress  # noqa: PLC0415
    from langchain_graft.finetune_bridge.adapters.ref import check_name  # noqa: PLC0415
    from langchain_graft.finetune_bridge.training.row_report import report_of  # noqa: PLC0415
    from langchain_graft.knowledge_base import KnowledgeBase  # noqa: PLC0415

    check_name(arguments.name)
    with (
        progress() as on_progress,
        closing(KnowledgeBase.open(arguments.kb, on_progress=on_progress)) as kb,
    ):
        rows, dropped = _rows(arguments, kb, on_progress)
        settings = _settings(arguments, kb)
        learned, held_out = _held_out(arguments, kb, rows)
        told: dict[str, Any] = {"rows": asdict(report_of(rows)), "dropped": dropped}
        findings = _examined(arguments, kb, learned)
        if arguments.dry_run:
            told["estimate"] = _estimate(settings, learned)
        else:
            trained = _trained(settings, learned, on_progress)
            told |= {"losses": _losses(trained), **_kept(arguments, kb, trained, held_out)}
            findings += [one for one in trained.report.findings if one not in findings]
    told["findings"] = [asdict(one) for one in findings]
    if arguments.json:
        print_json(told)
    else:
        lines = [*report_of(rows).lines(), *((why, str(n)) for why, n in dropped.items())]
        _print(arguments, told, lines, findings)
    return 0


def _rows(
    arguments: argparse.Namespace, kb: KnowledgeBase, on_progress: OnProgress
) -> tuple[Sequence[Any], dict[str, int]]:
    """The rows, and how many others are none, by the reason."""
    from langchain_graft.finetune_bridge.training.row_files import read_rows  # noqa: PLC0415
    from langchain_graft.finetune_bridge.training.rows import (  # noqa: PLC0415
        EmbeddingRow,
        GeneratorRow,
        PreferenceRow,
        distinct_rows,
    )
    from langchain_graft.knowledge_base import training_data  # noqa: PLC0415

    if arguments.task == "self-rag":
        return _reflection_rows(arguments, kb, on_progress)
    if arguments.task != "embeddings":
        kind = GeneratorRow if arguments.task == "generator" else PreferenceRow
        if not arguments.rows or arguments.generate or arguments.negatives:
            what = "conversations" if kind is GeneratorRow else "pairs of answers"
            msg = f"A chat model learns from {what}: --rows FILE, no --generate, --negatives"
            raise ValueError(msg)
        return read_rows(arguments.rows, kind), {}
    dropped: dict[str, int] = {}
    rows = read_rows(arguments.rows, EmbeddingRow) if arguments.rows else []
    if arguments.generate:
        from langchain_graft.models import load_chat_model  # noqa: PLC0415

        model = load_chat_model(arguments.model, on_progress=on_progress, max_tokens=64)
        made = training_data.generate_rows(
            kb, model, most=arguments.generate, on_progress=on_progress
        )
        rows += made.rows
        dropped |= made.dropped
    elif not arguments.rows:
        rows = training_data.rows_from_pairs(kb)
    if not rows:
        msg = (
            "There is nothing to learn: the documents have no questions with answers. Give rows "
            "(--rows FILE), or have a chat model ask (--generate 500)"
        )
        raise ValueError(msg)
    rows = distinct_rows(rows)
    if arguments.negatives:
        mined = training_data.mine_negatives(
            kb, rows, count=arguments.negatives, on_progress=on_progress
        )
        return mined.rows, {**dropped, **mined.dropped}
    return rows, dropped


def _reflection_rows(
    arguments: argparse.Namespace, kb: KnowledgeBase, on_progress: OnProgress
) -> tuple[Sequence[Any], dict[str, int]]:
    """The file's rows, and those that a chat model makes of the knowledge base."""
    from langchain_graft.finetune_bridge.training.row_files import read_rows  # noqa: PLC0415
    from langchain_graft.finetune_bridge.training.rows import (  # noqa: PLC0415
        ReflectionRow,
        distinct_rows,
    )

    if not arguments.rows and not arguments.generate:
        msg = "Self-RAG learns from judgements: --rows FILE, --generate N, or both"
        raise ValueError(msg)
    rows = read_rows(arguments.rows, ReflectionRow) if arguments.rows else []
    if not arguments.generate:
        return rows, {}
    from langchain_graft.knowledge_base.reflection_rows import reflection_rows  # noqa: PLC0415
    from langchain_graft.models import load_chat_model  # noqa: PLC0415

    model = load_chat_model(arguments.model, on_progress=on_progress, max_tokens=64)
    made = reflection_rows(
        kb,
        model,
        most=arguments.generate,
        negatives=arguments.negatives or 1,
        on_progress=on_progress,
    )
    return distinct_rows([*rows, *made.rows]), dict(made.dropped)


def _settings(arguments: argparse.Namespace, kb: KnowledgeBase) -> TrainSettings:
    """The file's settings; what it leaves out is the knowledge base's, or the default."""
    from langchain_graft.finetune_bridge.training.settings import settings_from_json  # noqa: PLC0415
    from langchain_graft.knowledge_base.training_data import TRAINING  # noqa: PLC0415

    given: dict[str, Any] = {}
    if arguments.settings:
        try:
            given = dict(json.loads(arguments.settings.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            msg = f"{str(arguments.settings)!r} is no JSON object of settings: {error}"
            raise ValueError(msg) from error
    if given.get("task", arguments.task) != arguments.task:
        msg = f"The settings are for {given['task']!r}, asked was {arguments.task!r}"
        raise ValueError(msg)
    release = kb.release
    theirs = release.embeddings if arguments.task == "embeddings" else release.generator
    base = arguments.base or given.get("base") or theirs
    if not base:
        msg = f"Say which model is trained: --base SPEC, such as {'hf:smollm2-135m'!r}"
        raise ValueError(msg)
    out = str(kb.folder / TRAINING / arguments.name)
    return settings_from_json({"out": out, **given, "task": arguments.task, "base": base})


def _held_out(
    arguments: argparse.Namespace, kb: KnowledgeBase, rows: Sequence[Any]
) -> tuple[Sequence[Any], Path | None]:
    """What is learned, and a file of questions to be judged by, where documents are named."""
    from langchain_graft.finetune_bridge.training.rows import split_rows  # noqa: PLC0415
    from langchain_graft.knowledge_base.gate_questions import kb_sources  # noqa: PLC0415
    from langchain_graft.knowledge_base.training_data import TRAINING  # noqa: PLC0415

    if arguments.task != "embeddings" or not {row.group for row in rows} <= kb_sources(kb.folder):
        return rows, None
    try:
        learned, held = split_rows(rows, by="document")
    except ValueError:  # too few documents to hold one out
        return rows, None
    path = kb.folder / TRAINING / f"{arguments.name}.held_out.jsonl"
    lines = (
        json.dumps({"question": row.query, "documents": [row.group]}, ensure_ascii=False)
        for row in held
    )
    if not arguments.dry_run:
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return learned, path


def _examined(
    arguments: argparse.Namespace, kb: KnowledgeBase, rows: Sequence[Any]
) -> list[Finding]:
    from langchain_graft.finetune_bridge.training.doctor import examine_rows  # noqa: PLC0415
    from langchain_graft.knowledge_base.gate_questions import load_gate_questions  # noqa: PLC0415

    sets = [load_gate_questions(path, kb.folder) for path in arguments.guard]
    return examine_rows(rows, judged=[text for one in sets for text in one.queries.values()])


def _train(settings: TrainSettings) -> Any:
    if settings.task == "embeddings":
        from langchain_graft.finetune_bridge.training.embeddings import (  # noqa: PLC0415
            train_embeddings,
        )

        return train_embeddings
    if settings.task == "self-rag":
        from langchain_graft.chains.self_rag.training import train_self_rag  # noqa: PLC0415

        return train_self_rag
    if settings.task == "preferences":
        from langchain_graft.finetune_bridge.training.preferences import (  # noqa: PLC0415
            train_preferences,
        )

        return train_preferences
    from langchain_graft.finetune_bridge.training.generator import train_generator  # noqa: PLC0415

    return train_generator


def _estimate(settings: TrainSettings, rows: Sequence[Any]) -> dict[str, Any]:
    from langchain_graft.finetune_bridge.training.estimate import estimate_training  # noqa: PLC0415

    return asdict(estimate_training(settings, rows, _train(settings)))


def _trained(
    settings: TrainSettings, rows: Sequence[Any], on_progress: OnProgress
) -> TrainedAdapter:
    def tell(progress: TrainProgress) -> None:
        on_progress("train", progress.step, progress.steps)

    trained: TrainedAdapter = _train(settings)(settings, rows, on_progress=tell)
    return trained


def _kept(
    arguments: argparse.Namespace,
    kb: KnowledgeBase,
    trained: TrainedAdapter,
    held_out: Path | None,
) -> dict[str, Any]:
    """The adapter in the store, once for each run, and what to do next."""
    note = trained.folder.parent / "registered.json"
    known = {str(entry.ref) for entry in kb.adapters.list()}
    ref = json.loads(note.read_text("utf-8")) if note.exists() else None
    if ref not in known:
        ref = str(kb.adapters.register(trained.folder, arguments.name, manifest=trained.manifest))
        note.write_text(json.dumps(ref), encoding="utf-8")
    sets = "".join(f" --guard {path}" for path in arguments.guard)
    target = f" --target {held_out}" if held_out else ""
    return {
        "adapter": ref,
        "folder": str(trained.folder),
        "held_out": held_out and str(held_out),
        "report": asdict(replace(trained.report, findings=())),
        "next": f"graft promote {ref} --kb {arguments.kb}{target}{sets}",
    }


def _losses(trained: TrainedAdapter) -> list[float]:
    path = trained.folder.parent / "loss.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    records = [json.loads(line) for line in lines]
    return [record["loss"] for record in records if "loss" in record]


def _print(
    arguments: argparse.Namespace,
    told: dict[str, Any],
    rows: list[tuple[str, str]],
    findings: Sequence[Finding],
) -> None:
    from langchain_graft.cli.console import ERR, OUT, print_table  # noqa: PLC0415
    from langchain_graft.finetune_bridge.training.loss_curve import sparkline  # noqa: PLC0415

    print_table(f"Rows ({arguments.task})", ("", ""), rows)
    for one in findings:
        if not one.ok:
            ERR.print(f"Warning, {one.check}: {one.told}", soft_wrap=True)
    for name in ("estimate", "report"):
        if figures := told.get(name):
            shown = [_figure(key, one) for key, one in figures.items() if one not in (None, ())]
            print_table(name.capitalize(), ("", ""), shown)
    if arguments.dry_run:
        return
    OUT.print(f"Loss {sparkline(told['losses'])}", soft_wrap=True)
    OUT.print(f"{told['adapter']} is in the knowledge base. To make it serve:", soft_wrap=True)
    OUT.print(f"  {told['next']}", soft_wrap=True)


def _figure(name: str, value: Any) -> tuple[str, str]:
    if name == "peak_bytes":
        return "peak memory", f"{value / 1e9:.1f} GB"
    if isinstance(value, dict):
        return name, ", ".join(f"{one} {figure:.4g}" for one, figure in value.items())
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return name.replace("_", " "), text
