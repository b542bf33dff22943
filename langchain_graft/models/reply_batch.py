"""Replies that are computed together: one forward gives each of them its next token."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from langchain_graft.errors import MissingExtraError
from langchain_graft.models.prefixes import Prefixes
from langchain_graft.models.slot_cache import SlotCache, Stored, layers_in_slots, step_masks

try:
    import torch
    from transformers import DynamicCache
except ImportError as error:
    raise MissingExtraError("hf") from error

if TYPE_CHECKING:
    from langchain_graft.models.reply import Reply


Computing = Callable[[Sequence[Hashable]], AbstractContextManager[object]]
"""Makes the context of one forward, in the thread that computes, given the `Reply.variant` of each
of its rows, or the one of all rows."""


class ReplyBatch:
    """Replies that are under way; all its methods run in one thread.

    A round reads prompts, `batch_tokens` at most, then gives every reply a token. A reply whose
    reader is behind stands still: it is computed with the others and not taken on. What a prompt
    has in common with one that was read before, for the same variant, is not read again.

    Args:
        model: A causal language model.
        parallel: Most replies at once; the others wait in a line.
        batch_tokens: Most tokens of prompts in a round.
        prefix_tokens: Most tokens of ended replies whose states are kept.
    """

    def __init__(
        self,
        model: Any,
        *,
        parallel: int,
        batch_tokens: int,
        prefix_tokens: int,
    ) -> None:
        self.computing: Computing = lambda _: nullcontext()
        layers = layers_in_slots(model.config)
        self._states: _States = Together(model, layers) if layers else Apart(model)
        self._prefixes = Prefixes(prefix_tokens if layers else 0)
        self._parallel = parallel
        self._batch_tokens = batch_tokens
        self._waiting: deque[Reply] = deque()
        self._reading: Reply | None = None
        self._rows: list[Reply] = []
        self.ended = 0
        """How many have ended; any thread may look."""

    def add(self, reply: Reply) -> None:
        """Take a reply into the line."""
        self._waiting.append(reply)

    @property
    def has_work(self) -> bool:
        """Whether a round would do anything."""
        return bool(
            self._reading
            or (self._waiting and len(self._rows) < self._parallel)
            or any(row.closed or not row.is_ahead for row in self._rows)
            or any(reply.closed for reply in self._waiting)
        )

    def forget(self, variant: Hashable) -> None:
        """Drop what is kept of ended replies of a variant."""
        self._prefixes.forget(variant)

    def round(self) -> None:
        """Read on, and give every reply a token; those who asked are told of an error."""
        try:
            self._drop_closed()
            self._read()
            self._step()
        except Exception as error:  # noqa: BLE001 (whatever a model can raise)
            failed = [*self._rows, *([self._reading] if self._reading else [])]
            self._rows, self._reading = [], None
            for reply in failed:
                reply.fail(error)
                self._end(reply)
        if not self._rows and not self._reading:
            self._states.clear()

    def _end(self, reply: Reply) -> None:
        self.ended += 1
        reply.end()

    def _drop_closed(self) -> None:
        if any(reply.closed for reply in self._waiting):
            for reply in [reply for reply in self._waiting if reply.closed]:
                self._waiting.remove(reply)
                self._end(reply)
        if self._reading and self._reading.closed:
            self._end(self._reading)
            self._reading = None
        for slot in reversed(range(len(self._rows))):
            if self._rows[slot].closed:
                self._remove(slot)

    def _read(self) -> None:
        room = self._batch_tokens
        while room > 0 and (reply := self._next_prompt()):
            slot = len(self._rows)
            part = reply.ids[reply.read : reply.read + room]
            try:
                with self.computing([reply.variant]):
                    logits = self._states.read(slot, part, reply.read)
            except Exception as error:  # noqa: BLE001 (the others go on)
                self._reading = None
                reply.fail(error)
                self._end(reply)
                continue
            reply.read += len(part)
            room -= len(part)
            if reply.read == len(reply.ids):
                self._reading = None
                self._rows.append(reply)
                _take(reply, logits)
                if reply.finished:
                    self._remove(slot)

    def _next_prompt(self) -> Reply | None:
        if self._reading is None and self._waiting and len(self._rows) < self._parallel:
            self._reading = self._waiting.popleft()
            self._reading.begun = True
            self._reading.read = self._reuse(self._reading, len(self._rows))
        return self._reading

    def _reuse(self, reply: Reply, slot: int) -> int:
        """Copy the states of what was read before; the number of its tokens, not all there are."""
        live = [
            (row.ids[: row.read], n)
            for n, row in enumerate(self._rows)
            if row.variant == reply.variant and self._states.divisible
        ]
        tokens, source = self._prefixes.longest(reply.variant, reply.ids[:-1], live)
        if isinstance(source, int):
            self._states.move(source, slot, tokens)
        elif source is not None:
            self._states.put(slot, source, tokens)
        return tokens

    def _step(self) -> None:
        rows = self._rows
        if all(row.is_ahead for row in rows):
            return
        with self.computing([row.variant for row in rows]):
            logits = self._states.step([row.ids[-1] for row in rows], [row.read for row in rows])
        likeliest = logits.argmax(-1).tolist()
        for slot in reversed(range(len(rows))):
            row = rows[slot]
            if not row.is_ahead:
                row.read += 1
                _take(row, logits[slot], likeliest[slot])
            if row.finished:
                self._remove(slot)

    def _remove(self, slot: int) -> None:
        """Take a row out; the last one has its slot then, so that there is no gap."""
        gone, last = self._rows[slot], len(self._rows) - 1
        if self._prefixes.wants(gone.variant, gone.ids[: gone.read]):
            kept = self._states.stored(slot, gone.read)
            self._prefixes.keep(gone.variant, gone.ids[: gone.read], kept)
        if slot != last:
            self._states.move(last, slot, self._rows[last].read)
            self._rows[slot] = self._rows[last]
        self._rows.pop()
        self._end(gone)
        if self._reading:
            self._states.move(last + 1, last, self._reading.read)


def _take(reply: Reply, logits: torch.Tensor, likeliest: int | None = None) -> None:
    """Let a reply choose its token; what is wrong with its settings ends it alone."""
    try:
        reply.take(logits, likeliest)
    except Exception as error:  # noqa: BLE001 (whatever settings can lead to)
        reply.fail(error)


class _States(Protocol):
    """A model, and the states of the rows that it has read."""

    divisible: bool
    """Whether the states of a row's beginning can be had by themselves."""

    def read(self, slot: int, ids: Sequence[int], start: int) -> torch.Tensor:
        """Read a part of a prompt; the logits behind it, `float32[vocabulary]`."""
        ...

    def step(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """Read a token in each of the first rows; `float32[rows, vocabulary]`."""
        ...

    def move(self, source: int, target: int, tokens: int) -> None: ...

    def stored(self, slot: int, tokens: int) -> Stored: ...

    def put(self, slot: int, stored: Stored, tokens: int) -> None: ...

    def clear(self) -> None: ...


class Together:
    """All rows in one forward."""

    divisible = True

    def __init__(self, model: Any, layers: int) -> None:
        self._model = model
        self._cache = SlotCache(layers)
        self.move, self.stored = self._cache.move, self._cache.stored
        self.put, self.clear = self._cache.put, self._cache.clear

    def read(self, slot: int, ids: Sequence[int], start: int) -> torch.Tensor:
        """See `_States`."""
        self._cache.at_prompt(slot, start)
        given = torch.tensor([ids], device=self._model.device)
        places = torch.arange(start, start + len(ids), device=self._model.device)[None]
        return self._forward(given, places, None)[0]

    def step(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """See `_States`."""
        at = torch.tensor(positions, device=self._model.device)
        self._cache.at_tokens(at)
        given = torch.tensor(tokens, device=self._model.device)[:, None]
        return self._forward(given, at[:, None], step_masks(self._model, at))

    def _forward(self, ids: torch.Tensor, places: torch.Tensor, mask: Any) -> torch.Tensor:
        found = self._model(
            ids,
            position_ids=places,
            attention_mask=mask,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = found.logits[:, -1].float()
        return logits


class Apart:
    """A forward for each row, for models that keep other states than keys and values."""

    divisible = False

    def __init__(self, model: Any) -> None:
        self._model = model
        self._rows: dict[int, _Row] = {}

    def read(self, slot: int, ids: Sequence[int], start: int) -> torch.Tensor:
        """See `_States`."""
        if start == 0:
            self._rows[slot] = _Row(DynamicCache(config=self._model.config))
        row = self._rows[slot]
        if start == row.read:  # otherwise it stood still: these tokens have been read
            given = torch.tensor([ids], device=self._model.device)
            found = self._model(given, past_key_values=row.cache, use_cache=True, logits_to_keep=1)
            row.read, row.logits = start + len(ids), found.logits[0, -1].float()
        logits: torch.Tensor = row.logits
        return logits

    def step(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """See `_States`."""
        rows = zip(tokens, positions, strict=True)
        return torch.stack([self.read(n, [token], place) for n, (token, place) in enumerate(rows)])

    def move(self, source: int, target: int, tokens: int) -> None:  # noqa: ARG002
        """See `_States`."""
        self._rows[target] = self._rows[source]

    def clear(self) -> None:
        """See `_States`."""
        self._rows = {}

    def stored(self, slot: int, tokens: int) -> Stored:
        """They can not be parted."""
        raise NotImplementedError

    def put(self, slot: int, stored: Stored, tokens: int) -> None:
        """They can not be parted."""
        raise NotImplementedError


@dataclass
class _Row:
    cache: Any
    read: int = 0
    logits: Any = None
