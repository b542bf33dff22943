"""A model's folder: local or from the hub, safetensors only, no code."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_graft.errors import DownloadError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PICKLES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")
_SAFE_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
_CONFIGS = ("config.json", "tokenizer_config.json", "processor_config.json")


def hub_folder(repo: str) -> Path:
    """The local copy of a hub repository, downloaded if it is not here; no pickles, no code.

    Raises:
        DownloadError: The hub does not have it or does not answer.
    """
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    try:
        return Path(snapshot_download(repo, allow_patterns=list(_SAFE_FILES), etag_timeout=5))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        msg = (
            f"The hub does not give {repo!r}: {reason}. Check the name and HF_ENDPOINT, or name a "
            "folder: hf:/path/to/model"
        )
        raise DownloadError(msg) from error


def require_safetensors(folder: Path) -> None:
    """Check that no part of a model would be read from a pickle, or from nothing.

    Raises:
        ModelError: One would.
    """
    if not any(folder.rglob("*.safetensors")):
        msg = f"{str(folder)!r} holds no *.safetensors: it is no model with safetensors weights"
        raise ModelError(msg)
    for path in sorted(folder.rglob("*")):
        if path.suffix in _PICKLES and not path.with_name("model.safetensors").is_file():
            msg = (
                f"{str(path)!r} may be a pickle, which can run code when it is read. Save the "
                "model with save_pretrained, which writes model.safetensors, "
                "or remove the file if the model does not need it"
            )
            raise ModelError(msg)


def require_plain(folder: Path) -> None:
    """Check that a model needs no code of its own and follows no other model.

    Raises:
        ModelError: It does, or a setting of it can not be read.
    """
    if (folder / "adapter_config.json").is_file():
        msg = (
            f"{str(folder)!r} holds an adapter, which would choose its base model itself. Name the "
            "base model"
        )
        raise ModelError(msg)
    for path in (folder / name for name in _CONFIGS):
        if path.is_file() and "auto_map" in _settings(path):
            msg = (
                f"{str(path)!r} asks for Python code of its own (auto_map), which is never run. "
                "Use a model that transformers knows by itself"
            )
            raise ModelError(msg)


@contextmanager
def loading(path: Path, library: str) -> Iterator[None]:
    """Without progress bars, and whatever goes wrong as a `ModelError`.

    Args:
        path: What is loaded.
        library: Who loads it; it is named in the error.

    Raises:
        ModelError: It can not be loaded.
    """
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    except Exception as error:  # what a broken file can raise is not told anywhere
        msg = f"{str(path)!r} can not be loaded by {library}: {error}"
        raise ModelError(msg) from error
    finally:
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _settings(path: Path) -> dict[str, object]:
    try:
        settings: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        msg = f"{str(path)!r} is no JSON: {error}"
        raise ModelError(msg) from error
    return settings
