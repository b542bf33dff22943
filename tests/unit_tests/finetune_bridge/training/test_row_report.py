"""The report card of rows, and what a run would take."""

import pytest

from langchain_graft.finetune_bridge.training.estimate import estimate_training
from langchain_graft.finetune_bridge.training.row_report import report_of
from langchain_graft.finetune_bridge.training.rows import (
    EmbeddingRow,
    GeneratorRow,
    PreferenceRow,
)
from langchain_graft.finetune_bridge.training.settings import EmbeddingSettings
from langchain_graft.finetune_bridge.training.trained_adapter import TrainProgress


def test_report_of():
    rows = [EmbeddingRow("q" * n, "p" * 2 * n, ("x",), f"g{n % 3}") for n in range(1, 101)]
    report = report_of(rows)
    assert (report.kind, report.rows, report.questions) == ("EmbeddingRow", 100, 100)
    assert (report.groups, report.negatives) == (3, 100)
    assert report.question_lengths == (51, 96, 100)
    assert report.answer_lengths == (102, 192, 200)
    assert report.examples[0] == ("q", "pp")
    assert dict(report.lines())["length of questions"] == "51 signs, 95 % up to 96, longest 100"
    with pytest.raises(ValueError, match="No rows"):
        report_of([])


def test_report_of_conversations_and_preferences():
    chat = GeneratorRow(
        [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    )
    assert report_of([chat]).examples == (("hi", "hello"),)
    assert report_of([PreferenceRow("hi", "hello", "what")]).examples == (("hi", "hello"),)


@pytest.mark.parametrize(("most", "steps"), [(None, 6), (5, 5)])
def test_an_estimate_is_made_of_the_first_steps(tmp_path, most, steps):
    trials = []

    def train(settings, rows, *, on_progress):
        trials.append(settings)
        for step in range(settings.max_steps):
            on_progress(TrainProgress(step=step, steps=4, loss=1.0, seconds_left=0))

    settings = EmbeddingSettings(base="b", out=str(tmp_path), batch_size=8, max_steps=most)
    estimate = estimate_training(settings, [EmbeddingRow("q", "p")] * 20, train)
    assert (estimate.rows, estimate.steps, estimate.measured_steps) == (18, steps, 4)
    assert estimate.seconds >= 0
    assert estimate.peak_bytes > 1_000_000
    assert trials[0].out != settings.out
    assert list(tmp_path.iterdir()) == []
