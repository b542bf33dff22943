"""What a Cypher statement read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TIMEOUT_SECONDS = 30.0
"""How long a statement that reads may take."""
ROW_LIMIT = 100
"""Most rows of it."""


@dataclass(frozen=True, kw_only=True)
class ReadResult:
    """The rows of a statement, as plain JSON values."""

    cypher: str
    """The statement as it was run."""
    keys: tuple[str, ...] = ()
    """The names of the columns."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """A node becomes its properties, with `_labels` and `_id`; a relationship its properties, with
    `_type`, `_id`, `_start` and `_end`; a path `_nodes` and `_relationships`."""
    notifications: tuple[str, ...] = ()
    """What the server remarks, such as a label that is not there."""
    truncated: bool = False
    """Whether there are more rows than were read."""
