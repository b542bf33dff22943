"""Keys and values of several replies in one tensor a layer: a row each, from its left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError

try:
    import torch
    from transformers import DynamicCache
    from transformers.cache_utils import (
        Cache,
        CacheLayerMixin,
        DynamicLayer,
        DynamicSlidingWindowLayer,
    )
except ImportError as error:
    raise MissingExtraError("hf") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

Stored = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of some tokens, `[heads, tokens, size]`, layer by layer."""

_LEAST_TOKENS = 64


@dataclass
class _Places:
    """Where the next forward writes; all layers look here."""

    slot: int = 0
    start: int = 0
    """Of a prompt's part in its row."""
    positions: torch.Tensor | None = None
    """`int[rows]`, of one token each; None: a prompt is read."""
    width: int = 0
    """Tokens of the longest row, the new one counted."""
    rows: torch.Tensor = field(default_factory=lambda: torch.arange(0))


class SlotLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]  # transformers' __init_subclass__
    """One layer's keys and values, `[slots, heads, tokens, size]`; what lies unused is finite."""

    is_sliding = False

    def __init__(self, places: _Places) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._places = places

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing is there until `update` knows how much."""

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *args: Any,  # noqa: ARG002 (transformers' signature)
        **kwargs: Any,  # noqa: ARG002
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new tokens; what each row has by now, in one view."""
        places = self._places
        self.keys = self._written(self.keys, key_states)
        self.values = self._written(self.values, value_states)
        if places.positions is None:
            rows = slice(places.slot, places.slot + 1)
            end = places.start + key_states.shape[2]
            return self.keys[rows, :, :end], self.values[rows, :, :end]
        rows = slice(len(places.rows))
        return self.keys[rows, :, : places.width], self.values[rows, :, : places.width]

    def _written(self, kept: torch.Tensor | None, new: torch.Tensor) -> torch.Tensor:
        places = self._places
        if places.positions is None:
            end = places.start + new.shape[2]
            kept = _roomy(kept, new, places.slot + 1, end)
            kept[places.slot, :, places.start : end] = new[0]
            return kept
        kept = _roomy(kept, new, len(places.rows), places.width)
        kept[places.rows, :, places.positions] = new[:, :, 0]
        return kept

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy the first tokens of a row into another."""
        self.put(target, self.part(source, tokens), tokens)

    def part(self, slot: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The first tokens of a row."""
        if self.keys is None or self.values is None:
            msg = "Nothing has been read yet"
            raise ValueError(msg)
        return self.keys[slot, :, :tokens], self.values[slot, :, :tokens]

    def put(self, slot: int, part: tuple[torch.Tensor, torch.Tensor], tokens: int) -> None:
        """Write the first tokens of a part into a row."""
        keys, values = part
        self.keys = _roomy(self.keys, keys[None], slot + 1, tokens)
        self.values = _roomy(self.values, values[None], slot + 1, tokens)
        self.keys[slot, :, :tokens] = keys[:, :tokens]
        self.values[slot, :, :tokens] = values[:, :tokens]

    def get_seq_length(self) -> int:
        """Tokens before the new ones, of the longest row."""
        places = self._places
        return places.start if places.positions is None else places.width - 1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Tokens that are looked at, and the first one's place."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """It grows."""
        return -1


class SlotCache(Cache):
    """Rows of several replies, each of its own length, for models that attend to all or a window.

    A row is a slot; slots are counted from 0 and have no gaps. Memory grows by doubling, as far as
    the longest row needs it, and is given back by `clear`.
    """

    def __init__(self, layers: int) -> None:
        self._places = _Places()
        self._layers = [SlotLayer(self._places) for _ in range(layers)]
        super().__init__(layers=list(self._layers))

    def at_prompt(self, slot: int, start: int) -> None:
        """The next forward reads a part of a prompt into that row, from that token on."""
        self._places.slot, self._places.start, self._places.positions = slot, start, None

    def at_tokens(self, positions: torch.Tensor) -> None:
        """The next forward has one token for each of the first rows, at these places."""
        places = self._places
        places.positions, places.width = positions, int(positions.max()) + 1
        places.rows = torch.arange(len(positions), device=positions.device)

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy the first tokens of a row into another."""
        for layer in self._layers if tokens else ():
            layer.move(source, target, tokens)

    def stored(self, slot: int, tokens: int) -> Stored:
        """A copy of the first tokens of a row."""
        parts = (layer.part(slot, tokens) for layer in self._layers)
        return [(keys.clone(), values.clone()) for keys, values in parts]

    def put(self, slot: int, stored: Stored, tokens: int) -> None:
        """Write the first of stored tokens into a row."""
        for layer, part in zip(self._layers, stored, strict=True):
            layer.put(slot, part, tokens)

    def clear(self) -> None:
        """Give the memory back."""
        for layer in self._layers:
            layer.keys = layer.values = None


def layers_in_slots(config: Any) -> int | None:
    """Layers of a model whose replies can share a `SlotCache`; None: it keeps other states."""
    layers = DynamicCache(config=config).layers
    kinds = {type(layer) for layer in layers}
    return len(layers) if kinds and kinds <= {DynamicLayer, DynamicSlidingWindowLayer} else None


def step_masks(model: Any, positions: torch.Tensor) -> Any:
    """What each row's new token looks at, as the model's `attention_mask`.

    Args:
        model: A causal language model.
        positions: `int[rows]`, of the new tokens.

    Returns:
        None for a single row, which looks at all that it has; `[rows, 1, 1, tokens]`; or one of
        these for each kind of layer.
    """
    if len(positions) == 1 and not _window(model):
        return None
    places = torch.arange(int(positions.max()) + 1, device=positions.device)[None]
    seen = places <= positions[:, None]
    window = _window(model)
    if window is None:
        return _mask(model, seen)
    near = seen & (places > positions[:, None] - window)
    if "full_attention" not in _layer_kinds(model):
        return _mask(model, near)
    return {"full_attention": _mask(model, seen), "sliding_attention": _mask(model, near)}


def _layer_kinds(model: Any) -> Sequence[str]:
    return getattr(model.config.get_text_config(decoder=True), "layer_types", None) or ()


def _window(model: Any) -> int | None:
    """Tokens that layers with a window look at; None: no layer has one."""
    kinds = _layer_kinds(model)
    window: int | None = getattr(model.config.get_text_config(decoder=True), "sliding_window", None)
    return window if "sliding_attention" in kinds or not kinds else None


def _mask(model: Any, seen: torch.Tensor) -> torch.Tensor:
    seen = seen[:, None, None]
    if model.config._attn_implementation != "eager":  # noqa: SLF001 (transformers has no other name)
        return seen
    least = torch.finfo(model.dtype).min
    return torch.zeros_like(seen, dtype=model.dtype).masked_fill(~seen, least)


def _roomy(kept: torch.Tensor | None, like: torch.Tensor, slots: int, tokens: int) -> torch.Tensor:
    """The tensor, or a larger copy of it, with room for so many slots and tokens."""
    had = (0, 0) if kept is None else (kept.shape[0], kept.shape[2])
    if kept is not None and slots <= had[0] and tokens <= had[1]:
        return kept
    size = [_doubled(had[0], slots), _doubled(max(had[1], _LEAST_TOKENS), tokens)]
    larger = like.new_zeros(size[0], like.shape[1], size[1], like.shape[3])
    if kept is not None:
        larger[: had[0], :, : had[1]] = kept
    return larger


def _doubled(size: int, least: int) -> int:
    size = max(size, 1)
    while size < least:
        size *= 2
    return size
