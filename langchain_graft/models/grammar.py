"""Replies that follow a grammar: constrained decoding by xgrammar."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError

try:
    import xgrammar
except ImportError as error:
    raise MissingExtraError("hf") from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import torch

_CACHE_BYTES = 64 << 20
_MOST_BLANKS = 32
"""In a row between parts of a JSON text: a small model may not find an end to them by itself."""


class GrammarCompiler:
    """Compiles JSON schemas and grammars (GBNF) for one tokenizer; the last ones are kept.

    Args:
        tokenizer: A tokenizer of transformers.
        vocabulary: Number of the model's logits, which may be more than the tokenizer's tokens.
        ends: Tokens that end a reply.
    """

    def __init__(self, tokenizer: Any, *, vocabulary: int, ends: Iterable[int]) -> None:
        tokens = xgrammar.TokenizerInfo.from_huggingface(
            tokenizer, vocab_size=vocabulary, stop_token_ids=sorted(ends)
        )
        self._compiler = xgrammar.GrammarCompiler(tokens, cache_limit_bytes=_CACHE_BYTES)
        self._lock = threading.Lock()
        self._vocabulary = vocabulary

    def mask(self, asked: Mapping[str, Any]) -> GrammarMask:
        """The grammar of one reply.

        Args:
            asked: `json_schema` (a dict) or `grammar` (GBNF, its start is `root`), as llama.cpp's
                server takes them.

        Raises:
            ValueError: It is neither, both, or can not be compiled.
        """
        if set(asked) not in ({"json_schema"}, {"grammar"}):
            msg = f"Expected one of json_schema and grammar, not {sorted(asked)!r}"
            raise ValueError(msg)
        try:
            with self._lock:
                compiled = (
                    self._compiler.compile_grammar(asked["grammar"])
                    if "grammar" in asked
                    else self._compiler.compile_json_schema(
                        json.dumps(asked["json_schema"]), max_whitespace_cnt=_MOST_BLANKS
                    )
                )
        except RuntimeError as error:
            msg = f"No grammar of replies can be made of {dict(asked)!r}: {error}"
            raise ValueError(msg) from error
        return GrammarMask(xgrammar.GrammarMatcher(compiled), self._vocabulary)


class GrammarMask:
    """What a reply may go on with, after the tokens that it has."""

    def __init__(self, matcher: xgrammar.GrammarMatcher, vocabulary: int) -> None:
        self._matcher = matcher
        self._bits = xgrammar.allocate_token_bitmask(1, vocabulary)

    def allow(self, logits: torch.Tensor) -> torch.Tensor:
        """The logits `float32[vocabulary]`, minus infinity where the grammar allows no token."""
        self._matcher.fill_next_token_bitmask(self._bits)
        allowed = logits.clone()
        xgrammar.apply_token_bitmask_inplace(allowed, self._bits[0].to(logits.device))
        return allowed

    def accept(self, token: int) -> bool:
        """Take the token that was chosen; whether the grammar has ended with it."""
        self._matcher.accept_token(token)
        return bool(self._matcher.is_terminated())
