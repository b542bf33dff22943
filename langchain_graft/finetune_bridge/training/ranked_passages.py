"""How well queries' vectors find their passages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_graft.errors import MissingExtraError

try:
    import numpy as np
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from langchain_graft.finetune_bridge.training.contrastive_batches import ContrastiveBatch

_DEPTH = 10


def ndcg_at_10(queries: np.ndarray, passages: np.ndarray, batch: ContrastiveBatch) -> float:
    """The mean of nDCG@10 over the queries (Järvelin and Kekäläinen, 2002), binary.

    Args:
        queries: `float32[queries, dimension]`, of length 1.
        passages: `float32[passages, dimension]`, likewise.
        batch: Whose vectors they are; a query's passages are its own and those that are right too.
    """
    right = np.zeros((len(queries), len(passages)), dtype=bool)
    right[np.arange(len(queries)), list(batch.own)] = True
    for query, passage in batch.right_too:
        right[query, passage] = True
    order = np.argsort(-(queries @ passages.T), axis=1, kind="stable")[:, :_DEPTH]
    discounts = 1 / np.log2(np.arange(_DEPTH) + 2)
    found = (np.take_along_axis(right, order, axis=1) * discounts[: order.shape[1]]).sum(axis=1)
    best = np.cumsum(discounts)[np.minimum(right.sum(axis=1), _DEPTH) - 1]
    return float((found / best).mean())
