"""Several calls at once: results, errors, and what takes too long."""

import asyncio
import contextvars
import subprocess
import sys
import threading

import pytest
from langchain_core.runnables import RunnableLambda

from langchain_graft.retrievers.together import (
    acall_together,
    call_in_thread,
    call_together,
    invoke_each,
)

VARIABLE = contextvars.ContextVar("variable", default="outside")


def fail():
    raise KeyError("x")


def test_results_and_errors_in_the_order_of_the_calls():
    one, error, three = call_together([lambda: 1, fail, lambda: 3], timeout_seconds=5)
    assert (one, three) == (1, 3)
    assert isinstance(error, KeyError)


def test_the_callers_context_is_seen():
    VARIABLE.set("inside")
    assert call_together([VARIABLE.get], timeout_seconds=5) == ["inside"]


def test_what_takes_too_long_is_a_timeout_and_the_rest_is_kept():
    release = threading.Event()
    late, soon = call_together([lambda: release.wait(20), lambda: "soon"], timeout_seconds=0.2)
    release.set()
    assert isinstance(late, TimeoutError)
    assert soon == "soon"


def test_some_at_once_and_none_after_the_time():
    release, begun = threading.Event(), []
    calls = [lambda n=n: begun.append(n) or release.wait(20) for n in range(4)]
    results = call_together(calls, timeout_seconds=0.2, at_once=2)
    release.set()
    assert begun == [0, 1]
    assert all(isinstance(result, TimeoutError) for result in results)
    assert call_together([int, int, int], timeout_seconds=None, at_once=1) == [0, 0, 0]


def cancel():
    raise asyncio.CancelledError


def stop():
    raise StopIteration


def test_a_cancelled_call_ends_the_caller():
    with pytest.raises(asyncio.CancelledError):
        call_together([cancel, lambda: 1], timeout_seconds=None)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(call_in_thread(cancel))


async def test_a_call_in_a_thread_of_its_own():
    VARIABLE.set("inside")
    assert await call_in_thread(VARIABLE.get) == "inside"
    with pytest.raises(KeyError):
        await call_in_thread(fail)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await call_in_thread(stop)


def test_a_call_that_hangs_does_not_keep_the_process():
    program = """
import time
from langchain_core.runnables import RunnableLambda
from langchain_graft.retrievers.together import invoke_each
print(invoke_each(RunnableLambda(time.sleep), [600, 600, 600], timeout_seconds=0.1)[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], timeout=300, capture_output=True, text=True, check=True
    )
    assert done.stdout == "no answer within 0.1 s\n"


def test_a_runnable_is_asked_each():
    assert invoke_each(RunnableLambda(abs), [-1, 2], {"max_concurrency": 1}) == [1, 2]


def test_nothing_to_call():
    assert call_together([], timeout_seconds=None) == []
    assert asyncio.run(acall_together([], timeout_seconds=None)) == []


async def test_tasks():
    cancelled = asyncio.Event()

    async def late():
        try:
            await asyncio.sleep(30)
        finally:
            cancelled.set()

    async def soon():
        return "soon"

    async def failing():
        fail()

    timeout, result, error = await acall_together([late(), soon(), failing()], timeout_seconds=0.2)
    assert isinstance(timeout, TimeoutError)
    assert result == "soon"
    assert isinstance(error, KeyError)
    await asyncio.wait_for(cancelled.wait(), 5)


async def test_a_task_that_was_cancelled_cancels_the_caller():
    async def cancelled():
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await acall_together([cancelled()], timeout_seconds=5)
