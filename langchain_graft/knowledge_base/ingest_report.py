"""What an ingestion did."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class IngestReport:
    """What an ingestion did."""

    added: int = 0
    """Documents that are new."""
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    duplicates: int = 0
    """Files with the content of another one; that one is indexed."""
    failed: dict[str, str] = field(default_factory=dict)
    """Documents that could not be read, or not all of it, and why; what was indexed of those that
    could not be read at all stays."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Files of other kinds, by their ending."""
    chunks: int = 0
    """Chunks that were embedded."""
    rebuilt: bool = False
    """The indexes were damaged from outside; all chunks were embedded again."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time spent reading, embedding and indexing."""

    def spend(self, what: str, *, since: float) -> None:
        """Add the time from `since`, by `time.perf_counter`, until now."""
        self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - since
