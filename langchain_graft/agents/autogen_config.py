"""AutoGen 0.2's `retrieve_config`, key by key (autogen-agentchat 0.2.40)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHOEVER = "for whoever fills the index"
INGESTION = {
    "docs_path": f"kept in `ingestion` as a list, {_WHOEVER}: kb.ingest(*ingestion['docs_path'])",
    "chunk_token_size": f"kept in `ingestion`, {_WHOEVER}: the knowledge base's chunk size",
    "chunk_mode": f"kept in `ingestion`, {_WHOEVER}; 'one_line' is one document per line",
    "must_break_at_empty_line": f"kept in `ingestion`, {_WHOEVER}",
    "embedding_model": f"kept in `ingestion`, {_WHOEVER}: the index has its own embedder",
    "embedding_function": f"kept in `ingestion`, {_WHOEVER}: the index has its own embedder",
    "custom_text_split_function": f"kept in `ingestion`, {_WHOEVER}: kb.ingest_documents(...)",
    "custom_text_types": f"kept in `ingestion`, {_WHOEVER}: files are told by their contents",
    "recursive": f"kept in `ingestion`, {_WHOEVER}: folders are read with what is below them",
}
NO_EFFECT = {
    "vector_db": "without effect: the retriever that you give is searched",
    "db_config": "without effect: the retriever that you give has its connection",
    "client": "without effect: the retriever that you give has its client",
    "collection_name": "without effect: the retriever that you give has its collection",
    "extra_docs": "without effect: an index takes further documents at any time",
    "new_docs": "without effect: what is in an index already is not read again",
    "get_or_create": "without effect: the retriever is there already",
    "overwrite": "without effect: nothing is written by a chat",
}
STORES = ("chroma", "pgvector", "mongodb", "qdrant", "couchbase")
_RENAMED = {
    "task": "task",
    "update_context": "update_context",
    "customized_prompt": "prompt",
    "customized_answer_prefix": "answer_prefix",
    "custom_token_count_function": "count_tokens",
}
KEYS = frozenset(
    (*INGESTION, *NO_EFFECT, *_RENAMED, "model", "context_max_tokens", "distance_threshold")
)
_WINDOWS = (("32k", 32000), ("16k", 16000), ("gpt-4", 8000))
_WINDOW = 4000
_CONTEXT_SHARE = 0.8


def read_autogen(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `RetrieveConfig` that the dict comes to, with what became of each key.

    Raises:
        ValueError: A key that AutoGen does not have, or that can not be done here.
    """
    _check(given)
    model = given.get("model", "gpt-4")
    fields: dict[str, Any] = {
        "context_tokens": int(given.get("context_max_tokens") or _window(model) * _CONTEXT_SHARE),
        "told": {key: _told(key) for key in given},
        "ingestion": {key: given[key] for key in INGESTION if key in given},
    }
    if "docs_path" in given:
        fields["ingestion"]["docs_path"] = _paths(given["docs_path"])
    fields |= {ours: given[key] for key, ours in _RENAMED.items() if key in given}
    if fields.get("count_tokens"):
        fields["count_tokens"] = _counter(fields["count_tokens"], model)
    fields["answer_prefix"] = fields.get("answer_prefix") or ""
    return fields


def _check(given: Mapping[str, Any]) -> None:
    if unknown := sorted(map(str, set(given) - KEYS)):
        msg = (
            f"AutoGen's retrieve_config has no key {', '.join(map(repr, unknown))}; it has "
            f"{', '.join(sorted(KEYS))}. Settings of ours go into RetrieveConfig(...)"
        )
        raise ValueError(msg)
    if given.get("distance_threshold", -1) not in {-1, None} and given["distance_threshold"] >= 0:
        msg = (
            f"distance_threshold={given['distance_threshold']!r} can not be kept to: a retriever "
            "tells no distances. Give a retriever that has a threshold itself, such as "
            "store.as_retriever(search_type='similarity_score_threshold')"
        )
        raise ValueError(msg)
    store = given.get("vector_db")
    if isinstance(store, str) and store not in STORES:
        msg = f"vector_db must be one of {', '.join(map(repr, STORES))} or a store, not {store!r}"
        raise ValueError(msg)


def _told(key: str) -> str:
    special = {
        "model": "its window gives `context_tokens`, as in AutoGen; the model is the one you give",
        "context_max_tokens": "is `context_tokens`",
        "distance_threshold": "no threshold",
    }
    return (
        INGESTION.get(key) or NO_EFFECT.get(key) or special.get(key) or f"is `{_RENAMED.get(key)}`"
    )


def _window(model: object) -> int:
    return next((size for name, size in _WINDOWS if name in str(model)), _WINDOW)


def _paths(given: Any) -> list[str]:
    if given is None:
        return []
    return [str(one) for one in ([given] if isinstance(given, str | Path) else given)]


def _counter(count: Any, model: object) -> Any:
    """AutoGen calls it with a text and the model's name."""
    return lambda text: int(count(text, model))
