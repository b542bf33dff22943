"""Text to words for a lexical index: Chinese in characters and pairs of them, English stemmed.

Unigrams and bigrams need no dictionary and find more than a segmenter does (benchmarks/lexical.py
has the figures for bigrams alone, for jieba and for both).
"""

import re
from functools import cache
from typing import TYPE_CHECKING

from langchain_graft.errors import MissingExtraError
from langchain_graft.han import HAN_CLASS, KANA_CLASS, simplified

if TYPE_CHECKING:
    import tantivy

_RUN = re.compile(rf"[{HAN_CLASS}{KANA_CLASS}]+")
_LONGEST_WORD = 60


def spread_han(text: str) -> str:
    """The text with each run of Chinese or Japanese characters as single ones and pairs.

    "苹果II" becomes " 苹 果 苹果 II", and "蘋果II" too: both scripts are indexed as the simplified.
    """
    return _RUN.sub(lambda run: _spread(simplified(run[0])), text)


@cache
def word_analyzer(*, skip_stop_words: bool = False) -> "tantivy.TextAnalyzer":
    """Words of `spread_han` text: lower case, English stems, no word over 60 bytes."""
    try:
        import tantivy
    except ImportError as error:
        raise MissingExtraError("words") from error
    steps = [
        tantivy.Filter.remove_long(_LONGEST_WORD),
        tantivy.Filter.lowercase(),
        tantivy.Filter.ascii_fold(),
        *([tantivy.Filter.stopword("english")] if skip_stop_words else []),
        tantivy.Filter.stemmer("english"),
    ]
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    for step in steps:
        builder = builder.filter(step)
    return builder.build()


def query_words(text: str) -> list[str]:
    """The words that a query asks for, each once; "the", "of" and their like if there is no other.

    A text of such words alone, as "To be or not to be", is still found by them.
    """
    spread = spread_han(text)
    telling = word_analyzer(skip_stop_words=True).analyze(spread)
    return list(dict.fromkeys(telling or word_analyzer().analyze(spread)))


def _spread(run: str) -> str:
    return f" {' '.join([*run, *_pairs(run)])} "


def _pairs(run: str) -> list[str]:
    return [run[n : n + 2] for n in range(len(run) - 1)]
