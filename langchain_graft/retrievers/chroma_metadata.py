"""Metadata and filters as Chroma takes them."""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from langchain_graft.retrievers.filters import (
    Filter,
    comparable_kind,
    compares_alike,
    conditions,
    indexable,
)

_EXTRA_KEY = "graft_json"
_FREE_KEY = re.compile(rf"(?!chroma:|{_EXTRA_KEY}\Z)[^#$].*", re.DOTALL)
# Chroma cuts a fraction off before it compares it with whole numbers.
_ROUNDED: dict[str, Callable[[float], float]] = {
    "$eq": lambda number: number,
    "$gt": math.floor,
    "$gte": math.floor,
    "$lt": math.ceil,
    "$lte": math.ceil,
}


def to_chroma(where: Filter | None) -> dict[str, Any] | None:
    """The filter in Chroma's dialect; None lets all pass.

    What has no counterpart there (`$exists`, `$not`, `$ne`, `$nin`, comparisons of strings) is left
    out, which lets more through; `matches` decides in the end.
    """
    parts: list[dict[str, Any]] = []
    for key, value in (where or {}).items():
        if key == "$and":
            parts += filter(None, map(to_chroma, value))
        elif key == "$or":
            choices = [to_chroma(part) for part in value]
            parts += [_joined("$or", [c for c in choices if c])] if all(choices) else []
        elif _FREE_KEY.fullmatch(key):
            parts += [part for name, given in conditions(value) for part in _term(key, name, given)]
    return _joined("$and", parts) if parts else None


def _term(key: str, name: str, given: Any) -> list[dict[str, Any]]:
    if name == "$in":
        if not all(map(compares_alike, given)):
            return []
        kinds = {comparable_kind(value) for value in given}
        same = [[value for value in given if comparable_kind(value) is kind] for kind in kinds]
        values = [list(map(float, vs)) if comparable_kind(vs[0]) is float else vs for vs in same]
        parts: list[dict[str, Any]] = [{key: {name: vs}} for vs in values]
        return [_joined("$or", parts)]
    if name not in _ROUNDED or not compares_alike(given):
        return []
    if comparable_kind(given) is float:
        return [{key: {name: _ROUNDED[name](given)}}]
    return [{key: {name: given}}] if name == "$eq" else []


def _joined(name: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: parts} if len(parts) > 1 else parts[0]


def to_chroma_metadata(metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    """Scalars as they are; the rest, which Chroma does not take, as one JSON text."""
    plain: dict[str, Any] = {
        key: value for key, value in indexable(metadata).items() if _FREE_KEY.fullmatch(key)
    }
    rest = {k: v for k, v in metadata.items() if k not in plain or plain[k] is not v}
    if rest:
        plain[_EXTRA_KEY] = json.dumps(rest, ensure_ascii=False, default=str)
    return plain or None


def from_chroma_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata as it was before `to_chroma_metadata`."""
    plain = {k: v for k, v in metadata.items() if k != _EXTRA_KEY}
    return {**plain, **json.loads(metadata.get(_EXTRA_KEY, "{}"))}
