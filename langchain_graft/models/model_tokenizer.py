"""A causal language model's tokenizer: texts and conversations to tokens, and back."""

from __future__ import annotations

import re
import secrets
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import ModelError
from langchain_graft.models.digest import digest_of
from langchain_graft.models.tool_calls import WORDS, told_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_END_OF_TEXT = "<|endoftext|>"


class ModelTokenizer:
    """A fast tokenizer of transformers, which may be used by any number of threads.

    Args:
        fast: The tokenizer.
        name: What its model is called in errors.
    """

    def __init__(self, fast: Any, *, name: str) -> None:
        self.fast = fast
        self.lock = threading.Lock()
        """Held by whoever uses `fast`, which is not to be entered twice."""
        self._name = name
        self._start = _start_tokens(fast)

    @cached_property
    def digest(self) -> str:
        """What tells it, and its chat template, from others; 32 hexadecimal digits."""
        with self.lock:
            return digest_of(
                "tokenizer", self.fast.backend_tokenizer.to_str(), self.fast.chat_template
            )

    def ids(self, text: str) -> list[int]:
        """The tokens of a text, none put before or behind it; control words in it are read."""
        ids: list[int] = self._encode(text)["input_ids"]
        return ids

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Start and end, in characters, of each token of `ids`."""
        offsets = self._encode(text, return_offsets_mapping=True)["offset_mapping"]
        return [(start, end) for start, end in offsets]

    def prompt_ids(self, text: str) -> list[int]:
        """The tokens of a text behind what the tokenizer puts before one; never none.

        An empty text is that alone, else `<|endoftext|>` (as in Li et al., Selective Context,
        2023), else BOS or EOS.
        """
        before, alone = self._start
        return [*before, *self.ids(text)] or alone

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens, control words left out."""
        with self.lock:
            text: str = self.fast.decode(
                ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        return text

    def chat_prompt(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()
    ) -> str:
        """The prompt that the model's chat template makes of messages.

        A template that knows no tools is told of them, and of calls and their results, in words.

        Args:
            messages: With `role` and `content`, as for OpenAI; a call's `arguments` as an object.
            tools: What the reply may call, as for OpenAI.

        Raises:
            ModelError: There is no template, or it refuses these messages.
        """
        if not self.fast.chat_template:
            msg = (
                f"{self._name!r} has no chat template: it was not made for conversations. Name one "
                "that was (often called Instruct or Chat)"
            )
            raise ModelError(msg)
        if not self._knows_tools:
            messages, tools = told_in_words(messages, tools), ()
        try:
            prompt: str = self.fast.apply_chat_template(
                list(messages), list(tools) or None, tokenize=False, add_generation_prompt=True
            )
        except Exception as error:
            msg = f"The chat template of {self._name!r} refuses these messages: {error}"
            raise ModelError(msg) from error
        return prompt

    def chat_ids(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        begun: str = "",
    ) -> list[int]:
        """The tokens of `chat_prompt`; only the template's control words are read as such.

        A document that says `<|im_end|>` ends no turn: its control words are spelt out; and where
        there are tools, its `<tool_call>` is none.

        Args:
            messages: As for `chat_prompt`.
            tools: As for `chat_prompt`.
            begun: What the reply begins with.

        Raises:
            ModelError: As for `chat_prompt`.
        """
        uses_tools = tools or any(one.get("tool_calls") for one in messages)
        hidden = _Hidden([*self._control_words(), *(WORDS if uses_tools else ())])
        prompt = self.chat_prompt(hidden.put_in(messages), hidden.put_in(tools))
        return [
            id_
            for text, is_hidden in hidden.parts(prompt + begun)
            for id_ in (self._spelt(text) if is_hidden else self._encode(text)["input_ids"])
        ]

    def _spelt(self, word: str) -> list[int]:
        """A control word's tokens, as those of any word."""
        ids: list[int] = self._encode(word, split_special_tokens=True)["input_ids"]
        if len(ids) > 1 or len(word) == 1:
            return ids
        return [id_ for part in (word[0], word[1:]) for id_ in self._encode(part)["input_ids"]]

    @property
    def _knows_tools(self) -> bool:
        return bool(re.search(r"\btools\b", str(self.fast.chat_template)))

    def ends(self, *told: Any) -> frozenset[int]:
        """Tokens that end a reply: the tokenizer's, the chat template's, and those of a model.

        Args:
            told: Tokens, lists of them, or None, as the model's configuration has them.
        """
        known = (self.fast.eos_token_id, self.fast.get_vocab().get(_END_OF_TEXT))
        every = (*told, *known, _end_of_turn(self.fast))
        ids = (id_ for some in every for id_ in (some if isinstance(some, list) else [some]))
        return frozenset(id_ for id_ in ids if id_ is not None)

    def _control_words(self) -> list[str]:
        added = self.fast.added_tokens_decoder.values()
        return [token.content for token in added if token.special and token.content]

    def _encode(self, text: str, **settings: Any) -> Any:
        with self.lock:
            return self.fast(text, add_special_tokens=False, verbose=False, **settings)


class _Hidden:
    """Words that stand behind marks, which nobody can guess, while a template is filled."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = sorted(words, key=len, reverse=True)  # of two that begin alike the longer
        self._mark = secrets.token_hex(8)

    def put(self, text: str) -> str:
        """The text with a mark in the place of each word."""
        if not self._words:
            return text
        pattern = "|".join(map(re.escape, self._words))
        return re.sub(pattern, lambda found: self._marked(self._words.index(found[0])), text)

    def put_in(self, value: Any) -> Any:
        """A JSON value with the marks in all its texts."""
        if isinstance(value, str):
            return self.put(value)
        if isinstance(value, dict):
            return {self.put(key): self.put_in(one) for key, one in value.items()}
        return [self.put_in(one) for one in value] if isinstance(value, list | tuple) else value

    def parts(self, text: str) -> list[tuple[str, bool]]:
        """The text in parts, and whether each is a word that was hidden."""
        found = re.split(self._marked(r"(\d+)"), text)
        return [
            (self._words[int(part)], True) if n % 2 else (part, False)
            for n, part in enumerate(found)
            if part
        ]

    def _marked(self, number: object) -> str:
        return f"\ue000{self._mark}-{number}\ue000"


def _end_of_turn(fast: Any) -> int | None:
    """The special token that a chat template puts behind a reply; None where there is none."""
    if not fast.chat_template:
        return None
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "REPLY"}]
    try:
        text = fast.apply_chat_template(turns, tokenize=False)
    except Exception:  # noqa: BLE001 (a template may refuse anything; asked for a reply, it tells)
        return None
    ids = fast(text.rpartition("REPLY")[2], add_special_tokens=False)["input_ids"]
    return ids[0] if ids and ids[0] in fast.all_special_ids else None


def _start_tokens(fast: Any) -> tuple[list[int], list[int]]:
    """What the tokenizer puts before a text, and what stands for an empty one."""
    whole: list[int] = fast("a")["input_ids"]
    plain: list[int] = fast("a", add_special_tokens=False)["input_ids"]
    before = whole[: whole.index(plain[0])] if plain and plain[0] in whole else []
    known = (fast.get_vocab().get(_END_OF_TEXT), fast.bos_token_id, fast.eos_token_id)
    alone = next(([id_] for id_ in known if id_ is not None), None)
    if alone is None:
        msg = "The tokenizer has no <|endoftext|>, BOS or EOS to stand for an empty prompt"
        raise ModelError(msg)
    return before, alone
