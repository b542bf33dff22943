"""What tells the vectors of one embedder from those of another."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

_NAMING_ATTRIBUTES = (
    "model",
    "model_name",
    "model_id",
    "deployment",
    "repo_id",
    "dimensions",
    "output_dimensionality",
    "size",
    "query_instruction",
    "embed_instruction",
    "encode_kwargs",
    "query_encode_kwargs",
)


def embeddings_digest(embeddings: Embeddings) -> str:
    """What tells the vectors of one embedder from those of another.

    Our embedders say it themselves (`digest`: weights, pooling, prefixes, normalisation). For any
    other it is made of its class and of what names its model; where that does not suffice, give the
    object a `digest` attribute.

    Returns:
        32 hexadecimal digits.
    """
    own = getattr(embeddings, "digest", None)
    if isinstance(own, str):
        return own
    kind = type(embeddings)
    named = {name: repr(getattr(embeddings, name, None)) for name in _NAMING_ATTRIBUTES}
    return digest_of(kind.__module__, kind.__qualname__, named)


def digest_of(*parts: object) -> str:
    """32 hexadecimal digits of JSON values."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
