"""What the trainers ask the doctor, before their first step and after the last, and refuse."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import TrainingError
from langchain_graft.finetune_bridge.training.doctor import (
    IGNORED,
    check_eos,
    check_held_out,
    check_labels,
    check_loss,
    check_moved,
    check_negatives,
    check_normalisation,
    check_targets,
    check_template,
    check_tensors,
    examine_rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from langchain_graft.finetune_bridge.training.chat_rows import ChatEncoder
    from langchain_graft.finetune_bridge.training.doctor import Finding
    from langchain_graft.finetune_bridge.training.rows import EmbeddingRow, GeneratorRow
    from langchain_graft.models.model_tokenizer import ModelTokenizer

    Embed: TypeAlias = Callable[[str], Sequence[float]]

HOPELESS = ("labels", "eos", "template", "targets", "normalisation")
"""What fails one of these checks is trained for nothing: it would not serve as it was trained."""
_LOOKED_AT = 64
"""Conversations whose tokens are looked at, spread over all."""


def examine_chats(
    rows: Sequence[GeneratorRow], encoder: ChatEncoder, tokenizer: ModelTokenizer
) -> list[Finding]:
    """The checks of conversations: their number, and what their tokens are.

    Args:
        rows: What is learned.
        encoder: Makes their tokens for training.
        tokenizer: The one that will serve.
    """
    some = rows[:: max(1, -(-len(rows) // _LOOKED_AT))]
    encoded = [(row, one) for row in some for one in encoder.sequences(row)[:1]]
    labels = []
    for _, one in encoded:
        learned = set(one.learned)
        labels.append([id_ if n in learned else IGNORED for n, id_ in enumerate(one.ids)])
    trained = [one.ids for _, one in encoded]
    served = [tokenizer.chat_ids(row.messages[:-1]) for row, _ in encoded]
    return [
        *examine_rows(rows),
        check_labels(labels),
        check_eos(labels, tokenizer.ends()),
        check_template(trained, served),
    ]


def examine_pairs(
    rows: Sequence[EmbeddingRow],
    batches: Iterable[Sequence[EmbeddingRow]],
    sides: Mapping[str, tuple[Embed, Embed]],
) -> list[Finding]:
    """The checks of queries with their passages, and of how texts are read.

    Args:
        rows: What is learned.
        batches: The rows of each step.
        sides: A text's vector as in training and where it is served, for queries and documents.
    """
    read = [
        check_normalisation(_unit(trained), _unit(served)) for trained, served in sides.values()
    ]
    return [*examine_rows(rows), check_negatives(batches), *read]


def examine_layers(network: Any, targets: str | Sequence[str]) -> Finding:
    """Whether every target is the end of the name of a layer that is trained.

    Args:
        network: PEFT's.
        targets: `target_modules`.
    """
    names = [name for name, layer in network.named_modules() if hasattr(layer, "lora_A")]
    return check_targets(targets, names)


def examine_training(
    folder: Path,
    *,
    losses: Sequence[float],
    slopes: Mapping[str, float],
    metrics: Mapping[str, float],
) -> list[Finding]:
    """The checks after training.

    Args:
        folder: What was saved, an adapter or a whole model.
        losses: Of the steps.
        slopes: Of each trained tensor, how large its gradients were.
        metrics: Of the report.
    """
    held_out = [check_held_out(metrics)] if "base_loss" in metrics else []
    return [check_loss(losses), *held_out, check_tensors(_saved(folder)), check_moved(slopes)]


def refuse_what_is_hopeless(findings: Iterable[Finding], *, folder: str) -> None:
    """Let nothing be trained that could not serve.

    Raises:
        TrainingError: A check of `HOPELESS` failed.
    """
    for one in findings:
        if not one.ok and one.check in HOPELESS:
            msg = f"Nothing was trained, for it would be of no use ({one.check}): {one.told}"
            raise TrainingError(msg, folder=folder)


def _unit(embed: Embed) -> Embed:
    def unit(text: str) -> list[float]:
        vector = embed(text)
        length = math.hypot(*vector) or 1.0
        return [number / length for number in vector]

    return unit


def _saved(folder: Path) -> dict[str, Sequence[int]]:
    """The shapes of the tensors in a folder, by name."""
    from safetensors import safe_open

    found: dict[str, Sequence[int]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            found |= {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    return found
