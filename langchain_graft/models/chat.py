"""Chat models by name."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError, UnknownModelError
from langchain_graft.models.catalogue import CATALOGUE, find_model
from langchain_graft.models.remote import MAX_RETRIES, TIMEOUT_SECONDS, provider_errors

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from langchain_graft.models.pull import OnProgress


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
    | `PROVIDER:MODEL` | `openai:`, `anthropic:` and what else `init_chat_model` knows |

    Args:
        spec: The name.
        timeout_seconds: Most time between two pieces of an answer; None: 600 for a local model,
            60 for a remote one.
        on_progress: Told about a download.
        settings: The model's own, such as `temperature` or `max_tokens`; for `gguf:` also those of
            `LlamaSettings`, such as `context_tokens` and `parallel`.

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
    return _load_remote(spec, timeout_seconds or TIMEOUT_SECONDS, settings)


def _load_gguf(
    name: str, timeout_seconds: float, on_progress: OnProgress | None, settings: dict[str, Any]
) -> BaseChatModel:
    from langchain_graft.models.llama_chat import LlamaCppChatModel  # noqa: PLC0415
    from langchain_graft.models.llama_server import LlamaSettings  # noqa: PLC0415

    server = {
        field.name: settings.pop(field.name)
        for field in fields(LlamaSettings)
        if field.name in settings
    }
    path, digest = _gguf_file(name, on_progress)
    return LlamaCppChatModel.from_file(
        path,
        digest=digest,
        server=LlamaSettings(**server),
        timeout_seconds=timeout_seconds,
        **settings,
    )


def _gguf_file(name: str, on_progress: OnProgress | None) -> tuple[Path, str | None]:
    from langchain_graft.models.pull import pull_model  # noqa: PLC0415

    if name in CATALOGUE:
        model = find_model(name, kind="chat")
        return pull_model(name, on_progress=on_progress), model.digest
    path = Path(name).expanduser()
    if not path.is_file():
        chats = (known for known, model in CATALOGUE.items() if model.kind == "chat")
        raise UnknownModelError(name, available=chats)
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
