"""`graft demo --loop`: an embedder learns the example documents and goes live under questions."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from langchain_graft.cli.asking_threads import AskingThreads
    from langchain_graft.finetune_bridge.adapters.ref import AdapterRef
    from langchain_graft.finetune_bridge.training.rows import EmbeddingRow
    from langchain_graft.finetune_bridge.training.trained_adapter import TrainProgress
    from langchain_graft.knowledge_base import KnowledgeBase
    from langchain_graft.knowledge_base.gate import GateFinding
    from langchain_graft.models.pull import OnProgress

EMBEDDINGS = "minilm"
"""The demo's own embedder runs without torch: its weights can not be trained."""
NAME = "demo"
ROWS = "corpus_rows.jsonl"
QUESTIONS = "questions.jsonl"
HELD_OUT = 0.3
"""Share of the questions that are not learned from, nor anything else of their documents."""
SETTINGS = "few_rows.json"


def build(folder: Path, corpus: Path, say: Console) -> KnowledgeBase:
    """The example documents under an embedder that can learn; a second run starts from its base."""
    from langchain_graft.cli.console import progress  # noqa: PLC0415
    from langchain_graft.knowledge_base import KnowledgeBase  # noqa: PLC0415

    with progress() as on_progress:
        kb = KnowledgeBase.create(
            folder, embeddings=EMBEDDINGS, exist_ok=True, on_progress=on_progress
        )
        while kb.release.number and kb.release.former is not None:
            kb.rollback(on_progress=on_progress)
        report = kb.ingest(corpus, on_progress=on_progress)
    say.print(f"{report.added} documents added, {report.unchanged} unchanged, under {EMBEDDINGS!r}")
    return kb


def rows_of(
    kb: KnowledgeBase, examples: Path, *, generate: int | None, model: str, say: Console
) -> list[EmbeddingRow]:
    """Questions with their passages: those that lie beside the documents, or a chat model's."""
    from langchain_graft.cli.console import progress  # noqa: PLC0415
    from langchain_graft.finetune_bridge.training.row_files import read_rows  # noqa: PLC0415
    from langchain_graft.finetune_bridge.training.rows import EmbeddingRow  # noqa: PLC0415
    from langchain_graft.knowledge_base.training_data import generate_rows  # noqa: PLC0415
    from langchain_graft.models import load_chat_model  # noqa: PLC0415

    if generate is None:
        rows = read_rows(examples / ROWS, EmbeddingRow)
        say.print(f"{len(rows)} questions that were written about these passages")
        return rows
    with progress() as on_progress:
        asking = load_chat_model(model, on_progress=on_progress, max_tokens=64)
        made = generate_rows(kb, asking, most=generate, on_progress=on_progress)
    dropped = "".join(f", {count} {reason}" for reason, count in made.dropped.items())
    say.print(f"{len(made.rows)} questions that find their passage again{dropped}")
    return made.rows


def split(kb: KnowledgeBase, rows: Sequence[EmbeddingRow]) -> tuple[list[EmbeddingRow], Path]:
    """What is learned, and a file of the questions to documents of which nothing is."""
    from langchain_graft.finetune_bridge.training.rows import split_rows  # noqa: PLC0415
    from langchain_graft.knowledge_base.training_data import TRAINING  # noqa: PLC0415

    learned, held = split_rows(rows, by="document", share=HELD_OUT)
    path = kb.folder / TRAINING / "unlearned.jsonl"
    path.parent.mkdir(exist_ok=True)
    asked = ({"question": row.query, "documents": [row.group]} for row in held)
    lines = [json.dumps(one, ensure_ascii=False) for one in asked]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return learned, path


def train(
    kb: KnowledgeBase, rows: Sequence[EmbeddingRow], settings: dict[str, Any], say: Console
) -> AdapterRef:
    """The adapter, in the knowledge base."""
    from langchain_graft.cli.console import progress  # noqa: PLC0415
    from langchain_graft.finetune_bridge.training.embeddings import train_embeddings  # noqa: PLC0415
    from langchain_graft.finetune_bridge.training.rows import digest_of_rows  # noqa: PLC0415
    from langchain_graft.finetune_bridge.training.settings import EmbeddingSettings  # noqa: PLC0415
    from langchain_graft.knowledge_base.training_data import TRAINING  # noqa: PLC0415

    out = kb.folder / TRAINING / f"{NAME}-{digest_of_rows(rows)[:8]}"
    asked = EmbeddingSettings.from_json({"base": EMBEDDINGS, "out": str(out), **settings})
    with progress() as on_progress:

        def tell(progress: TrainProgress) -> None:
            on_progress("train", progress.step, progress.steps)

        trained = train_embeddings(asked, rows, on_progress=tell)
    report = trained.report
    say.print(
        f"{report.rows} rows, {report.steps} steps, {report.parameters:,} numbers learned: "
        f"loss {report.first_loss:.2f} -> {report.last_loss:.2f}"
    )
    for entry in kb.adapters.list():
        if entry.ref.name == NAME and _data_of(kb, entry.ref) == trained.manifest.data_digest:
            return entry.ref  # of a former run
    return kb.adapters.register(trained.folder, NAME, manifest=trained.manifest)


def _data_of(kb: KnowledgeBase, ref: AdapterRef) -> str | None:
    return kb.adapters.manifest(ref).data_digest


def promote(
    kb: KnowledgeBase, ref: AdapterRef, asking: AskingThreads, *, target: Path, guard: Path
) -> dict[str, Any]:
    """Through the gate and live while the threads ask; what the gate found, and what they did."""
    from langchain_graft.cli.console import progress  # noqa: PLC0415
    from langchain_graft.errors import GateFailedError  # noqa: PLC0415
    from langchain_graft.knowledge_base.gate import create_gate  # noqa: PLC0415

    findings: list[GateFinding] = []
    refused = ""
    with asking, progress() as on_progress:
        gate = create_gate(
            kb, target=[target], guard=[guard], on_finding=findings.append, on_progress=on_progress
        )
        try:
            kb.promote(ref, gate=gate, why="the demo's loop", on_progress=on_progress)
        except GateFailedError as error:
            refused = str(error)
        _wait_for_answers(asking, on_progress)
    return {
        "gate": [_as_json(one) for one in findings],
        "refused": refused,
        "release": kb.release.number,
    }


def _as_json(finding: GateFinding) -> dict[str, Any]:
    return {**asdict(finding), "difference": finding.difference._asdict(), "told": finding.told}


def _wait_for_answers(asking: AskingThreads, on_progress: OnProgress) -> None:
    """Every thread has answered what it was asked after the change."""
    goal = len(asking.answers) + 2 * asking.threads
    while len(asking.answers) < goal and asking.wait():
        done = 2 * asking.threads - (goal - len(asking.answers))
        on_progress("answer", min(max(0, done), 2 * asking.threads), 2 * asking.threads)


def roll_back(kb: KnowledgeBase, former: int, say: Console) -> int:
    """The release that serves again."""
    from langchain_graft.cli.console import progress  # noqa: PLC0415

    with progress() as on_progress:
        while kb.release.number != former:
            kb.rollback(on_progress=on_progress)
    say.print(f"Release {kb.release.number} serves again")
    return kb.release.number


def run(
    folder: Path, examples: Path, *, generate: int | None, model: str, say: Console, clock: Any
) -> dict[str, Any]:
    """Learn, measure, go live under questions, go back.

    It has to be better on the example questions, none of which is learned, and no worse on those to
    documents of which nothing is learned.

    Args:
        folder: Of the knowledge base, which is made if it is not there.
        examples: The example documents, their questions and rows.
        generate: Have the chat model ask about so many passages; None: rows that were made before.
        model: That chat model.
        say: Where it is told.
        clock: Measures the steps.
    """
    from langchain_graft.cli.asking_threads import AskingThreads  # noqa: PLC0415
    from langchain_graft.evaluation.datasets import load_questions  # noqa: PLC0415

    say.rule("1 of 4: the documents, and questions about them")
    with clock("ingest"):
        kb = build(folder, examples / "corpus", say)
    with closing(kb):
        with clock("rows"):
            rows = rows_of(kb, examples, generate=generate, model=model, say=say)
            learned, guard = split(kb, rows)
        say.rule("2 of 4: training")
        with clock("train"):
            settings = json.loads((examples / SETTINGS).read_text(encoding="utf-8"))
            ref = train(kb, learned, settings, say)
        say.rule("3 of 4: through the gate and live, while 4 threads ask")
        asked = [one.question for one in load_questions(examples / QUESTIONS) if one.documents]
        before = kb.release.number
        asking = AskingThreads(kb, asked)
        with clock("gate and promote"):
            found = promote(kb, ref, asking, target=examples / QUESTIONS, guard=guard)
        after = asking.rankings()
        say.rule("4 of 4: back")
        with clock("roll back"):
            found["after_rollback"] = roll_back(kb, before, say)
        known = {before: asking.rankings(), found["release"]: after}
        return {
            "rows": len(rows),
            "learned": len(learned),
            "adapter": str(ref),
            **found,
            "threads": asking.summary(known),
        }


def show(told: dict[str, Any], say: Console) -> None:
    """The tables."""
    from langchain_graft.cli.console import print_table  # noqa: PLC0415

    rows = [
        (
            f"{one['role']} {one['name']}",
            one["questions"],
            f"{one['before']:.3f}",
            f"{one['after']:.3f}",
            f"{one['difference']['mean']:+.3f}",
            f"{one['difference']['low']:+.3f}, {one['difference']['high']:+.3f}",
            "ok" if one["ok"] else "no",
        )
        for one in told["gate"]
    ]
    names = ("set", "of", "before", "after", "gain", "95 % interval", "gate")
    print_table("nDCG@10 of the search by meaning", names, rows)
    if told["refused"]:
        say.print(f"The gate refused it, nothing was changed: {told['refused']}", soft_wrap=True)
    threads = told["threads"]
    say.print(
        f"{threads['threads']} threads looked {threads['answers']} questions up meanwhile: "
        f"{threads['failed']} failed, {threads['mixed']} found what neither release alone finds",
        soft_wrap=True,
    )
