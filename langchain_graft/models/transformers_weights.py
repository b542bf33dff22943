"""A causal language model's weights and tokenizer: from a folder, the hub or a GGUF file."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError, ModelError
from langchain_graft.models.catalogue import CATALOGUE, find_model, unknown_model
from langchain_graft.models.digest import digest_of
from langchain_graft.models.download import require_space, sha256_of
from langchain_graft.models.model_folder import (
    hub_folder,
    loading,
    require_plain,
    require_safetensors,
)
from langchain_graft.models.pull import models_folder, pull_model

try:
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, GgufConfig
    from transformers import modeling_gguf_pytorch_utils as unpacker
    from transformers.utils.logging import tqdm
except ImportError as error:
    raise MissingExtraError("hf") from error

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from langchain_graft.models.pull import OnProgress

_DIGESTED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Where a model lies, and what tells it from others."""

    name: str
    path: Path
    """A folder with safetensors, or a GGUF file."""
    sha256: str | None = None
    """Of the GGUF file, where it is known."""

    def changed(self) -> int:
        """When the newest of its files was changed, in nanoseconds."""
        files = self.path.iterdir() if self.path.is_dir() else [self.path]
        return max((file.stat().st_mtime_ns for file in files), default=0)


def find_weights(name: str, *, on_progress: OnProgress | None = None) -> Weights:
    """The weights that go by a name: the catalogue's, a GGUF file, a folder, the hub's.

    Args:
        name: A catalogue name, a `.gguf` file, a folder, or a hub repository `owner/name`.
        on_progress: Told about a download of the catalogue's; the hub shows its own.

    Raises:
        UnknownModelError: Nothing goes by that name.
        DownloadError: The model is not here and can not be fetched.
    """
    path = Path(name).expanduser()
    if name in CATALOGUE:
        model = find_model(name, kind="chat")
        file = pull_model(name, on_progress=on_progress)
        return Weights(name=name, path=file, sha256=model.digest)
    if path.is_dir() or (path.is_file() and path.suffix == ".gguf"):
        return Weights(name=path.resolve().stem if path.is_file() else path.name, path=path)
    if _is_repository(name):
        return Weights(name=name, path=hub_folder(name))
    raise unknown_model(name, kind="chat")


def load_weights(
    weights: Weights, *, device: str, dtype: torch.dtype, quantization: str | None = None
) -> tuple[Any, Any, str]:
    """The model, its tokenizer, and its digest: what it is, whatever the numbers and the device.

    A GGUF file takes transformers about half a minute to unpack, so that a safetensors copy of it
    is kept in the cache, named for the file's sha256 and the numbers; it loads in a second.

    Args:
        weights: Where they lie.
        device: Where the model computes.
        dtype: In which numbers.
        quantization: "nf4": linear layers are kept in 4 bits.

    Raises:
        ModelError: They can not be loaded, or only as a pickle or with code of their own.
        MissingExtraError: bitsandbytes, which quantizes, is not installed.
    """
    if weights.path.is_dir():
        digest = _folder_digest(weights.path)
        folder = weights.path
    else:
        sha256 = weights.sha256 or sha256_of(weights.path)
        digest = digest_of("transformers", sha256)
        copy = models_folder() / "unpacked" / f"{sha256}-{str(dtype).rpartition('.')[2]}"
        if not copy.is_dir():
            _unpack(weights.path, copy, dtype)
        folder = copy
    model, tokenizer = _load(folder, device, dtype, quantization)
    return model.eval(), tokenizer, digest


def _load(
    folder: Path, device: str, dtype: torch.dtype, quantization: str | None
) -> tuple[Any, Any]:
    require_safetensors(folder)
    require_plain(folder)
    with loading(folder, "transformers"):
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
        more = _in_four_bits(device, dtype) if quantization else {}
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            **more,
        )
        model = model if quantization else model.to(device)
    if not tokenizer.is_fast:
        msg = f"{str(folder)!r} has no fast tokenizer (tokenizer.json), which this engine needs"
        raise ModelError(msg)
    return model, tokenizer


def _in_four_bits(device: str, dtype: torch.dtype) -> dict[str, Any]:
    """NF4, the quantization's own constants quantized too, as QLoRA has it."""
    if find_spec("bitsandbytes") is None:
        raise MissingExtraError("finetune")
    asked = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return {"quantization_config": asked, "device_map": {"": device}}


def _unpack(file: Path, copy: Path, dtype: torch.dtype) -> None:
    """Write a GGUF file's model as safetensors; the folder is there whole or not at all."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    require_space(copy.parent, 8 * file.stat().st_size)
    with tempfile.TemporaryDirectory(dir=copy.parent, prefix=".unpacking-") as part:
        with loading(file, "transformers"), _obedient_bar():
            named = {"gguf_file": file.name, "local_files_only": True}
            model: Any = AutoModelForCausalLM.from_pretrained(
                file.parent, dtype=dtype, quantization_config=GgufConfig(dequantize=True), **named
            )
            model.hf_quantizer = None  # it is dense now, which save_pretrained would not believe
            model.save_pretrained(part)
            AutoTokenizer.from_pretrained(file.parent, **named).save_pretrained(part)
        with suppress(OSError):  # another process was faster
            Path(part).rename(copy)


@contextmanager
def _obedient_bar() -> Iterator[None]:
    """The bar of transformers' GGUF reader is one that `loading` can turn off."""
    bar, unpacker.tqdm = unpacker.tqdm, tqdm  # type: ignore[attr-defined]
    try:
        yield
    finally:
        unpacker.tqdm = bar  # type: ignore[attr-defined]


def _folder_digest(folder: Path) -> str:
    files = {path for pattern in _DIGESTED for path in folder.glob(pattern) if path.is_file()}
    return digest_of("transformers", [(path.name, sha256_of(path)) for path in sorted(files)])


def _is_repository(name: str) -> bool:
    owner, _, rest = name.partition("/")
    return bool(owner and rest) and "/" not in rest and owner[0] not in ".~"
