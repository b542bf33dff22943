"""What tells the vectors of one embedder from those of another."""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.embeddings import Embeddings

_MODEL = (
    "model",
    "model_name",
    "model_name_or_path",
    "model_id",
    "model_path",
    "model_uid",
    "deployment",
    "repo_id",
    "size",
)
_ADDRESS = ("model_url", "endpoint_url", "endpoint_name", "endpoint", "server_url", "base_url")
"""These name the model where nothing else does; else a server may move."""
_RECIPE = (
    "dimensions",
    "output_dimensionality",
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

    Raises:
        ValueError: Nothing names its model.
    """
    own = getattr(embeddings, "digest", None)
    if isinstance(own, str):
        return own
    kind = type(embeddings)
    named = _names(embeddings, _MODEL) or _names(embeddings, _ADDRESS)
    if not named:
        msg = (
            f"Nothing says which model {kind.__qualname__} embeds with, so that its vectors could "
            "be taken for another model's. Give it a `digest` attribute: a text of your own that "
            "changes with the model"
        )
        raise ValueError(msg)
    recipe = {name: repr(getattr(embeddings, name, None)) for name in _RECIPE}
    return digest_of(kind.__module__, kind.__qualname__, named, recipe)


def _names(embeddings: Embeddings, attributes: Sequence[str]) -> dict[str, str]:
    """The attributes that are set; a loaded model is no name: its text is like another's."""
    values = {name: getattr(embeddings, name, None) for name in attributes}
    return {k: str(v) for k, v in values.items() if v and isinstance(v, str | int | PurePath)}


def digest_of(*parts: object) -> str:
    """32 hexadecimal digits of JSON values; what is none counts by its text."""
    text = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
