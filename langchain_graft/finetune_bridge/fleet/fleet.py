"""Many vLLM servers of one base model: an adapter is on all of them before it answers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Self

from langchain_graft.errors import AdapterInUseError, FleetError
from langchain_graft.finetune_bridge.adapters.ref import AdapterRef
from langchain_graft.finetune_bridge.fleet.probe import (
    PROBE,
    Answer,
    check_answers,
    probes_of,
)
from langchain_graft.finetune_bridge.fleet.router import (
    FleetRouter,
    Lease,
    Route,
    ServedAdapter,
)
from langchain_graft.finetune_bridge.fleet.vllm_replica import VllmReplica

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from langchain_graft.finetune_bridge.adapters.manifest import Probe
    from langchain_graft.finetune_bridge.fleet.chat import FleetChatModel


_REMEMBERED = 10
"""Former versions of a name that a rollback can go back to, one after another."""


@dataclass(frozen=True)
class Promotion:
    """What a promotion did."""

    ref: AdapterRef
    """What the name means now."""
    former: AdapterRef | None
    """What it meant before."""
    left: tuple[str, ...] = ()
    """Why versions that nobody needs are still loaded: tried again at the next promotion."""


class Fleet:
    """Drives the adapters of vLLM servers, and says which of them a request gets.

    A version is loaded under a name of its own, `legal-000003`, never over another: vLLM keeps
    what it has computed, and which file to read, by the name (its issues 42125, 30931 and 33791).
    A promotion loads it on every server, sees that it is listed, asks a probe on each and compares
    the answers; then the alias flips here, in one step, requests that run end with the version
    that they began with, and when the last has ended the former version is unloaded. Whatever
    fails before the flip is undone, and the alias stays.

    The state lies in this object: one per fleet promotes. Made anew, it knows no alias until
    something is promoted; what the servers have loaded already is taken as it is, after a probe.

    Args:
        replicas: Addresses, or `VllmReplica`s; all serve the same base model.
        api_key: For those given as an address.
        timeout_seconds: Most time for a load, a probe, and between two pieces of an answer.
        drain_seconds: Most time to wait for requests that run, before the former version is left
            where it is.
        tolerance: Nats by which the answers to a probe may differ, between servers and from where
            the adapter was made.
        load_while_answering: Whether a server may load while it answers. Engines before vLLM's V1
            crashed at that (its issue 13698): with False one server after another is given no
            request, and loads when it has answered those that it had.

    Raises:
        ValueError: There is no replica, or one twice.
        FleetError: One does not answer, or they serve different base models.
    """

    def __init__(
        self,
        replicas: Sequence[str | VllmReplica],
        *,
        api_key: str | None = None,
        timeout_seconds: float = 120.0,
        drain_seconds: float = 300.0,
        tolerance: float = 0.2,
        load_while_answering: bool = True,
    ) -> None:
        self.replicas = [
            one
            if isinstance(one, VllmReplica)
            else VllmReplica(one, api_key=api_key, timeout_seconds=timeout_seconds)
            for one in replicas
        ]
        if len({one.url for one in self.replicas}) != max(len(replicas), 1):
            msg = f"Expected at least one server, each once, not {replicas!r}"
            raise ValueError(msg)
        self.timeout_seconds = timeout_seconds
        self._drain_seconds = drain_seconds
        self._tolerance = tolerance
        self._at_once = load_while_answering
        self._pool = ThreadPoolExecutor(
            len(replicas) if load_while_answering else 1, thread_name_prefix="graft-fleet"
        )
        self._writer = threading.Lock()
        self._former: dict[str, list[tuple[AdapterRef, ServedAdapter]]] = {}
        self._left: list[AdapterRef] = []
        try:
            bases = self._on_each(self.replicas, lambda one: one.base())
        except FleetError:
            self.close()
            raise
        if len(set(bases)) > 1:
            self.close()
            msg = f"The servers have different base models: {sorted(set(bases))}"
            raise FleetError(msg)
        self.router = FleetRouter(self.replicas, base=bases[0])

    @property
    def base(self) -> str:
        """What the servers call the base model."""
        return self.router.base.name

    def promote(
        self, ref: AdapterRef | str, path: str | PurePath, *, probe: Sequence[Probe] | str = PROBE
    ) -> Promotion:
        """Load a version everywhere, let the name mean it, unload the former one.

        Args:
            ref: Name and version, as `legal@000003`.
            path: Its folder as the servers see it, absolute; it is never to change.
            probe: As for `load`.

        Raises:
            ValueError: `ref` names no version, or the path is not absolute.
            FleetError: A server does not do as it should; nothing has changed.
        """
        with self._writing():
            self._load(_ref(ref), path, probe)
            return self._promote(_ref(ref))

    def load(
        self, ref: AdapterRef | str, path: str | PurePath, *, probe: Sequence[Probe] | str = PROBE
    ) -> None:
        """Load a version everywhere, to be asked for as `legal@000003`; no alias changes.

        Args:
            ref: Name and version.
            path: Its folder as the servers see it, absolute; it is never to change.
            probe: What it answered when it was made (a manifest's `probe`), or a prompt: then the
                servers must agree with each other. An answer that is the base model's is refused.

        Raises:
            ValueError: `ref` names no version, or the path is not absolute.
            FleetError: A server does not do as it should; nothing has changed.
        """
        with self._writing():
            self._load(_ref(ref), path, probe)

    def rollback(self, name: str) -> Promotion:
        """Let the name mean what it meant before the last promotion.

        Raises:
            FleetError: It meant nothing before, or a server does not do as it should.
        """
        with self._writing():
            if not self._former.get(name):
                msg = f"{name!r} has meant nothing else since this fleet was made"
                raise FleetError(msg)
            *earlier, (ref, former) = self._former[name]
            self._load(ref, former.path, former.probes)
            promotion = self._promote(ref)
            self._former[name] = earlier
            return promotion

    def unload(self, ref: AdapterRef | str) -> None:
        """Unload a version when the requests that have it are answered.

        Raises:
            AdapterInUseError: The name means it, or requests have it for too long.
            FleetError: A server still has it.
        """
        ref = _ref(ref)
        with self._writing():
            if self.router.current(ref.name) == ref:
                msg = f"{str(ref)!r} is what {ref.name!r} means: promote another version first"
                raise AdapterInUseError(msg, adapter=str(ref))
            if left := self._retire(ref, seconds=self._drain_seconds):
                raise FleetError("\n".join(left))

    def lease(self, adapter: str) -> Lease:
        """Hold an adapter, as `with fleet.lease("legal"):`, so that it stays loaded.

        Raises:
            ValueError: It is no reference.
            AdapterNotFoundError: It is not loaded.
        """
        return self.router.lease(adapter)

    def chat_model(self, adapter: str = "base", **settings: Any) -> FleetChatModel:
        """A chat model that asks these servers.

        Args:
            adapter: `base`, `legal`, or `legal@000003`; a call may ask for another one by
                `config["configurable"]["adapter"]`.
            settings: Fields of langchain_openai's `BaseChatOpenAI`, such as `max_tokens`.
        """
        from langchain_graft.finetune_bridge.fleet.chat import FleetChatModel  # noqa: PLC0415

        return FleetChatModel.of_fleet(self, adapter=adapter, **settings)

    def load_again(self, lease: Lease, route: Route) -> None:
        """Give a server an adapter anew that it has lost, by a restart, say.

        Raises:
            FleetError: It does not take it, or answers otherwise with it than before.
        """
        adapter = lease.adapter
        with self._alone(route):
            served = route.replica.models()
            if adapter.name in served:
                return  # another request had it loaded
            if adapter.ref is None:
                msg = f"{route.replica.url} serves {sorted(served)} now, not {adapter.name!r}"
                raise FleetError(msg)
            with self._quiet(route):
                route.replica.load(adapter.name, adapter.path)
                found = [self._answers(route, adapter.name, one.prompt) for one in adapter.probes]
            try:
                who = f"{route.replica.url} with {adapter.name!r}, loaded anew"
                check_answers(found, adapter.probes, tolerance=self._tolerance, who=who)
            except FleetError:
                route.replica.unload(adapter.name)
                raise

    def close(self) -> None:
        """Close the connections; the servers keep what they have loaded."""
        self._pool.shutdown()
        for one in self.replicas:
            one.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self, ref: AdapterRef, path: str | PurePath, probe: Sequence[Probe] | str) -> None:
        name, path = _served_name(ref), str(path)
        if not PurePath(path).is_absolute():
            msg = f"Servers run in folders of their own: expected an absolute path, not {path!r}"
            raise ValueError(msg)
        probes = () if isinstance(probe, str) else tuple(probe)
        prompts = [probe] if isinstance(probe, str) else [one.prompt for one in probes] or [PROBE]
        new: list[Route] = []

        def load(route: Route) -> list[tuple[Answer, Answer]]:
            with self._alone(route), self._quiet(route):
                if name not in route.replica.models():
                    new.append(route)  # before it is there: a load may end behind its time
                route.replica.load(name, path)
                return [self._answers(route, name, prompt) for prompt in prompts]

        try:
            answers = self._on_each(self.router.routes, load)
            probes = probes or probes_of(prompts, answers[0])
            for replica, found in zip(self.replicas, answers, strict=True):
                who = f"{replica.url} with {name!r}"
                check_answers(found, probes, tolerance=self._tolerance, who=who)
        except BaseException as error:
            for reason in self._unload(name, new):
                error.add_note(f"It could not be undone: {reason}")
            raise
        self.router.admit(ServedAdapter(ref, name, path, probes_of(prompts, answers[0])))

    def _answers(self, route: Route, name: str, prompt: str) -> tuple[Answer, Answer]:
        """With the adapter, and without it."""
        ask = route.replica.next_logprobs
        return ask(name, prompt), ask(self.base, prompt)

    def _promote(self, ref: AdapterRef) -> Promotion:
        former = self.router.current(ref.name)
        self.router.flip(ref)
        waiting = [one for one in self._left if one != ref]
        left = []
        if former is not None and former != ref:
            kept = self.router.adapters()[former]
            earlier = self._former.get(ref.name, [])
            self._former[ref.name] = [*earlier, (former, kept)][-_REMEMBERED:]
            left = self._retire(former, seconds=self._drain_seconds)
        self._left = [former] if former is not None and left else []
        for one in waiting:
            if one != former and (failed := self._retire(one, seconds=0.0)):
                left += failed
                self._left.append(one)
        return Promotion(ref, former, tuple(left))

    def _retire(self, ref: AdapterRef, *, seconds: float) -> list[str]:
        """Unload it everywhere once no request has it; why that is not so."""
        name = _served_name(ref)
        if not self.router.retire(ref, seconds=seconds):
            return [f"{name!r} still answers requests after {seconds} s"]
        return self._unload(name, self.router.routes)

    def _unload(self, name: str, routes: Sequence[Route]) -> list[str]:
        """Unload from servers; what they answered where that failed."""

        def unload(route: Route) -> str | None:
            try:
                with self._alone(route):
                    route.replica.unload(name)
            except FleetError as error:
                return str(error)
            return None

        return [reason for reason in self._on_each(routes, unload) if reason]

    def _on_each(self, given: Sequence[Any], work: Callable[[Any], Any]) -> list[Any]:
        """Do it for each at once, to the end for all, then raise what any of them raised."""
        futures = [self._pool.submit(work, one) for one in given]
        errors = [error for future in futures if (error := future.exception())]
        if unexpected := [error for error in errors if not isinstance(error, FleetError)]:
            raise unexpected[0]
        if errors:
            raise FleetError("\n".join(map(str, errors))) from errors[0]
        return [future.result() for future in futures]

    def _quiet(self, route: Route) -> Any:
        if self._at_once:
            return nullcontext()
        return self.router.quiet(route, seconds=self._drain_seconds)

    @contextmanager
    def _alone(self, route: Route) -> Iterator[None]:
        with _held(route.loading, self.timeout_seconds + self._drain_seconds, route.replica.url):
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with _held(self._writer, self.timeout_seconds + self._drain_seconds, "the fleet"):
            yield


@contextmanager
def _held(lock: threading.Lock, seconds: float, what: str) -> Iterator[None]:
    if not lock.acquire(timeout=seconds):
        msg = f"Another promotion has been changing {what} for {seconds} s: try again later"
        raise FleetError(msg)
    try:
        yield
    finally:
        lock.release()


def _served_name(ref: AdapterRef) -> str:
    return f"{ref.name}-{ref.version:06}"


def _ref(ref: AdapterRef | str) -> AdapterRef:
    return ref if isinstance(ref, AdapterRef) else AdapterRef.parse(ref)
