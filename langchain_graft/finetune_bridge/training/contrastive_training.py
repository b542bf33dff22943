"""The steps, evaluations and checkpoints of an embedding adapter's training."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from langchain_graft.errors import MissingExtraError
from langchain_graft.finetune_bridge.training.contrastive_batches import (
    answers_of,
    batch_places,
    make_batch,
)
from langchain_graft.finetune_bridge.training.contrastive_step import contrastive_loss
from langchain_graft.finetune_bridge.training.ranked_passages import ndcg_at_10
from langchain_graft.finetune_bridge.training.trained_adapter import TrainProgress, TrainReport

try:
    import torch
    from safetensors.torch import load_file, save_file
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from langchain_graft.finetune_bridge.training.contrastive_batches import ContrastiveBatch
    from langchain_graft.finetune_bridge.training.contrastive_step import TrainableEmbedder
    from langchain_graft.finetune_bridge.training.rows import EmbeddingRow
    from langchain_graft.finetune_bridge.training.run import TrainingRun
    from langchain_graft.finetune_bridge.training.settings import EmbeddingSettings
    from langchain_graft.finetune_bridge.training.trained_adapter import OnTrainProgress
    from langchain_graft.models.sentence_embeddings import SentenceEmbeddings

_JUDGED = 256
"""Held-out rows that an evaluation reads, at most: it is to cost little beside the steps."""
_POOL = 8192
"""Passages of fixed vectors among which a query chooses, at most."""
_WEIGHTS, _BEST, _OPTIMIZER, _STATE = (
    "weights.safetensors",
    "best.safetensors",
    "optimizer.safetensors",
    "state.json",
)


class FixedPassages:
    """Passages whose vectors stay as the base embeds them, each computed once."""

    def __init__(self, rows: Sequence[EmbeddingRow], embedder: SentenceEmbeddings) -> None:
        named = (text for row in rows for text in (row.positive, *row.negatives))
        texts = list(dict.fromkeys(named))
        self._places = {text: n for n, text in enumerate(texts)}
        self._vectors = torch.tensor(embedder.embed_documents(texts))
        self._vectors = self._vectors.to(next(embedder.transformer.parameters()).device)
        self.pool = texts if len(texts) <= _POOL else ()

    def of(self, texts: Sequence[str]) -> torch.Tensor:
        """Their vectors."""
        return self._vectors[[self._places[text] for text in texts]]


def learning_rate(step: int, steps: int, warmup: float) -> float:
    """Share of the highest learning rate: a line up, and a line down to 0 after the last step."""
    rising = warmup * steps
    if step < rising:
        return (step + 1) / (rising + 1)
    return (steps - step) / (steps - rising)


@dataclass
class _State:
    """Where a run is, beside the numbers that are trained."""

    step: int = 0
    best: float = math.inf
    """The lowest loss on the held-out rows."""
    waited: int = 0
    """Evaluations since the best one."""
    metrics: dict[str, float] = field(default_factory=dict)
    """What the held-out rows gave before, and gave when they were best."""
    resumed_at: int | None = None


@dataclass
class ContrastiveTraining:
    """Steps, evaluations and checkpoints of one run."""

    settings: EmbeddingSettings
    run: TrainingRun
    tell: OnTrainProgress
    model: TrainableEmbedder
    learned: Sequence[EmbeddingRow]
    held: Sequence[EmbeddingRow]
    fixed: FixedPassages | None
    state: _State = field(default_factory=_State)

    def __post_init__(self) -> None:
        self.parameters = self.model.parameters()
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(),
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )
        self.answers = answers_of([*self.learned, *self.held])
        self.best = _copied(self.parameters)
        an_epoch = len(self._epoch(0))
        self.steps = min(an_epoch * self.settings.epochs, self.settings.max_steps or 10**9)

    def train(self) -> None:
        """All steps that are left; then the parameters are the best ones."""
        if (newest := self.run.newest_checkpoint()) is not None:
            self._restore(*newest)
        self.run.go_on_from(self.state.step)
        if self.held and not self.state.metrics:
            measured = self._evaluate()
            self.state.best = measured["loss"]
            self.state.metrics = {f"base_{name}": value for name, value in measured.items()}
            self.state.metrics |= measured
        started = time.monotonic()
        for batch in islice(self._batches(), self.state.step, self.steps):
            if self.state.waited >= self.settings.patience:
                break
            self._step(batch, started)
        _put(self.parameters, self.best)

    def report(self, seconds: float) -> TrainReport:
        """What was done."""
        losses = [record["loss"] for record in self.run.records if "loss" in record]
        tenth = max(1, len(losses) // 10)
        return TrainReport(
            rows=len(self.learned),
            held_out=len(self.held),
            steps=self.state.step,
            parameters=sum(one.numel() for one in self.parameters.values()),
            seconds=seconds,
            first_loss=sum(losses[:tenth]) / tenth,
            last_loss=sum(losses[-tenth:]) / tenth,
            ended="early" if self.state.step < self.steps else "done",
            resumed_at=self.state.resumed_at,
            metrics=self.state.metrics,
        )

    def _step(self, batch: ContrastiveBatch, started: float) -> None:
        settings, state = self.settings, self.state
        rate = learning_rate(state.step, self.steps, settings.warmup) * settings.learning_rate
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self.model.backward(
            batch,
            partial(contrastive_loss, batch=batch, scale=settings.scale, sizes=settings.matryoshka),
            seed=settings.seed + 1000 * (state.step + 1),
            passages=None if self.fixed is None else self.fixed.of(batch.passages),
        )
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), settings.max_gradient)
        self.run.log(state.step + 1, loss=loss, learning_rate=rate)
        self.optimizer.step()
        self.optimizer.zero_grad()
        state.step += 1
        measured = self._look_back()
        done = state.step - (state.resumed_at or 0)
        left = (time.monotonic() - started) / done * (self.steps - state.step)
        self.tell(
            TrainProgress(
                step=state.step,
                steps=self.steps,
                loss=loss,
                seconds_left=left,
                evaluation=measured,
            )
        )

    def _look_back(self) -> float | None:
        """Evaluate and make a checkpoint, if it is time for that."""
        state = self.state
        is_last = state.step == self.steps
        if state.step % self.settings.checkpoint_every and not is_last:
            return None
        measured = self._evaluate() if self.held else {}
        state.waited += 1
        if measured.get("loss", 0.0) < state.best:
            state.best, state.waited = measured.get("loss", math.inf), 0
            state.metrics |= measured
            self.best = _copied(self.parameters)
        self.run.keep(state.step, self._checkpoint)
        return measured.get("loss")

    @torch.no_grad()
    def _evaluate(self) -> dict[str, float]:
        judged = self.held[:: -(-len(self.held) // _JUDGED)]
        batch = make_batch(judged, self.answers, negatives=self.settings.negatives)
        queries = self.model.vectors(batch.queries, prompt_name="query")
        if self.fixed is None:
            passages = self.model.vectors(batch.passages, prompt_name="document")
        else:
            passages = self.fixed.of(batch.passages)
        loss = float(contrastive_loss(queries, passages, batch, scale=self.settings.scale))
        ndcg = ndcg_at_10(queries.cpu().numpy(), passages.cpu().numpy(), batch)
        self.run.log(self.state.step, evaluation=loss, ndcg_at_10=ndcg)
        return {"loss": loss, "ndcg_at_10": ndcg}

    def _batches(self) -> Iterator[ContrastiveBatch]:
        for epoch in range(self.settings.epochs):
            for places in self._epoch(epoch):
                yield make_batch(
                    [self.learned[place] for place in places],
                    self.answers,
                    negatives=self.settings.negatives,
                    pool=() if self.fixed is None else self.fixed.pool,
                )

    def _epoch(self, epoch: int) -> list[list[int]]:
        size, seed = self.settings.batch_size, self.settings.seed
        return batch_places(self.learned, size=size, seed=seed, epoch=epoch)

    def _checkpoint(self, folder: Path) -> None:
        save_file(_copied(self.parameters), folder / _WEIGHTS)
        save_file(self.best, folder / _BEST)
        moments = {
            f"{key} {name}": value
            for name, one in self.parameters.items()
            for key, value in self.optimizer.state.get(one, {}).items()
        }
        save_file(moments, folder / _OPTIMIZER)
        state = json.dumps(vars(replace(self.state, resumed_at=None)))
        (folder / _STATE).write_text(state, encoding="utf-8")

    def _restore(self, step: int, folder: Path) -> None:
        self.state = _State(**json.loads((folder / _STATE).read_text(encoding="utf-8")))
        self.state.resumed_at = step
        _put(self.parameters, load_file(folder / _WEIGHTS))
        self.best = load_file(folder / _BEST)
        for key, value in load_file(folder / _OPTIMIZER).items():
            kind, name = key.split(" ", 1)
            one = self.parameters[name]
            self.optimizer.state[one][kind] = value if kind == "step" else value.to(one.device)


def _copied(parameters: Mapping[str, torch.nn.Parameter]) -> dict[str, torch.Tensor]:
    return {name: one.detach().to("cpu", copy=True) for name, one in parameters.items()}


@torch.no_grad()
def _put(parameters: Mapping[str, torch.nn.Parameter], values: Mapping[str, torch.Tensor]) -> None:
    for name, one in parameters.items():
        one.copy_(values[name])
