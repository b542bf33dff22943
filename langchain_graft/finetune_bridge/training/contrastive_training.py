"""Queries with their passages that an embedder learns from, for the training loop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from langchain_graft.errors import MissingExtraError
from langchain_graft.finetune_bridge.training.contrastive_batches import (
    answers_of,
    batch_places,
    make_batch,
)
from langchain_graft.finetune_bridge.training.contrastive_step import contrastive_loss, drift
from langchain_graft.finetune_bridge.training.known_vectors import known_of
from langchain_graft.finetune_bridge.training.random_texts import RandomTexts
from langchain_graft.finetune_bridge.training.ranked_passages import ndcg_at_10

try:
    import torch
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_graft.finetune_bridge.training.contrastive_batches import ContrastiveBatch
    from langchain_graft.finetune_bridge.training.contrastive_step import TrainableEmbedder
    from langchain_graft.finetune_bridge.training.rows import EmbeddingRow
    from langchain_graft.finetune_bridge.training.settings import EmbeddingSettings
    from langchain_graft.models.sentence_embeddings import SentenceEmbeddings

    Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

_JUDGED = 256
"""Held-out rows that an evaluation reads, at most: it is to cost little beside the steps."""
_POOL = 8192
"""Passages of fixed vectors among which a query chooses, at most."""


class FixedPassages:
    """Passages whose vectors stay as the base embeds them, each computed once.

    Args:
        rows: Whose passages they are.
        embedder: The base.
        known: Vectors that it gave before.
    """

    def __init__(
        self,
        rows: Sequence[EmbeddingRow],
        embedder: SentenceEmbeddings,
        known: Mapping[str, Sequence[float]],
    ) -> None:
        named = (text for row in rows for text in (row.positive, *row.negatives))
        texts = list(dict.fromkeys(named))
        self._places = {text: n for n, text in enumerate(texts)}
        vectors = dict(known_of(texts, known, embedder.embed_documents))
        new = [text for text in texts if text not in vectors]
        vectors |= dict(zip(new, embedder.embed_documents(new), strict=True))
        self._vectors = torch.tensor([list(vectors[text]) for text in texts])
        self._vectors = self._vectors.to(next(embedder.transformer.parameters()).device)
        self.pool = texts if len(texts) <= _POOL else ()

    def of(self, texts: Sequence[str]) -> torch.Tensor:
        """Their vectors."""
        return self._vectors[[self._places[text] for text in texts]]


@dataclass
class ContrastiveTask:
    """To find each query's passage among a batch's; a `TrainingTask`."""

    settings: EmbeddingSettings
    model: TrainableEmbedder
    learned: Sequence[EmbeddingRow]
    held: Sequence[EmbeddingRow]
    fixed: FixedPassages | None

    def __post_init__(self) -> None:
        self._answers = answers_of([*self.learned, *self.held])
        self._random = RandomTexts(self.model.vocabulary) if self.settings.keep else None

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """See `TrainingTask`."""
        return self.model.parameters()

    def epoch(self, number: int) -> list[list[int]]:
        """See `TrainingTask`."""
        size, seed = self.settings.batch_size, self.settings.seed
        together = self.settings.group_rows
        return batch_places(self.learned, size=size, seed=seed, epoch=number, group_rows=together)

    def backward(self, places: Sequence[int], *, seed: int) -> float:
        """See `TrainingTask`."""
        settings = self.settings
        batch = make_batch(
            [self.learned[place] for place in places],
            self._answers,
            negatives=settings.negatives,
            pool=() if self.fixed is None else self.fixed.pool,
        )
        passages = None if self.fixed is None else self.fixed.of(batch.passages)
        loss_of: Loss = partial(
            contrastive_loss, batch=batch, scale=settings.scale, sizes=settings.matryoshka
        )
        if self._random is not None:
            batch, loss_of = self._holding(batch, loss_of, self._random, seed)
        return self.model.backward(batch, loss_of, seed=seed, passages=passages)

    def _holding(
        self, batch: ContrastiveBatch, loss_of: Loss, texts: RandomTexts, seed: int
    ) -> tuple[ContrastiveBatch, Loss]:
        """With random texts beside the batch's, whose vectors are to stay as the base's."""
        asked = texts.queries(seed)
        found = [] if self.fixed else texts.passages(seed)
        base = self.model.base_vectors(asked, prompt_name="query")
        if found:
            base = torch.cat([base, self.model.base_vectors(found, prompt_name="document")])
        queries, passages = len(batch.queries), len(batch.passages)

        def with_drift(asked: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
            moved = drift(torch.cat([asked[queries:], found[passages:]]), base)
            return loss_of(asked[:queries], found[:passages]) + self.settings.keep * moved

        more = replace(batch, queries=[*batch.queries, *asked], passages=[*batch.passages, *found])
        return more, with_drift

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """See `TrainingTask`."""
        judged = self.held[:: -(-len(self.held) // _JUDGED)]
        pool = () if self.fixed is None else self.fixed.pool
        batch = make_batch(judged, self._answers, negatives=self.settings.negatives, pool=pool)
        queries = self.model.vectors(batch.queries, prompt_name="query")
        if self.fixed is None:
            passages = self.model.vectors(batch.passages, prompt_name="document")
        else:
            passages = self.fixed.of(batch.passages)
        loss = float(contrastive_loss(queries, passages, batch, scale=self.settings.scale))
        ndcg = ndcg_at_10(queries.cpu().numpy(), passages.cpu().numpy(), batch)
        return {"loss": loss, "ndcg_at_10": ndcg}
