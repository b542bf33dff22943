"""Low-rank products added to the linear layers of a model that is loaded once."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError

try:
    import torch
    from torch.nn.functional import linear
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence


FEW_TOKENS = 128
"""Up to here a processor is quicker in float32: in bfloat16 so narrow a product takes five times as
long, nearly all of it to begin. With more it is quicker in the layer's own numbers."""


@dataclass(frozen=True)
class LoraPair:
    """What one adapter adds to one linear layer: `x @ a.T @ b.T`.

    An embedding is a linear layer too, of tokens that are one-hot: it adds `a.T[token] @ b.T`.
    """

    a: torch.Tensor
    """`float[r, in]`."""
    b: torch.Tensor
    """`float[out, r]`, the scaling (alpha / r, or alpha / sqrt(r)) multiplied in."""

    def to(self, dtype: torch.dtype) -> LoraPair:
        """The same in other numbers."""
        return self if self.a.dtype == dtype else LoraPair(self.a.to(dtype), self.b.to(dtype))


class LoraLayers:
    """Adapters that lie beside a model's weights; each row of a batch has the one it asked for.

    LoRA: Hu et al., arXiv 2106.09685. The model is never changed: a hook on a linear layer adds
    the low-rank product to what the layer gives. Which adapter answers is said per forward, by
    `serving`, for the thread that runs it, so that nothing of a request is shared between threads.
    Rows of several adapters take two products a layer as well: their matrices lie side by side, and
    each row keeps the ranks of its own (S-LoRA, Sheng et al., arXiv 2311.03285, gathers them).
    Embeddings have hooks as linear layers have.

    `add` and `remove` may run while others compute: a forward has the adapters that there were when
    `serving` was entered.

    Args:
        model: Any torch module; its parameters stay as they are.
    """

    def __init__(self, model: Any) -> None:
        named = model.named_modules()
        self._modules = {name: one for name, one in named if _sizes(one) is not None}
        self._adapters: dict[Hashable, Mapping[str, LoraPair]] = {}
        self._now = threading.local()
        self._lock = threading.Lock()
        self._mixed: tuple[tuple[Hashable, ...], dict[str, LoraPair]] = ((), {})
        for layer, module in self._modules.items():
            module.register_forward_hook(self._hook(layer))

    def shape_of(self, layer: str) -> tuple[int, int] | None:
        """Outputs and inputs of a linear layer, or size and tokens of an embedding.

        None: the model has none of that name.
        """
        return _sizes(self._modules.get(layer))

    def placed(self, pairs: Mapping[str, LoraPair]) -> dict[str, LoraPair]:
        """Pairs on their layers' devices, in the numbers in which these compute.

        Args:
            pairs: By the name of the linear layer, as in `model.named_modules()`.

        Raises:
            ValueError: A pair does not fit its layer.
        """
        for layer, pair in pairs.items():
            expected = self.shape_of(layer)
            if expected != (pair.b.shape[0], pair.a.shape[1]):
                msg = f"{layer!r} is {expected}, the adapter {(pair.b.shape[0], pair.a.shape[1])}"
                raise ValueError(msg)
        return {layer: self._placed(layer, pair) for layer, pair in pairs.items()}

    def add(self, key: Hashable, pairs: Mapping[str, LoraPair]) -> None:
        """Keep an adapter under a key that is free.

        Args:
            key: Names it in `serving`.
            pairs: As `placed` gives them, which takes longer and may be done before.

        Raises:
            ValueError: The key is taken, or a pair does not fit its layer.
        """
        placed = self.placed(pairs)
        with self._lock:
            if key in self._adapters:
                msg = f"There is an adapter {key!r} already"
                raise ValueError(msg)
            self._adapters = {**self._adapters, key: placed}

    def remove(self, key: Hashable) -> None:
        """Forget an adapter; a forward that is under way ends with it."""
        with self._lock:
            self._adapters = {other: kept for other, kept in self._adapters.items() if other != key}
            if key in self._mixed[0]:
                self._mixed = ((), {})

    def __contains__(self, key: Hashable) -> bool:
        return key in self._adapters

    @contextmanager
    def serving(self, rows: Sequence[Hashable]) -> Iterator[None]:
        """Forwards of this thread, inside, have these adapters.

        Args:
            rows: One key for each row of the batch, None: the model as it is. A single one holds
                for all rows, whatever their number.

        Raises:
            KeyError: There is none of that key.
        """
        keys = tuple(dict.fromkeys(key for key in rows if key is not None))
        if not keys:
            yield
            return
        adapters = self._adapters
        if missing := [key for key in keys if key not in adapters]:
            raise KeyError(missing[0])
        single = len(set(rows)) == 1
        self._now.pairs = adapters[keys[0]] if single else self._side_by_side(keys, adapters)
        self._now.mask = None if single else _Masks(rows, keys, adapters)
        try:
            yield
        finally:
            self._now.pairs = None

    def _hook(self, layer: str) -> Any:
        def add_product(module: Any, given: tuple[torch.Tensor, ...], out: torch.Tensor) -> Any:  # noqa: ARG001 (torch's signature)
            pairs = getattr(self._now, "pairs", None)
            if not pairs or (pair := pairs.get(layer)) is None:
                return None
            x = given[0]
            if x.is_floating_point():
                many = x.numel() > FEW_TOKENS * x.shape[-1]
                pair = pair.to(x.dtype) if many else pair
                inner = linear(x.to(pair.a.dtype), pair.a)  # (rows, tokens, ranks)
            else:
                inner = pair.a.T[x]
            if self._now.mask is not None:
                inner = inner.masked_fill_(self._now.mask.others(layer, inner), 0.0)
            return out.add_(linear(inner, pair.b))

        return add_product

    def _placed(self, layer: str, pair: LoraPair) -> LoraPair:
        """The pair on the layer's device; on a processor in float32 (`FEW_TOKENS`)."""
        weight = self._modules[layer].weight
        device: Any = weight.device
        dtype = torch.bfloat16 if not weight.dtype.is_floating_point else weight.dtype
        dtype = torch.float32 if device.type == "cpu" else dtype
        return LoraPair(*(part.to(device=device, dtype=dtype) for part in (pair.a, pair.b)))

    def _side_by_side(
        self, keys: tuple[Hashable, ...], adapters: Mapping[Hashable, Mapping[str, LoraPair]]
    ) -> dict[str, LoraPair]:
        """The adapters' matrices joined; the last ones are kept: a batch has many forwards."""
        with self._lock:
            known, joined = self._mixed
        if known == keys:
            return joined
        layers = dict.fromkeys(layer for key in keys for layer in adapters[key])
        joined = {}
        for layer in layers:
            pairs = [adapters[key][layer] for key in keys if layer in adapters[key]]
            joined[layer] = LoraPair(
                torch.cat([pair.a for pair in pairs]), torch.cat([pair.b for pair in pairs], dim=1)
            )
        with self._lock:
            self._mixed = (keys, joined)
        return joined


class _Masks:
    """Which of the joined ranks are not a row's own; most layers have the same ones."""

    def __init__(
        self,
        rows: Sequence[Hashable],
        keys: tuple[Hashable, ...],
        adapters: Mapping[Hashable, Mapping[str, LoraPair]],
    ) -> None:
        self._rows = rows
        self._adapters = {key: adapters[key] for key in keys}
        self._made: dict[tuple[tuple[Hashable, int], ...], torch.Tensor] = {}

    def others(self, layer: str, inner: torch.Tensor) -> torch.Tensor:
        """`bool[rows, 1, ranks]`, true where a rank is another adapter's."""
        ranks = tuple(
            (key, pairs[layer].a.shape[0])
            for key, pairs in self._adapters.items()
            if layer in pairs
        )
        if ranks not in self._made:
            owners = [key for key, rank in ranks for _ in range(rank)]
            mask = [[owner != row for owner in owners] for row in self._rows]
            self._made[ranks] = torch.tensor(mask, device=inner.device)[:, None]
        return self._made[ranks]


def linear_shapes(model: Any) -> Callable[[str], tuple[int, int] | None]:
    """Tells outputs and inputs of a model's linear layers by name, as `LoraLayers.shape_of` does.

    The model is only looked at.
    """
    named = {name: _sizes(module) for name, module in model.named_modules()}
    return named.get


def _sizes(module: Any) -> tuple[int, int] | None:
    """Outputs and inputs of a linear layer, size and tokens of an embedding; else None."""
    for names in (("out_features", "in_features"), ("embedding_dim", "num_embeddings")):
        outputs, inputs = (getattr(module, name, None) for name in names)
        if isinstance(outputs, int) and isinstance(inputs, int):
            return outputs, inputs
    return None
