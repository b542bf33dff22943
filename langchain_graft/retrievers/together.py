"""Several calls at once, each with its result or its error, none waited for longer than allowed."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from langchain_core.runnables import Runnable, RunnableConfig

T = TypeVar("T")


def call_together(
    calls: Sequence[Callable[[], T]], *, timeout_seconds: float | None
) -> list[T | Exception]:
    """The result of every call, or the error that it raised; `TimeoutError` when it took too long.

    Each runs in a thread of its own, with the caller's context. A thread can not be ended: one that
    hangs is left alone, and does not keep the process from ending.
    """
    done: queue.SimpleQueue[tuple[int, T | Exception]] = queue.SimpleQueue()

    def run(number: int, call: Callable[[], T]) -> None:
        try:
            done.put((number, call()))
        except Exception as error:  # noqa: BLE001 (handed to the caller)
            done.put((number, error))

    for number, call in enumerate(calls):
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(run, number, call), daemon=True).start()
    results: list[T | Exception] = [_too_long(timeout_seconds) for _ in calls]
    end = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    for _ in calls:
        try:
            number, result = done.get(
                timeout=None if end is None else max(0, end - time.monotonic())
            )
        except queue.Empty:
            break
        results[number] = result
    return results


async def acall_together(
    calls: Sequence[Awaitable[T]], *, timeout_seconds: float | None
) -> list[T | Exception]:
    """Like `call_together`, as tasks, which are cancelled when they take too long.

    They are when the caller is cancelled, too.
    """
    tasks: list[asyncio.Future[T]] = [asyncio.ensure_future(call) for call in calls]
    try:
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_seconds)
        return [_result(task, timeout_seconds) for task in tasks]
    finally:
        for task in tasks:
            task.cancel()


async def ainvoke_each(
    runnable: Runnable[Any, T],
    inputs: Sequence[Any],
    config: RunnableConfig | None = None,
    *,
    at_once: int,
    **settings: Any,
) -> list[T | Exception]:
    """The result for every input, or its error; `abatch` would take a cancelled call for a result.

    Args:
        runnable: What is asked.
        inputs: What it is asked.
        config: Of every call.
        at_once: Most calls at the same time.
        settings: Arguments of every call.
    """
    free = asyncio.Semaphore(at_once)

    async def ask(given: Any) -> T:
        async with free:
            return await runnable.ainvoke(given, config, **settings)

    return await acall_together([ask(given) for given in inputs], timeout_seconds=None)


def _result(task: asyncio.Future[Any], timeout_seconds: float | None) -> Any:
    if not task.done():
        return _too_long(timeout_seconds)
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    if error is None:
        return task.result()
    if isinstance(error, Exception):
        return error
    raise error


def _too_long(timeout_seconds: float | None) -> TimeoutError:
    return TimeoutError(
        f"no answer within {timeout_seconds:g} s" if timeout_seconds else "no answer"
    )
