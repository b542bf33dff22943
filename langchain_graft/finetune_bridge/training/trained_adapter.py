"""What training tells while it runs, and gives when it is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from langchain_graft.finetune_bridge.training.doctor import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest


@dataclass(frozen=True, kw_only=True)
class TrainProgress:
    """How far a run is; given to `on_progress` after each step."""

    step: int
    steps: int
    """Of the whole run, if it does not stop early."""
    loss: float
    seconds_left: float
    evaluation: float | None = None
    """What was measured on the held-out rows, after a step that was followed by that."""
    findings: tuple[Finding, ...] = ()
    """What the doctor found amiss before the first step; told with that."""


@dataclass(frozen=True, kw_only=True)
class TrainReport:
    """What a run did."""

    rows: int
    """Learned from."""
    held_out: int
    """Rows that it was judged by, not learned from."""
    steps: int
    parameters: int
    """Numbers that were trained."""
    seconds: float
    """Of the last call, which may have gone on from a checkpoint."""
    first_loss: float
    """Mean of the first tenth of the steps."""
    last_loss: float
    """Mean of the last tenth."""
    ended: Literal["done", "early"] = "done"
    """`early`: the held-out rows got no better."""
    resumed_at: int | None = None
    """The step from which the last call went on."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """On the held-out rows: `base_...` before, `...` after."""
    findings: tuple[Finding, ...] = ()
    """What the doctor looked at, before and after, and found."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The report that `dataclasses.asdict` and JSON made an object of."""
        findings = tuple(Finding(**one) for one in values.get("findings", ()))
        return cls(**{**values, "findings": findings})


@dataclass(frozen=True, kw_only=True)
class TrainedAdapter:
    """What came out of a run: `AdapterStore.register(folder, name, manifest=manifest)` takes it."""

    folder: Path
    manifest: AdapterManifest
    report: TrainReport


class OnTrainProgress(Protocol):
    """Told after each step; what it raises ends the run, which can go on later."""

    def __call__(self, progress: TrainProgress) -> None:
        """Take note of it."""
