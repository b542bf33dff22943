"""A few texts for BERT as one sequence: no padding is computed, and the weights are read once.

So few tokens are computed in so little time that what transformers does around it counts, too: a
fifth of the time of a question. So the layers are called here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError

try:
    import torch
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from torch.nn.functional import scaled_dot_product_attention
    from transformers import BertModel
except ImportError as error:
    raise MissingExtraError("hf") from error

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def takes_unpadded(model: SentenceTransformer) -> bool:
    """Whether `unpadded` gives this model's vectors: an encoder of class `BertModel`, then pooling.

    Others may count positions differently, put them elsewhere, or have other layers.
    """
    first, second, *_ = [*model, None, None]
    if not (isinstance(first, Transformer) and isinstance(second, Pooling)):
        return False
    config = first.model.config
    is_sdpa = config._attn_implementation == "sdpa"  # noqa: SLF001 (it has no public name)
    return type(first.model) is BertModel and is_sdpa and not config.is_decoder


def unpadded(features: dict[str, Any]) -> dict[str, Any]:
    """The tokens of all texts in one row; each sees those of its own text, counted from 0.

    Attention is computed between all of them, whose number should therefore be small.

    Args:
        features: What `SentenceTransformer.preprocess` makes of texts, padded: `input_ids`,
            `token_type_ids` and `attention_mask`, each `int64[texts, length]`.

    Returns:
        Those with `bool[1, 1, tokens, tokens]` as the mask, `position_ids`, and `cu_seq_lens_q`,
        `int64[texts + 1]`: where each text begins, as sentence-transformers' pooling wants it.
    """
    mask = features["attention_mask"].bool()
    text, _ = mask.nonzero(as_tuple=True)
    ends = mask.sum(dim=1).cumsum(dim=0)
    rows = {"position_ids": mask.cumsum(dim=1) - 1}
    rows |= {name: features[name] for name in ("input_ids", "token_type_ids") if name in features}
    return {
        **features,
        **{name: row[mask][None] for name, row in rows.items()},
        "attention_mask": (text[:, None] == text)[None, None],
        "cu_seq_lens_q": torch.nn.functional.pad(ends, (1, 0)),
    }


def vectors_of(model: SentenceTransformer, row: dict[str, Any]) -> torch.Tensor:
    """What `model(row)` gives as `sentence_embedding`, float[texts, dimension], in less time.

    The modules are called one by one, those of the linear layers too: their hooks are run.

    Args:
        model: One that `takes_unpadded`, in evaluation.
        row: As `unpadded` gives it.
    """
    first: Any
    first, *others = model
    features = {**row, "token_embeddings": _read(first.model, row)}
    for module in others:
        features = module(features)
    vectors: torch.Tensor = features["sentence_embedding"]
    return vectors


def _read(bert: Any, row: dict[str, Any]) -> torch.Tensor:
    """The last layer's states: `float[1, tokens, hidden]`."""
    names = ("input_ids", "token_type_ids", "position_ids")
    states: torch.Tensor = bert.embeddings(**{name: row[name] for name in names if name in row})
    for layer in bert.encoder.layer:
        own = layer.attention.self
        asked, keys, values = (
            part(states).unflatten(-1, (own.num_attention_heads, -1)).transpose(1, 2)
            for part in (own.query, own.key, own.value)
        )
        seen = scaled_dot_product_attention(asked, keys, values, attn_mask=row["attention_mask"])
        states = layer.attention.output(seen.transpose(1, 2).flatten(2), states)
        states = layer.output(layer.intermediate(states), states)
    return states
