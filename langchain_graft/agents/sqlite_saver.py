"""Conversations in a SQLite file, without a wait for the disk at each step of a turn."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager, closing, contextmanager
from typing import TYPE_CHECKING

from langchain_graft.errors import MissingExtraError

try:
    import aiosqlite
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
except ImportError as error:
    raise MissingExtraError("agents") from error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

_WITHOUT_WAITING = "PRAGMA synchronous=NORMAL"
_LOCKED_SECONDS = 30.0


@contextmanager
def open_sqlite_saver(path: Path | str) -> Iterator[SqliteSaver]:
    """LangGraph's `SqliteSaver` on a file, as a `checkpointer` of our chats.

    A turn writes some twelve times, and SQLite waits for the disk each time: that is most of what a
    saver costs (benchmarks/agents_overhead.py). In a write-ahead log it need not. What is written
    survives the process, however it is killed; when the whole machine fails, the last turns can be
    lost, and the file stays whole.

    Args:
        path: The file; it is made when it is not there. Several processes may have it open.

    Example:
        >>> with open_sqlite_saver("chats.sqlite") as saver:
        ...     chat = create_retrieve_chat(model, retriever, checkpointer=saver)
    """
    connection = sqlite3.connect(path, timeout=_LOCKED_SECONDS, check_same_thread=False)
    with closing(connection):
        saver = SqliteSaver(connection)
        saver.setup()  # which begins the write-ahead log
        connection.execute(_WITHOUT_WAITING)
        yield saver


@asynccontextmanager
async def aopen_sqlite_saver(path: Path | str) -> AsyncIterator[AsyncSqliteSaver]:
    """Like `open_sqlite_saver`, for chats that are asked by `ainvoke` and `astream_events`."""
    async with aiosqlite.connect(path, timeout=_LOCKED_SECONDS) as connection:
        saver = AsyncSqliteSaver(connection)
        await saver.setup()
        await connection.execute(_WITHOUT_WAITING)
        yield saver
