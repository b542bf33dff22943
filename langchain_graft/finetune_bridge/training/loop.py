"""The steps, evaluations and checkpoints of a training, whatever it is that is learned."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from langchain_graft.errors import MissingExtraError
from langchain_graft.finetune_bridge.training.examination import examine_training
from langchain_graft.finetune_bridge.training.trained_adapter import TrainProgress, TrainReport

try:
    import torch
    from safetensors.torch import load_file, save_file
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from langchain_graft.finetune_bridge.training.doctor import Finding
    from langchain_graft.finetune_bridge.training.run import TrainingRun
    from langchain_graft.finetune_bridge.training.settings import TrainSettings
    from langchain_graft.finetune_bridge.training.trained_adapter import OnTrainProgress

_WEIGHTS, _BEST, _OPTIMIZER, _STATE = (
    "weights.safetensors",
    "best.safetensors",
    "optimizer.safetensors",
    "state.json",
)


class TrainingTask(Protocol):
    """What is learned, and from what."""

    @property
    def learned(self) -> Sequence[object]:
        """What is learned from."""

    @property
    def held(self) -> Sequence[object]:
        """What it is judged by."""

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """Those that are trained, by name."""

    def epoch(self, number: int) -> list[list[int]]:
        """Places in `learned` of each step; the same number gives the same ones."""

    def backward(self, places: Sequence[int], *, seed: int) -> float:
        """The loss of a step; its slopes are added to the parameters'."""

    def evaluate(self) -> dict[str, float]:
        """What `held` gives now: the `loss`, and whatever else is measured."""


@dataclass
class _State:
    """Where a run is, beside the numbers that are trained."""

    step: int = 0
    best: float | None = None
    """The lowest loss on the held-out rows."""
    waited: int = 0
    """Evaluations since the best one."""
    metrics: dict[str, float] = field(default_factory=dict)
    """What the held-out rows gave before, and gave when they were best."""
    resumed_at: int | None = None


class TrainingLoop:
    """One run: AdamW, a warm-up, the best numbers on the held-out rows, checkpoints.

    Args:
        settings: Of the run.
        run: Its folder.
        tell: Told after each step.
        task: What is learned.
        findings: The doctor's, before; those amiss are told with the first step.
    """

    def __init__(
        self,
        settings: TrainSettings,
        run: TrainingRun,
        tell: OnTrainProgress,
        task: TrainingTask,
        *,
        findings: Sequence[Finding] = (),
    ) -> None:
        self.settings, self.run, self.tell, self.task = settings, run, tell, task
        self.findings = tuple(findings)
        self._untold = tuple(one for one in findings if not one.ok)
        self.state = _State()
        self.parameters = task.parameters()
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.best: dict[str, torch.Tensor] | None = None
        self.steps = min(len(task.epoch(0)) * settings.epochs, settings.max_steps or 10**9)

    def train(self) -> None:
        """All steps that are left; then the parameters are the best ones."""
        if (newest := self.run.newest_checkpoint()) is not None:
            self._restore(*newest)
        self.run.go_on_from(self.state.step)
        if self.task.held and not self.state.metrics:
            measured = self._evaluate()
            self.state.metrics = {f"base_{name}": value for name, value in measured.items()}
            self._is_best(measured)
        started = time.monotonic()
        for places in islice(self._batches(), self.state.step, self.steps):
            if self.state.waited >= self.settings.patience:
                break
            self._step(places, started)
        if self.best is not None:
            _put(self.parameters, self.best)

    def report(self, seconds: float, **metrics: float) -> TrainReport:
        """What was done, when the adapter has been written."""
        losses = [record["loss"] for record in self.run.records if "loss" in record]
        tenth = max(1, len(losses) // 10)
        return TrainReport(
            rows=len(self.task.learned),
            held_out=len(self.task.held),
            steps=self.state.step,
            parameters=sum(one.numel() for one in self.parameters.values()),
            seconds=seconds,
            first_loss=sum(losses[:tenth]) / tenth,
            last_loss=sum(losses[-tenth:]) / tenth,
            ended="early" if self.state.step < self.steps else "done",
            resumed_at=self.state.resumed_at,
            metrics={**self.state.metrics, **metrics},
            findings=(*self.findings, *self._examined(losses)),
        )

    def _examined(self, losses: Sequence[float]) -> list[Finding]:
        """The doctor's findings after the last step."""
        return examine_training(
            self.run.adapter, losses=losses, slopes=self._slopes(), metrics=self.state.metrics
        )

    def _slopes(self) -> dict[str, float]:
        """Of each trained tensor the largest slope that AdamW has seen, on the average.

        A LoRA's A has none in the first step, where its B is 0.
        """
        moments = {name: self.optimizer.state.get(one) for name, one in self.parameters.items()}
        return {
            name: float(moment["exp_avg_sq"].max()) ** 0.5 if moment else 0.0
            for name, moment in moments.items()
            if self.state.step > 1 or "lora_A" not in name
        }

    def _step(self, places: Sequence[int], started: float) -> None:
        settings, state = self.settings, self.state
        rate = learning_rate(state.step, self.steps, settings.warmup) * settings.learning_rate
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self.task.backward(places, seed=settings.seed + 1000 * (state.step + 1))
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
                findings=self._untold,
            )
        )
        self._untold = ()

    def _look_back(self) -> float | None:
        """Evaluate and make a checkpoint, if it is time for that."""
        is_last = self.state.step == self.steps
        if self.state.step % self.settings.checkpoint_every and not is_last:
            return None
        measured = self._evaluate() if self.task.held else None
        if measured is not None and not self._is_best(measured):
            self.state.waited += 1
        self.run.keep(self.state.step, self._checkpoint)
        return None if measured is None else measured["loss"]

    def _evaluate(self) -> dict[str, float]:
        measured = self.task.evaluate()
        others = {name: value for name, value in measured.items() if name != "loss"}
        self.run.log(self.state.step, evaluation=measured["loss"], **others)
        return measured

    def _is_best(self, measured: Mapping[str, float]) -> bool:
        """Whether the parameters are the best ones till now; they are kept if so."""
        state = self.state
        if state.best is not None and not measured["loss"] < state.best:
            return False
        state.best, state.waited = measured["loss"], 0
        state.metrics |= measured
        self.best = _copied(self.parameters)
        return True

    def _batches(self) -> Iterator[list[int]]:
        for number in range(self.settings.epochs):
            yield from self.task.epoch(number)

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


@contextmanager
def draws_and_threads_of(settings: TrainSettings) -> Iterator[None]:
    """Random numbers are drawn apart from the caller's, in so many threads; then all is as it was.

    Args:
        settings: Whose `threads` are taken; those that torch has, if it names none.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads or before)
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.set_num_threads(before)


def _copied(parameters: Mapping[str, torch.nn.Parameter]) -> dict[str, torch.Tensor]:
    return {name: one.detach().to("cpu", copy=True) for name, one in parameters.items()}


@torch.no_grad()
def _put(parameters: Mapping[str, torch.nn.Parameter], values: Mapping[str, torch.Tensor]) -> None:
    for name, one in parameters.items():
        one.copy_(values[name])
