"""The connection to a Neo4j server: its drivers, and plans of statements run on them.

A plan is a generator that yields statements with parameters, is sent their rows, and returns what
comes of them. It is the thought; here is its edge, sync and async.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_graft.errors import GraphUnavailableError, MissingExtraError

try:
    from neo4j import READ_ACCESS, AsyncGraphDatabase, GraphDatabase, unit_of_work
except ImportError as error:
    raise MissingExtraError("neo4j") from error

from langchain_graft.graph.neo4j_errors import check_scheme, neo4j_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from contextlib import AbstractContextManager

    from neo4j import AsyncDriver, AsyncManagedTransaction, Driver, ManagedTransaction

OLDEST = (5, 26)
_CONNECT_SECONDS = 15.0
_TRANSACTION_SECONDS = 600.0
_CLOSE_SECONDS = 10.0

logging.getLogger("neo4j").addHandler(logging.NullHandler())  # else its remarks go to stderr

T = TypeVar("T")
Statement = tuple[str, dict[str, Any]]
Rows = list[dict[str, Any]]


class Neo4jConnection:
    """One server and database: a pooled driver, made and checked at its first use.

    The async driver lives in an event loop of its own, in a thread: it serves any number of the
    caller's loops, one after another or at once.

    Args:
        uri: `neo4j://` (routed), `bolt://` (one server); `+s` for TLS, `+ssc` for TLS with any
            certificate.
        user: None: without authentication.
        password: Its password.
        database: None: the user's home database.
        retry_seconds: How long a transaction is tried again while the server is not there.

    Raises:
        GraphUnavailableError: The address is no Neo4j's.
    """

    def __init__(
        self,
        uri: str,
        *,
        user: str | None,
        password: str | None,
        database: str | None,
        retry_seconds: float,
    ) -> None:
        check_scheme(uri)
        self._uri, self._user, self._database = uri, user, database
        self._settings: dict[str, Any] = {
            "auth": None if user is None else (user, password or ""),
            "connection_timeout": _CONNECT_SECONDS,
            "connection_acquisition_timeout": 2 * _CONNECT_SECONDS,
            "max_transaction_retry_time": retry_seconds,
            "user_agent": "langchain-graft",
            "notifications_min_severity": "OFF",
        }
        self._lock = threading.RLock()
        self._driver: Driver | None = None
        self._async_driver: AsyncDriver | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._async_lock: asyncio.Lock | None = None

    def errors(self, cypher: str | None = None) -> AbstractContextManager[None]:
        """Raise our errors in the place of the driver's."""
        names = {"user": self._user, "database": self._database}
        return neo4j_errors(self._uri, **names, cypher=cypher)

    def session_settings(self, **more: Any) -> dict[str, Any]:
        """What a session that reads is opened with."""
        return {"database": self._database, "default_access_mode": READ_ACCESS, **more}

    def asking_settings(self, **more: Any) -> dict[str, Any]:
        """What a session for somebody's statement is opened with: the server may remark on it."""
        return self.session_settings(notifications_min_severity="INFORMATION", **more)

    def driver(self) -> Driver:
        """The driver; the first call checks that the server is there and new enough.

        Raises:
            GraphUnavailableError: It is not, or it does not let us in.
        """
        with self._lock:
            if self._driver is None:
                driver = GraphDatabase.driver(self._uri, **self._settings)
                try:
                    with self.errors():
                        self._check_version(driver.get_server_info().agent)
                except BaseException:
                    driver.close()
                    raise
                self._driver = driver
            return self._driver

    async def async_driver(self) -> AsyncDriver:
        """Like `driver`; inside `in_loop` only."""
        self._async_lock = self._async_lock or asyncio.Lock()
        async with self._async_lock:
            if self._async_driver is None:
                driver = AsyncGraphDatabase.driver(self._uri, **self._settings)
                try:
                    with self.errors():
                        self._check_version((await driver.get_server_info()).agent)
                except BaseException:
                    await driver.close()
                    raise
                self._async_driver = driver
            return self._async_driver

    def read(self, plan: Callable[[], Generator[Statement, Rows, T]]) -> T:
        """Run a plan in one managed transaction that only reads."""
        driver = self.driver()
        with self.errors(), driver.session(**self.session_settings()) as session:
            result: T = session.execute_read(_timed(_run), plan)
        return result

    def write(self, plan: Callable[[], Generator[Statement, Rows, T]]) -> T:
        """Run a plan in one managed transaction: all of it, or nothing."""
        driver = self.driver()
        with self.errors(), driver.session(database=self._database) as session:
            result: T = session.execute_write(_timed(_run), plan)
        return result

    async def aread(self, plan: Callable[[], Generator[Statement, Rows, T]]) -> T:
        """Like `read`."""

        async def work() -> T:
            driver = await self.async_driver()
            with self.errors():
                async with driver.session(**self.session_settings()) as session:
                    return await session.execute_read(_timed(_arun), plan)

        return await self.in_loop(work())

    async def awrite(self, plan: Callable[[], Generator[Statement, Rows, T]]) -> T:
        """Like `write`."""

        async def work() -> T:
            driver = await self.async_driver()
            with self.errors():
                async with driver.session(database=self._database) as session:
                    return await session.execute_write(_timed(_arun), plan)

        return await self.in_loop(work())

    async def in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Await something where the async driver lives."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=_serve, args=(self._loop,), name="graft-neo4j", daemon=True
                ).start()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def close(self) -> None:
        """Close the connections; the next use opens them again."""
        with self._lock:
            driver, self._driver = self._driver, None
            slow, self._async_driver = self._async_driver, None
            loop, self._loop = self._loop, None
            self._async_lock = None
        if driver:
            driver.close()
        if loop:
            if slow:
                asyncio.run_coroutine_threadsafe(slow.close(), loop).result(_CLOSE_SECONDS)
            loop.call_soon_threadsafe(loop.stop)

    def _check_version(self, agent: str) -> None:
        found = tuple(
            int(part) for part in agent.partition("/")[2].split(".")[:2] if part.isdigit()
        )
        if found and found < OLDEST:
            msg = f"{self._uri!r} is {agent}; expected Neo4j 5.26 or newer: update the server"
            raise GraphUnavailableError(msg)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


def _timed(work: Callable[..., Any]) -> Callable[..., Any]:
    return unit_of_work(timeout=_TRANSACTION_SECONDS)(work)


def _run(transaction: ManagedTransaction, plan: Callable[[], Generator[Statement, Rows, T]]) -> T:
    steps = plan()
    try:
        statement = next(steps)
        while True:
            statement = steps.send(transaction.run(*statement).data())
    except StopIteration as end:
        result: T = end.value
        return result


async def _arun(
    transaction: AsyncManagedTransaction, plan: Callable[[], Generator[Statement, Rows, T]]
) -> T:
    steps = plan()
    try:
        statement = next(steps)
        while True:
            result = await transaction.run(*statement)
            statement = steps.send(await result.data())
    except StopIteration as end:
        value: T = end.value
        return value
