"""Pairs of answers, one better than the other, for the training loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_graft.errors import MissingExtraError
from langchain_graft.finetune_bridge.training.chat_rows import step_places

try:
    import torch
    from torch.nn.functional import logsigmoid
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_graft.finetune_bridge.training.chat_rows import ChatTokens
    from langchain_graft.finetune_bridge.training.generator_step import TrainableGenerator
    from langchain_graft.finetune_bridge.training.settings import PreferenceSettings


@dataclass
class PreferenceTask:
    """To find the better answer more probable than the worse one; a `TrainingTask`.

    The loss is direct preference optimisation's (Rafailov et al., arXiv 2305.18290, equation 7):
    -log sigmoid(beta * (m - r)), where m is how much more probable the better answer is than the
    worse one, as natural logarithms, and r the same before the first step: with a new LoRA by the
    base, with one that is trained further by that. It is computed once, when the task is made.

    Args:
        settings: Of the run.
        model: As it is before the first step.
        learned: Pairs, each a sequence of two conversations, the better one first.
        held: Likewise.
    """

    settings: PreferenceSettings
    model: TrainableGenerator
    learned: Sequence[ChatTokens]
    held: Sequence[ChatTokens]
    _before: dict[str, torch.Tensor] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for name, pairs in (("learned", self.learned), ("held", self.held)):
            if pairs:
                self._before[name] = _margins(self.model.logprobs(pairs))

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """See `TrainingTask`."""
        return self.model.parameters()

    def epoch(self, number: int) -> list[list[int]]:
        """See `TrainingTask`."""
        size, seed = self.settings.batch_size, self.settings.seed
        return step_places(len(self.learned), size=size, seed=seed, epoch=number)

    def backward(self, places: Sequence[int], *, seed: int) -> float:
        """See `TrainingTask`."""
        torch.manual_seed(seed + self.model.processes.rank)  # of LoRA's dropout
        before = self._before["learned"][list(places)]

        def loss_of(logprobs: torch.Tensor, some: Sequence[int]) -> torch.Tensor:
            gained = _margins(logprobs) - before[list(some)].to(logprobs.device)
            return -logsigmoid(self.settings.dpo_beta * gained).sum() / len(places)

        return self.model.backward_by([self.learned[place] for place in places], loss_of)

    def evaluate(self) -> dict[str, float]:
        """See `TrainingTask`.

        `accuracy` is the share of pairs whose margin has grown, `margin` by how much, times beta.
        """
        gained = _margins(self.model.logprobs(self.held)) - self._before["held"]
        scaled = self.settings.dpo_beta * gained
        return {
            "loss": float(-logsigmoid(scaled).mean()),
            "accuracy": float((gained > 0).float().mean()),
            "margin": float(scaled.mean()),
        }


def _margins(logprobs: torch.Tensor) -> torch.Tensor:
    return logprobs[:, 0] - logprobs[:, 1]
