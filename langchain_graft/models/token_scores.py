"""How likely a causal language model finds tokens: in batches, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError

try:
    import numpy as np
    import torch
except ImportError as error:
    raise MissingExtraError("hf") from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HEAD_ROWS = 256
"""Positions whose logits over the whole vocabulary are in memory at once."""

Row = tuple[list[int], range]
"""Tokens, and the positions of which the next token is scored."""


def score_windows(total: int, first: int, size: int) -> list[tuple[int, int, int]]:
    """Windows over a row of tokens, such that each token from `first` on is scored once.

    A row that fits is one window. Otherwise each window goes on where the one before ended, and
    overlaps it such that every scored token sees at least `size // 2` tokens before it.

    Args:
        total: Tokens of the row.
        first: The first token to be scored, 1 or more: one that nothing precedes has no score.
        size: Tokens of a window, 2 or more.

    Returns:
        Triples: where a window begins, where it ends, and its first scored token, in order.
    """
    windows = []
    scored = first
    while scored < total:
        begin = 0 if scored < size else min(scored - size // 2, total - size)
        end = min(begin + size, total)
        windows.append((begin, end, scored))
        scored = end
    return windows


def batches(rows: Sequence[Row], most_tokens: int) -> Iterator[list[int]]:
    """Numbers of rows that are computed together: of like length, padded to `most_tokens`."""
    batch: list[int] = []
    for n in sorted(range(len(rows)), key=lambda n: -len(rows[n][0])):
        longest = len(rows[batch[0]][0]) if batch else len(rows[n][0])
        if batch and longest * (len(batch) + 1) > most_tokens:
            yield batch
            batch = []
        batch.append(n)
    if batch:
        yield batch


def head_is_plain(model: Any) -> bool:
    """Whether the logits are the output layer applied to the last hidden state, nothing else.

    Some models scale or cap them. It is tried on three tokens.
    """
    ids = torch.arange(3, device=model.device)[None]
    hidden = getattr(model.base_model(ids, use_cache=False), "last_hidden_state", None)
    head = model.get_output_embeddings()
    if hidden is None or head is None:
        return False
    logits = model(ids, use_cache=False).logits
    return torch.allclose(head(hidden).float(), logits.float(), rtol=1e-3, atol=1e-3)


def score_batch(
    model: Any, rows: Sequence[Row], token_ids: Sequence[int] | None, *, plain_head: bool
) -> list[np.ndarray]:
    """Natural logarithms of probabilities of tokens that may follow positions of rows.

    One forward. Rows are padded on the right, where a causal model does not look. With a plain head
    the logits are computed only where they are asked for, `HEAD_ROWS` positions at a time.

    Args:
        model: A causal language model.
        rows: Token ids, and the positions.
        token_ids: Tokens scored at each position; None: the one that follows there.
        plain_head: See `head_is_plain`.

    Returns:
        Per row `float32[positions, tokens]`.
    """
    at = [(n, place) for n, (_, places) in enumerate(rows) for place in places]
    if not at:
        return [np.zeros((0, 1), dtype=np.float32) for _ in rows]
    width = max(len(ids) for ids, _ in rows)
    padded = torch.tensor([[*ids, *[0] * (width - len(ids))] for ids, _ in rows])
    asked = [[rows[n][0][place + 1]] if token_ids is None else list(token_ids) for n, place in at]
    targets = torch.tensor(asked, device=model.device)
    states, head = _states(model, padded.to(model.device), plain_head=plain_head)
    index = torch.tensor(at, device=model.device)
    values = [
        head(states[where[:, 0], where[:, 1]]).float().log_softmax(-1).gather(-1, target)
        for where, target in zip(
            torch.split(index, HEAD_ROWS), torch.split(targets, HEAD_ROWS), strict=True
        )
    ]
    found = torch.cat(values).cpu().numpy()
    return np.split(found, np.cumsum([len(places) for _, places in rows])[:-1])


def _states(model: Any, ids: torch.Tensor, *, plain_head: bool) -> tuple[torch.Tensor, Any]:
    if plain_head:
        hidden = model.base_model(ids, use_cache=False).last_hidden_state
        return hidden, model.get_output_embeddings()
    return model(ids, use_cache=False).logits, lambda logits: logits
