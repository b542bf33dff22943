"""What a client asks of `/v1/embeddings`, and the reply."""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Annotated, Any, Literal

from langchain_core.runnables.config import run_in_executor
from pydantic import Field, StrictInt, StrictStr

from langchain_graft.models.compute import compute_pool
from langchain_graft.models.tokens import TokenCounter
from langchain_graft.server.api_request import ApiRequest
from langchain_graft.server.error_reply import refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.embeddings import Embeddings

_MOST_INPUTS = 2048
_Tokens = Annotated[list[StrictInt], Field(min_length=1)]


class EmbeddingsRequest(ApiRequest):
    """Texts that wait for their vectors."""

    model: StrictStr
    input: (
        StrictStr
        | Annotated[list[StrictStr], Field(min_length=1, max_length=_MOST_INPUTS)]
        | _Tokens
        | Annotated[list[_Tokens], Field(min_length=1, max_length=_MOST_INPUTS)]
    )
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[StrictInt, Field(ge=1)] | None = None
    input_type: Literal["query", "document", "passage"] | None = None
    """Not OpenAI's: an embedder may read questions in another way than documents."""

    def texts(self) -> list[str]:
        """What is embedded.

        Raises:
            RefusedRequest: It is no text, or empty.
        """
        texts = [self.input] if isinstance(self.input, str) else self.input
        if not all(isinstance(text, str) for text in texts):
            message = "Texts are embedded here, not tokens (LangChain: check_embedding_ctx_length)"
            raise refuse(message, param="input")
        if not all(str(text).strip() for text in texts):
            message = "A text to be embedded is empty"
            raise refuse(message, param="input")
        return [str(text) for text in texts]


async def embed(asked: EmbeddingsRequest, embedder: Callable[[str], Embeddings]) -> dict[str, Any]:
    """The reply; the work is done off the event loop.

    Args:
        asked: What is embedded.
        embedder: A model's name to the embedder of now, which may have to be loaded.

    Raises:
        RefusedRequest: The texts, or the dimensions, can not be had.
    """
    texts = asked.texts()
    vectors, tokens = await run_in_executor(compute_pool(), _embed, embedder, asked, texts)
    if asked.dimensions not in (None, len(vectors[0])):
        message = f"{asked.model!r} has {len(vectors[0])} dimensions, not {asked.dimensions}"
        raise refuse(message, param="dimensions")
    encode = _base64 if asked.encoding_format == "base64" else list
    return {
        "object": "list",
        "model": asked.model,
        "data": [
            {"object": "embedding", "index": number, "embedding": encode(vector)}
            for number, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _embed(
    embedder: Callable[[str], Embeddings], asked: EmbeddingsRequest, texts: list[str]
) -> tuple[list[list[float]], int]:
    """Vectors, and how many tokens they were made of."""
    embeddings = embedder(asked.model)
    counter = getattr(embeddings, "token_counter", TokenCounter)()
    if asked.input_type == "query":
        vectors = [embeddings.embed_query(text) for text in texts]
    else:
        vectors = embeddings.embed_documents(texts)
    return [[float(one) for one in vector] for vector in vectors], sum(counter(texts))


def _base64(vector: Sequence[float]) -> str:
    """As OpenAI's clients ask for it: float32, little-endian."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
