"""Values of the Neo4j driver as plain JSON values, and as this package's nodes."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any

from neo4j.graph import Node as DriverNode
from neo4j.graph import Path, Relationship
from neo4j.spatial import Point
from neo4j.time import Date, DateTime, Duration, Time
from neo4j.vector import Vector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAMES = ("name", "title", "fullName", "displayName")


def plain(value: Any) -> Any:
    """A value of the driver as JSON has it: times as ISO 8601, bytes as base64."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)) and not isinstance(value, Point):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, (str, bool, int)):
        return value
    return _plain_other(value)


def plain_properties(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Properties as plain values; those that are no scalar or list of scalars become texts."""
    values = {key: plain(value) for key, value in properties.items()}
    return {key: str(one) if isinstance(one, dict) else one for key, one in values.items()}


def quoted(name: str, parameter: str) -> str:
    """A label or type as it stands in a statement: in back-quotes, or as a dynamic one.

    A back-quote within is doubled. One with a backslash is left to the parameter, since Cypher 5
    reads a backslash and u0060 as a back-quote, in names too.

    Args:
        name: The label or type.
        parameter: What holds it in the statement, such as `$name`.
    """
    if "\\" in name:
        return f"$({parameter})"
    return f"`{name.replace('`', '``')}`"


def display_key(labels: Sequence[str], properties: Mapping[str, Any]) -> str | None:
    """Which property says what a node is called, in a graph that was made elsewhere.

    `name`, `title` and their like; else one that is named for the label (`productName` of
    `Product`), another name, an id or code; else the first text.
    """
    texts = [key for key, value in properties.items() if isinstance(value, str | int) and value]
    ranked = sorted(texts, key=lambda key: (_rank(key, labels, properties[key]), key))
    return ranked[0] if ranked else None


def _rank(key: str, labels: Sequence[str], value: object) -> int:
    lower = key.casefold()
    own = any(lower.startswith(label.casefold()) for label in labels)
    if key in _NAMES:
        return _NAMES.index(key)
    if lower.endswith("name"):
        return 10 if own else 11
    if lower.endswith("title"):
        return 12
    if lower.endswith(("id", "code", "key")):
        return 20 if own or lower == "id" else 21
    return 30 if isinstance(value, str) else 40


def _plain_other(value: Any) -> Any:  # noqa: PLR0911 (one return a kind)
    if isinstance(value, DriverNode):
        return {**plain(dict(value)), "_labels": sorted(value.labels), "_id": value.element_id}
    if isinstance(value, Relationship):
        ends = [one.element_id if one else None for one in (value.start_node, value.end_node)]
        marks = {"_type": value.type, "_id": value.element_id, "_start": ends[0], "_end": ends[1]}
        return {**plain(dict(value)), **marks}
    if isinstance(value, Path):
        return {"_nodes": plain(value.nodes), "_relationships": plain(value.relationships)}
    if isinstance(value, Point):
        return {"srid": value.srid, **dict(zip("xyz", value, strict=False))}
    if isinstance(value, Date | DateTime | Time | Duration):
        return value.iso_format()
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    return plain(value.to_native()) if isinstance(value, Vector) else str(value)
