"""Several calls at once: results, errors, and what takes too long."""

import asyncio
import contextvars
import threading

import pytest

from langchain_graft.retrievers.together import acall_together, call_together

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
