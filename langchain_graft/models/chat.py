"""Chat models by name."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError
from langchain_graft.models.catalogue import CATALOGUE, find_model, unknown_model
from langchain_graft.models.remote import MAX_RETRIES, TIMEOUT_SECONDS, provider_errors

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from langchain_graft.models.pull import OnProgress
    from langchain_graft.models.transformers import TransformersEngine


def load_chat_model(
    spec: str,
    *,
    timeout_seconds: float | None = None,
    on_progress: OnProgress | None = None,
    **settings: Any,
) -> BaseChatModel:
    """Load a chat model by name.

    | spec | model |
    |---|---|
    | `gguf:NAME`, or `NAME` alone | a model of the catalogue, pulled if it is not here yet |
    | `gguf:FILE` | any GGUF file |
    | `hf:NAME`, `hf:FILE` | the same files on torch, which also scores given texts |
    | `hf:FOLDER`, `hf:REPO` | a model of transformers with safetensors weights |
    | `PROVIDER:MODEL` | `openai:`, `anthropic:` and what else `init_chat_model` knows |

    Args:
        spec: The name.
        timeout_seconds: Most time between two pieces of an answer, for `hf:` in the line before
            the first one; None: 600 for a local model, 60 for a remote one.
        on_progress: Told about a download.
        settings: The model's own, such as `temperature` or `max_tokens`; for `gguf:` also those of
            `LlamaSettings`, such as `context_tokens` and `parallel`, for `hf:` those of
            `TransformersSettings`, such as `device`, `dtype` and `threads`.

    Raises:
        UnknownModelError: Nothing goes by that name.
        DownloadError: The model is not here and can not be fetched.
        MissingExtraError: Our own libraries for it are not installed.
        ModelError: The provider's package or key is missing.
    """
    provider, _, name = spec.partition(":")
    if not name:
        provider, name = "gguf", spec
    if provider == "gguf":
        timeout_seconds = timeout_seconds or 600.0
        return _load_gguf(name, timeout_seconds, on_progress, settings)
    if provider == "hf":
        return _load_hf(name, timeout_seconds or 600.0, on_progress, settings)
    return _load_remote(spec, timeout_seconds or TIMEOUT_SECONDS, settings)


def load_token_scorer(
    spec: str, *, on_progress: OnProgress | None = None, **settings: Any
) -> TransformersEngine:
    """Load a model that tells how likely given texts are.

    It computes in float32 unless it is told otherwise, since scores in bfloat16 can be off by nats
    (`TransformersEngine.logprobs`); scoring takes 1.7 times as long for it. A chat model of that
    name and the same settings, dtype="float32" among them, shares it: one process loads it once.

    Args:
        spec: `hf:` and what `load_chat_model` takes behind it.
        on_progress: Told about a download.
        settings: Those of `TransformersSettings`; dtype=None: the fastest that is safe.

    Raises:
        ValueError: The name does not begin with `hf:`, or a setting is wrong.
        UnknownModelError: Nothing goes by that name.
        DownloadError: The model is not here and can not be fetched.
        MissingExtraError: The libraries for it are not installed.
        ModelError: It can not be loaded.
    """
    provider, _, name = spec.partition(":")
    if provider != "hf" or not name:
        msg = f"Only 'hf:' models score given texts, not {spec!r}: name one, as 'hf:smollm2-135m'"
        raise ValueError(msg)
    from langchain_graft.models.transformers import (  # noqa: PLC0415
        TransformersSettings,
        shared_engine,
    )

    chosen = TransformersSettings(**{"dtype": "float32", **settings})
    return shared_engine(name, chosen, on_progress=on_progress)


def _load_hf(
    name: str, timeout_seconds: float, on_progress: OnProgress | None, settings: dict[str, Any]
) -> BaseChatModel:
    from langchain_graft.models.transformers import (  # noqa: PLC0415
        TransformersSettings,
        shared_engine,
    )
    from langchain_graft.models.transformers_chat import TransformersChatModel  # noqa: PLC0415

    engine = _taken_from(settings, TransformersSettings)
    chosen = TransformersSettings(timeout_seconds=timeout_seconds, **engine)
    found = shared_engine(name, chosen, on_progress=on_progress)
    return TransformersChatModel.of_engine(found, **settings)


def _load_gguf(
    name: str, timeout_seconds: float, on_progress: OnProgress | None, settings: dict[str, Any]
) -> BaseChatModel:
    from langchain_graft.models.llama_chat import LlamaCppChatModel  # noqa: PLC0415
    from langchain_graft.models.llama_server import LlamaSettings  # noqa: PLC0415

    server = _taken_from(settings, LlamaSettings)
    path, digest = _gguf_file(name, on_progress)
    return LlamaCppChatModel.from_file(
        path,
        digest=digest,
        server=LlamaSettings(**server),
        timeout_seconds=timeout_seconds,
        **settings,
    )


def _taken_from(settings: dict[str, Any], kind: type) -> dict[str, Any]:
    """The settings of that kind, taken out of the others."""
    names = [field.name for field in fields(kind) if field.name in settings]
    return {name: settings.pop(name) for name in names}


def _gguf_file(name: str, on_progress: OnProgress | None) -> tuple[Path, str | None]:
    from langchain_graft.models.pull import pull_model  # noqa: PLC0415

    if name in CATALOGUE:
        model = find_model(name, kind="chat")
        return pull_model(name, on_progress=on_progress), model.digest
    path = Path(name).expanduser()
    if not path.is_file():
        raise unknown_model(name, kind="chat")
    return path, None


def _load_remote(spec: str, timeout_seconds: float, settings: dict[str, Any]) -> BaseChatModel:
    try:
        from langchain.chat_models import init_chat_model  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("remote") from error
    provider = spec.partition(":")[0]
    bounds: dict[str, Any] = (
        {"client_kwargs": {"timeout": timeout_seconds}}
        if provider == "ollama"
        else {"timeout": timeout_seconds, "max_retries": MAX_RETRIES}
    )
    with provider_errors(spec):
        model: BaseChatModel = init_chat_model(spec, **(bounds | settings))
    return model
