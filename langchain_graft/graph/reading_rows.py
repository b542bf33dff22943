"""Cypher that only reads: checked, in a READ session, no more rows than are wanted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import CypherRefusedError
from langchain_graft.graph.cypher.guard import check_read_only, with_limit
from langchain_graft.graph.neo4j_values import plain
from langchain_graft.graph.read_result import ReadResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neo4j import Record, ResultSummary

    from langchain_graft.graph.neo4j_connection import Neo4jConnection

BYTE_LIMIT = 1_000_000
_FETCHED = 200


@dataclass(frozen=True, kw_only=True)
class ReadLimits:
    """What a statement may take."""

    seconds: float
    rows: int
    bytes: int = BYTE_LIMIT
    """Of all rows as JSON."""

    def __post_init__(self) -> None:
        if self.rows < 1 or self.seconds <= 0:
            msg = (
                f"row_limit must be 1 or more and timeout_seconds over 0, not {self.rows!r} and "
                f"{self.seconds!r}"
            )
            raise ValueError(msg)


class RowCaps:
    """Takes the rows of one statement until there are enough of them.

    Args:
        cypher: The statement.
        keys: The names of its columns.
        limits: Most rows, and bytes; a row that would be over is not taken.
    """

    def __init__(self, cypher: str, keys: Iterable[str], limits: ReadLimits) -> None:
        self._cypher, self._keys = cypher, tuple(keys)
        self._most, self._bytes = limits.rows, limits.bytes
        self._rows: list[dict[str, Any]] = []
        self._is_cut = False

    def take(self, record: Record) -> bool:
        """Take a row, if there is room; else say that more need not come."""
        row = {key: plain(record[key]) for key in self._keys}
        self._bytes -= len(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"))
        if len(self._rows) == self._most or self._bytes < 0:
            self._is_cut = True
            return False
        self._rows.append(row)
        return True

    def result(self, summary: ResultSummary) -> ReadResult:
        """What was taken."""
        return ReadResult(
            cypher=self._cypher,
            keys=self._keys,
            rows=self._rows,
            notifications=notification_texts(summary),
            truncated=self._is_cut,
        )


def read_rows(
    connection: Neo4jConnection,
    cypher: str,
    parameters: dict[str, Any],
    *,
    limits: ReadLimits,
) -> ReadResult:
    """The rows of a statement, one over the limit asked for: that one says that there are more."""
    statement, settings = _prepared(connection, cypher, limits)
    driver = connection.driver()
    with (
        connection.errors(statement),
        driver.session(**settings) as session,
        session.begin_transaction(timeout=limits.seconds) as transaction,
    ):
        explained(transaction.run(f"EXPLAIN {statement}", parameters).consume(), statement)
        result = transaction.run(statement, parameters)
        caps = RowCaps(statement, result.keys(), limits)
        for record in result:
            if not caps.take(record):
                break
        return caps.result(result.consume())


async def aread_rows(
    connection: Neo4jConnection,
    cypher: str,
    parameters: dict[str, Any],
    *,
    limits: ReadLimits,
) -> ReadResult:
    """Like `read_rows`."""
    statement, settings = _prepared(connection, cypher, limits)

    async def work() -> ReadResult:
        driver = await connection.async_driver()
        with connection.errors(statement):
            async with (
                driver.session(**settings) as session,
                await session.begin_transaction(timeout=limits.seconds) as transaction,
            ):
                plan = await transaction.run(f"EXPLAIN {statement}", parameters)
                explained(await plan.consume(), statement)
                result = await transaction.run(statement, parameters)
                caps = RowCaps(statement, result.keys(), limits)
                async for record in result:
                    if not caps.take(record):
                        break
                return caps.result(await result.consume())

    return await connection.in_loop(work())


def explain_statement(connection: Neo4jConnection, cypher: str) -> list[str]:
    """What the server remarks on a statement that is not run."""
    check_read_only(cypher)
    driver = connection.driver()
    with connection.errors(cypher), driver.session(**connection.asking_settings()) as session:
        summary = session.run(f"EXPLAIN {cypher}").consume()
    return list(notification_texts(explained(summary, cypher)))


async def aexplain_statement(connection: Neo4jConnection, cypher: str) -> list[str]:
    """Like `explain_statement`."""
    check_read_only(cypher)

    async def work() -> list[str]:
        driver = await connection.async_driver()
        with connection.errors(cypher):
            async with driver.session(**connection.asking_settings()) as session:
                summary = await (await session.run(f"EXPLAIN {cypher}")).consume()
        return list(notification_texts(explained(summary, cypher)))

    return await connection.in_loop(work())


def explained(summary: ResultSummary, cypher: str) -> ResultSummary:
    """The summary of an EXPLAIN.

    Raises:
        CypherRefusedError: The server says that the statement does more than read.
    """
    if summary.query_type != "r":
        msg = (
            f"The server says that the statement is of the type {summary.query_type!r}; expected "
            "'r': it may only read"
        )
        raise CypherRefusedError(msg, cypher=cypher)
    return summary


def _prepared(
    connection: Neo4jConnection, cypher: str, limits: ReadLimits
) -> tuple[str, dict[str, Any]]:
    """The statement as it will be run, and what its session is opened with."""
    check_read_only(cypher)
    fetched = min(limits.rows + 1, _FETCHED)
    return with_limit(cypher, limits.rows + 1), connection.asking_settings(fetch_size=fetched)


def notification_texts(summary: ResultSummary) -> tuple[str, ...]:
    """What the server remarks, each remark once."""
    remarks = (one for one in summary.gql_status_objects if one.is_notification)
    texts = (one.status_description for one in remarks)
    return tuple(dict.fromkeys(filter(None, texts)))
