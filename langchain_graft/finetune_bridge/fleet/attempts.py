"""What a request does next when a server of the fleet fails it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from langchain_graft.errors import FleetError, MissingExtraError, ModelServerError

try:
    import openai
    from langchain_openai._compat import httpx
except ImportError as error:
    raise MissingExtraError("models") from error

if TYPE_CHECKING:
    from langchain_core.outputs import ChatGenerationChunk

    from langchain_graft.finetune_bridge.fleet.fleet import Fleet
    from langchain_graft.finetune_bridge.fleet.router import Lease, Route, Visit


class Attempts:
    """What one request has tried; none of it twice."""

    def __init__(self, fleet: Fleet, lease: Lease) -> None:
        self.is_seen = False
        """Whether a piece of the answer has been given away."""
        self._is_whole = False
        self._fleet = fleet
        self._lease = lease
        self._until = time.monotonic() + fleet.timeout_seconds
        self._tried: list[Route] = []
        self._given_again: list[Route] = []
        self._lost: Route | None = None
        self._last: Exception | None = None

    def sees(self, piece: ChatGenerationChunk) -> bool:
        """Note a piece that is about to be given away; whether it is the first."""
        is_first, self.is_seen = not self.is_seen, True
        self._is_whole |= "finish_reason" in (piece.generation_info or {})
        return is_first

    def check_whole(self, route: Route) -> None:
        """Check that an answer has ended, and was not cut.

        Raises:
            ModelServerError: It was.
        """
        if not self._is_whole:
            msg = f"{route.replica.url} ended a stream before its answer was whole"
            raise ModelServerError(msg)

    def visit(self) -> Visit | None:
        """Go to a server; None: wait a little, all are loading.

        Raises:
            ModelServerError: No server can be reached.
            FleetError: They load for too long, or the last one does not take the adapter again.
        """
        if self._last and len(self._tried) == len(self._fleet.router.routes):
            if isinstance(self._last, FleetError):
                raise self._last
            msg = f"No server of the fleet answers; the last one: {self._last}"
            raise ModelServerError(msg) from self._last
        visit = self._fleet.router.visit(self._tried)
        if visit is None and time.monotonic() > self._until:
            msg = f"All servers have been loading for {self._fleet.timeout_seconds} s"
            raise FleetError(msg)
        return visit

    def failed(self, route: Route, error: Exception) -> None:
        """Note what to do next; raises what can not be mended."""
        if isinstance(error, openai.APITimeoutError | httpx.TimeoutException):
            raise error
        gone = isinstance(error, openai.NotFoundError)
        dead = isinstance(
            error, openai.APIConnectionError | openai.InternalServerError | httpx.TransportError
        )
        if self.is_seen and dead:
            msg = f"{route.replica.url} died while it answered: {error}"
            raise ModelServerError(msg) from error
        if self.is_seen or not (dead or (gone and route not in self._given_again)):
            raise error
        if gone:
            self._lost = route
        else:
            self._pass_over(route, error)

    def mend(self) -> None:
        """Give a server the adapter that it has lost; one that does not take it is passed over."""
        if route := self._lost:
            self._lost = None
            self._given_again.append(route)
            try:
                self._fleet.load_again(self._lease, route)
            except FleetError as error:
                self._pass_over(route, error)

    def _pass_over(self, route: Route, error: Exception) -> None:
        self._last = error
        self._tried.append(route)
        self._fleet.router.avoid(route)
