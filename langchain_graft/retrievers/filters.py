"""One small filter dialect over metadata, and what every store has to make of it.

    {"lang": "zh"}                                   equal
    {"year": {"$gte": 1990, "$lt": 2000}}            $eq $ne $gt $gte $lt $lte $in $nin $exists
    {"$or": [{"lang": "zh"}, {"lang": "en"}]}        $and $or, of a list
    {"$not": {"lang": "zh"}}                         $not, of one filter

Several keys in one filter must all hold. A key that a document lacks fails every comparison but
`$ne` and `$nin`. Numbers compare with numbers, strings with strings, booleans with booleans.

A store's own translation may let more through than the filter (never less): what comes back is
checked again with `matches`, so that a filter holds on every store alike.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator

Filter = Mapping[str, Any]

Scalar = str | int | float | bool

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": operator.eq,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_OPERATORS = {*_COMPARE, "$ne", "$in", "$nin", "$exists"}
_MOST_EXACT = 2**53
_MOST_WHOLE = 2**63
_MOST_NUMBER = 1e308


def matches(where: Filter | None, metadata: Mapping[str, Any]) -> bool:
    """Whether the metadata passes the filter; None and the empty filter let all pass."""
    return all(
        any(matches(part, metadata) for part in value)
        if key == "$or"
        else all(matches(part, metadata) for part in value)
        if key == "$and"
        else not matches(value, metadata)
        if key == "$not"
        else all(_holds(name, given, metadata.get(key)) for name, given in conditions(value))
        for key, value in (where or {}).items()
    )


def conditions(value: Any) -> list[tuple[str, Any]]:
    """A key's value in a filter as pairs of operator and operand."""
    return list(value.items()) if isinstance(value, Mapping) else [("$eq", value)]


def check_filter(where: Filter | None) -> Filter:
    """The filter itself, when it is one of the dialect.

    Raises:
        ValueError: It is not; the message names the part.
    """
    if where is None:
        return {}
    if not isinstance(where, Mapping):
        msg = f"A filter is a dict such as {{'lang': 'zh'}}, not {where!r}"
        raise ValueError(msg)  # noqa: TRY004
    for key, value in where.items():
        if key in ("$and", "$or"):
            _check_parts(key, value)
        elif key == "$not":
            check_filter(value)
        elif key.startswith("$"):
            msg = f"Unknown operator {key!r} in a filter; there are $and, $or, $not"
            raise ValueError(msg)
        else:
            _check_conditions(key, value)
    return where


def both_filters(fixed: Filter | None, asked: Filter | None) -> Filter:
    """A filter that passes what both pass, so that a call can narrow but never widen."""
    parts = [part for part in (check_filter(fixed), check_filter(asked)) if part]
    return {"$and": parts} if len(parts) > 1 else (parts[0] if parts else {})


def _checked(where: dict[str, Any] | None) -> dict[str, Any] | None:
    check_filter(where)
    return where


OwnFilter = Annotated[dict[str, Any] | None, AfterValidator(_checked)]
"""A retriever's own filter, checked when the retriever is made."""


def filter_keys(where: Filter | None) -> set[str]:
    """The metadata keys that a filter asks about."""
    keys: set[str] = set()
    for key, value in (where or {}).items():
        if key in ("$and", "$or", "$not"):
            for part in [value] if key == "$not" else value:
                keys |= filter_keys(part)
        else:
            keys.add(key)
    return keys


def _check_parts(key: str, parts: Any) -> None:
    if not isinstance(parts, Sequence) or isinstance(parts, str) or not parts:
        msg = f"{key} takes a list of one or more filters, not {parts!r}"
        raise ValueError(msg)
    for part in parts:
        check_filter(part)


def _check_conditions(key: str, value: Any) -> None:
    if not conditions(value):  # it would let every document pass
        msg = f"{key!r} needs a value or conditions such as {{'$eq': 'zh'}}, not {value!r}"
        raise ValueError(msg)
    for name, given in conditions(value):
        if name not in _OPERATORS:
            msg = (
                f"Unknown operator {name!r} for {key!r}; there are {', '.join(sorted(_OPERATORS))}"
            )
            raise ValueError(msg)
        listed = name in ("$in", "$nin")
        if listed and (not isinstance(given, Sequence) or isinstance(given, str) or not given):
            msg = f"{name} of {key!r} takes a list of one or more values, not {given!r}"
            raise ValueError(msg)
        for scalar in given if listed else [given]:
            if not isinstance(scalar, Scalar):
                msg = f"{name} of {key!r} compares str, int, float or bool, not {scalar!r}"
                raise ValueError(msg)  # noqa: TRY004


def _holds(name: str, given: Any, value: Any) -> bool:
    if name == "$exists":
        return (value is not None) == bool(given)
    if name == "$ne":
        return not _holds("$eq", given, value)
    if name == "$nin":
        return not _holds("$in", given, value)
    if name == "$in":
        return any(_holds("$eq", one, value) for one in given)
    return comparable_kind(value) == comparable_kind(given) and _COMPARE[name](value, given)


def comparable_kind(value: Any) -> type:
    """Two values compare when this is the same for both; bool is no number here."""
    if isinstance(value, bool):
        return bool
    return float if isinstance(value, int | float) else type(value)


def compares_alike(operand: Any) -> bool:
    """Whether a store compares with this operand as Python does; a larger number is rounded."""
    return comparable_kind(operand) is not float or abs(operand) < _MOST_EXACT


def indexable(metadata: Mapping[str, Any]) -> dict[str, Scalar]:
    """What a store can filter by: the scalars, numbers brought into the range that it can hold."""
    return {
        key: _in_range(value)
        for key, value in metadata.items()
        if isinstance(value, Scalar) and not (isinstance(value, float) and math.isnan(value))
    }


def _in_range(value: Scalar) -> Scalar:
    if isinstance(value, bool | str):
        return value
    near = max(-_MOST_NUMBER, min(value, _MOST_NUMBER))
    return near if abs(near) < _MOST_WHOLE else float(near)
