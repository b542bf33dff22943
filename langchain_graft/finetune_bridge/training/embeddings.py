"""Embedding adapters: an embedder learns which passage answers a query."""

from __future__ import annotations

import time
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError, TrainingError
from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest
from langchain_graft.finetune_bridge.serving.shelf import tokenizer_digest
from langchain_graft.finetune_bridge.training.contrastive_batches import learned_and_held
from langchain_graft.finetune_bridge.training.contrastive_step import StepSizes, TrainableEmbedder
from langchain_graft.finetune_bridge.training.contrastive_training import (
    ContrastiveTask,
    FixedPassages,
)
from langchain_graft.finetune_bridge.training.examination import (
    examine_layers,
    examine_pairs,
    refuse_what_is_hopeless,
)
from langchain_graft.finetune_bridge.training.loop import TrainingLoop, draws_and_threads_of
from langchain_graft.finetune_bridge.training.query_map import train_query_map
from langchain_graft.finetune_bridge.training.rows import digest_of_rows
from langchain_graft.finetune_bridge.training.run import open_run
from langchain_graft.finetune_bridge.training.strength import FEWEST_TO_CHOOSE_BY, strongest_use
from langchain_graft.models.embeddings import load_embeddings
from langchain_graft.models.torch_device import best_device, choose_dtype

try:
    import torch
    from peft import LoraConfig, get_peft_model

    from langchain_graft.models.sentence_embeddings import SentenceEmbeddings
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from langchain_graft.finetune_bridge.training.examination import Embed
    from langchain_graft.finetune_bridge.training.rows import EmbeddingRow
    from langchain_graft.finetune_bridge.training.run import TrainingRun
    from langchain_graft.finetune_bridge.training.settings import EmbeddingSettings
    from langchain_graft.finetune_bridge.training.trained_adapter import (
        OnTrainProgress,
        TrainedAdapter,
        TrainProgress,
    )

FEWEST_ROWS = 4


def train_embeddings(
    settings: EmbeddingSettings,
    rows: Sequence[EmbeddingRow],
    *,
    known: Mapping[str, Sequence[float]] | None = None,
    on_progress: OnTrainProgress | None = None,
) -> TrainedAdapter:
    """Train an adapter under which each query is near to its passage, and far from the others'.

    Contrastive learning with the batch's other passages, and given hard negatives, as what a query
    has to tell its own from. The same call goes on from the newest checkpoint after it was stopped,
    and finds what came out after it was done.

    The embedder that is trained is the one that will serve: texts are prefixed and cut into tokens
    as there. With `side="query"` passages keep the base's vectors, each computed once: that takes a
    fraction of the time, and an index stays as it is. With the method `query-map` the embedder may
    be any; what is learned is a `QueryMap`.

    Args:
        settings: What to train, on which base, and where.
        rows: Queries with their passages.
        known: Passages' vectors by the base, such as an index has: where passages keep theirs,
            they are not computed again. One is, to see that they are the base's.
        on_progress: Told after each step.

    Raises:
        TrainingError: The folder is another run's, the doctor found what would make it useless, the
            loss is no number, the disk or the memory is full, or it was interrupted; checkpoints
            stay usable.
        ModelError: The base can not be loaded.
        ValueError: The rows are too few, can not be split, or the base can not be trained so; or
            the known vectors are another embedder's.
    """
    if len(rows) < FEWEST_ROWS:
        msg = f"There are {len(rows)} rows; give {FEWEST_ROWS} or more, better hundreds"
        raise ValueError(msg)
    tell = on_progress or _tell_nobody
    with open_run(settings, data_digest=digest_of_rows(rows)) as run:
        if done := run.finished():
            return done
        train = train_query_map if settings.method == "query-map" else _train_lora
        with draws_and_threads_of(settings):
            return train(settings, rows, run, tell, known or {})


def _train_lora(
    settings: EmbeddingSettings,
    rows: Sequence[EmbeddingRow],
    run: TrainingRun,
    tell: OnTrainProgress,
    known: Mapping[str, Sequence[float]],
) -> TrainedAdapter:
    started = time.monotonic()
    learned, held = learned_and_held(rows, settings)
    device = settings.device or best_device()
    embedder = _load(settings, device)
    base = embedder._model  # noqa: SLF001 (nobody else has this one)
    passages = FixedPassages(rows, embedder, known) if settings.side == "query" else None
    network = _with_lora(base, settings)
    sizes = StepSizes(
        max_tokens=min(settings.max_tokens, int(base.max_seq_length or settings.max_tokens)),
        mini_batch_tokens=settings.mini_batch_tokens,
        kept_tokens=settings.kept_tokens,
    )
    model = TrainableEmbedder(base, sizes=sizes, numbers=choose_dtype(settings.dtype, device))
    task = ContrastiveTask(settings, model, learned, held, passages)
    findings = [
        examine_layers(network, settings.lora.target_modules),
        *examine_pairs(
            learned,
            [[learned[place] for place in places] for places in task.epoch(0)],
            _sides(embedder, TrainableEmbedder(base, sizes=sizes, numbers=torch.float32)),
        ),
    ]
    refuse_what_is_hopeless(findings, folder=settings.out)
    loop = TrainingLoop(settings, run, tell, task, findings=findings)
    loop.train()
    strength = settings.strength or 1.0
    measured: Mapping[str, float] = {}
    if settings.strength is None and len(held) >= FEWEST_TO_CHOOSE_BY:
        strength, measured = strongest_use(network, task.evaluate)
    run.write_adapter(partial(_save, network, settings, strength))
    report = loop.report(time.monotonic() - started, **measured, strength=strength)
    manifest = AdapterManifest(
        kind="embeddings",
        base=settings.base,
        base_digest=embedder.digest,
        tokenizer_digest=tokenizer_digest(embedder),
        data_digest=digest_of_rows(rows),
        side=settings.side,
        settings=settings.to_json(),
        metrics=dict(report.metrics),
    )
    return run.finish(manifest, report)


def _load(settings: EmbeddingSettings, device: str) -> SentenceEmbeddings:
    if settings.method != "lora":
        msg = (
            f"The method {settings.method!r} is not there for embedders, which are small: take "
            "'lora', or 'query-map' for any embedder"
        )
        raise ValueError(msg)
    try:
        embedder = load_embeddings(settings.base, device=device, dtype="float32")
    except TypeError as error:  # it has no device: it computes elsewhere, or without torch
        raise _untrainable(settings) from error
    if not isinstance(embedder, SentenceEmbeddings):
        raise _untrainable(settings)
    return embedder


def _untrainable(settings: EmbeddingSettings) -> ValueError:
    msg = (
        f"The weights of {settings.base!r} can not be trained here: it is no sentence-transformers "
        "model. Take method='query-map', which changes queries' vectors"
    )
    return ValueError(msg)


def _with_lora(base: Any, settings: EmbeddingSettings) -> Any:
    """The network with new low-rank products, which alone are trained."""
    lora = settings.lora
    named = base[0].model.named_modules()
    unused = [name for name, part in named if name.startswith("pooler") and hasattr(part, "weight")]
    targets = lora.target_modules
    torch.manual_seed(settings.seed)
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,  # type: ignore[arg-type] # PEFT only divides it
        lora_dropout=lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        exclude_modules=unused or None,
        use_rslora=lora.use_rslora,
        task_type="FEATURE_EXTRACTION",
    )
    config.base_model_name_or_path = settings.base
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecations among libraries
        try:
            base[0].model = get_peft_model(base[0].model, config)
        except ValueError as error:
            msg = f"LoRA can not be put into {settings.base!r}: {error}"
            raise TrainingError(msg, folder=settings.out) from error
    return base[0].model


def _sides(
    embedder: SentenceEmbeddings, model: TrainableEmbedder
) -> dict[str, tuple[Embed, Embed]]:
    """How a text is embedded in training, before the first step, and where it is served."""

    def trained(text: str, *, prompt_name: str) -> list[float]:
        vector: list[float] = model.vectors([text], prompt_name=prompt_name)[0].tolist()
        return vector

    return {
        "query": (partial(trained, prompt_name="query"), embedder.embed_query),
        "document": (
            partial(trained, prompt_name="document"),
            lambda text: embedder.embed_documents([text])[0],
        ),
    }


def _save(network: Any, settings: EmbeddingSettings, strength: float, folder: Path) -> None:
    config = network.peft_config["default"]
    config.base_model_name_or_path = settings.base
    config.lora_alpha = settings.lora.alpha * strength
    network.save_pretrained(folder, save_embedding_layers=False)


def _tell_nobody(progress: TrainProgress) -> None:
    pass
