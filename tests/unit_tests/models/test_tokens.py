"""Token counts without weights: the estimate, and a tokenizer of five words."""

import pickle

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from langchain_graft.models.tokens import TokenCounter, estimate_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("a", 1), ("abc", 1), ("abcd", 2), ("seven c", 2), ("苹果", 2), ("苹果II型", 4)],
)
def test_the_estimate(text, tokens):
    assert estimate_tokens(text) == tokens
    assert TokenCounter()([text]) == [tokens]


@pytest.fixture
def tokenizer_file(tmp_path):
    """Words are tokens; marks are put around a text, and it is cut after three tokens."""
    words = ["[CLS]", "[SEP]", "[UNK]", "apple", "pear"]
    known = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(WordLevel(known, unk_token=words[2]))
    tokenizer.pre_tokenizer = Whitespace()
    marks = [("[CLS]", 0), ("[SEP]", 1)]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=marks)
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=9)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def test_a_tokenizer_counts_all_tokens_and_no_marks(tokenizer_file):
    counter = TokenCounter(tokenizer="tokenizers", path=str(tokenizer_file))
    assert counter(["apple pear " * 4, "", "apple", "unknown words here"]) == [8, 0, 1, 3]
    assert counter([]) == []


def test_a_counter_can_be_sent_to_another_process(tokenizer_file):
    counter = TokenCounter(tokenizer="tokenizers", path=str(tokenizer_file))
    again = pickle.loads(pickle.dumps(counter))  # noqa: S301
    assert again == counter
    assert again(["apple pear"]) == [2]
