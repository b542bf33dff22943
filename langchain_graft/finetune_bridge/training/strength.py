"""How much of what a LoRA learned is served: less of it forgets less."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

STRENGTHS = (1.0, 0.75, 0.5)
FEWEST_TO_CHOOSE_BY = 100
"""Fewer held-out rows tell strengths apart by chance."""


def strongest_use(
    network: Any, evaluate: Callable[[], Mapping[str, float]]
) -> tuple[float, Mapping[str, float]]:
    """The strength under which held-out queries find their passages best, and what they give there.

    A part of the way from the base to what was trained is often as good on what was learned, and
    keeps more of the rest (WiSE-FT, Wortsman et al., arXiv 2109.01903). Of equals the strongest is
    taken.

    Args:
        network: PEFT's.
        evaluate: What the held-out rows give now, `ndcg_at_10` among it.
    """
    found: dict[float, Mapping[str, float]] = {}
    for strength in STRENGTHS:
        with scaled(network, strength):
            found[strength] = evaluate()
    best = max(found, key=lambda strength: found[strength]["ndcg_at_10"])
    return best, found[best]


@contextmanager
def scaled(network: Any, strength: float) -> Iterator[None]:
    """The adapter's change is multiplied by `strength` meanwhile."""
    layers = [layer for layer in network.modules() if hasattr(layer, "lora_A")]
    before = [dict(layer.scaling) for layer in layers]
    try:
        for layer in layers:
            for name in layer.scaling:
                layer.scaling[name] *= strength
        yield
    finally:
        for layer, scaling in zip(layers, before, strict=True):
            layer.scaling.update(scaling)
