"""A model that writes and judges by reflection tokens, trained on one's own rows (Self-RAG)."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

from langchain_graft.chains.self_rag.reflection_prompt import ReflectionPrompt
from langchain_graft.chains.self_rag.reflection_rows import ReflectionEncoder
from langchain_graft.chains.self_rag.reserved_tokens import reserved_tokens
from langchain_graft.finetune_bridge.training.doctor import check_labels, examine_rows
from langchain_graft.finetune_bridge.training.examination import examine_layers
from langchain_graft.finetune_bridge.training.generator import Prepared, train_chats
from langchain_graft.finetune_bridge.training.generator_training import GeneratorTask
from langchain_graft.models.model_tokenizer import ModelTokenizer
from langchain_graft.models.torch_device import choose_dtype
from langchain_graft.models.transformers_weights import find_weights, load_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_graft.finetune_bridge.training.chat_rows import ChatTokens
    from langchain_graft.finetune_bridge.training.rows import ReflectionRow
    from langchain_graft.finetune_bridge.training.settings import ReflectionSettings
    from langchain_graft.finetune_bridge.training.trainable_base import TrainableBase
    from langchain_graft.finetune_bridge.training.trained_adapter import (
        OnTrainProgress,
        TrainedAdapter,
    )

IGNORED = -100


def train_self_rag(
    settings: ReflectionSettings,
    rows: Sequence[ReflectionRow],
    *,
    on_progress: OnTrainProgress | None = None,
) -> TrainedAdapter:
    """Train an adapter that writes and judges by reflection tokens, or judges alone.

    The thirteen tokens are tokens that the base has and nothing says (`reserved_tokens`); their
    rows, in the embeddings and the head, are trained with the adapter and lie in it
    (`finetune_bridge.training.token_rows`), so that the base stays as it is, and a critic and a
    generator go with one base. A row of a token begins as the mean of those of its words. Served,
    by an `AdapterEngine`, it goes into `create_self_rag_chain` as any chat model; the manifest
    names its tokens.

    In the paper a critic learns first, and labels what the generator learns from (Asai et al.
    2023, section 3.2): train one with `learns="critic"`, give it to `label_rows`, and train on
    these. Resuming, and what comes out, are as of `train_generator`; of a row nothing is learned
    that it does not say.

    Args:
        settings: What to train, on which base, and where.
        rows: Questions with answers, passages and judgements.
        on_progress: Told after each step.

    Raises:
        TrainingError: As of `train_generator`.
        ModelError: The base can not be loaded, or has too few tokens that nothing says.
        ValueError: No row fits, or the rows can not be split.

    Example:
        >>> trained = train_self_rag(ReflectionSettings(base="hf:smollm2-135m", out="run"), rows)
        >>> ref = store.register(trained.folder, "reflecting", manifest=trained.manifest)
        >>> chain = create_self_rag_chain(adapters.chat_model("reflecting"), retriever)
    """
    return train_chats(with_tokens(settings), rows, _prepared, on_progress=on_progress)


def with_tokens(settings: ReflectionSettings) -> ReflectionSettings:
    """The settings with the tokens of their base that stand for the reflection tokens.

    Raises:
        ModelError: The base can not be loaded, or has too few.
    """
    if settings.lora.token_rows:
        return settings
    weights = find_weights(settings.base.removeprefix("hf:"))
    model, fast, _ = load_weights(weights, device="cpu", dtype=choose_dtype(settings.dtype, "cpu"))
    tokenizer = ModelTokenizer(fast, name=weights.name)
    known = reserved_tokens(tokenizer, model.get_input_embeddings().num_embeddings)
    rows = tuple((token, label) for label, token in known.items())
    return replace(settings, lora=replace(settings.lora, token_rows=rows))


def _prepared(
    settings: ReflectionSettings,
    base: TrainableBase,
    learned: Sequence[ReflectionRow],
    held: Sequence[ReflectionRow],
) -> Prepared:
    token_ids = {label: token for token, label in settings.lora.token_rows}
    encoder = ReflectionEncoder(
        ReflectionPrompt(base.tokenizer, token_ids),
        end=int(base.tokenizer.fast.eos_token_id),
        learns=settings.learns,
        judgement_weight=settings.judgement_weight,
    )
    kept, left_out = _encoded(encoder, learned, settings.max_tokens)
    judged, more_left_out = _encoded(encoder, held, settings.max_tokens)
    if left_out:
        warnings.warn(
            f"Of {left_out} of {len(learned)} rows nothing is learned: they have no judgement, or "
            f"their question does not fit into max_tokens={settings.max_tokens}",
            stacklevel=5,
        )
    labels = [
        [id_ if n in one.learned else IGNORED for n, id_ in enumerate(one.ids)] for one in kept[:64]
    ]
    findings = [*examine_rows(learned), check_labels(labels)]
    findings.append(examine_layers(base.model, settings.lora.target_modules))
    return Prepared(
        task=GeneratorTask(settings, base.step, kept, judged),
        findings=findings,
        left_out=left_out + more_left_out,
    )


def _encoded(
    encoder: ReflectionEncoder, rows: Sequence[ReflectionRow], max_tokens: int
) -> tuple[list[ChatTokens], int]:
    """The rows' sequences, and how many rows have none."""
    made = [encoder.sequences(row, max_tokens=max_tokens) for row in rows]
    return [one for some in made for one in some], sum(not some for some in made)
