"""What goes wrong with a Neo4j server, in words that say what to do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from neo4j.exceptions import (
    AuthError,
    ConfigurationError,
    DriverError,
    Neo4jError,
    ServiceUnavailable,
    SessionExpired,
    TransientError,
)

from langchain_graft.errors import CypherError, GraphError, GraphUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMES = ("neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc")
_TIMED_OUT = (
    "Neo.ClientError.Transaction.TransactionTimedOut",
    "Neo.ClientError.Transaction.LockClientStopped",
)
"""What a server says of a statement over its time; the latter where it waited for another."""


@contextmanager
def neo4j_errors(
    uri: str, *, user: str | None, database: str | None, cypher: str | None = None
) -> Iterator[None]:
    """Raise our errors in the place of the driver's; with `cypher`, those of that statement."""
    try:
        yield
    except AuthError as error:
        raise GraphUnavailableError(_not_let_in(uri, user, error)) from error
    except (ServiceUnavailable, SessionExpired, OSError) as error:
        raise GraphUnavailableError(_not_there(uri, error)) from error
    except ConfigurationError as error:
        msg = f"Neo4j at {uri!r} can not be asked: {error}. {_expected_scheme()}"
        raise GraphUnavailableError(msg) from error
    except Neo4jError as error:
        raise _of_server(uri, database, cypher, error) from error
    except DriverError as error:
        msg = f"Neo4j at {uri!r}: {error}"
        raise GraphError(msg) from error


def check_scheme(uri: str) -> None:
    """Raise GraphUnavailableError for an address that is no Neo4j's."""
    scheme = uri.partition("://")[0]
    if scheme not in SCHEMES or "://" not in uri:
        msg = f"{uri!r} is no address of a Neo4j. {_expected_scheme()}"
        raise GraphUnavailableError(msg)


def _of_server(uri: str, database: str | None, cypher: str | None, error: Neo4jError) -> GraphError:
    code, words = error.code or "", (error.message or str(error)).strip()
    if code.endswith((".DatabaseNotFound", ".DatabaseUnavailable")):
        asked = database or "its default database"
        return GraphUnavailableError(
            f"Neo4j at {uri!r} has no database {asked!r} that can be used: {words} Give another "
            "one (database=... or NEO4J_DATABASE), or start it"
        )
    is_slow = code.startswith(_TIMED_OUT)
    if cypher is not None:
        if is_slow:
            words = f"It took longer than it may ({words}). Ask for less, or raise timeout_seconds"
        elif code:
            words = f"{code}: {words}"
        return CypherError(words, cypher=cypher)
    if is_slow:
        msg = (
            f"Neo4j at {uri!r} took longer than it may: {words} Nothing was written by it. The "
            "server is too busy, or another writer holds what it needs: do it again later"
        )
        return GraphError(msg)
    if isinstance(error, TransientError):
        msg = f"Neo4j at {uri!r} can not do it now, after retries: {words} Do it again later"
        return GraphUnavailableError(msg)
    return GraphError(f"Neo4j at {uri!r} refuses: {words} ({code}). Nothing was written by it")


def _not_let_in(uri: str, user: str | None, error: AuthError) -> str:
    return (
        f"Neo4j at {uri!r} does not let {user!r} in: {error.message or error}. Set user=... and "
        "password=..., or NEO4J_USERNAME and NEO4J_PASSWORD"
    )


def _not_there(uri: str, error: Exception) -> str:
    return (
        f"Neo4j at {uri!r} does not answer: {str(error).splitlines()[0] if str(error) else error!r}"
        ". Is it running, is the address (uri=... or NEO4J_URI) right, and does it speak TLS where "
        "the scheme says +s? `graft neo4j start` starts one here"
    )


def _expected_scheme() -> str:
    return f"Expected {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}, as in neo4j://localhost:7687"
