"""The low-rank pairs of an adapter's folder, ready to lie beside a model's layers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from langchain_graft.errors import MissingExtraError
from langchain_graft.finetune_bridge.adapters.folder import (
    CONFIG,
    MAX_BYTES,
    WEIGHTS,
    check_folder,
    read_file,
    refused,
    sha256_of,
)
from langchain_graft.finetune_bridge.adapters.lora_layers import LoraPair

try:
    import torch
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from langchain_graft.finetune_bridge.adapters.safetensors_header import StoredMatrix

_TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_MAX_VALUE = torch.finfo(torch.float16).max


def read_lora(
    folder: Path,
    *,
    expected: Mapping[str, str] | None,
    shapes: Callable[[str], tuple[int, int] | None] | None = None,
) -> dict[str, LoraPair]:
    """Read an adapter's pairs, after everything about its folder has been checked.

    Args:
        folder: As `check_folder` takes it.
        expected: The sha256 of its files (the manifest's `files`); None: they are not known.
        shapes: Outputs and inputs of the base's layers (`LoraLayers.shape_of`), where they are
            known; they are compared before anything is read.

    Returns:
        `float32` on the CPU by the layer's name, the scaling multiplied into `b`.

    Raises:
        AdapterRefusedError: It is not what may be loaded, a file is not the promised one, or a
            number is not finite or too large for 16-bit numbers.
        AdapterMismatchError: The base has other layers.
    """
    checked = check_folder(folder)
    if checked.config is None:
        raise refused(folder, "it is a map of a query's vector, no LoRA")
    if shapes is not None:
        checked.require_shapes(shapes)
    data = read_file(folder / WEIGHTS, max_bytes=MAX_BYTES)
    if expected is not None:
        require_digest(folder / CONFIG, checked.config_bytes, expected)
        require_digest(folder / WEIGHTS, data, expected)
    if not data.startswith(checked.header):
        raise refused(folder / WEIGHTS, "it changed while it was read")
    pairs = {}
    for layer, stored in checked.layers.items():
        scaling = checked.config.scaling_of(layer)
        pair = LoraPair(_matrix(data, stored.a), _matrix(data, stored.b).mul_(scaling))
        if not (_is_in_range(pair.a) and _is_in_range(pair.b)):
            reason = (
                f"a number of layer {layer!r} is not finite, or with its scaling {scaling:g} above "
                f"{_MAX_VALUE:g}, the largest that 16-bit numbers hold"
            )
            raise refused(folder / WEIGHTS, reason)
        pairs[layer] = pair
    return pairs


def require_digest(path: Path, data: bytes | bytearray, expected: Mapping[str, str]) -> None:
    """Check that a file is the one that the manifest names.

    Raises:
        AdapterRefusedError: It is another one.
    """
    found = sha256_of(data)
    if found != expected.get(path.name):
        reason = f"its sha256 is {found}, its manifest says {expected.get(path.name)}"
        raise refused(path, reason)


def _matrix(data: bytearray, stored: StoredMatrix) -> torch.Tensor:
    """The numbers where they lie, if they lie as a processor reads them; nobody else has them."""
    dtype = _TYPES[stored.dtype]
    if stored.start % dtype.itemsize:
        data, start = data[stored.start : stored.stop], 0
    else:
        start = stored.start
    count = math.prod(stored.shape)
    numbers = torch.frombuffer(data, dtype=dtype, count=count, offset=start)
    return numbers.view(stored.shape).to(torch.float32)


def _is_in_range(matrix: torch.Tensor) -> bool:
    low, high = torch.aminmax(matrix)
    return bool(low >= -_MAX_VALUE) and bool(high <= _MAX_VALUE)  # NaN is neither
