"""Rows of single tokens, in the embeddings and the head, trained as low-rank products.

A token gets a meaning of its own when its two rows change: what it is read as, and what it is said
for. No vocabulary grows for it: a base has tokens that nothing says (rows beyond its tokenizer's,
control words of other trainings), which can stand for new ones. What n rows change by is a product
of rank n of which one factor only picks the rows, one-hot, and stays: a plain LoRA of the embedding
and the head. So it is saved, checked, loaded hot, mixed in a batch and taken away as any LoRA, and
without it the base's logits are the base's. (PEFT's `trainable_token_indices` stores the rows
alone, and would need all of that anew.) On disk it costs two numbers for each token of the
vocabulary and each row.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError

try:
    import torch
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from peft import LoraConfig

_NAME = "default"


def with_token_rows(config: LoraConfig, model: Any, *, count: int) -> LoraConfig:
    """The configuration with products for so many rows of the model's embeddings and head.

    Raises:
        ValueError: The model has no head that is a linear layer.
    """
    layers = {name: one for name, one in model.named_modules() if name}
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    embedding, head = (
        next((name for name, one in layers.items() if one is end), None) for end in ends
    )
    if embedding is None or head is None:
        msg = "token_rows: the base has no embeddings, or no head, whose rows could be trained"
        raise ValueError(msg)
    targets: Any = config.target_modules
    if targets == "all-linear":
        targets = {
            name.rpartition(".")[2]
            for name, one in layers.items()
            if isinstance(one, torch.nn.Linear) and name != head
        }
    changed: Any = copy(config)
    changed.target_modules = {*(targets or ()), *(_ending(one) for one in (embedding, head))}
    both = dict.fromkeys((embedding, head), count)
    changed.rank_pattern = {**(config.rank_pattern or {}), **both}
    alpha = count**0.5 if config.use_rslora else count  # a scaling of 1
    changed.alpha_pattern = {**(config.alpha_pattern or {}), **dict.fromkeys(both, alpha)}
    made: LoraConfig = changed
    return made


@torch.no_grad()
def begin_token_rows(model: Any, rows: Mapping[int, Sequence[int]]) -> None:
    """Let each token begin as the mean of others' rows; what picks the rows is not trained.

    Args:
        model: PEFT's, by `with_token_rows`.
        rows: By token, the tokens whose mean it begins as.
    """
    causal = model.get_base_model()
    tokens, known = list(rows), [torch.tensor(list(ids)) for ids in rows.values()]
    embedding, head = causal.get_input_embeddings(), causal.get_output_embeddings()
    for layer in (embedding, head):
        weight = layer.get_base_layer().weight.float()
        if max(tokens) >= len(weight):
            msg = f"token_rows has token {max(tokens)}, the base has {len(weight)}"
            raise ValueError(msg)
        begun = torch.stack([weight[ids].mean(0) for ids in known])
        change = begun - weight[tokens]
        picked = torch.nn.functional.one_hot(torch.tensor(tokens), len(weight)).to(change)
        if layer is embedding:
            picks, changes = layer.lora_embedding_A[_NAME], layer.lora_embedding_B[_NAME]
            change = change.T
        else:
            picks, changes = layer.lora_B[_NAME].weight, layer.lora_A[_NAME].weight
            picked = picked.T
        picks.copy_(picked)
        changes.copy_(change)
        picks.requires_grad_(False)  # noqa: FBT003 (torch's signature)


def _ending(name: str) -> str:
    return name.rpartition(".")[2]
