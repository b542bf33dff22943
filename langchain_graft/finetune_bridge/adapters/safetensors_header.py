"""What a safetensors file says that it holds, checked before any of it is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from langchain_graft.finetune_bridge.adapters.strict_json import parse_json

SIZES = {"F32": 4, "F16": 2, "BF16": 2}
"""Bytes of a number, by the names of the types that are taken."""
MAX_HEADER_BYTES = 16 << 20
LENGTH_BYTES = 8
"""A file begins with its header's length."""
_PLAIN_SHAPE = 2


@dataclass(frozen=True)
class StoredMatrix:
    """Where one matrix lies in the file."""

    dtype: str
    """A key of `SIZES`."""
    shape: tuple[int, int]
    start: int
    """Its first byte, counted from the file's."""
    stop: int
    """The byte behind its last."""


def header_length(data: bytes | bytearray, *, file_bytes: int) -> int:
    """The bytes of the header, its eight bytes of length not counted.

    Args:
        data: How the file begins: eight bytes or more.
        file_bytes: The whole file's size.

    Raises:
        ValueError: The file is too short for what it claims, or the header too long.
    """
    length = int.from_bytes(data[:LENGTH_BYTES], "little")
    if len(data) < LENGTH_BYTES or length > file_bytes - LENGTH_BYTES:
        msg = f"its header claims {length} bytes, the file has {file_bytes}: it is cut or forged"
        raise ValueError(msg)
    if length > MAX_HEADER_BYTES:
        msg = f"its header claims {length} bytes, at most {MAX_HEADER_BYTES} are read"
        raise ValueError(msg)
    return length


def read_header(data: bytes | bytearray, *, file_bytes: int) -> dict[str, StoredMatrix]:
    """The matrices of a file, by name.

    Args:
        data: How the file begins, its header included; what follows is not looked at.
        file_bytes: The whole file's size.

    Raises:
        ValueError: It is no header, or its matrices are not finite types, not of two dimensions,
            lie over one another, leave room between them, or do not end where the file ends.
    """
    length = header_length(data, file_bytes=file_bytes)
    values = parse_json(data[LENGTH_BYTES : LENGTH_BYTES + length], what="its header")
    metadata = values.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        msg = "its header's __metadata__ is no object of texts"
        raise ValueError(msg)
    first = LENGTH_BYTES + length
    found = {name: _matrix(name, value, first) for name, value in values.items()}
    end = first
    for name, matrix in sorted(found.items(), key=lambda item: (item[1].start, item[1].stop)):
        if matrix.start != end:
            msg = f"{name!r:.80} begins at byte {matrix.start}, expected {end}: overlap or gap"
            raise ValueError(msg)
        end = matrix.stop
    if end != file_bytes:
        msg = f"its matrices end at byte {end}, the file at {file_bytes}: it is cut or forged"
        raise ValueError(msg)
    return found


def _matrix(name: str, value: Any, first: int) -> StoredMatrix:
    match value:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [start, stop], **rest}:
            pass
        case _:
            msg = f"{name!r:.80} is {value!r:.80}, expected dtype, shape and data_offsets"
            raise ValueError(msg)
    if rest:
        msg = f"{name!r:.80} has parts that are not known: {list(rest)!r:.80}"
        raise ValueError(msg)
    if dtype not in SIZES:
        msg = f"{name!r:.80} is of type {dtype!r:.20}, expected one of {', '.join(SIZES)}"
        raise ValueError(msg)
    if len(shape) != _PLAIN_SHAPE or not all(_is_count(size, least=1) for size in shape):
        msg = f"{name!r:.80} has the shape {shape!r:.80}, expected two sizes"
        raise ValueError(msg)
    if (
        not (_is_count(start) and _is_count(stop))
        or stop - start != math.prod(shape) * SIZES[dtype]
    ):
        msg = f"{name!r:.80} of shape {shape!r:.40} can not lie from {start!r:.20} to {stop!r:.20}"
        raise ValueError(msg)
    return StoredMatrix(dtype, (shape[0], shape[1]), first + start, first + stop)


def _is_count(value: Any, *, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
