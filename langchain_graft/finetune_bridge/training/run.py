"""A training run's folder: what was asked, how far it came, what came out.

settings.json     the settings and the digest of the rows; others are refused here
loss.jsonl        a line for each step, and for each evaluation
loss.png          the same, drawn when the run ends
checkpoints/      the newest two; one is whole when it has its `whole.json`
adapter/          what came out: a plain PEFT folder
result.json       its manifest and the report; the run is done
"""

from __future__ import annotations

import errno
import json
import math
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from langchain_graft.durable import sync_folder, write_durably
from langchain_graft.errors import MissingExtraError, TrainingError
from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest
from langchain_graft.finetune_bridge.training.loss_curve import draw_losses
from langchain_graft.finetune_bridge.training.settings import settings_from_json
from langchain_graft.finetune_bridge.training.trained_adapter import TrainedAdapter, TrainReport

try:
    import filelock
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_graft.finetune_bridge.training.settings import TrainSettings

SETTINGS, LOSSES, PICTURE, RESULT = "settings.json", "loss.jsonl", "loss.png", "result.json"
CHECKPOINTS, ADAPTER = "checkpoints", "adapter"
_BEGUN = (LOSSES, CHECKPOINTS, RESULT)
"""Where none of them is there, nothing was learned yet: other settings and rows may be given."""
_WHOLE, _LOCK, _PREFIX = "whole.json", ".lock", "checkpoint-"
_KEPT = 2
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_DISK_FULL_TEXTS = ("no space left", "failed writing file", "disk quota")
_MEMORY_TEXTS = ("out of memory", "can't allocate memory", "not enough memory")


class TrainingRun:
    """One run in its folder; made by `open_run`.

    Of several processes that train together one writes; the others' runs change nothing there.
    """

    def __init__(self, folder: Path, *, writes: bool = True) -> None:
        self.folder = folder
        self.writes = writes
        self.checkpoints = folder / CHECKPOINTS
        self.adapter = folder / ADAPTER
        self._losses: list[dict[str, float]] = []

    @property
    def records(self) -> list[dict[str, float]]:
        """What was logged, in the order of the steps."""
        return list(self._losses)

    def log(self, step: int, **values: float) -> None:
        """Write what a step, or an evaluation after it, gave: `loss`, `evaluation`, others.

        Raises:
            TrainingError: One is no finite number.
        """
        for name, value in values.items():
            if not math.isfinite(value):
                self._refuse_number(step, name, value)
        record = {"step": step, **values}
        if self.writes:
            with (self.folder / LOSSES).open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        self._losses.append(record)

    def newest_checkpoint(self) -> tuple[int, Path] | None:
        """Step and folder of the newest checkpoint that is whole; its files are those it had."""
        for step, path in sorted(_checkpoints(self.checkpoints), reverse=True):
            if _is_whole(path):
                return step, path
        return None

    def keep(self, step: int, write: Callable[[Path], None]) -> Path:
        """Make a checkpoint: `write` fills a folder, which then appears as a whole."""
        final = self.checkpoints / f"{_PREFIX}{step}"
        if self.writes:
            self._write_folder(final, write, mark=True)
            self._sweep()
        return final

    def mark_whole(self, checkpoint: Path) -> None:
        """Say of a folder `checkpoints/checkpoint-STEP`, which others wrote, that it is whole."""
        _mark_whole(checkpoint)
        self._sweep()

    def go_on_from(self, step: int) -> None:
        """Forget what was logged after a step, which will be done again; 0: all of it."""
        records = _records(self.folder / LOSSES) if step else []
        self._losses = [record for record in records if record["step"] <= step]
        if not self.writes:
            return
        lines = [json.dumps(record) + "\n" for record in self._losses]
        write_durably(self.folder / LOSSES, "".join(lines).encode())

    def write_adapter(self, write: Callable[[Path], None]) -> Path:
        """Have `write` fill the adapter's folder, which then appears as a whole."""
        if self.writes:
            self._write_folder(self.adapter, write, mark=False)
        return self.adapter

    def finish(self, manifest: AdapterManifest, report: TrainReport) -> TrainedAdapter:
        """Write what came out; a later call of the same run finds it. The checkpoints go."""
        if self.writes:
            draw_losses(self.folder / PICTURE, self._losses)
            result = {"manifest": manifest.to_json(), "report": asdict(report)}
            write_durably(self.folder / RESULT, (json.dumps(result, indent=2) + "\n").encode())
            shutil.rmtree(self.checkpoints, ignore_errors=True)
        return TrainedAdapter(folder=self.adapter, manifest=manifest, report=report)

    def finished(self) -> TrainedAdapter | None:
        """What came out, if the run is done."""
        path = self.folder / RESULT
        if not path.is_file():
            return None
        result = json.loads(path.read_text(encoding="utf-8"))
        manifest = AdapterManifest.from_json(result["manifest"])
        report = TrainReport.from_json(result["report"])
        return TrainedAdapter(folder=self.adapter, manifest=manifest, report=report)

    def way_on(self) -> str:
        """How to go on after the run was stopped, as a sentence."""
        newest = self.newest_checkpoint()
        if newest is None:
            return "No checkpoint was written yet: the same call begins again"
        return f"The checkpoint of step {newest[0]} is whole: the same call goes on from there"

    def _refuse_number(self, step: int, name: str, value: float) -> NoReturn:
        msg = (
            f"At step {step} the {name} is {value!r}, so that nothing more is learned. Train with "
            "a lower learning_rate or dtype='float32', in another folder, and check the rows "
            f"(graft doctor). {self.way_on()}"
        )
        raise TrainingError(msg, folder=str(self.folder))

    def _write_folder(self, final: Path, write: Callable[[Path], None], *, mark: bool) -> None:
        final.parent.mkdir(exist_ok=True)
        temporary = final.parent / f".{final.name}-{secrets.token_hex(4)}"
        temporary.mkdir()
        try:
            write(temporary)
            if mark:
                _mark_whole(temporary)
            if final.exists():
                shutil.rmtree(final)
            temporary.rename(final)
            sync_folder(final.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _sweep(self) -> None:
        """Let go of what is older than the newest two, and of what was never ended."""
        whole = [path for _, path in sorted(_checkpoints(self.checkpoints)) if _is_whole(path)]
        for path in self.checkpoints.iterdir():
            if path not in whole[-_KEPT:] and path.is_dir():
                shutil.rmtree(path, ignore_errors=True)


@contextmanager
def open_run(
    settings: TrainSettings, *, data_digest: str, writes: bool = True
) -> Iterator[TrainingRun]:
    """The run in `settings.out`, new or begun before; nobody else trains there meanwhile.

    Args:
        settings: What is asked; the same as before, if the run was begun before.
        data_digest: Of the rows; likewise.
        writes: Another process has opened it and writes, if not.

    Raises:
        TrainingError: The folder is another run's or no run's, another process trains there; or,
            inside, the disk or the memory is full, or it was interrupted.
    """
    folder = Path(settings.out).expanduser()
    run = TrainingRun(folder, writes=writes)
    with _told(run):
        if not writes:
            yield run
            return
        if not (folder / SETTINGS).is_file() and folder.exists() and any(_others(folder)):
            _refuse(folder, "holds something else than a training run. Name another folder")
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / _LOCK)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            _refuse(folder, "is being trained in by another process. Wait, or name another folder")
        try:
            _check_same(folder, settings, data_digest)
            yield run
        finally:
            lock.release()


def _others(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.name != _LOCK)


def _check_same(folder: Path, settings: TrainSettings, data_digest: str) -> None:
    path = folder / SETTINGS
    if not path.is_file() or not any((folder / name).exists() for name in _BEGUN):
        asked = {"settings": settings.to_json(), "data_digest": data_digest}
        write_durably(path, (json.dumps(asked, indent=2) + "\n").encode())
        return
    try:
        begun = json.loads(path.read_text(encoding="utf-8"))
        different = settings_from_json(begun["settings"]).differences(settings)
    except (ValueError, KeyError, TypeError) as error:
        _refuse(folder, f"was begun with settings that can not be read ({error}). Remove it")
    out = "Train in another folder (out), remove this one, or set them as they were"
    if different:
        told = [f"{name} {was!r}, now {now!r}" for name, (was, now) in different.items()]
        _refuse(folder, f"was begun with other settings: {'; '.join(told)}. {out}")
    if begun.get("data_digest") != data_digest:
        _refuse(folder, f"was begun with other rows. {out}")


def _refuse(folder: Path, reason: str) -> NoReturn:
    msg = f"The folder {str(folder)!r} {reason}"
    raise TrainingError(msg, folder=str(folder))


@contextmanager
def _told(run: TrainingRun) -> Iterator[None]:
    """What the world does to a run, as a `TrainingError` that says how to go on."""
    try:
        yield
    except TrainingError:
        raise
    except (Exception, KeyboardInterrupt) as error:
        reason = _reason(error)
        if reason is None:
            raise
        folder = str(run.folder)
        msg = f"{reason}. {run.way_on()}. Folder: {folder!r}"
        raise TrainingError(msg, folder=folder) from error


def _reason(error: BaseException) -> str | None:
    text = str(error).lower()
    if isinstance(error, KeyboardInterrupt):
        return "Training was interrupted"
    is_full = isinstance(error, OSError) and error.errno in _DISK_FULL
    if is_full or any(part in text for part in _DISK_FULL_TEXTS):
        return f"The disk is full ({error}). Make room, or name another folder"
    if isinstance(error, MemoryError) or any(part in text for part in _MEMORY_TEXTS):
        return (
            f"There is not enough memory ({error!s:.200}). Take a smaller batch_size or max_tokens "
            "(in another folder), for a generator gradient_checkpointing, or end other programs"
        )
    return None


def _checkpoints(folder: Path) -> list[tuple[int, Path]]:
    paths = folder.glob(f"{_PREFIX}*") if folder.is_dir() else ()
    steps = [(path.name.removeprefix(_PREFIX), path) for path in paths]
    return [(int(step), path) for step, path in steps if step.isdecimal()]


def _mark_whole(folder: Path) -> None:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != _WHOLE]
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in files}
    write_durably(folder / _WHOLE, json.dumps(sizes).encode())


def _is_whole(folder: Path) -> bool:
    try:
        sizes = json.loads((folder / _WHOLE).read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def _records(path: Path) -> list[dict[str, float]]:
    """A last line that was not ended is left out."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    records: list[dict[str, Any]] = []
    for line in lines:
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records
