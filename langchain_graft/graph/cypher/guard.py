"""Let a statement through only if it reads, and cap its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_graft.errors import CypherRefusedError
from langchain_graft.graph.cypher.roles import Walk, walk
from langchain_graft.graph.cypher.tokens import significant, tokenize
from langchain_graft.graph.cypher.vocabulary import READ_FUNCTIONS, READ_PROCEDURES

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["READ_FUNCTIONS", "READ_PROCEDURES", "check_read_only", "with_limit"]


def check_read_only(
    cypher: str,
    *,
    procedures: AbstractSet[str] = READ_PROCEDURES,
    functions: AbstractSet[str] = READ_FUNCTIONS,
) -> None:
    """Refuse a statement that could do more than read the graph.

    What is let through is listed, nothing is searched for: one statement, of reading clauses of
    Cypher 5 and 25, in subqueries too, that calls these procedures and functions alone. Neo4j's
    READ session and EXPLAIN are not enough: both let LOAD CSV read files and addresses. A name may
    be any word (`n.set`, `:DELETE`, `create_user`).

    Args:
        cypher: One statement.
        procedures: Names that may be called, in lower case; Neo4j's own reading ones.
        functions: The same of functions; `READ_FUNCTIONS | {"apoc.text.clean"}` allows one more.

    Raises:
        CypherRefusedError: It does more, or can not be understood; the message says what is wrong.
    """
    found = walk(cypher)
    for kind, names, allowed in (
        ("procedure", found.procedures, procedures),
        ("function", found.functions, functions),
    ):
        if unknown := [name for name in names if name not in allowed]:
            msg = f"The {kind} {unknown[0]!r} is not among those that a reading statement may call"
            raise CypherRefusedError(msg, cypher=cypher)


def with_limit(cypher: str, limit: int) -> str:
    """The statement with at most `limit` rows, where its text can be changed for sure.

    A LIMIT that is a number is lowered, a missing one is put behind the last RETURN. Left as they
    are: a UNION (its LIMIT is the last part's), a LIMIT that is computed, a CALL without RETURN,
    and what is not understood; who reads must count the rows besides.

    Raises:
        ValueError: `limit` is below 1.
    """
    if limit < 1:
        msg = f"limit must be 1 or more, not {limit!r}"
        raise ValueError(msg)
    try:
        found = walk(cypher)
    except CypherRefusedError:
        return cypher
    last = _last_clauses(found)
    if not last or found.last is None:
        return cypher
    if "LIMIT" not in last:
        end = found.last.end
        return f"{cypher[:end]} LIMIT {limit}{cypher[end:]}"
    return _lowered(cypher, last["LIMIT"], limit)


def _last_clauses(found: Walk) -> dict[str, int]:
    """The last RETURN and what follows it, with their places; nothing where LIMIT has no place."""
    outer = [(token.value, token.start) for token, depth in found.clauses if depth == 0]
    words = [word for word, _ in outer]
    if "RETURN" not in words or {"UNION", "NEXT", "WHEN"} & set(words):
        return {}
    last = len(words) - 1 - words[::-1].index("RETURN")
    if set(words[last + 1 :]) - {"ORDER", "SKIP", "OFFSET", "LIMIT"}:
        return {}
    return dict(outer[last:])


def _lowered(cypher: str, place: int, limit: int) -> str:
    tokens = [token for token in significant(tokenize(cypher)) if token.start > place]
    number, following = tokens[0], tokens[1:2]
    is_alone = not following or following[0].value in ("SKIP", "OFFSET", ";")
    if is_alone and number.text.isdecimal() and int(number.text) > limit:
        return f"{cypher[: number.start]}{limit}{cypher[number.end :]}"
    return cypher
