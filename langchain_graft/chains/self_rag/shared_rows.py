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

    What all rows begin with is one forward of one row, whose keys and values are repeated; what is
    left of each is padded to the left, so that all end at the same place, and go on together. All
    methods run in the thread and context in which the model computes.

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
            places = torch.arange(shared, device=model.device)[None]
            self._forward([rows[0][:shared]], places, None)
            self._cache.batch_repeat_interleave(len(rows))
        rests = [list(row[shared:]) for row in rows]
        width = max(map(len, rests))
        gaps = [width - len(rest) for rest in rests]
        ids = [[0] * gap + rest for gap, rest in zip(gaps, rests, strict=True)]
        self._mask = torch.ones(len(rows), shared + width, dtype=torch.long, device=model.device)
        for n, gap in enumerate(gaps):
            self._mask[n, shared : shared + gap] = 0
        places = (self._mask.cumsum(-1) - 1)[:, shared:]
        self._next = torch.tensor([len(row) for row in rows], device=model.device)
        self.logits = self._forward(ids, places, self._mask if any(gaps) else None)
        """`float32[rows, vocabulary]`."""

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
