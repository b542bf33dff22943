"""Which adapter and which server a request gets, and who still uses them."""

from __future__ import annotations

import itertools
import threading
import time
import weakref
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from langchain_graft.errors import AdapterNotFoundError, FleetError
from langchain_graft.finetune_bridge.adapters.ref import (
    BASE,
    CURRENT,
    AdapterRef,
    is_version,
    split_reference,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_graft.finetune_bridge.adapters.manifest import Probe
    from langchain_graft.finetune_bridge.fleet.vllm_replica import VllmReplica

_numbers = itertools.count()
_AVOIDED_SECONDS = 5.0
"""How long a server that could not be reached is asked last."""


class Hold:
    """Counted among others from its making until it is released, or nobody refers to it.

    A stream that is thrown away half read ends so too: nothing else tells of it. Adding and
    discarding are single steps of Python's sets, which a garbage collection can not fall between.
    """

    def __init__(self, among: set[int]) -> None:
        number = next(_numbers)
        among.add(number)
        self.release = weakref.finalize(self, among.discard, number)
        self.release.atexit = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


@dataclass(frozen=True)
class ServedAdapter:
    """An adapter that all servers have; `ref` is None for the base model."""

    ref: AdapterRef | None
    name: str
    """What the servers call it."""
    path: str = ""
    probes: tuple[Probe, ...] = ()
    """What it answered when it came."""
    held: set[int] = field(default_factory=set, compare=False, repr=False)


class Lease(Hold):
    """A request's right to an adapter, which stays loaded meanwhile."""

    def __init__(self, adapter: ServedAdapter) -> None:
        super().__init__(adapter.held)
        self.adapter = adapter

    @property
    def reference(self) -> str:
        """`legal@000003`, or `base`."""
        return str(self.adapter.ref or BASE)


@dataclass(eq=False)
class Route:
    """A server, and what runs on it."""

    replica: VllmReplica
    held: set[int] = field(default_factory=set)
    loading: threading.Lock = field(default_factory=threading.Lock)
    """Held by who loads or unloads there."""
    is_closed: bool = False
    avoided_until: float = 0.0


class Visit(Hold):
    """A request's stay on a server."""

    def __init__(self, route: Route) -> None:
        super().__init__(route.held)
        self.route = route


class FleetRouter:
    """The aliases, the adapters that are loaded, and the servers. It talks to nobody.

    Args:
        replicas: The servers.
        base: What they call the base model.
    """

    def __init__(self, replicas: Sequence[VllmReplica], *, base: str) -> None:
        self.routes = [Route(replica) for replica in replicas]
        self.base = ServedAdapter(None, base)
        self._adapters: dict[AdapterRef, ServedAdapter] = {}
        self._current: dict[str, AdapterRef] = {}
        self._lock = threading.Lock()
        self._turn = itertools.count()

    def current(self, name: str) -> AdapterRef | None:
        """What the name alone means now."""
        return self._current.get(name)

    def adapters(self) -> dict[AdapterRef, ServedAdapter]:
        """All that are loaded."""
        with self._lock:
            return dict(self._adapters)

    def lease(self, asked: str) -> Lease:
        """Take what a reference means at this moment.

        Args:
            asked: `base`, `legal`, `legal@current`, or a version, as `legal@000003`.

        Raises:
            ValueError: It is no reference.
            AdapterNotFoundError: It is not loaded.
        """
        if asked == BASE:
            return Lease(self.base)
        name, tag = split_reference(asked)
        with self._lock:
            ref = AdapterRef(name, int(tag)) if is_version(tag) else None
            if tag == CURRENT:
                ref = self._current.get(name)
            if ref is None or ref not in self._adapters:
                known = [str(ref) for ref in self._adapters]
                raise AdapterNotFoundError(asked, available=[BASE, *self._current, *known])
            return Lease(self._adapters[ref])

    def admit(self, adapter: ServedAdapter) -> None:
        """From now on it can be asked for by its version."""
        if adapter.ref:
            with self._lock:
                self._adapters.setdefault(adapter.ref, adapter)

    def flip(self, ref: AdapterRef) -> None:
        """From now on the name alone means this version."""
        with self._lock:
            self._current[ref.name] = ref

    def retire(self, ref: AdapterRef, *, seconds: float) -> bool:
        """Forget a version as soon as no request has it; False: one still has."""
        until = time.monotonic() + seconds
        while True:
            with self._lock:
                adapter = self._adapters.get(ref)
                if adapter is None or not adapter.held:
                    self._adapters.pop(ref, None)
                    return True
            if time.monotonic() >= until:
                return False
            time.sleep(0.01)

    def visit(self, tried: Sequence[Route]) -> Visit | None:
        """Go to the server with the fewest requests, of those not tried; None: all are loading.

        Raises:
            FleetError: All have been tried.
        """
        now, turn = time.monotonic(), next(self._turn)
        with self._lock:
            left = [route for route in self.routes if route not in tried]
            if not left:
                urls = ", ".join(route.replica.url for route in tried)
                msg = f"No server answers; tried were {urls}"
                raise FleetError(msg)
            shift = turn % len(left)
            free = [route for route in left[shift:] + left[:shift] if not route.is_closed]
            if not free:
                return None
            return Visit(min(free, key=lambda route: (route.avoided_until > now, len(route.held))))

    def avoid(self, route: Route) -> None:
        """For a while, ask the others first."""
        route.avoided_until = time.monotonic() + _AVOIDED_SECONDS

    @contextmanager
    def quiet(self, route: Route, *, seconds: float) -> Iterator[None]:
        """Send no request to a server, and wait until those that it has are answered.

        Raises:
            FleetError: They take too long.
        """
        with self._lock:
            route.is_closed = True
        try:
            until = time.monotonic() + seconds
            while route.held:
                if time.monotonic() >= until:
                    msg = (
                        f"{route.replica.url} still answers {len(route.held)} requests after "
                        f"{seconds} s: raise drain_seconds"
                    )
                    raise FleetError(msg)
                time.sleep(0.01)
            yield
        finally:
            with self._lock:
                route.is_closed = False
