"""A few texts for BERT as one sequence: no padding is computed, and the weights are read once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError

try:
    import torch
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertModel
except ImportError as error:
    raise MissingExtraError("hf") from error

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def takes_unpadded(model: SentenceTransformer) -> bool:
    """Whether `unpadded` gives this model's vectors: an encoder of class `BertModel`, then pooling.

    Others may count positions differently or put them elsewhere.
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
