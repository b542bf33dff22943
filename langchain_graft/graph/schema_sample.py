"""A schema out of a sample of values: their types, all of them where they are few, uniqueness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_graft.graph.schema import Property

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_graft.graph.types import Value

SAMPLE = 1000
"""Nodes of a label, and relationships of a type, that are looked at."""
FEW = 10
"""Most values that are listed one by one."""
LONGEST = 100
"""Most characters of a value that is shown."""
_EXAMPLES = 2
_TYPES = {str: "STRING", bool: "BOOLEAN", int: "INTEGER", float: "FLOAT"}


def sampled_property(
    name: str, values: Sequence[Value], *, types: Iterable[str] = (), is_whole: bool
) -> Property:
    """A property, out of a value per node of the sample.

    Args:
        name: Its name.
        values: What the nodes of the sample have.
        types: Cypher's names of their types; none: read off the values.
        is_whole: Whether the sample is all there is.
    """
    seen = {repr(value): value for value in values}
    shown = sorted(filter(_is_short, seen.values()), key=lambda value: (str(type(value)), value))
    is_few = is_whole and len(shown) == len(seen) <= min(FEW, max(1, len(values) - 1))
    return Property(
        name=name,
        type=" | ".join(types or dict.fromkeys(map(type_name, values))) or "STRING",
        values=tuple(shown) if is_few else (),
        examples=tuple(shown[:_EXAMPLES]),
        unique=len(seen) == len(values) > 1,
    )


def sampled_properties(
    rows: Iterable[Mapping[str, Value]], *, is_whole: bool
) -> tuple[Property, ...]:
    """The properties of a sample of nodes or relationships, by name; `name` is the first."""
    values: dict[str, list[Value]] = {}
    for row in rows:
        for key, value in row.items():
            values.setdefault(key, []).append(value)
    names = sorted(values, key=lambda key: (key != "name", key))
    return tuple(sampled_property(name, values[name], is_whole=is_whole) for name in names)


def type_name(value: Any) -> str:
    """Cypher's name of a value's type."""
    if isinstance(value, list):
        return f"LIST<{type_name(value[0])}>" if value else "LIST<ANY>"
    return _TYPES.get(type(value), "ANY")


def _is_short(value: Any) -> bool:
    return not isinstance(value, list) and len(str(value)) <= LONGEST
