"""A low-rank change of queries' vectors, for an embedder whose weights can not be trained."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_graft.errors import MissingExtraError
from langchain_graft.finetune_bridge.adapters.config import QUERY_MAP
from langchain_graft.finetune_bridge.adapters.folder import (
    CONFIG,
    WEIGHTS,
    read_file,
    refused,
    sha256_of,
)
from langchain_graft.finetune_bridge.adapters.strict_json import parse_json

try:
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load, save
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    Vectors = np.ndarray | Sequence[Sequence[float]]

MAX_DIMENSIONS = 65_536
_MAX_CONFIG_BYTES = 4096
_MAX_HEADER_BYTES = 4096
_TINY = 1e-12
_LARGEST = 1e4


@dataclass(frozen=True, eq=False)
class QueryMap:
    """Moves queries' vectors to where their documents are: `unit(x + u (v^T x))`.

    The documents' vectors stay as they are, so that nothing is embedded again, and the embedder is
    never touched: it may be a service, or weights in 4 bits. LlamaIndex's linear adapter, and
    Drift-Adapter (arXiv 2509.23471), are of this form.
    """

    u: np.ndarray
    """`float32[dimensions, rank]`."""
    v: np.ndarray
    """`float32[dimensions, rank]`."""

    def __post_init__(self) -> None:
        if reason := _fault(self.u, self.v):
            raise ValueError(reason)

    def __call__(self, vectors: Vectors) -> np.ndarray:
        """The vectors of queries, changed and of length 1, `float32[queries, dimensions]`.

        Raises:
            ValueError: They have another number of dimensions.
        """
        rows = np.asarray(vectors, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != len(self.u):  # noqa: PLR2004 (rows and columns)
            msg = f"Expected vectors of {len(self.u)} numbers, not an array {rows.shape!r}"
            raise ValueError(msg)
        return _unit(rows + (rows @ self.v) @ self.u.T)

    def save(self, folder: Path) -> None:
        """Write it as an adapter's folder, which a store takes."""
        folder.mkdir(parents=True, exist_ok=True)
        dimensions, rank = self.u.shape
        config = {"peft_type": QUERY_MAP, "dimensions": dimensions, "rank": rank}
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (folder / WEIGHTS).write_bytes(save({"u": self.u, "v": self.v}))

    @classmethod
    def fit(
        cls,
        queries: Vectors,
        documents: Vectors,
        *,
        rank: int = 32,
        negatives: Vectors | None = None,
        l2: float = 1e-4,
        seed: int = 0,
    ) -> QueryMap:
        """The map under which each query is nearest to its document, among all of them.

        The loss is the softmax over all documents' cosines, of the query's own one (van den Oord
        et al., arXiv 1807.03748), at a temperature of a quarter of their spread; Adam. It stops
        when the loss on a tenth of the documents, which it does not learn from, falls no more.

        Args:
            queries: `float32[n, dimensions]`, as the embedder gives them.
            documents: `float32[n, dimensions]`, the document of each query; one that several
                queries have is given several times, and is never its own negative.
            rank: Of the change: few pairs want few.
            negatives: `float32[m, dimensions]`: documents that no query asks for.
            l2: Holds the change small.
            seed: Of the order and of the start.

        Raises:
            ValueError: The arrays do not fit each other, hold what is no number, or are too few.
        """
        from langchain_graft.finetune_bridge.adapters.query_map_fit import fit_low_rank  # noqa: PLC0415

        others = np.asarray(documents)[:0] if negatives is None else negatives
        return cls(*fit_low_rank(queries, documents, others, rank=rank, l2=l2, seed=seed))


def read_query_map(folder: Path, *, expected: Mapping[str, str] | None = None) -> QueryMap:
    """The map of an adapter's folder; of other files there nothing is read.

    Args:
        folder: What `QueryMap.save` wrote.
        expected: Sha256 of the files by name; they are of the bytes that are then used.

    Raises:
        AdapterRefusedError: The files are others, or hold anything but two arrays of numbers of
            the sizes that the configuration says.
    """
    try:
        config = _bytes(folder / CONFIG, _MAX_CONFIG_BYTES, expected)
        shape = _shape(parse_json(config, what=CONFIG))
        limit = 2 * 4 * shape[0] * shape[1] + _MAX_HEADER_BYTES
        return _of_arrays(load(_bytes(folder / WEIGHTS, limit, expected)), shape)
    except (ValueError, SafetensorError) as error:
        raise refused(folder, f"it is no query map: {error}") from error


def _of_arrays(arrays: Mapping[str, np.ndarray], shape: tuple[int, int]) -> QueryMap:
    found = {name: array.shape for name, array in arrays.items()}
    if found != {"u": shape, "v": shape}:
        msg = f"its arrays are {str(found)[:200]}, expected u and v of {shape!r}"
        raise ValueError(msg)
    return QueryMap(u=arrays["u"], v=arrays["v"])


def _bytes(path: Path, limit: int, expected: Mapping[str, str] | None) -> bytes:
    """A file's content, read once, so that what is checked is what is used."""
    data = bytes(read_file(path, max_bytes=limit))
    if expected is not None and expected.get(path.name) != sha256_of(data):
        msg = f"the sha256 of {path.name} is {sha256_of(data)}, not {expected.get(path.name)!r}"
        raise ValueError(msg)
    return data


def _shape(config: Mapping[str, object]) -> tuple[int, int]:
    """Dimensions and rank.

    Raises:
        ValueError: It says something else as well, or they are out of range.
    """
    if config.keys() != {"peft_type", "dimensions", "rank"} or config["peft_type"] != QUERY_MAP:
        msg = f"{CONFIG} has 'peft_type': {QUERY_MAP!r}, 'dimensions', 'rank', and nothing else"
        raise ValueError(msg)
    dimensions, rank = config["dimensions"], config["rank"]
    if type(dimensions) is int and type(rank) is int and 1 <= rank <= dimensions <= MAX_DIMENSIONS:
        return dimensions, rank
    msg = f"A rank lies from 1 to the dimensions, those up to {MAX_DIMENSIONS}, not {config!r:.200}"
    raise ValueError(msg)


def _fault(u: np.ndarray, v: np.ndarray) -> str | None:
    """What is wrong with a map's arrays."""
    if u.dtype != np.float32 or v.dtype != np.float32:
        return f"u and v are float32, not {u.dtype} and {v.dtype}"
    if u.ndim != 2 or u.shape != v.shape or not 1 <= u.shape[1] <= u.shape[0]:  # noqa: PLR2004
        return f"u and v are [dimensions, rank], not {u.shape!r} and {v.shape!r}"
    if not (np.abs(u).max() <= _LARGEST and np.abs(v).max() <= _LARGEST):
        return f"u or v has a NaN, or a number beyond {_LARGEST:.0f}"
    return None


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: np.ndarray = rows / np.maximum(lengths, _TINY)
    return unit
