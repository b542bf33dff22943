"""Several calls at once, each with its result or its error, none waited for longer than allowed."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from langchain_core.runnables import Runnable, RunnableConfig

T = TypeVar("T")

AT_ONCE = 8
"""Most calls at the same time to what takes one input per call, unless the config says more."""


def call_together(
    calls: Sequence[Callable[[], T]],
    *,
    timeout_seconds: float | None,
    at_once: int | None = None,
) -> list[T | Exception]:
    """The result of every call, or the error that it raised; `TimeoutError` when it took too long.

    They run in threads of their own, with the caller's context. A thread can not be ended: one that
    hangs is left alone, and does not keep the process from ending.

    Args:
        calls: What is called.
        timeout_seconds: Most time for all together; None: no limit.
        at_once: Most calls at the same time; None: all.
    """
    waiting = deque((n, contextvars.copy_context(), call) for n, call in enumerate(calls))
    done: queue.SimpleQueue[tuple[int, T | BaseException]] = queue.SimpleQueue()

    def work() -> None:
        with suppress(IndexError):  # none is left
            while True:
                done.put(_called(*waiting.popleft()))

    for _ in calls[:at_once]:
        threading.Thread(target=work, daemon=True).start()
    results: list[T | Exception] = [_too_long(timeout_seconds) for _ in calls]
    end = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    try:
        for _ in calls:
            left = None if end is None else max(0, end - time.monotonic())
            number, result = done.get(timeout=left)
            results[number] = _raised_if_final(result)
    except queue.Empty:
        pass
    finally:
        waiting.clear()
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


def invoke_each(
    runnable: Runnable[Any, T],
    inputs: Sequence[Any],
    config: RunnableConfig | None = None,
    *,
    timeout_seconds: float | None = None,
    **settings: Any,
) -> list[T | Exception]:
    """The result for every input, or its error; `batch` would keep the process from ending.

    Args:
        runnable: What is asked.
        inputs: What it is asked.
        config: Of every call; `max_concurrency` is the most at the same time, else `AT_ONCE`.
        timeout_seconds: Most time for all together; None: no limit.
        settings: Arguments of every call.
    """
    calls = [partial(runnable.invoke, given, config, **settings) for given in inputs]
    return call_together(calls, timeout_seconds=timeout_seconds, at_once=_at_once(config))


async def ainvoke_each(
    runnable: Runnable[Any, T],
    inputs: Sequence[Any],
    config: RunnableConfig | None = None,
    *,
    timeout_seconds: float | None = None,
    **settings: Any,
) -> list[T | Exception]:
    """Like `invoke_each`; `abatch` would take a cancelled call for a result."""
    free = asyncio.Semaphore(_at_once(config))

    async def ask(given: Any) -> T:
        async with free:
            return await runnable.ainvoke(given, config, **settings)

    return await acall_together([ask(given) for given in inputs], timeout_seconds=timeout_seconds)


async def call_in_thread(call: Callable[[], T]) -> T:
    """The result of a call that may hang, in a thread of its own: the threads of a pool are few."""
    future: Future[T] = Future()
    context = contextvars.copy_context()

    def run() -> None:
        _, result = _called(0, context, call)
        if isinstance(result, StopIteration):  # asyncio takes none
            result = RuntimeError(repr(result))
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)

    future.set_running_or_notify_cancel()
    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(future)


def raised(result: T | Exception) -> T:
    """What a call gave; its error is raised."""
    if isinstance(result, Exception):
        raise result
    return result


def _called(
    number: int, context: contextvars.Context, call: Callable[[], T]
) -> tuple[int, T | BaseException]:
    try:
        return number, context.run(call)
    except BaseException as error:  # noqa: BLE001 (handed to the caller)
        return number, error


def _raised_if_final(result: T | BaseException) -> T | Exception:
    """The result or an error; what is no mere error, a cancellation say, ends the caller, too."""
    if isinstance(result, BaseException) and not isinstance(result, Exception):
        raise result
    return result


def _at_once(config: RunnableConfig | None) -> int:
    return (config or {}).get("max_concurrency") or AT_ONCE


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
