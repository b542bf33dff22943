"""A bounded number of places, for threads and for tasks of an event loop alike."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future

from langchain_graft.errors import ModelError


class Slots:
    """Places that are taken and freed; who finds none waits in a line of bounded length.

    Args:
        places: How many may be taken at once.
        waiting: Longest line.
    """

    def __init__(self, places: int, *, waiting: int) -> None:
        self._free = places
        self._waiting = waiting
        self._line: deque[Future[None]] = deque()
        self._lock = threading.Lock()

    def take(self) -> Future[None]:
        """A place, when the future is done; a future that is cancelled leaves the line.

        Raises:
            ModelError: The line is full.
        """
        place: Future[None] = Future()
        with self._lock:
            self._line = deque(other for other in self._line if not other.cancelled())
            if self._free:
                self._free -= 1
                place.set_result(None)
            elif len(self._line) >= self._waiting:
                msg = (
                    f"The model has {len(self._line)} requests waiting, no more are taken. Ask "
                    "again later, or load it with a larger `parallel`"
                )
                raise ModelError(msg)
            else:
                self._line.append(place)
        return place

    def give_up(self, place: Future[None]) -> None:
        """Free a place, or leave the line for it; the next one in the line has it then."""
        if place.cancel() or place.cancelled():
            return
        with self._lock:
            while self._line:
                following = self._line.popleft()
                if following.set_running_or_notify_cancel():
                    following.set_result(None)
                    return
            self._free += 1
