"""The one thread in which a model computes: rounds of replies, and other work between them."""

from __future__ import annotations

import atexit
import os
import threading
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakSet, finalize

from langchain_graft.errors import MissingExtraError
from langchain_graft.models.reply import Reply
from langchain_graft.models.torch_device import compute_with

try:
    import torch
except ImportError as error:
    raise MissingExtraError("hf") from error

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_graft.models.reply_batch import ReplyBatch

    _Queue = SimpleQueue[Callable[[], object] | Reply | None]

T = TypeVar("T")
_SECONDS_TO_END = 5.0
_threads: WeakSet[EngineThread] = WeakSet()
_running: WeakSet[threading.Thread] = WeakSet()
"""Those too whose engine is gone: they may still be giving its memory back."""


class EngineThread:
    """Does work in turn, and rounds of a batch as long as it has replies under way.

    No method waits or takes a lock, so that all may be called where Python collects garbage. The
    thread ends when this object is gone, or the process.

    Args:
        batch: Whose rounds it computes.
        threads: How many threads torch may use for it on a processor.
    """

    def __init__(self, batch: ReplyBatch, *, threads: int) -> None:
        self._owner = os.getpid()
        self._work: _Queue = SimpleQueue()
        self.thread = threading.Thread(
            target=_compute,
            args=(self._work, batch, threads),
            name="graft-transformers",
            daemon=True,
        )
        self.thread.start()
        _running.add(self.thread)
        finalize(self, self._work.put, _end).atexit = False
        _threads.add(self)

    @property
    def is_ours(self) -> bool:
        """Whether this is the process that began the thread: a forked one does not have it."""
        return os.getpid() == self._owner

    def add(self, reply: Reply) -> None:
        """Let the batch compute a reply."""
        self._work.put(reply)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Do something between two forwards, in inference mode."""
        done: Future[T] = Future()
        self._work.put(partial(_do, work, done))
        return done

    def wake(self) -> None:
        """Look whether there is a round to compute."""
        self._work.put(None)

    def end(self) -> None:
        """Do what is in line, then end."""
        self._work.put(_end)


def _compute(queue: _Queue, batch: ReplyBatch, threads: int) -> None:
    compute_with(threads)
    while _did(queue, batch):
        if batch.has_work:
            with torch.inference_mode():
                batch.round()


def _did(queue: _Queue, batch: ReplyBatch) -> bool:
    """Take in all replies that have come, and do one piece of work; False: it was the last.

    No hold of the work is kept: it may hold the engine.
    """
    try:
        while (work := queue.get(block=not batch.has_work)) is None or isinstance(work, Reply):
            if work is not None:
                batch.add(work)
    except Empty:
        return True
    if work is not _end:
        work()
    return work is not _end


def _do(work: Callable[[], T], done: Future[T]) -> None:
    if not done.set_running_or_notify_cancel():
        return
    try:
        with torch.inference_mode():
            found = work()
    except BaseException as error:  # noqa: BLE001 (it is the caller's)
        done.set_exception(error)
    else:
        done.set_result(found)


def _end() -> None:
    """Stands for the end of the work."""


@atexit.register
def _end_all() -> None:
    """A thread that computes while Python goes down would take the process with it."""
    for one in list(_threads):
        one.end()
    for thread in list(_running):  # in a forked process none is alive
        thread.join(_SECONDS_TO_END)
