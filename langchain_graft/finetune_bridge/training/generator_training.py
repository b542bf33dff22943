"""Conversations that a chat model learns from, for the training loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_graft.errors import MissingExtraError
from langchain_graft.finetune_bridge.training.chat_rows import step_places

try:
    import torch
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_graft.finetune_bridge.training.chat_rows import ChatTokens
    from langchain_graft.finetune_bridge.training.generator_step import TrainableGenerator
    from langchain_graft.finetune_bridge.training.settings import GeneratorSettings


@dataclass
class GeneratorTask:
    """To say what the assistant says in conversations; a `TrainingTask`."""

    settings: GeneratorSettings
    model: TrainableGenerator
    learned: Sequence[ChatTokens]
    held: Sequence[ChatTokens]

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """See `TrainingTask`."""
        return self.model.parameters()

    def epoch(self, number: int) -> list[list[int]]:
        """See `TrainingTask`."""
        size, seed = self.settings.batch_size, self.settings.seed
        return step_places(len(self.learned), size=size, seed=seed, epoch=number)

    def backward(self, places: Sequence[int], *, seed: int) -> float:
        """See `TrainingTask`."""
        torch.manual_seed(seed)  # of LoRA's dropout
        return self.model.backward([self.learned[place] for place in places])

    def evaluate(self) -> dict[str, float]:
        """See `TrainingTask`."""
        return {"loss": self.model.loss(self.held)}
