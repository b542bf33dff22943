"""Vectors of length 1, whose products are cosines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_graft.errors import MissingExtraError

try:
    import numpy as np
except ImportError as error:
    raise MissingExtraError("models") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

_TINY = 1e-12


def unit_vectors(vectors: Sequence[Sequence[float]]) -> np.ndarray:
    """float64[count, dimension], each of length 1; a vector of noughts stays one.

    Raises:
        ValueError: One holds what is no finite number, or is longer than another.
    """
    array = np.array(vectors, dtype=np.float64)
    lengths = np.linalg.norm(array, axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        msg = "A vector holds what is no finite number: mend the embedder"
        raise ValueError(msg)
    unit: np.ndarray = array / np.maximum(lengths, _TINY)
    return unit
