"""A run's folder: what is kept, what is refused, what is told when the world fails."""

import errno
import json
from dataclasses import replace

import pytest

from langchain_graft.errors import TrainingError
from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest
from langchain_graft.finetune_bridge.training.loss_curve import draw_losses, sparkline
from langchain_graft.finetune_bridge.training.run import open_run
from langchain_graft.finetune_bridge.training.settings import EmbeddingSettings
from langchain_graft.finetune_bridge.training.trained_adapter import TrainReport

MANIFEST = AdapterManifest(kind="embeddings", base="tiny", base_digest="0")
REPORT = TrainReport(
    rows=2, held_out=0, steps=1, parameters=1, seconds=0.5, first_loss=2.0, last_loss=1.0
)


@pytest.fixture
def settings(tmp_path):
    return EmbeddingSettings(base="tiny", out=str(tmp_path / "run"))


def write(text):
    return lambda folder: (folder / "state.txt").write_text(text)


def test_the_newest_whole_checkpoint_is_found_again(settings):
    with open_run(settings, data_digest="d") as run:
        assert run.newest_checkpoint() is None
        for step in (9, 10, 11):
            run.keep(step, write(str(step)))
            run.log(step, loss=1 / step)
    with open_run(settings, data_digest="d") as run:
        assert [path.name for path in sorted(run.checkpoints.iterdir())] == [
            "checkpoint-10",
            "checkpoint-11",
        ]
        (run.checkpoints / "checkpoint-11" / "state.txt").write_text("")  # half written
        (run.checkpoints / "checkpoint-12").mkdir()  # without its mark
        step, path = run.newest_checkpoint()
        assert (step, (path / "state.txt").read_text()) == (10, "10")
        run.go_on_from(step)
        assert [record["step"] for record in run.records] == [9, 10]


def test_a_checkpoint_of_others_is_whole_when_it_is_said(settings):
    with open_run(settings, data_digest="d") as run:
        folder = run.checkpoints / "checkpoint-5" / "inner"
        folder.mkdir(parents=True)
        (folder / "weights").write_bytes(b"1")
        assert run.newest_checkpoint() is None
        run.mark_whole(folder.parent)
        assert run.newest_checkpoint() == (5, folder.parent)


def test_a_failed_checkpoint_leaves_the_former(settings):
    def fail(folder):
        (folder / "state.txt").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    told = "disk is full.*checkpoint of step 1 is whole: the same call goes on"
    with open_run(settings, data_digest="d") as run:
        run.keep(1, write("1"))
    with (
        pytest.raises(TrainingError, match=told) as caught,
        open_run(settings, data_digest="d") as run,
    ):
        run.keep(2, fail)
    assert caught.value.folder == settings.out
    with open_run(settings, data_digest="d") as run:
        assert run.newest_checkpoint()[0] == 1
        assert [path.name for path in run.checkpoints.iterdir()] == ["checkpoint-1"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), "not enough memory"),
        (RuntimeError("CUDA out of memory."), "smaller batch_size"),
        (KeyboardInterrupt(), "interrupted.*begins again"),
    ],
)
def test_what_the_world_does_is_told(settings, error, told):
    with pytest.raises(TrainingError, match=told), open_run(settings, data_digest="d"):
        raise error
    with open_run(settings, data_digest="d"):  # the lock is free
        pass


def test_other_errors_stay_what_they_are(settings):
    with pytest.raises(ZeroDivisionError), open_run(settings, data_digest="d"):
        _ = 1 / 0


def test_a_loss_that_is_no_number_ends_the_run(settings):
    with open_run(settings, data_digest="d") as run:
        run.log(1, loss=1.0)
        with pytest.raises(TrainingError, match=r"step 2 the loss is nan.*learning_rate"):
            run.log(2, loss=float("nan"))
    assert len((run.folder / "loss.jsonl").read_text().splitlines()) == 1


def test_what_was_not_begun_takes_other_settings(settings):
    for seed in (1, 2):  # such as after a refusal by the doctor
        with open_run(replace(settings, seed=seed), data_digest=str(seed)):
            pass
    with open_run(replace(settings, seed=2), data_digest="2") as run:
        run.keep(1, write("1"))
    with pytest.raises(TrainingError, match="seed 2, now 0"), open_run(settings, data_digest="2"):
        pass


def test_other_settings_and_rows_are_refused(settings):
    with open_run(settings, data_digest="d") as run:
        run.log(1, loss=1.0)
    with (
        pytest.raises(TrainingError, match=r"seed 0, now 1.*another folder"),
        open_run(replace(settings, seed=1), data_digest="d"),
    ):
        pass
    with pytest.raises(TrainingError, match="other rows"), open_run(settings, data_digest="e"):
        pass
    with open_run(replace(settings, checkpoint_every=7), data_digest="d"):
        pass


def test_a_folder_of_something_else_is_refused(settings, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with (
        pytest.raises(TrainingError, match="something else"),
        open_run(replace(settings, out=str(tmp_path)), data_digest="d"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_one_at_a_time(settings):
    with (
        open_run(settings, data_digest="d"),
        pytest.raises(TrainingError, match="another process"),
        open_run(settings, data_digest="d"),
    ):
        pass


def test_a_line_cut_by_a_kill_is_forgotten(settings):
    with open_run(settings, data_digest="d") as run:
        run.log(1, loss=2.0)
        run.log(2, loss=1.5)
    with (run.folder / "loss.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')
    with open_run(settings, data_digest="d") as run:
        run.go_on_from(2)
        run.log(3, loss=1.0)
    lines = (run.folder / "loss.jsonl").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in lines] == [2.0, 1.5, 1.0]


def test_what_came_out_is_found_again(settings):
    with open_run(settings, data_digest="d") as run:
        assert run.finished() is None
        run.keep(1, write("1"))
        run.log(1, loss=2.0, learning_rate=0.1)
        run.log(1, evaluation=0.5)
        run.write_adapter(lambda folder: (folder / "adapter_config.json").write_text("{}"))
        done = run.finish(MANIFEST, REPORT)
    with open_run(settings, data_digest="d") as run:
        assert run.finished() == done
        assert (done.folder / "adapter_config.json").is_file()
        assert not run.checkpoints.exists()
        assert (run.folder / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_line_of_bars():
    assert sparkline([]) == ""
    assert sparkline([1.0, 1.0]) == "▁▁"
    assert sparkline([0, 7, 3.5]) == "▁█▅"
    falling = sparkline([100 - n for n in range(100)], width=8)
    assert falling == "█▇▆▅▄▃▂▁"


def test_a_picture_of_nothing(tmp_path):
    draw_losses(tmp_path / "loss.png", [])
    assert (tmp_path / "loss.png").stat().st_size > 0
