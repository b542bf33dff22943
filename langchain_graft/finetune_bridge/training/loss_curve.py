"""A run's losses as a picture, and as a line of text."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from langchain_graft.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_BARS = "▁▂▃▄▅▆▇█"
_SMOOTHED_OVER = 20
"""The drawn line is the mean of a twentieth of the steps."""


def sparkline(values: Sequence[float], *, width: int = 40) -> str:
    """Values as a line of bars, the lowest the shortest; of more than the width, means."""
    if not values:
        return ""
    count = min(width, len(values))
    edges = [n * len(values) // count for n in range(count + 1)]
    parts = [values[start:end] for start, end in pairwise(edges)]
    means = [sum(part) / len(part) for part in parts]
    low, high = min(means), max(means)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((mean - low) * scale)] for mean in means)


def draw_losses(path: Path, records: Sequence[Mapping[str, float]]) -> None:
    """Draw a PNG: the loss of each step, its mean, and what was measured on held-out rows.

    Args:
        path: Where to; it is replaced.
        records: Each with `step`, and `loss` or `evaluation`.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("finetune") from error
    steps = [record["step"] for record in records if "loss" in record]
    losses = [record["loss"] for record in records if "loss" in record]
    measured = [(r["step"], r["evaluation"]) for r in records if "evaluation" in r]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="loss")
    axes.plot(steps, losses, color="0.75", linewidth=0.8)
    axes.plot(steps, _means(losses), label="loss")
    if measured:
        other = axes.twinx()
        other.set_ylabel("held-out rows")
        other.plot(*zip(*measured, strict=True), "o-", color="tab:green", label="held-out rows")
    figure.legend(loc="upper right")
    figure.savefig(path, dpi=120, format="png")


def _means(losses: Sequence[float]) -> list[float]:
    """Of each loss and those before it."""
    width = max(1, len(losses) // _SMOOTHED_OVER)
    parts = [losses[max(0, n + 1 - width) : n + 1] for n in range(len(losses))]
    return [sum(part) / len(part) for part in parts]
