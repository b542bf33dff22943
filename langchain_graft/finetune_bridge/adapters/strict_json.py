"""JSON of unknown origin, read as data: what two readers could read in two ways is no JSON."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def parse_json(data: bytes | bytearray | str, *, what: str) -> dict[str, Any]:
    """The object that a text holds.

    Args:
        data: UTF-8; its size is checked by who reads it.
        what: Names it in an error.

    Raises:
        ValueError: It is no object, has a key twice, a number that is not finite, or is nested
            too deeply.
    """
    try:
        text = data if isinstance(data, str) else data.decode()
        values = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError as error:
        msg = f"{what} is nested too deeply"
        raise ValueError(msg) from error
    except ValueError as error:
        msg = f"{what} can not be read as JSON: {error}"
        raise ValueError(msg) from error
    if not isinstance(values, dict):
        msg = f"{what} is no JSON object"
        raise ValueError(msg)  # noqa: TRY004 (its content is wrong, not an argument's type)
    return values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"the key {twice!r} stands twice"
        raise ValueError(msg)
    return values


def _no_constant(name: str) -> NoReturn:
    msg = f"{name} is no number"
    raise ValueError(msg)
