"""The steps, evaluations and checkpoints of a generator adapter's training."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from langchain_graft.errors import MissingExtraError
from langchain_graft.finetune_bridge.training.chat_rows import step_places
from langchain_graft.finetune_bridge.training.trained_adapter import TrainProgress, TrainReport

try:
    import torch
    from safetensors.torch import load_file, save_file
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from langchain_graft.finetune_bridge.training.run import TrainingRun
    from langchain_graft.finetune_bridge.training.settings import GeneratorSettings
    from langchain_graft.finetune_bridge.training.trained_adapter import OnTrainProgress

_WEIGHTS, _BEST, _OPTIMIZER, _STATE = (
    "weights.safetensors",
    "best.safetensors",
    "optimizer.safetensors",
    "state.json",
)


@dataclass
class _State:
    """Where a run is, beside the numbers that are trained."""

    step: int = 0
    best: float | None = None
    """The lowest loss of the held-out rows."""
    waited: int = 0
    """Evaluations since the best one."""
    base: float | None = None
    """The held-out rows' loss before."""
    resumed_at: int | None = None


@dataclass
class GeneratorTraining:
    """Steps, evaluations and checkpoints of one run.

    Args:
        settings: Of the run.
        run: Its folder.
        tell: Told after each step.
        step: Computes losses and slopes: `parameters()`, `backward(items)`, `loss(items)`.
        learned: Items that are learned from; the order of an epoch's steps follows from the seed.
        held: Items that are judged.
    """

    settings: GeneratorSettings
    run: TrainingRun
    tell: OnTrainProgress
    step: Any
    learned: Sequence[Any]
    held: Sequence[Any]
    state: _State = field(default_factory=_State)

    def __post_init__(self) -> None:
        settings = self.settings
        self.parameters: dict[str, torch.nn.Parameter] = self.step.parameters()
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.best: dict[str, torch.Tensor] | None = None
        an_epoch = math.ceil(len(self.learned) / settings.batch_size)
        self.steps = min(an_epoch * settings.epochs, settings.max_steps or 10**9)

    def train(self) -> None:
        """All steps that are left; then the parameters are the best ones."""
        if (newest := self.run.newest_checkpoint()) is not None:
            self._restore(*newest)
        self.run.go_on_from(self.state.step)
        if self.state.base is None and self.held:
            self.state.base = self._evaluate()
        started, patience = time.monotonic(), self.settings.patience
        for batch in islice(self._batches(), self.state.step, self.steps):
            if self.state.waited >= patience:
                break
            self._step(batch, started)
        if self.best is not None:
            _put(self.parameters, self.best)

    def report(self, seconds: float, **metrics: float) -> TrainReport:
        """What was done."""
        losses = [record["loss"] for record in self.run.records if "loss" in record]
        tenth = max(1, len(losses) // 10)
        if self.state.best is not None and self.state.base is not None:
            metrics = {"loss": self.state.best, "base_loss": self.state.base, **metrics}
        return TrainReport(
            rows=len(self.learned),
            held_out=len(self.held),
            steps=self.state.step,
            parameters=sum(one.numel() for one in self.parameters.values()),
            seconds=seconds,
            first_loss=sum(losses[:tenth]) / tenth,
            last_loss=sum(losses[-tenth:]) / tenth,
            ended="early" if self.state.step < self.steps else "done",
            resumed_at=self.state.resumed_at,
            metrics=metrics,
        )

    def _step(self, batch: Sequence[Any], started: float) -> None:
        settings, state = self.settings, self.state
        rate = learning_rate(state.step, self.steps, settings.warmup) * settings.learning_rate
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(settings.seed + state.step + 1)  # of LoRA's dropout
        loss = self.step.backward(batch)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), settings.max_gradient)
        self.run.log(state.step + 1, loss=loss, learning_rate=rate, gradient=float(norm))
        self.optimizer.step()
        self.optimizer.zero_grad()
        state.step += 1
        measured = self._look_back()
        done = state.step - (state.resumed_at or 0)
        self.tell(
            TrainProgress(
                step=state.step,
                steps=self.steps,
                loss=loss,
                seconds_left=(time.monotonic() - started) / done * (self.steps - state.step),
                evaluation=measured,
            )
        )

    def _look_back(self) -> float | None:
        """Evaluate and make a checkpoint, if it is time for that."""
        state, is_last = self.state, self.state.step == self.steps
        if state.step % self.settings.checkpoint_every and not is_last:
            return None
        measured = self._evaluate() if self.held else None
        if measured is not None:
            if state.best is None or measured < state.best:
                state.best, state.waited = measured, 0
                self.best = _copied(self.parameters)
            else:
                state.waited += 1
        self.run.keep(state.step, self._checkpoint)
        return measured

    def _evaluate(self) -> float:
        measured: float = self.step.loss(self.held)
        self.run.log(self.state.step, evaluation=measured)
        return measured

    def _batches(self) -> Iterator[list[Any]]:
        size, seed = self.settings.batch_size, self.settings.seed
        for epoch in range(self.settings.epochs):
            for places in step_places(len(self.learned), size=size, seed=seed, epoch=epoch):
                yield [self.learned[place] for place in places]

    def _checkpoint(self, folder: Path) -> None:
        save_file(_copied(self.parameters), folder / _WEIGHTS)
        if self.best is not None:
            save_file(self.best, folder / _BEST)
        moments = {
            f"{key} {name}": value
            for name, one in self.parameters.items()
            for key, value in self.optimizer.state.get(one, {}).items()
        }
        save_file(moments, folder / _OPTIMIZER)
        state = json.dumps(asdict(replace(self.state, resumed_at=None)))
        (folder / _STATE).write_text(state, encoding="utf-8")

    def _restore(self, step: int, folder: Path) -> None:
        self.state = _State(**json.loads((folder / _STATE).read_text(encoding="utf-8")))
        self.state.resumed_at = step
        _put(self.parameters, load_file(folder / _WEIGHTS))
        if (folder / _BEST).is_file():
            self.best = load_file(folder / _BEST)
        for key, value in load_file(folder / _OPTIMIZER).items():
            kind, name = key.split(" ", 1)
            one = self.parameters[name]
            self.optimizer.state[one][kind] = value.to(one.device)


def learning_rate(step: int, steps: int, warmup: float) -> float:
    """Share of the highest learning rate: a line up, and a line down to 0 after the last step."""
    rising = warmup * steps
    if step < rising:
        return (step + 1) / (rising + 1)
    return (steps - step) / (steps - rising)


def _copied(parameters: Mapping[str, torch.nn.Parameter]) -> dict[str, torch.Tensor]:
    return {name: one.detach().to("cpu", copy=True) for name, one in parameters.items()}


@torch.no_grad()
def _put(parameters: Mapping[str, torch.nn.Parameter], values: Mapping[str, torch.Tensor]) -> None:
    for name, one in parameters.items():
        one.copy_(values[name])
