"""Generator adapters: a chat model learns which of two answers is the better one."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from langchain_graft.finetune_bridge.training.chat_rows import ChatEncoder, ChatTokens, joined
from langchain_graft.finetune_bridge.training.generator import Prepared, examine, train_chats
from langchain_graft.finetune_bridge.training.preference_training import PreferenceTask
from langchain_graft.finetune_bridge.training.rows import GeneratorRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_graft.finetune_bridge.training.rows import PreferenceRow
    from langchain_graft.finetune_bridge.training.settings import PreferenceSettings
    from langchain_graft.finetune_bridge.training.trainable_base import TrainableBase
    from langchain_graft.finetune_bridge.training.trained_adapter import (
        OnTrainProgress,
        TrainedAdapter,
    )


def train_preferences(
    settings: PreferenceSettings,
    rows: Sequence[PreferenceRow],
    *,
    on_progress: OnTrainProgress | None = None,
) -> TrainedAdapter:
    """Train an adapter under which a chat model finds better answers more probable than worse ones.

    Direct preference optimisation (Rafailov et al., arXiv 2305.18290) against what the run starts
    from: the base, or the adapter `settings.start`, such as one of `train_generator`. That is asked
    once, before the first step, so that no second model is in memory. Prompts and answers are the
    tokens of a request, as in `train_generator`, and so are resuming, `left_out`, and what comes
    out. The report's metrics have the `accuracy` on the held-out rows too, the share of pairs whose
    better answer has gained on the worse one, and the mean `margin`.

    Args:
        settings: What to train, on which base, and where.
        rows: Prompts with two answers each.
        on_progress: Told after each step.

    Raises:
        TrainingError: As of `train_generator`.
        ModelError: The base can not be loaded, or has no chat template.
        AdapterRefusedError: What it starts from is not what may be loaded.
        ValueError: No row fits, the rows can not be split, or the base can not be trained so.
    """
    return train_chats(settings, rows, _prepared, on_progress=on_progress)


def pairs_of(
    encoder: ChatEncoder, rows: Sequence[PreferenceRow], *, max_tokens: int
) -> list[ChatTokens]:
    """Rows as sequences of two conversations, the better one first; without those that do not fit.

    Args:
        encoder: Makes their tokens.
        rows: Prompts with two answers each.
        max_tokens: Of each of the two.
    """
    pairs = []
    for row in rows:
        better, worse = (_sequence(encoder, row, answer) for answer in (row.chosen, row.rejected))
        if max(len(better.ids), len(worse.ids)) <= max_tokens:
            pairs.append(joined([better, worse]))
    return pairs


def _prepared(
    settings: PreferenceSettings,
    base: TrainableBase,
    learned: Sequence[PreferenceRow],
    held: Sequence[PreferenceRow],
) -> Prepared:
    encoder = ChatEncoder(base.tokenizer)
    findings = examine(settings, base, [_chat(row, row.chosen) for row in learned], encoder)
    most = settings.max_tokens
    kept = pairs_of(encoder, learned, max_tokens=most)
    judged = pairs_of(encoder, held, max_tokens=most)
    count = len(learned) + len(held)
    left_out = count - len(kept) - len(judged)
    if left_out:
        warnings.warn(
            f"{left_out} of {count} pairs do not fit into max_tokens={most} and are left out",
            stacklevel=4,
        )
    task = PreferenceTask(settings, base.step, kept, judged)
    return Prepared(task=task, findings=findings, left_out=left_out)


def _sequence(encoder: ChatEncoder, row: PreferenceRow, answer: str) -> ChatTokens:
    """The last answer is learned; former ones, in the prompt, are read."""
    prompt = encoder.prompt(row.prompt)
    ids = (*prompt, *encoder.reply(answer))
    places = tuple(range(len(prompt), len(ids)))
    return ChatTokens(ids, places, (1.0,) * len(places), (len(ids),))


def _chat(row: PreferenceRow, answer: str) -> GeneratorRow:
    return GeneratorRow((*row.prompt, {"role": "assistant", "content": answer}))
