"""How often somebody may ask."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class RateLimit:
    """A bucket of requests for each who asks, filled evenly, never over a minute's worth.

    Args:
        per_minute: Requests; None: no limit.
        clock: Seconds that only grow.
    """

    def __init__(
        self, per_minute: int | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = per_minute
        self._clock = clock
        self._buckets: dict[Hashable, tuple[float, float]] = {}

    def take(self, who: Hashable) -> int:
        """Take one request out of somebody's bucket.

        Args:
            who: One of few: each has a bucket that stays.

        Returns:
            0, or the seconds after which there is one again.
        """
        if self._most is None:
            return 0
        now = self._clock()
        left, since = self._buckets.get(who, (float(self._most), now))
        left = min(float(self._most), left + (now - since) * self._most / 60)
        taken = left >= 1
        self._buckets[who] = (left - taken, now)
        return 0 if taken else math.ceil((1 - left) * 60 / self._most)
