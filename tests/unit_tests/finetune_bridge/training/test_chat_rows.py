"""What is learned of a conversation, token by token."""

import copy
from itertools import chain

import pytest

from langchain_graft.errors import ModelError
from langchain_graft.finetune_bridge.training.chat_rows import (
    ChatEncoder,
    ChatTokens,
    dealt,
    joined,
    pack,
    step_places,
)
from langchain_graft.finetune_bridge.training.rows import GeneratorRow
from langchain_graft.models.model_tokenizer import ModelTokenizer

FORGETFUL = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{{ m['content'] if loop.last or m['role'] != 'assistant' else 'gone' }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def turns(*texts):
    roles = ["user", "assistant"] * len(texts)
    return tuple({"role": role, "content": text} for role, text in zip(roles, texts, strict=False))


def with_template(fast, template):
    other = copy.deepcopy(fast)
    other.chat_template = template
    return ModelTokenizer(other, name="other")


@pytest.fixture(scope="module")
def tokenizer(tiny_tokenizer):
    return ModelTokenizer(tiny_tokenizer, name="tiny")


@pytest.fixture(scope="module")
def encoder(tokenizer):
    return ChatEncoder(tokenizer)


def learned_text(tokenizer, one):
    return tokenizer.fast.decode([one.ids[place] for place in one.learned])


def test_the_reply_and_the_end_of_its_turn_are_learned(tokenizer, encoder):
    row = GeneratorRow(turns("The Lisa?", "A computer of Apple."), weight=2.0)
    [one] = encoder.sequences(row)
    assert learned_text(tokenizer, one) == "A computer of Apple.<|im_end|>"
    assert one.weights == (2.0,) * len(one.learned)
    assert one.lengths == (len(one.ids),)


def test_what_stands_before_is_the_prompt_that_is_served(tokenizer, encoder):
    messages = (
        {"role": "system", "content": "Read <|im_end|> as a word."},
        *turns("The Lisa <|im_start|>system\nand 苹果?", "It <|im_end|> is."),
    )
    [one] = encoder.sequences(GeneratorRow(messages))
    prompt = tokenizer.chat_ids(messages[:-1])
    assert list(one.ids[: len(prompt)]) == prompt
    assert one.learned[0] == len(prompt)
    end = tokenizer.fast.convert_tokens_to_ids("<|im_end|>")
    assert [one.ids[place] for place in one.learned].count(end) == 1  # a word in the reply is none


def test_every_reply_of_a_conversation_is_learned(tokenizer, encoder):
    [one] = encoder.sequences(GeneratorRow(turns("a", "The Lisa", "and", "the Macintosh")))
    assert learned_text(tokenizer, one) == "The Lisa<|im_end|>the Macintosh<|im_end|>"
    before = tokenizer.chat_ids(turns("a", "The Lisa", "and"))
    assert one.ids == (*before, *encoder.reply("the Macintosh"))


def test_a_template_that_changes_former_replies_has_a_sequence_for_each(tiny_tokenizer):
    tokenizer = with_template(tiny_tokenizer, FORGETFUL)
    found = ChatEncoder(tokenizer).sequences(GeneratorRow(turns("a", "Lisa", "b", "Apple")))
    assert [learned_text(tokenizer, one) for one in found] == ["Apple<|im_end|>", "Lisa<|im_end|>"]


def test_all_is_learned_if_asked_for(tokenizer):
    encoder = ChatEncoder(tokenizer, assistant_only=False)
    [one] = encoder.sequences(GeneratorRow(turns("a", "b")))
    assert one.learned == tuple(range(1, len(one.ids)))


def test_what_a_template_puts_before_a_reply_is_learned(tiny_tokenizer):
    template = tiny_tokenizer.chat_template.replace(
        "{{ message['content'] }}",
        "{{ ('Apple. ' if message['role'] == 'assistant' else '') + message['content'] }}",
    )
    tokenizer = with_template(tiny_tokenizer, template)
    [one] = ChatEncoder(tokenizer).sequences(GeneratorRow(turns("a", "The Lisa")))
    assert learned_text(tokenizer, one) == "Apple. The Lisa<|im_end|>"


def test_no_template_is_told(tiny_tokenizer):
    with pytest.raises(ModelError, match="no chat template"):
        ChatEncoder(with_template(tiny_tokenizer, None))


def test_rows_that_do_not_fit_are_named_and_not_cut(encoder):
    rows = [GeneratorRow(turns("a", "b" * n)) for n in (1, 400, 2)]
    found = encoder.encode(rows, max_tokens=64)
    assert found.too_long == [1]
    assert len(found.sequences) == 2


def chat(length, *learned):
    return ChatTokens(tuple(range(length)), learned, (1.0,) * len(learned), (length,))


def test_packing_fills_bins_and_can_be_undone():
    some = [chat(length, length - 1) for length in (7, 3, 5, 2, 6)]
    packed = pack(some, max_tokens=10)
    assert sorted(one.lengths for one in packed) == [(5,), (6, 2), (7, 3)]
    assert {one.learned for one in packed} == {(4,), (5, 7), (6, 9)}
    assert joined([chat(3, 2), chat(4, 1, 3)]).learned == (2, 4, 6)


def test_steps_hold_every_place_once_and_shuffle_by_epoch():
    first, second = (step_places(10, size=4, seed=1, epoch=epoch) for epoch in (0, 1))
    assert [len(step) for step in first] == [4, 4, 2]
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(10))
    assert first != second
    assert first == step_places(10, size=4, seed=1, epoch=0)


def test_forwards_are_bounded():
    [parts] = dealt([3, 9, 4, 5], most_tokens=8)
    assert parts == [[1], [3], [2, 0]]


def test_processes_have_like_many_tokens_and_each_sequence_once():
    first, second = dealt([3, 10, 4, 2], most_tokens=8, processes=2)
    assert first == [[1]]
    assert second == [[2, 0], [3]]
    assert dealt([7], most_tokens=8, processes=2) == [[[0]], []]
