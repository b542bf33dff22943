"""Generator adapters: a chat model learns to answer as conversations show it."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest
from langchain_graft.finetune_bridge.training.chat_rows import ChatEncoder, pack
from langchain_graft.finetune_bridge.training.examination import (
    examine_chats,
    examine_layers,
    refuse_what_is_hopeless,
)
from langchain_graft.finetune_bridge.training.generator_training import GeneratorTask
from langchain_graft.finetune_bridge.training.loop import TrainingLoop, draws_and_threads_of
from langchain_graft.finetune_bridge.training.processes import (
    joined_processes,
    open_run_together,
)
from langchain_graft.finetune_bridge.training.rows import digest_of_rows, split_rows
from langchain_graft.finetune_bridge.training.trainable_base import (
    check_trainable,
    load_trainable,
    probes_of,
    save_trained,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_graft.finetune_bridge.training.chat_rows import ChatTokens
    from langchain_graft.finetune_bridge.training.doctor import Finding
    from langchain_graft.finetune_bridge.training.loop import TrainingTask
    from langchain_graft.finetune_bridge.training.rows import (
        GeneratorRow,
        PreferenceRow,
        ReflectionRow,
    )
    from langchain_graft.finetune_bridge.training.settings import GeneratorSettings
    from langchain_graft.finetune_bridge.training.trainable_base import TrainableBase
    from langchain_graft.finetune_bridge.training.trained_adapter import (
        OnTrainProgress,
        TrainedAdapter,
        TrainProgress,
    )

ChatRowT = TypeVar("ChatRowT", "GeneratorRow", "PreferenceRow", "ReflectionRow")


def train_generator(
    settings: GeneratorSettings,
    rows: Sequence[GeneratorRow],
    *,
    on_progress: OnTrainProgress | None = None,
) -> TrainedAdapter:
    """Train an adapter under which a chat model answers as conversations show it.

    What the assistant says is learned, with the token that ends its turn; all else is read, in
    exactly the tokens of a request (`ChatEncoder`). The same call goes on from the newest
    checkpoint after it was stopped, and finds what came out after it was done. Rows that do not fit
    into `max_tokens` are left out, which a warning and the report's `left_out` tell.

    `qlora` keeps the base in 4 bits (NF4, Dettmers et al., arXiv 2305.14314), for what would not
    fit otherwise. With `full`, and with DoRA, what comes out is no low-rank product and can not be
    served hot: of `full` it is a model's folder, for `load_chat_model("hf:FOLDER")`.

    Args:
        settings: What to train, on which base, and where.
        rows: Conversations.
        on_progress: Told after each step.

    Raises:
        TrainingError: The folder is another run's, the doctor found what would make it useless, the
            loss is no number, the disk or the memory is full, or it was interrupted; checkpoints
            stay usable.
        ModelError: The base can not be loaded, or has no chat template.
        ValueError: No row fits, the rows can not be split, or the base can not be trained so.
    """
    return train_chats(settings, rows, _prepared, on_progress=on_progress)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Rows made ready for a base."""

    task: TrainingTask
    findings: list[Finding]
    left_out: int
    """Rows that do not fit."""


def train_chats(
    settings: GeneratorSettings,
    rows: Sequence[ChatRowT],
    prepare: Callable[[Any, TrainableBase, list[ChatRowT], list[ChatRowT]], Prepared],
    *,
    on_progress: OnTrainProgress | None,
) -> TrainedAdapter:
    """Train a chat model on rows, whatever is learned from them.

    Where a launcher has started several processes, each calls this; the first one writes.

    Args:
        settings: Of the run.
        rows: What it learns from.
        prepare: Makes rows ready for the base, those that are learned and those that are held out.
        on_progress: Told after each step.
    """
    check_trainable(settings, rows)
    digest = digest_of_rows(rows)
    with (
        joined_processes(settings) as processes,
        open_run_together(settings, data_digest=digest, processes=processes) as run,
    ):
        if done := run.finished():
            return done
        with draws_and_threads_of(settings):
            started = time.monotonic()
            learned, held = _learned_and_held(rows, settings)
            base = load_trainable(settings, processes)
            prepared = prepare(settings, base, learned, held)
            refuse_what_is_hopeless(prepared.findings, folder=settings.out)
            if not prepared.task.learned:
                most = settings.max_tokens
                msg = f"None of {len(rows)} rows fits into max_tokens={most}. Raise it"
                raise ValueError(msg)
            tell, task = on_progress or _tell_nobody, prepared.task
            loop = TrainingLoop(settings, run, tell, task, findings=prepared.findings)
            processes.share(loop.parameters)
            loop.train()
            run.write_adapter(partial(save_trained, base, settings))
            processes.wait()
            report = loop.report(time.monotonic() - started, left_out=prepared.left_out)
            manifest = AdapterManifest(
                kind="generator",
                base=settings.base,
                base_digest=base.digest,
                tokenizer_digest=base.tokenizer.digest,
                data_digest=digest,
                settings=settings.to_json(),
                metrics=dict(report.metrics),
                probe=probes_of(base, settings, held or learned),
            )
            return run.finish(manifest, report)


def examine(
    settings: GeneratorSettings,
    base: TrainableBase,
    rows: Sequence[GeneratorRow],
    encoder: ChatEncoder,
) -> list[Finding]:
    """What the doctor finds before the first step."""
    findings = examine_chats(rows, encoder, base.tokenizer)
    if settings.method != "full" and not settings.start:
        findings.append(examine_layers(base.model, settings.lora.target_modules))
    return findings


def _prepared(
    settings: GeneratorSettings,
    base: TrainableBase,
    learned: Sequence[GeneratorRow],
    held: Sequence[GeneratorRow],
) -> Prepared:
    encoder = ChatEncoder(base.tokenizer, assistant_only=settings.assistant_only)
    findings = examine(settings, base, learned, encoder)
    kept, left_out = _encoded(encoder, learned, settings)
    judged, more_left_out = _encoded(encoder, held, settings)
    if settings.packing == "bfd":
        kept = pack(kept, max_tokens=settings.max_tokens)
    return Prepared(
        task=GeneratorTask(settings, base.step, kept, judged),
        findings=findings,
        left_out=left_out + more_left_out,
    )


def _learned_and_held(
    rows: Sequence[ChatRowT], settings: GeneratorSettings
) -> tuple[list[ChatRowT], list[ChatRowT]]:
    """Of too few rows none is held out."""
    if settings.eval_share * len(rows) < 1:
        return list(rows), []
    return split_rows(rows, share=settings.eval_share, seed=settings.seed)


def _encoded(
    encoder: ChatEncoder, rows: Sequence[GeneratorRow], settings: GeneratorSettings
) -> tuple[list[ChatTokens], int]:
    found = encoder.encode(rows, max_tokens=settings.max_tokens)
    if found.too_long:
        warnings.warn(
            f"{len(found.too_long)} of {len(rows)} conversations do not fit into max_tokens="
            f"{settings.max_tokens} and are left out; the first: {rows[found.too_long[0]]!r:.200}",
            stacklevel=4,
        )
    return found.sequences, len(found.too_long)


def _tell_nobody(progress: TrainProgress) -> None:
    pass
