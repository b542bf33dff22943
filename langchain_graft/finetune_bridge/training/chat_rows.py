"""Conversations as tokens: what a chat model reads, and what of it is learned."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_graft.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_graft.finetune_bridge.training.rows import GeneratorRow
    from langchain_graft.models.model_tokenizer import ModelTokenizer

_QUESTION, _REPLY = "Question", "REPLY"


@dataclass(frozen=True)
class ChatTokens:
    """A conversation, or several that share a sequence and see themselves only."""

    ids: tuple[int, ...]
    learned: tuple[int, ...]
    """Places of the tokens that are learned, rising, none of them the first of its conversation."""
    weights: tuple[float, ...]
    """How much each of these counts."""
    lengths: tuple[int, ...]
    """Tokens of each conversation."""


@dataclass(frozen=True)
class EncodedChats:
    """Rows as tokens."""

    sequences: list[ChatTokens] = field(default_factory=list)
    too_long: list[int] = field(default_factory=list)
    """Places of rows of which nothing, or not everything, fits."""


class ChatEncoder:
    """Makes of conversations the tokens that they are when the model serves.

    What stands before a reply is `ModelTokenizer.chat_ids` of the messages before it, as for a
    request: the same template, documents' control words spelt out. Behind it stand the reply's own
    tokens and the one that ends the turn, which is learned too. Templates need no `{% generation
    %}`: a reply lies where the tokens of the prompt before it end.

    Args:
        tokenizer: The base model's.
        assistant_only: Replies are learned, all else is read; else all tokens are learned.

    Raises:
        ModelError: The tokenizer has no chat template, or no token that ends a turn.
    """

    def __init__(self, tokenizer: ModelTokenizer, *, assistant_only: bool = True) -> None:
        self._tokenizer = tokenizer
        self._assistant_only = assistant_only
        self._before, self.end = _frame(tokenizer)

    def prompt(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """What the model reads before it replies."""
        return self._tokenizer.chat_ids(messages)

    def reply(self, text: str) -> list[int]:
        """A reply as the model says it, with the token that ends its turn.

        Its control words are spelt out: a reply can not end in the middle.
        """
        with self._tokenizer.lock:
            ids = self._tokenizer.fast(
                text, add_special_tokens=False, split_special_tokens=True, verbose=False
            )["input_ids"]
        return [*self._before, *ids, self.end]

    def sequences(self, row: GeneratorRow) -> list[ChatTokens]:
        """A row's tokens: one sequence, in which every reply to something is learned.

        A template may show former replies otherwise than they were said (without their thoughts,
        say). Such a reply has a sequence of its own, for what is learned is what is served.
        """
        made: list[tuple[list[int], set[int]]] = []
        for place in range(len(row.messages) - 1, 0, -1):
            message = row.messages[place]
            if message["role"] != "assistant":
                continue
            prompt = self.prompt(row.messages[:place])
            if made and self._learn(made[-1], prompt, message["content"]):
                continue
            ids = prompt + self.reply(message["content"])
            first = len(prompt) if self._assistant_only else 1
            made.append((ids, set(range(first, len(ids)))))
        return [_sequence(ids, learned, row.weight) for ids, learned in made]

    def encode(self, rows: Iterable[GeneratorRow], *, max_tokens: int) -> EncodedChats:
        """Rows as sequences; those that do not fit are named, not cut."""
        found = EncodedChats()
        for place, row in enumerate(rows):
            every = self.sequences(row)
            fitting = [one for one in every if len(one.ids) <= max_tokens]
            found.sequences.extend(fitting)
            if len(fitting) < max(1, len(every)):
                found.too_long.append(place)
        return found

    def _learn(self, made: tuple[list[int], set[int]], prompt: list[int], reply: str) -> bool:
        """Learn an earlier reply where it stands in a sequence; whether it is as it was said."""
        ids, learned = made
        whole = prompt + self.reply(reply)
        if ids[: len(whole)] != whole:
            return False
        learned.update(range(len(prompt), len(whole)))
        return True


def pack(sequences: Sequence[ChatTokens], *, max_tokens: int) -> list[ChatTokens]:
    """Conversations put together until there is no more room: best fit, the longest first."""
    bins: list[tuple[int, list[ChatTokens]]] = []
    for one in sorted(sequences, key=lambda one: -len(one.ids)):
        size = len(one.ids)
        fitting = [n for n, (used, _) in enumerate(bins) if used + size <= max_tokens]
        if fitting:
            best = max(fitting, key=lambda n: bins[n][0])
            bins[best] = (bins[best][0] + size, [*bins[best][1], one])
        else:
            bins.append((size, [one]))
    return [joined(some) for _, some in bins]


def joined(sequences: Sequence[ChatTokens]) -> ChatTokens:
    """Conversations one behind the other, each seeing itself only."""
    ids: list[int] = []
    learned: list[int] = []
    for one in sequences:
        learned.extend(len(ids) + place for place in one.learned)
        ids.extend(one.ids)
    return ChatTokens(
        ids=tuple(ids),
        learned=tuple(learned),
        weights=tuple(weight for one in sequences for weight in one.weights),
        lengths=tuple(length for one in sequences for length in one.lengths),
    )


def step_places(count: int, *, size: int, seed: int, epoch: int) -> list[list[int]]:
    """Places of an epoch's sequences, shuffled, so many a step.

    Args:
        count: Sequences there are.
        size: Of a step; the last one has what is left.
        seed: The same seed and epoch give the same steps.
        epoch: From 0.
    """
    order = list(range(count))
    random.Random(f"{seed} {epoch}").shuffle(order)  # noqa: S311 (no secret)
    return [order[first : first + size] for first in range(0, count, size)]


def dealt(sizes: Sequence[int], *, most_tokens: int, processes: int = 1) -> list[list[list[int]]]:
    """Places of a step's sequences: for each process those of each of its forwards.

    A forward has sequences of like length, `most_tokens` in all or a single one. The longest are
    dealt first, each to the process that has the fewest tokens.
    """
    shares: list[list[int]] = [[] for _ in range(processes)]
    tokens = [0] * processes
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        least = tokens.index(min(tokens))
        shares[least].append(place)
        tokens[least] += sizes[place]
    return [_forwards(share, sizes, most_tokens) for share in shares]


def _forwards(places: Sequence[int], sizes: Sequence[int], most_tokens: int) -> list[list[int]]:
    found: list[list[int]] = []
    used = 0
    for place in places:
        if not found or used + sizes[place] > most_tokens:
            found.append([])
            used = 0
        found[-1].append(place)
        used += sizes[place]
    return found


def _sequence(ids: list[int], learned: set[int], weight: float) -> ChatTokens:
    places = tuple(sorted(learned))
    return ChatTokens(tuple(ids), places, (weight,) * len(places), (len(ids),))


def _frame(tokenizer: ModelTokenizer) -> tuple[list[int], int]:
    """What the template has a reply begin with, behind the prompt, and the token that ends it."""
    asked = [{"role": "user", "content": _QUESTION}]
    prompt = tokenizer.chat_prompt(asked)
    told = [*asked, {"role": "assistant", "content": _REPLY}]
    whole: str = tokenizer.fast.apply_chat_template(told, tokenize=False)
    start, _, after = whole.rpartition(_REPLY)
    before = start[len(prompt) :] if start.startswith(prompt) else ""
    ends = tokenizer.ends()
    end = next((one for one in tokenizer.ids(after) if one in ends), tokenizer.fast.eos_token_id)
    if end is None:
        msg = "The tokenizer has no token that ends a turn, which the model could learn to say"
        raise ModelError(msg)
    return tokenizer.ids(before), int(end)
