"""An adapter's folder from anywhere: looked through before anything of it is loaded."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import FileIO
from typing import TYPE_CHECKING

from langchain_graft.errors import AdapterMismatchError, AdapterRefusedError
from langchain_graft.finetune_bridge.adapters.config import QUERY_MAP, AdapterConfig
from langchain_graft.finetune_bridge.adapters.safetensors_header import (
    LENGTH_BYTES,
    StoredMatrix,
    header_length,
    read_header,
)
from langchain_graft.finetune_bridge.adapters.strict_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
MANIFEST = "manifest.json"
MAX_BYTES = 4 << 30
"""The most that an adapter's matrices may take."""
_MAX_JSON_BYTES = 8 << 20
_CHUNK_BYTES = 4 << 20
_TOLD_ONLY = (".gitattributes", "LICENSE", "LICENSE.txt", "README.md")
"""What hubs lay beside an adapter; it is neither read nor kept."""
_RUNS = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth", ".py", ".pyc", ".so")
_TOKENIZER = re.compile(r".*(token|template|vocab|merges|\.jinja|\.model$|spiece)")
_LORA = re.compile(
    r"(?:base_model\.model\.)?(?P<layer>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)"
    r"\.lora_(?:(?P<part>[AB])(?:\.default)?\.weight|embedding_(?P<of_embedding>[AB])(?:\.default)?)"
)
_OTHER_PARTS = {
    "lora_magnitude_vector": "it is of DoRA, which is no low-rank product",
    "base_layer": "it is the base's own; save with save_embedding_layers=False",
    "embed_tokens": "it is the base's own; save with save_embedding_layers=False",
    "modules_to_save": "whole copies of the base's layers can not lie beside it",
    "bias": "biases are not served",
}


@dataclass(frozen=True)
class StoredPair:
    """The two matrices of one linear layer, where they lie in the file."""

    a: StoredMatrix
    b: StoredMatrix


@dataclass(frozen=True, kw_only=True)
class CheckedFolder:
    """An adapter's folder of which nothing is loaded yet, and nothing was found amiss."""

    folder: Path
    config: AdapterConfig | None
    """None: it is no LoRA but a map of a query's vector, whose settings `query_map` reads."""
    config_bytes: bytearray = field(repr=False)
    """The configuration as it was read."""
    header: bytes = field(repr=False)
    """How the file of matrices began when it was looked at."""
    matrices: Mapping[str, StoredMatrix]
    """All of the file's, by their names in it."""
    layers: Mapping[str, StoredPair]
    """By the layer's name in the model, without PEFT's prefix; of a query's map there are none."""
    size_bytes: int
    """Of the matrices' file."""

    def require_shapes(self, shapes: Callable[[str], tuple[int, int] | None]) -> None:
        """Check that the base has these layers, in these sizes.

        Args:
            shapes: Outputs and inputs of a layer, None for a layer that is not there
                (`LoraLayers.shape_of`).

        Raises:
            AdapterMismatchError: It was made for another base model.
        """
        for layer, pair in self.layers.items():
            needed = (pair.b.shape[0], pair.a.shape[1])
            if (there := shapes(layer)) != needed:
                raise AdapterMismatchError(
                    str(self.folder),
                    what="base model",
                    expected="without it" if there is None else f"of {there} (outputs, inputs)",
                    found=f"layer {layer!r} of {needed}",
                )


def check_folder(folder: Path) -> CheckedFolder:
    """Look through an adapter's folder; only its JSON and its matrices' header are read.

    Args:
        folder: It holds `adapter_config.json` and `adapter_model.safetensors`, as PEFT saves them,
            and `manifest.json` where a store wrote it. A README and a licence are passed over;
            anything else is refused: code, pickles, tokenizers, templates, links, folders.

    Raises:
        AdapterRefusedError: It is not what may be loaded; the message says why.
    """
    _check_names(folder)
    config_bytes = read_file(folder / CONFIG, max_bytes=_MAX_JSON_BYTES)
    header, size_bytes = _read_header(folder / WEIGHTS, MAX_BYTES)
    try:
        settings = parse_json(config_bytes, what=CONFIG)
        is_map = settings.get("peft_type") == QUERY_MAP
        config = None if is_map else AdapterConfig.from_json(settings)
    except ValueError as error:
        raise refused(folder / CONFIG, str(error)) from error
    try:
        matrices = read_header(header, file_bytes=size_bytes)
        layers = {} if config is None else _pairs(matrices, config)
    except ValueError as error:
        raise refused(folder / WEIGHTS, str(error)) from error
    return CheckedFolder(
        folder=folder,
        config=config,
        config_bytes=config_bytes,
        header=header,
        matrices=matrices,
        layers=layers,
        size_bytes=size_bytes,
    )


def read_file(path: Path, *, max_bytes: int) -> bytearray:
    """The bytes of a regular file; links are not followed, pipes and devices not waited for.

    Raises:
        AdapterRefusedError: It is not there, no regular file, or larger than `max_bytes`.
    """
    with _opened(path, max_bytes) as (file, size):
        return _read(path, file, size)


def copy_file(source: Path, target: Path) -> str:
    """Copy a regular file, as `read_file` would read it, onto the disk.

    Returns:
        The sha256 of what was written.

    Raises:
        AdapterRefusedError: As of `read_file`, for more than `MAX_BYTES`.
    """
    digest = hashlib.sha256()
    with target.open("xb") as copy, _opened(source, MAX_BYTES) as (file, size):
        for start in range(0, size, _CHUNK_BYTES):
            part = _read(source, file, min(_CHUNK_BYTES, size - start))
            digest.update(part)
            copy.write(part)
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest()


def matrix_name(layer: str, part: str, *, of_embedding: bool = False) -> str:
    """The name of a layer's matrix, part A or B, in the file, as PEFT writes it."""
    written = f"embedding_{part}" if of_embedding else f"{part}.weight"
    return f"base_model.model.{layer}.lora_{written}"


def plain_name(name: str) -> str:
    """A name of `CheckedFolder.matrices` as PEFT writes it.

    Raises:
        ValueError: It is not of a LoRA.
    """
    return matrix_name(*_layer_and_part(name), of_embedding=".lora_embedding_" in name)


def sha256_of(data: bytes | bytearray) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def refused(path: Path, reason: str) -> AdapterRefusedError:
    """The error that says why an adapter's file or folder is not loaded."""
    msg = f"The adapter's {str(path)!r} is refused: {reason}. Nothing of it was loaded"
    return AdapterRefusedError(msg, adapter=str(path))


@contextmanager
def _opened(path: Path, max_bytes: int) -> Iterator[tuple[FileIO, int]]:
    """The file and its size, which may have grown meanwhile: no more than it is read."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with FileIO(os.open(path, flags | getattr(os, "O_BINARY", 0))) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise refused(path, "it is no regular file")
            if found.st_size > max_bytes:
                reason = f"it has {found.st_size} bytes, at most {max_bytes} are read"
                raise refused(path, reason)
            yield file, found.st_size
    except OSError as error:
        raise refused(path, f"it can not be read, or is a link ({error.strerror})") from error


def _read(path: Path, file: FileIO, size: int) -> bytearray:
    data = bytearray(size)
    with memoryview(data) as view:
        filled = 0
        while filled < size and (count := file.readinto(view[filled:])):
            filled += count
    if filled < size:
        raise refused(path, f"it ended after {filled} of {size} bytes")
    return data


def _read_header(path: Path, max_bytes: int) -> tuple[bytes, int]:
    """How a file of matrices begins, to its header's end; and the whole file's size."""
    with _opened(path, max_bytes) as (file, size):
        start = _read(path, file, min(LENGTH_BYTES, size))
        try:
            length = header_length(start, file_bytes=size)
        except ValueError as error:
            raise refused(path, str(error)) from error
        return bytes(start + _read(path, file, length)), size


def _check_names(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        raise refused(folder, "it is no folder, or a link to one")
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise refused(folder, f"it can not be read ({error.strerror})") from error
    for entry in entries:
        if reason := _amiss(entry):
            raise refused(folder / entry.name, reason)
    if missing := {CONFIG, WEIGHTS} - {entry.name for entry in entries}:
        raise refused(folder, f"it has no {min(missing)!r}, as PEFT saves it")


def _amiss(entry: os.DirEntry[str]) -> str | None:
    name = entry.name.lower()
    if not entry.is_file(follow_symlinks=False):
        return "it is a link, folder, pipe or device; an adapter has plain files only"
    if entry.name in (CONFIG, WEIGHTS, MANIFEST, *_TOLD_ONLY):
        return None
    if name.endswith(_RUNS):
        return "it may run code when it is read. Remove it if the adapter does not need it"
    if _TOKENIZER.match(name):
        return "tokenizers and chat templates come from the base only. Remove it from the folder"
    return f"an adapter has {CONFIG} and {WEIGHTS}. Remove it from the folder"


def _pairs(matrices: Mapping[str, StoredMatrix], config: AdapterConfig) -> dict[str, StoredPair]:
    parts: dict[str, dict[str, StoredMatrix]] = {}
    for name, matrix in matrices.items():
        layer, part = _layer_and_part(name)
        if part in parts.setdefault(layer, {}):
            msg = f"the layer {layer!r:.120} has lora_{part} twice"
            raise ValueError(msg)
        parts[layer][part] = matrix
    if not parts:
        msg = "it holds no matrices"
        raise ValueError(msg)
    return {layer: _pair(layer, found, config) for layer, found in parts.items()}


def _layer_and_part(name: str) -> tuple[str, str]:
    if found := _LORA.fullmatch(name):
        return found["layer"], found["part"] or found["of_embedding"]
    reasons = (reason for word, reason in _OTHER_PARTS.items() if word in name)
    reason = next(reasons, "expected names as 'base_model.model.LAYER.lora_A.weight'")
    msg = f"it holds {name!r:.120}: {reason}"
    raise ValueError(msg)


def _pair(layer: str, found: Mapping[str, StoredMatrix], config: AdapterConfig) -> StoredPair:
    if missing := {"A", "B"} - found.keys():
        msg = f"the layer {layer!r:.120} has no lora_{missing.pop()}"
        raise ValueError(msg)
    a, b = found["A"], found["B"]
    rank = config.rank_of(layer)
    if a.shape[0] != rank or b.shape[1] != rank:
        msg = (
            f"the layer {layer!r:.120} has A {a.shape} and B {b.shape}; its configuration says "
            f"rank {rank}"
        )
        raise ValueError(msg)
    if not config.targets(layer):
        msg = f"the layer {layer!r:.120} is none of its target_modules: PEFT would pass over it"
        raise ValueError(msg)
    return StoredPair(a, b)
