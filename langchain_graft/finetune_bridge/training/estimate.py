"""What a training run would take, measured on its first steps."""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_graft.finetune_bridge.training.settings import TrainSettings
    from langchain_graft.finetune_bridge.training.trained_adapter import TrainProgress

_STEPS = 4


@dataclass(frozen=True, kw_only=True)
class TrainEstimate:
    """What a run would take."""

    rows: int
    """Learned from; the others are held out."""
    steps: int
    """At most: it may stop early."""
    seconds: float | None
    """At most, evaluations not counted; None: it was not measured."""
    peak_bytes: int | None
    """Of memory, this process's with all that it has loaded; None: not known on this system."""
    measured_steps: int


def estimate_training(
    settings: TrainSettings, rows: Sequence[Any], train: Callable[..., Any]
) -> TrainEstimate:
    """Make the first steps in a folder that is thrown away, and reckon.

    Args:
        settings: Of the run.
        rows: What it learns from.
        train: `train_embeddings` or `train_generator`.
    """
    learned = len(rows) - round(settings.eval_share * len(rows))
    steps = math.ceil(learned / settings.batch_size) * settings.epochs
    steps = min(steps, settings.max_steps or steps)
    moments = [time.monotonic()]

    def note(progress: TrainProgress) -> None:  # noqa: ARG001
        moments.append(time.monotonic())

    with tempfile.TemporaryDirectory(prefix="graft-dry-run-") as folder:
        trial = replace(
            settings,
            out=str(Path(folder) / "run"),
            max_steps=_STEPS,
            eval_share=0,
            checkpoint_every=_STEPS,
        )
        train(trial, rows, on_progress=note)
    taken = [after - before for before, after in pairwise(moments[1:])]
    return TrainEstimate(
        rows=learned,
        steps=steps,
        seconds=statistics.median(taken) * steps if taken else None,
        peak_bytes=_peak_bytes(),
        measured_steps=len(moments) - 1,
    )


def _peak_bytes() -> int | None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    try:
        import resource  # noqa: PLC0415 (not on Windows)
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
