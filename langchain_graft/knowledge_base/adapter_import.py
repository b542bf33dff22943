"""An adapter made elsewhere comes into a knowledge base, with what it is made for written down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_graft.finetune_bridge.adapters.folder import check_folder
from langchain_graft.finetune_bridge.serving.shelf import tokenizer_digest
from langchain_graft.models.chat import load_chat_model
from langchain_graft.models.digest import embeddings_digest

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_core.embeddings import Embeddings

    from langchain_graft.finetune_bridge.adapters.manifest import AdapterKind, AdapterSide
    from langchain_graft.finetune_bridge.adapters.ref import AdapterRef
    from langchain_graft.finetune_bridge.adapters.store import AdapterStore
    from langchain_graft.models.pull import OnProgress


def import_generator(
    store: AdapterStore, folder: Path, name: str, *, base: str, on_progress: OnProgress | None
) -> AdapterRef:
    """Take in a chat model's adapter; the base is loaded to see whether it fits.

    Raises:
        ValueError: The base is no model on transformers.
        AdapterRefusedError: The folder is not what may be loaded.
        AdapterMismatchError: The base has other layers.
    """
    check_folder(folder)  # what is refused is refused before the base is loaded
    engine: Any = getattr(load_chat_model(base, on_progress=on_progress), "engine", None)
    if engine is None:
        msg = f"Only 'hf:' models have adapters, not {base!r}: name its base as hf:NAME"
        raise ValueError(msg)
    from langchain_graft.finetune_bridge.adapters.lora_layers import linear_shapes  # noqa: PLC0415

    return store.import_peft(
        folder,
        name,
        base=base,
        base_digest=engine.digest,
        tokenizer_digest=engine.tokenizer.digest,
        shapes=linear_shapes(engine.model),
    )


def import_for_embeddings(  # what the folder does not say itself
    store: AdapterStore,
    folder: Path,
    name: str,
    *,
    kind: AdapterKind,
    base: tuple[str | None, Embeddings],
    side: AdapterSide,
) -> AdapterRef:
    """Take in an embedder's adapter, LoRA or query map.

    Args:
        store: Where it goes.
        folder: Where it lies.
        name: How it will be called.
        kind: "embeddings" or "query-map".
        base: The embedder that it was made for, and its name.
        side: Whether documents have it too.

    Raises:
        AdapterRefusedError: The folder is not what may be loaded.
        AdapterMismatchError: The base has other layers.
    """
    spec, embeddings = base
    network = getattr(embeddings, "transformer", None)
    shapes = None
    if kind == "embeddings" and network is not None:
        from langchain_graft.finetune_bridge.adapters.lora_layers import linear_shapes  # noqa: PLC0415

        shapes = linear_shapes(network)
    return store.import_peft(
        folder,
        name,
        base=spec or "an object",
        base_digest=embeddings_digest(embeddings),
        tokenizer_digest=tokenizer_digest(embeddings) if kind == "embeddings" else None,
        kind=kind,
        side="query" if kind == "query-map" else side,
        shapes=shapes,
    )
