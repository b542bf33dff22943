"""Nodes and relationships in words: what a model reads and a citation quotes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_graft.source_text import without_control_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_graft.graph.types import Node, Relationship, Value

_MOST_CHARACTERS = 300
_MOST_VALUES = 8
_SPACES = re.compile(r"\s+")


def triple_text(relationship: Relationship, names: Mapping[str, str]) -> str:
    """A relationship as a short sentence, such as `Keanu Reeves acted in The Matrix (roles: Neo)`.

    Args:
        relationship: What is told.
        names: Of the nodes, by id; an id that is not there stands for itself.
    """
    source = names.get(relationship.source, relationship.source)
    target = names.get(relationship.target, relationship.target)
    told = f"{source} {type_text(relationship.type)} {target}"
    more = "; ".join(_properties(relationship.properties))
    return _plain(f"{told} ({more})" if more else told)


def node_text(node: Node) -> str:
    """A thing's type and properties, such as `The Matrix (Movie): released: 1999`."""
    more = "; ".join(_properties(node.properties))
    told = f"{node.name} ({type_text(node.label)})" if node.label else node.name
    return _plain(f"{told}: {more}" if more else told)


def type_text(type_: str) -> str:
    """A type in words: `ACTED_IN` is "acted in"."""
    return type_.replace("_", " ").lower() if type_.isupper() else type_.replace("_", " ")


def names_of(node: Node) -> tuple[str, ...]:
    """What a thing is called: its name, then its aliases."""
    aliases = node.properties.get("aliases", ())
    listed = aliases if isinstance(aliases, list) else [aliases] if aliases else []
    return tuple(dict.fromkeys((node.name, *(str(one) for one in listed))))


def _properties(properties: Mapping[str, Value]) -> list[str]:
    return [
        f"{key}: {_value(value)}"
        for key, value in properties.items()
        if not _is_vector(value) and value not in ("", [])
    ]


def _value(value: Value) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value[:_MOST_VALUES])
    return str(value)[:_MOST_CHARACTERS]


def _is_vector(value: Value) -> bool:
    """Whether it is an embedding: many numbers, of no use to a reader."""
    return isinstance(value, list) and len(value) > _MOST_VALUES and isinstance(value[0], float)


def _plain(text: str) -> str:
    return _SPACES.sub(" ", without_control_words(text)).strip()
