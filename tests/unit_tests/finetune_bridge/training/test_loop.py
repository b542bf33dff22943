"""The loop that every trainer runs in, with a task of two numbers."""

import errno
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from langchain_graft.errors import TrainingError
from langchain_graft.finetune_bridge.training.doctor import Finding
from langchain_graft.finetune_bridge.training.loop import (
    TrainingLoop,
    draws_and_threads_of,
    learning_rate,
)
from langchain_graft.finetune_bridge.training.run import open_run
from langchain_graft.finetune_bridge.training.settings import GeneratorSettings


@dataclass
class Task:
    """To come near to 3 and 4, one number a step."""

    held: tuple[int, ...] = (0,)
    learned: tuple[float, ...] = (3.0, 4.0)
    spoilt: float | Exception = 0.0
    numbers: torch.nn.Parameter = field(
        default_factory=lambda: torch.nn.Parameter(torch.zeros(2), requires_grad=True)
    )

    def parameters(self):
        return {"numbers": self.numbers}

    def epoch(self, number):
        return [[0], [1]] if number % 2 else [[1], [0]]

    def _distance(self, places):
        wanted = torch.tensor(self.learned)[places]
        return ((self.numbers[places] - wanted) ** 2).sum()

    def backward(self, places, *, seed):
        if isinstance(self.spoilt, Exception) and seed == 5000:
            raise self.spoilt
        loss = self._distance(places) * (float("nan") if seed == self.spoilt else 1)
        loss.backward()
        return loss.item()

    @torch.no_grad()
    def evaluate(self):
        return {"loss": self._distance([0, 1]).item(), "other": 7.0}


@pytest.fixture
def settings(tmp_path):
    return GeneratorSettings(
        base="none",
        out=str(tmp_path / "run"),
        epochs=6,
        learning_rate=1.0,
        checkpoint_every=3,
        weight_decay=0.0,
    )


def trained(settings, task, *, stop=None):
    def tell(progress):
        if progress.step == stop:
            raise KeyboardInterrupt

    with open_run(settings, data_digest="0" * 32) as run:
        loop = TrainingLoop(settings, run, tell, task)
        loop.train()
        run.write_adapter(lambda folder: save_file(task.parameters(), folder / "a.safetensors"))
        return loop, loop.report(1.0, left_out=2), run.records


def test_the_best_numbers_are_kept(settings):
    loop, report, records = trained(settings, Task())
    judged = [one["evaluation"] for one in records if "evaluation" in one]
    assert len(judged) == 5  # before, and after steps 3, 6, 9, 12
    assert report.metrics == {
        "base_loss": 25.0,
        "base_other": 7.0,
        "loss": min(judged),
        "other": 7.0,
        "left_out": 2,
    }
    assert loop.task.evaluate()["loss"] == min(judged)
    assert (report.steps, report.rows, report.held_out, report.parameters) == (12, 2, 1, 2)


def test_what_gets_worse_leaves_the_base(settings):
    task = Task(learned=(0.0, 0.0))
    loop, report, _ = trained(settings, task)
    assert report.metrics["loss"] == report.metrics["base_loss"] == 0
    assert report.ended == "early"
    assert loop.task.numbers.tolist() == [0, 0]
    found = {one.check: one for one in report.findings}
    assert "never below the base's 0.0000" in found["held out"].told


def test_with_nothing_held_out_the_last_numbers_are_kept(settings):
    loop, report, records = trained(settings, Task(held=()))
    assert report.metrics == {"left_out": 2}
    assert not [one for one in records if "evaluation" in one]
    assert 0 < loop.task.evaluate()["loss"] < 5


@pytest.mark.parametrize("stop", [1, 3, 4, 8, 12])
def test_a_stopped_run_goes_on_to_the_same_numbers(settings, tmp_path, stop):
    whole, report, records = trained(settings, Task())
    again = GeneratorSettings.from_json({**settings.to_json(), "out": str(tmp_path / "again")})
    with pytest.raises(TrainingError, match="interrupted"):
        trained(again, Task(), stop=stop)
    loop, resumed, found = trained(again, Task())
    assert resumed.resumed_at == (stop // 3 * 3 or None)
    assert (found, resumed.metrics) == (records, report.metrics)
    assert loop.task.numbers.tolist() == whole.task.numbers.tolist()


def test_slopes_that_are_no_numbers_end_the_run_before_they_are_taken(settings):
    task = Task(spoilt=5000)
    with pytest.raises(TrainingError, match=r"step 5 the loss is nan.*checkpoint of step 3"):
        trained(settings, task)
    assert task.numbers.isfinite().all()
    kept = Path(settings.out, "checkpoints", "checkpoint-3", "state.json")
    assert json.loads(kept.read_text())["step"] == 3


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "smaller batch_size"),
    ],
)
def test_what_the_world_does_leaves_checkpoints_that_go_on(settings, tmp_path, error, told):
    _, _, records = trained(settings, Task())
    again = GeneratorSettings.from_json({**settings.to_json(), "out": str(tmp_path / "again")})
    with pytest.raises(TrainingError, match=f"{told}.*checkpoint of step 3 is whole"):
        trained(again, Task(spoilt=error))
    _, resumed, found = trained(again, Task())
    assert resumed.resumed_at == 3
    assert found == records


def test_the_doctor_looks_at_what_came_out(settings):
    @dataclass
    class Half(Task):
        """Its second parameter is in no loss."""

        idle: torch.nn.Parameter = field(
            default_factory=lambda: torch.nn.Parameter(torch.zeros(3), requires_grad=True)
        )

        def parameters(self):
            return {"numbers": self.numbers, "idle": self.idle}

    _, report, _ = trained(settings, Half())
    found = {one.check: one for one in report.findings}
    assert [name for name, one in found.items() if not one.ok] == ["moved"]
    assert "1 of 2 tensors did not move (idle)" in found["moved"].told
    assert found["tensors"].told == "all 2 tensors have numbers"


def test_what_the_doctor_found_before_is_told_with_the_first_step(settings):
    bad, good = Finding("size", ok=False, told="few"), Finding("guard", ok=True, told="none")
    told = []
    with open_run(settings, data_digest="0" * 32) as run:
        loop = TrainingLoop(settings, run, told.append, Task(), findings=[bad, good])
        loop.train()
        run.write_adapter(lambda folder: None)
        report = loop.report(1.0)
    assert [one.findings for one in told] == [(bad,), *[()] * 11]
    assert report.findings[:2] == (bad, good)
    assert [one.check for one in report.findings[2:] if not one.ok] == ["tensors"]


def test_the_rate_rises_and_falls():
    rates = [learning_rate(step, 10, 0.2) for step in range(10)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert rates[-1] == pytest.approx(1 / 8)
    assert learning_rate(0, 10, 0) == 1


def test_threads_and_draws_are_the_callers_afterwards(settings):
    asked = GeneratorSettings.from_json({**settings.to_json(), "threads": 1})
    before, state = torch.get_num_threads(), torch.random.get_rng_state()
    with draws_and_threads_of(asked):
        assert torch.get_num_threads() == 1
        torch.rand(3)
    assert torch.get_num_threads() == before
    assert torch.equal(torch.random.get_rng_state(), state)
