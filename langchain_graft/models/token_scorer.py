"""How likely a model finds a text that is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np


@runtime_checkable
class TokenScorer(Protocol):
    """Scores the tokens of given texts; `TransformersEngine` does, llama.cpp's server can not."""

    def logprobs(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[np.ndarray]:
        """Natural logarithm of the probability of each token of each continuation.

        Returns:
            One `float32[tokens of that continuation]` each, in the order of the continuations.
        """
        ...

    def next_logprobs(self, prompts: Sequence[str], token_ids: Sequence[int]) -> np.ndarray:
        """Natural logarithm of the probability that each prompt goes on with each token.

        Returns:
            `float32[prompts, token_ids]`, of the whole vocabulary's distribution.
        """
        ...

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Start and end, in characters, of each token that `logprobs` scores in a continuation.

        Tokens that are parts of one character have the same span.
        """
        ...
