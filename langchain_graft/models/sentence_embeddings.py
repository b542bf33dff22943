"""Embeddings by a sentence-transformers model, in bf16 where the processor has it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from math import ceil
from typing import TYPE_CHECKING

from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import run_in_executor

from langchain_graft.errors import MissingExtraError
from langchain_graft.models.compute import compute_pool
from langchain_graft.models.digest import digest_of
from langchain_graft.models.download import sha256_of
from langchain_graft.models.model_folder import loading, require_safetensors
from langchain_graft.models.tokens import TokenCounter
from langchain_graft.models.torch_device import best_device, choose_dtype, compute_with
from langchain_graft.models.unpadded import takes_unpadded, unpadded, vectors_of

try:
    import numpy as np
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Transformer
    from sentence_transformers.util import batch_to_device
except ImportError as error:
    raise MissingExtraError("hf") from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BATCH_TOKENS = 2048
"""Tokens embedded at once: on a processor, batches that stay in its cache are the fastest."""
UNPADDED_TOKENS = 128
"""About so many tokens of short texts are read as one sequence, such as a question and its
rewrites: attention grows with the square."""
_MOST_UNPADDED_TOKENS = 192
_CHARACTERS_PER_TOKEN = 4
_VECTORS = "sentence_embedding"

Around = Callable[[], AbstractContextManager[object]]
"""What holds while a batch is computed: made anew for each one, entered in the thread that computes
it."""


class SentenceEmbeddings(Embeddings):
    """Vectors by a sentence-transformers model with safetensors weights.

    Texts longer than the model's window are read in windows, whose vectors are averaged: nothing is
    cut. bf16 gives the vectors of fp32 to a cosine of 0.9999, in half the time or less where the
    processor multiplies bf16.

    On a processor each core reads batches of its own, which is a sixth faster than all cores
    sharing one; a few short texts are read as one sequence, without padding, where the model is a
    BERT. May be used by several threads at once.

    Args:
        folder: The model's folder.
        weights_digest: Sha256 of the weights, if known; otherwise they are read.
        device: "cpu", "cuda", "mps"; None: the fastest there is.
        dtype: "float32", "bfloat16" or "float16"; None: the fastest that is safe on the device.

    Raises:
        ModelError: The folder can not be loaded, or part of it only as a pickle, which could run
            code and is no part of the digest.
        ValueError: There is no such `dtype`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        weights_digest: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
    ) -> None:
        device = device or best_device()
        self._folder = folder
        self._device = device
        self._model = _load(folder, device, choose_dtype(dtype, device))
        self._tokenizing = threading.Lock()
        self._unpads = device == "cpu" and takes_unpadded(self._model)
        self._batch_tokens = BATCH_TOKENS if device == "cpu" else 32 * BATCH_TOKENS
        self.max_tokens = int(self._model.max_seq_length or 512) - 2 - _prompt_tokens(self._model)
        self.digest = _digest(folder, weights_digest)

    def token_counter(self) -> TokenCounter:
        """Counts tokens as this embedder does; by estimate if there is no `tokenizer.json`."""
        if not (self._folder / "tokenizer.json").is_file():
            return TokenCounter()
        return TokenCounter(tokenizer="tokenizers", path=str(self._folder / "tokenizer.json"))

    @property
    def transformer(self) -> torch.nn.Module:
        """The network that reads the tokens, without the pooling."""
        first = self._model[0]
        return first.model if isinstance(first, Transformer) else first

    def embed_documents(
        self, texts: list[str], *, around: Around = nullcontext
    ) -> list[list[float]]:
        """Vectors of passages, in the order of the texts.

        Args:
            texts: Of any length.
            around: What holds while a batch is computed; an adapter is put in by it.
        """
        return self._embed(texts, prompt_name="document", around=around)

    def embed_queries(
        self, texts: Sequence[str], *, around: Around = nullcontext
    ) -> list[list[float]]:
        """Vectors of queries, in one batch."""
        return self._embed(texts, prompt_name="query", around=around)

    def embed_query(self, text: str) -> list[float]:
        """The vector of one query."""
        return self.embed_queries([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Like `embed_documents`, off the event loop."""
        return await run_in_executor(compute_pool(), self.embed_documents, texts)

    async def aembed_query(self, text: str) -> list[float]:
        """Like `embed_query`, off the event loop."""
        return await run_in_executor(compute_pool(), self.embed_query, text)

    def _embed(
        self, texts: Sequence[str], *, prompt_name: str, around: Around
    ) -> list[list[float]]:
        prompt = self._model.prompts.get(prompt_name) or ""
        windows = [self._windows(text) for text in texts]
        vectors = iter(
            self._encode([window for some in windows for window in some], prompt, around)
        )
        return [_unit(np.mean([next(vectors) for _ in some], axis=0)) for some in windows]

    def _windows(self, text: str) -> list[str]:
        """The text in pieces that the model reads whole; nearly always it is one."""
        if len(text.encode()) <= self.max_tokens:  # no token is less than a byte
            return [text]
        encoding = self._model.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        offsets = encoding["offset_mapping"]
        if len(offsets) <= self.max_tokens:
            return [text]
        windows = token_windows(offsets, self.max_tokens)
        return [text[offsets[start][0] : offsets[end - 1][1]] for start, end in windows]

    def _encode(self, texts: list[str], prompt: str, around: Around) -> np.ndarray:
        """Vectors `float32[texts, dimension]`; texts of like length share a batch."""
        dimension = self._model.get_embedding_dimension() or 0
        vectors = np.empty((len(texts), dimension), dtype=np.float32)
        batches = list(self._batches(texts))
        parts = [[texts[n] for n in batch] for batch in batches]
        workers = _workers(self._device)
        found = workers.map(lambda part: self._forward(part, prompt, around), parts)
        for batch, some in zip(batches, found, strict=True):
            vectors[batch] = some[:, :dimension]
        return vectors

    def _forward(self, texts: list[str], prompt: str, around: Around) -> np.ndarray:
        with self._tokenizing:  # a fast tokenizer is not to be entered twice
            features = self._model.preprocess(texts, prompt=prompt)
        is_row = self._unpads and int(features["attention_mask"].sum()) <= _MOST_UNPADDED_TOKENS
        with around(), torch.inference_mode():
            if is_row:
                found = vectors_of(self._model, unpadded(features))
            else:
                found = self._model(batch_to_device(features, self._model.device))[_VECTORS]
            vectors: np.ndarray = found.float().cpu().numpy()
        return vectors

    def _batches(self, texts: list[str]) -> Iterator[list[int]]:
        """Few texts are as few sequences as they can be: two cost more to begin than one."""
        threads = _threads(self._device)
        lengths = [self._tokens(text) for text in texts]
        parts = ceil(sum(lengths) / UNPADDED_TOKENS)
        if self._unpads and parts <= threads:
            yield from shared_out(lengths, parts)
            return
        share = ceil(len(texts) / threads)
        batch: list[int] = []
        for n in sorted(range(len(texts)), key=lambda n: -len(texts[n])):
            longest = texts[batch[0]] if batch else texts[n]
            full = self._tokens(longest) * (len(batch) + 1) > self._batch_tokens
            if batch and (full or len(batch) >= share):
                yield batch
                batch = []
            batch.append(n)
        if batch:
            yield batch

    def _tokens(self, text: str) -> int:
        """An estimate."""
        return min(len(text) // _CHARACTERS_PER_TOKEN + 2, self.max_tokens)


def shared_out(sizes: Sequence[int], parts: int) -> list[list[int]]:
    """Places of the sizes in parts of about one sum, the largest first; no part is empty."""
    shares: list[list[int]] = [[] for _ in range(parts)]
    sums = [0] * parts
    for n in sorted(range(len(sizes)), key=lambda n: -sizes[n]):
        least = sums.index(min(sums))
        shares[least].append(n)
        sums[least] += sizes[n]
    return [share for share in shares if share]


def token_windows(offsets: Sequence[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """Tokens in windows of at most `size`, cut between words where there is a gap near the end.

    A word that is cut would have more tokens than before, and the last ones would not be read.

    Args:
        offsets: Start and end of each token in the text.
        size: Most tokens of a window.
    """
    windows = []
    start = 0
    while start < len(offsets):
        end = min(start + size, len(offsets))
        if end < len(offsets):
            near = range(end, max(end - size // 4, start), -1)
            end = next((n for n in near if offsets[n - 1][1] < offsets[n][0]), end)
        windows.append((start, end))
        start = end
    return windows


def _prompt_tokens(model: SentenceTransformer) -> int:
    """Tokens of the longest prompt that is put before a text."""
    prompts = [model.prompts.get(name) or "" for name in ("query", "document")]
    return max(len(model.tokenizer(p, add_special_tokens=False)["input_ids"]) for p in prompts)


def _unit(vector: np.ndarray) -> list[float]:
    unit: list[float] = (vector / max(float(np.linalg.norm(vector)), 1e-12)).tolist()
    return unit


def _load(folder: Path, device: str, dtype: torch.dtype) -> SentenceTransformer:
    require_safetensors(folder)
    with loading(folder, "sentence-transformers"):
        model = SentenceTransformer(
            str(folder),
            device=device,
            model_kwargs={"dtype": dtype, "use_safetensors": True},
        )
    return model.eval()


_creating = threading.Lock()


def _workers(device: str) -> ThreadPoolExecutor:
    """This process's threads that each compute on one core; a GPU is fed by one."""
    with _creating:
        return _create_workers(device, os.getpid())


@cache
def _create_workers(device: str, pid: int) -> ThreadPoolExecutor:  # noqa: ARG001 (no thread is forked)
    if device != "cpu":
        return ThreadPoolExecutor(1, thread_name_prefix="graft-embed")
    return ThreadPoolExecutor(
        _threads(device), thread_name_prefix="graft-embed", initializer=partial(compute_with, 1)
    )


@cache
def _threads(device: str) -> int:
    return torch.get_num_threads() if device == "cpu" else 1


def _digest(folder: Path, weights_digest: str | None) -> str:
    weights = weights_digest or [sha256_of(p) for p in sorted(folder.rglob("*.safetensors"))]
    settings = [
        path.read_text(encoding="utf-8")
        for name in ("modules.json", "config_sentence_transformers.json", "*/config.json")
        for path in sorted(folder.glob(name))
    ]
    return digest_of("sentence-transformers", weights, settings)
