"""Processes that train together: who is who, and sums over all of them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from langchain_graft.errors import MissingExtraError
from langchain_graft.finetune_bridge.training.run import open_run

try:
    import torch
    from torch import distributed
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from langchain_graft.finetune_bridge.training.run import TrainingRun
    from langchain_graft.finetune_bridge.training.settings import TrainSettings

Sharding = Literal["fsdp2", "zero3"]
_ASKED: dict[str, Sharding] = {
    "ACCELERATE_USE_FSDP": "fsdp2",
    "ACCELERATE_USE_DEEPSPEED": "zero3",
}


@dataclass(frozen=True)
class Processes:
    """Those of one training, as `accelerate launch` or `torchrun` started them.

    Each has the same rows, computes its share of a step and adds up slopes with the others, so that
    all have the same numbers after it; the first one alone writes.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    """Among those of the same machine: its graphics card."""
    sharding: Sharding | None = None
    """How the base's frozen weights are spread over them; None: each has them all."""

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    def device(self, device: str) -> str:
        """A device, of several graphics cards its own."""
        return f"cuda:{self.local_rank}" if device == "cuda" and self.count > 1 else device

    def sum(self, value: float) -> float:
        """The sum of every process's value."""
        if self.count == 1:
            return value
        total = torch.tensor([value], dtype=torch.float64, device=_place())
        distributed.all_reduce(total)
        return float(total)

    def add_up(self, tensors: Iterable[torch.Tensor]) -> None:
        """Make each tensor, of which every process has one, the sum of theirs."""
        if self.count == 1:
            return
        given = list(tensors)
        for dtype in sorted({one.dtype for one in given}, key=str):
            same = [one for one in given if one.dtype == dtype]
            flat = torch.cat([one.flatten() for one in same]).to(_place())
            distributed.all_reduce(flat)
            parts = torch.split(flat, [one.numel() for one in same])
            for one, part in zip(same, parts, strict=True):
                one.copy_(part.view_as(one))

    @torch.no_grad()
    def share(self, parameters: Mapping[str, torch.Tensor]) -> None:
        """Give every process the first one's numbers."""
        if self.count > 1:
            for one in parameters.values():
                distributed.broadcast(one, src=0)

    def wait(self) -> None:
        """Until all have come here."""
        self.sum(0)


@contextmanager
def joined_processes(settings: TrainSettings) -> Iterator[Processes]:
    """This process and those that were started with it; alone, where none was."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    processes = Processes(
        rank=int(os.environ["RANK"]),
        count=count,
        local_rank=int(os.environ.get("LOCAL_RANK", "0")),
        sharding=next((one for name, one in _ASKED.items() if _is_true(name)), None),
    )
    with _group(settings, processes):
        yield processes
        processes.wait()


@contextmanager
def open_run_together(
    settings: TrainSettings, *, data_digest: str, processes: Processes
) -> Iterator[TrainingRun]:
    """The same run for all; the first process opens it, and alone writes. See `open_run`."""
    if not processes.is_first:
        processes.wait()
    writes = processes.is_first
    with open_run(settings, data_digest=data_digest, writes=writes) as run:
        if writes:
            processes.wait()
        yield run


@contextmanager
def _group(settings: TrainSettings, processes: Processes) -> Iterator[None]:
    if distributed.is_initialized():
        yield
        return
    device = (settings.device or ("cuda" if torch.cuda.is_available() else "cpu")).partition(":")[0]
    if device == "cuda":
        torch.cuda.set_device(processes.local_rank)
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _is_true(name: str) -> bool:
    return os.environ.get(name, "").lower() == "true"


def _place() -> str:
    return "cuda" if distributed.get_backend() == "nccl" else "cpu"
