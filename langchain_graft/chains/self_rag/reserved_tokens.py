"""Tokens of any base model that can stand for the reflection tokens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from langchain_graft.chains.self_rag.vocabulary import REFLECTION_TOKENS
from langchain_graft.errors import ModelError

if TYPE_CHECKING:
    from langchain_graft.models.model_tokenizer import ModelTokenizer

_PADDING = re.compile(r"\[PAD\d+\]")
"""What a GGUF file calls rows that its tokenizer has no token for."""


def reserved_tokens(tokenizer: ModelTokenizer, vocabulary: int) -> dict[str, int]:
    """Thirteen tokens that no text has, by the reflection token that each stands for.

    First those rows of the base's embeddings that its tokenizer has nothing for; then control words
    of other trainings (`<repo_name>`, `<|vision_start|>`), but none that begins or ends a turn, or
    that the chat template says. So no vocabulary grows, and the same base always gives the same.

    Args:
        tokenizer: The base's.
        vocabulary: Rows of its embeddings.

    Raises:
        ModelError: There are too few.
    """
    fast = tokenizer.fast
    words = {id_: word for word, id_ in fast.get_vocab().items()}
    unsaid = [n for n in range(vocabulary) if _PADDING.fullmatch(words.get(n, "[PAD0]"))]
    free = [*unsaid, *_control_words(fast, tokenizer.ends())][: len(REFLECTION_TOKENS)]
    if len(free) < len(REFLECTION_TOKENS):
        msg = (
            f"Self-RAG needs {len(REFLECTION_TOKENS)} tokens that nothing says, the base has "
            f"{len(free)}. Take another base, such as one of SmolLM2 or Qwen2.5"
        )
        raise ModelError(msg)
    return dict(zip(REFLECTION_TOKENS, free, strict=True))


def _control_words(fast: Any, ends: frozenset[int]) -> list[int]:
    used = {fast.bos_token_id, fast.eos_token_id, fast.pad_token_id, fast.unk_token_id, *ends}
    template = str(fast.chat_template or "")
    return [
        id_
        for id_, word in sorted(fast.added_tokens_decoder.items())
        if word.special and id_ not in used and word.content not in template
    ]
