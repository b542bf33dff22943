"""How well a passage answers a query, by a model that reads both together."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_core.cross_encoders import BaseCrossEncoder

from langchain_graft.errors import MissingExtraError
from langchain_graft.models.model_folder import (
    hub_folder,
    loading,
    require_plain,
    require_safetensors,
)
from langchain_graft.models.torch_device import best_device, choose_dtype

try:
    from sentence_transformers import CrossEncoder
except ImportError as error:
    raise MissingExtraError("hf") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch


class SentenceCrossEncoder(BaseCrossEncoder):
    """Scores by a sentence-transformers `CrossEncoder` with safetensors weights.

    Higher is better; whether scores lie between 0 and 1 is the model's matter. A pair longer than
    the model's window is cut by its tokenizer, the longer text first: give it chunks, not books.
    May be used by several threads at once; pairs of like length share a batch.

    Nogueira and Cho, Passage Re-ranking with BERT (2019).

    Args:
        name: A folder, or a hub repository.
        device: "cpu", "cuda", "mps"; None: the fastest there is.
        dtype: "float32", "bfloat16" or "float16"; None: the fastest that is safe on the device.
        batch_size: Pairs that are read at once.

    Raises:
        DownloadError: The model is not here and can not be fetched.
        ModelError: It can not be loaded, or only as a pickle or with code of its own.
        ValueError: The model gives several scores a pair, `batch_size` is below 1, or there is no
            such `dtype`.
    """

    def __init__(
        self,
        name: str | Path,
        *,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int = 32,
    ) -> None:
        if batch_size < 1:
            msg = f"batch_size must be 1 or more, not {batch_size!r}"
            raise ValueError(msg)
        device = device or best_device()
        numbers = choose_dtype(dtype, device)
        folder = Path(name).expanduser()
        folder = folder if folder.is_dir() else hub_folder(str(name))
        self._model = _load(folder, device, numbers)
        self._batch_size = batch_size
        self._lock = threading.Lock()
        if self._model.num_labels != 1:
            msg = f"{str(name)!r} gives {self._model.num_labels} scores a pair, expected was one"
            raise ValueError(msg)

    def score(self, text_pairs: Sequence[tuple[str, str]]) -> list[float]:
        """One score for each pair of query and passage, in their order; higher is better."""
        if not text_pairs:
            return []
        with self._lock:  # its tokenizer is not to be entered twice
            scores = self._model.predict(
                [(query, passage) for query, passage in text_pairs],
                batch_size=self._batch_size,
                show_progress_bar=False,
                convert_to_numpy=True,
            )
        return [float(score) for score in scores]


def _load(folder: Path, device: str, dtype: torch.dtype) -> CrossEncoder:
    require_safetensors(folder)
    require_plain(folder)
    with loading(folder, "sentence-transformers"):
        model: CrossEncoder = CrossEncoder(
            str(folder),
            device=device,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"dtype": dtype, "use_safetensors": True},
        )
    return model
