"""Rows of tokens that begin alike, computed together: what they share is read once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError
from langchain_graft.models.prefixes import common

try:
    import torch
    from transformers import DynamicCache
except ImportError as error:
    raise MissingExtraError("hf") from error

if TYPE_CHECKING:
    from collections.abc import Sequence


class SharedRows:
    """Rows under way in one batch, each with the logits behind its last token.

    What all rows begin with is read once, then what is left of each, one after another: nothing is
    padded there. Then their keys and values lie in one tensor, so that all end at the same place,
    and each further token of all rows is one forward. All methods run in the thread and context in
    which the model computes.

    Args:
        model: A causal language model that attends to all there is (no sliding window).
        rows: Token ids, 2 or more each.
    """

    def __init__(self, model: Any, rows: Sequence[Sequence[int]]) -> None:
        self._model = model
        self._cache = DynamicCache(config=model.config)
        shared = min(common(rows[0], row) for row in rows)
        shared = min(shared, min(map(len, rows)) - 1) if len(rows) > 1 else 0
        if shared:
            self._read(rows[0][:shared], 0)
        read: list[list[tuple[Any, Any]]] = []
        logits = []
        for row in rows:
            logits.append(self._read(row[shared:], shared))
            layers: Sequence[Any] = self._cache.layers
            read.append([(layer.keys, layer.values) for layer in layers])
            if len(rows) > 1:
                self._cache = self._without(len(row) - shared, shared)
        self.logits = torch.cat(logits)
        """`float32[rows, vocabulary]`."""
        self._next = torch.tensor([len(row) for row in rows], device=model.device)
        places = torch.arange(int(self._next.max()), device=model.device)
        self._mask = (places >= int(self._next.max()) - self._next[:, None]).long()
        if len(rows) > 1:
            self._cache = self._together(read)

    def push(self, tokens: Sequence[int]) -> None:
        """Read one more token in each row."""
        one = torch.ones(len(tokens), 1, dtype=torch.long, device=self._model.device)
        self._mask = torch.cat([self._mask, one], dim=-1)
        has_gaps = not bool(self._mask.all())
        places = self._next[:, None]
        self.logits = self._forward(
            [[token] for token in tokens], places, self._mask if has_gaps else None
        )
        self._next = self._next + 1

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only, in this order."""
        if len(rows) == len(self._mask):
            return
        kept = torch.tensor(rows, device=self._model.device)
        self._cache.batch_select_indices(kept)
        self._mask, self._next, self.logits = self._mask[kept], self._next[kept], self.logits[kept]

    def _read(self, ids: Sequence[int], start: int) -> torch.Tensor:
        places = torch.arange(start, start + len(ids), device=self._model.device)[None]
        return self._forward([ids], places, None)

    def _without(self, last: int, shared: int) -> DynamicCache:
        """What was read, without its last tokens: what the next row begins with."""
        if not shared:
            return DynamicCache(config=self._model.config)
        self._cache.crop(-last)
        return self._cache

    def _together(self, read: Sequence[Sequence[tuple[Any, Any]]]) -> DynamicCache:
        """The keys and values of all rows in one cache, each row at the right."""
        cache = DynamicCache(config=self._model.config)
        width = self._mask.shape[1]
        for n, layers in enumerate(zip(*read, strict=True)):
            keys, values = (
                torch.cat([_widened(one[part], width) for one in layers]) for part in (0, 1)
            )
            cache.update(keys, values, n)
        return cache

    def _forward(
        self, ids: Sequence[Sequence[int]], places: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        found = self._model(
            torch.tensor(ids, device=self._model.device),
            position_ids=places,
            attention_mask=mask,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = found.logits[:, -1].float()
        return logits


def _widened(states: torch.Tensor, width: int) -> torch.Tensor:
    """Keys or values, `[1, heads, tokens, size]`, with zeros before them up to that width."""
    return torch.nn.functional.pad(states, (0, 0, width - states.shape[2], 0))
