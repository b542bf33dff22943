"""Vectors of entities' names: one each, compared by cosine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_graft.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np


def vector_bytes(vector: Sequence[float]) -> bytes:
    """A vector of length 1, as `float32[dimension]`; of zeros where it is zeros."""
    return _unit(vector).tobytes()


def nearest(vector: Sequence[float], others: Mapping[str, bytes], *, k: int) -> dict[str, float]:
    """The cosines of the `k` vectors that lie nearest, by id; ties by id."""
    if not others:
        return {}
    import numpy as np

    ids = sorted(others)
    matrix = np.frombuffer(b"".join(others[id_] for id_ in ids), dtype=np.float32)
    asked = _unit(vector)
    if len(matrix) != len(ids) * len(asked):
        msg = (
            f"The vector has {len(asked)} dimensions, those of the graph have "
            f"{len(matrix) // len(ids)}: embed with the embedder of the graph"
        )
        raise ValueError(msg)
    cosines = matrix.reshape(len(ids), -1) @ asked
    order = np.argsort(-cosines, kind="stable")[:k]
    return {ids[n]: float(cosines[n]) for n in order}


def _unit(vector: Sequence[float]) -> np.ndarray:
    try:
        import numpy as np
    except ImportError as error:
        raise MissingExtraError("graph") from error
    values = np.asarray(vector, dtype=np.float32)
    length = float(np.linalg.norm(values))
    return values / length if length else values
