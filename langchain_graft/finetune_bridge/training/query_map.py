"""Query maps: learned over an embedder's vectors, whose weights stay as they are."""

from __future__ import annotations

import hashlib
import shutil
import time
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError
from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest
from langchain_graft.finetune_bridge.adapters.query_map import QueryMap
from langchain_graft.finetune_bridge.training.contrastive_batches import (
    answers_of,
    learned_and_held,
    make_batch,
)
from langchain_graft.finetune_bridge.training.doctor import examine_rows
from langchain_graft.finetune_bridge.training.known_vectors import known_of
from langchain_graft.finetune_bridge.training.ranked_passages import ndcg_at_10
from langchain_graft.finetune_bridge.training.rows import digest_of_rows
from langchain_graft.finetune_bridge.training.trained_adapter import TrainProgress, TrainReport
from langchain_graft.models.digest import embeddings_digest
from langchain_graft.models.embeddings import load_embeddings

try:
    import numpy as np
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from langchain_core.embeddings import Embeddings

    from langchain_graft.finetune_bridge.training.rows import EmbeddingRow
    from langchain_graft.finetune_bridge.training.run import TrainingRun
    from langchain_graft.finetune_bridge.training.settings import EmbeddingSettings
    from langchain_graft.finetune_bridge.training.trained_adapter import (
        OnTrainProgress,
        TrainedAdapter,
    )

_CHUNK = 256
"""Texts of a step, which is embedding them; the map itself takes seconds."""
_VECTORS, _TEXTS = "vectors.npy", "texts.sha256"


def train_query_map(
    settings: EmbeddingSettings,
    rows: Sequence[EmbeddingRow],
    run: TrainingRun,
    tell: OnTrainProgress,
    known: Mapping[str, Sequence[float]],
) -> TrainedAdapter:
    """Embed the rows' texts, resumably, and fit a `QueryMap` of the rank `settings.lora.r`.

    Of the other settings it takes `base`, `seed`, `eval_share`, `negatives` and `checkpoint_every`.
    Held-out rows are judged with the base's vectors and the map's.

    Raises:
        ValueError: The rows are too few, or hang together so that none can be held out.
    """
    started = time.monotonic()
    options: dict[str, Any] = {} if settings.device is None else {"device": settings.device}
    embedder = load_embeddings(settings.base, **options)
    vectors = _Vectors(embedder, rows, run, settings, known)
    resumed_at = vectors.embed(tell)
    learned, held = learned_and_held(rows, settings)
    change = _fit(learned, vectors, settings)
    run.write_adapter(change.save)
    metrics = _metrics(rows, held, vectors, change) if held else {}
    report = TrainReport(
        rows=len(learned),
        held_out=len(held),
        steps=vectors.steps,
        parameters=change.u.size + change.v.size,
        seconds=time.monotonic() - started,
        first_loss=0.0,
        last_loss=0.0,
        resumed_at=resumed_at,
        metrics=metrics,
        findings=tuple(examine_rows(learned)),
    )
    manifest = AdapterManifest(
        kind="query-map",
        base=settings.base,
        base_digest=embeddings_digest(embedder),
        data_digest=digest_of_rows(rows),
        side="query",
        settings=settings.to_json(),
        metrics=metrics,
    )
    return run.finish(manifest, report)


class _Vectors:
    """The rows' texts and their vectors, each once: queries, passages, those that are known."""

    def __init__(
        self,
        embedder: Embeddings,
        rows: Sequence[EmbeddingRow],
        run: TrainingRun,
        settings: EmbeddingSettings,
        known: Mapping[str, Sequence[float]],
    ) -> None:
        negatives = settings.negatives
        named = [t for row in rows for t in (row.positive, *row.negatives[:negatives])]
        queries = list(dict.fromkeys(row.query for row in rows))
        named = list(dict.fromkeys(named))
        self._known = known_of(named, known, embedder.embed_documents)
        passages = [text for text in named if text not in self._known]
        self._queries = {text: n for n, text in enumerate(queries)}
        all_passages = [*passages, *self._known]
        self._passages = {text: len(queries) + n for n, text in enumerate(all_passages)}
        asking: Callable[[list[str]], list[list[float]]] = getattr(
            embedder, "embed_queries", lambda texts: [embedder.embed_query(one) for one in texts]
        )
        self._chunks = [(asking, part) for part in _parts(queries)]
        self._chunks += [(embedder.embed_documents, part) for part in _parts(passages)]
        self._run = run
        self._every = settings.checkpoint_every
        self._texts = hashlib.sha256("\n".join([*queries, *passages]).encode()).hexdigest()
        self._found: np.ndarray | None = None
        self.steps = len(self._chunks)

    def embed(self, tell: OnTrainProgress) -> int | None:
        """Embed what no checkpoint has; the step from which it went on."""
        newest = self._run.newest_checkpoint()
        first = 0
        found = []
        if newest is not None and not self._is_of_these(newest[1]):
            shutil.rmtree(self._run.checkpoints)
            newest = None
        if newest is not None:
            first, folder = newest
            found.append(np.load(folder / _VECTORS, allow_pickle=False))
        started = time.monotonic()
        for step in range(first, self.steps):
            embed, texts = self._chunks[step]
            found.append(np.asarray(embed(texts), dtype=np.float32))
            done = step + 1
            if done % self._every == 0 or done == self.steps:
                self._keep(done, np.concatenate(found))
            left = (time.monotonic() - started) / (done - first) * (self.steps - done)
            tell(TrainProgress(step=done, steps=self.steps, loss=0.0, seconds_left=left))
        known = [np.asarray(list(self._known.values()), dtype=np.float32)]
        self._found = np.concatenate(found + known * bool(self._known))
        return None if newest is None else first

    def queries(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of queries."""
        return self._of([self._queries[text] for text in texts])

    def passages(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of passages."""
        return self._of([self._passages[text] for text in texts])

    def _of(self, places: list[int]) -> np.ndarray:
        assert self._found is not None  # noqa: S101 (embedded before)
        found: np.ndarray = self._found[places]
        return found

    def _is_of_these(self, folder: Path) -> bool:
        """Whether the same texts were embedded then, with the same ones known."""
        path = folder / _TEXTS
        return path.exists() and path.read_text(encoding="utf-8") == self._texts

    def _keep(self, step: int, vectors: np.ndarray) -> None:
        def write(folder: Path) -> None:
            np.save(folder / _VECTORS, vectors, allow_pickle=False)
            (folder / _TEXTS).write_text(self._texts, encoding="utf-8")

        self._run.keep(step, write)


def _fit(rows: Sequence[EmbeddingRow], vectors: _Vectors, settings: EmbeddingSettings) -> QueryMap:
    own = {row.positive for row in rows}
    texts = [text for row in rows for text in row.negatives[: settings.negatives]]
    negatives = [text for text in dict.fromkeys(texts) if text not in own]
    queries = vectors.queries([row.query for row in rows])
    return QueryMap.fit(
        queries,
        vectors.passages([row.positive for row in rows]),
        rank=min(settings.lora.r, queries.shape[1]),
        negatives=vectors.passages(negatives) if negatives else None,
        seed=settings.seed,
    )


def _metrics(
    rows: Sequence[EmbeddingRow],
    held: Sequence[EmbeddingRow],
    vectors: _Vectors,
    change: QueryMap,
) -> dict[str, float]:
    """Held-out queries, among the passages of all rows."""
    batch = make_batch(held, answers_of(rows), negatives=0, pool=[row.positive for row in rows])
    queries, passages = vectors.queries(batch.queries), vectors.passages(batch.passages)
    return {
        "ndcg_at_10": ndcg_at_10(change(queries), passages, batch),
        "base_ndcg_at_10": ndcg_at_10(queries, passages, batch),
    }


def _parts(texts: Sequence[str]) -> list[list[str]]:
    return [list(texts[start : start + _CHUNK]) for start in range(0, len(texts), _CHUNK)]
