"""What an adapter learns from: rows as plain data, each once, split without leaks."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

SplitBy = Literal["document", "template"]
Support = Literal["fully", "partially", "none"]
UTILITIES = (1, 2, 3, 4, 5)
ROLES = ("system", "user", "assistant", "tool")
_MASKS = (
    (re.compile(r"\"[^\"]*\"|“[^”]*”|「[^」]*」|《[^》]*》|(?<!\w)'[^']*'(?!\w)"), "…"),
    (re.compile(r"(?<!^)\b[A-Z][\w'’.-]*(?:\s+(?:(?:of|the|and|de|van)\s+)*[A-Z][\w'’.-]*)*"), "…"),
    (re.compile(r"\d+"), "0"),
)
"""Quoted words, names (behind the first word) and numbers."""
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class EmbeddingRow:
    """A query with the passage that it should find."""

    query: str
    positive: str
    """As the knowledge base embeds it, without the embedder's own prefix."""
    negatives: tuple[str, ...] = ()
    """Passages that look alike and do not answer it."""
    group: str = ""
    """What must not be on both sides of a split, such as the document; empty: the positive."""

    def __post_init__(self) -> None:
        _texts(query=self.query, positive=self.positive)
        object.__setattr__(self, "negatives", _strings("negatives", self.negatives))
        if self.positive in self.negatives:
            msg = f"The positive is among the negatives: {self.positive!r:.80}"
            raise ValueError(msg)


@dataclass(frozen=True)
class GeneratorRow:
    """A conversation, ending with what the assistant should say."""

    messages: tuple[Mapping[str, str], ...]
    """Each a `role` (system, user, assistant, tool) and its `content`."""
    weight: float = 1.0
    """How much it counts."""
    group: str = ""
    """What must not be on both sides of a split, such as the question's template."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "messages", _messages(self.messages))
        if self.messages[-1]["role"] != "assistant":
            msg = f"The last message is of {self.messages[-1]['role']!r}, expected the assistant's"
            raise ValueError(msg)
        if not 0 < self.weight < float("inf"):
            msg = f"weight is {self.weight!r}, expected a number above 0"
            raise ValueError(msg)


@dataclass(frozen=True)
class PreferenceRow:
    """Two answers to one prompt, one better than the other."""

    prompt: tuple[Mapping[str, str], ...]
    """The messages before the answer; a text is one message of the user's."""
    chosen: str
    rejected: str
    group: str = ""
    """As in the other rows."""

    def __post_init__(self) -> None:
        given = self.prompt
        if isinstance(given, str):
            given = ({"role": "user", "content": given},)
        object.__setattr__(self, "prompt", _messages(given))
        _texts(chosen=self.chosen, rejected=self.rejected)
        if self.chosen == self.rejected:
            msg = f"chosen and rejected are the same: {self.chosen!r:.80}"
            raise ValueError(msg)


@dataclass(frozen=True)
class ReflectionRow:
    """A question, what is said of it, and judgements (Self-RAG); what is None is not learned."""

    question: str
    answer: str = ""
    """Short; empty: only what comes before it is learned."""
    passage: str = ""
    """What the answer is written from; empty: nothing."""
    retrieve: bool | None = None
    """Whether the question needs documents."""
    relevance: bool | None = None
    """Whether the passage helps to answer it."""
    support: Support | None = None
    """Whether the passage says what the answer says."""
    utility: int | None = None
    """How useful the answer is, from 1 to 5."""
    group: str = ""
    """As in the other rows."""

    def __post_init__(self) -> None:
        _texts(question=self.question)
        if self.support not in (None, *get_args(Support)):
            msg = f"support is {self.support!r:.80}, expected one of {get_args(Support)!r}"
            raise ValueError(msg)
        for name in ("retrieve", "relevance"):
            if not isinstance(getattr(self, name), bool | None):
                msg = f"{name} is {getattr(self, name)!r:.80}, expected true, false or null"
                raise ValueError(msg)  # noqa: TRY004 (a file's content)
        if self.utility is not None and self.utility not in UTILITIES:
            msg = f"utility is {self.utility!r:.80}, expected 1 to 5"
            raise ValueError(msg)
        no_passage = not self.passage and (self.relevance, self.support) != (None, None)
        if no_passage or (not self.answer and (self.support, self.utility) != (None, None)):
            msg = (
                "relevance and support are of a passage, support and utility of an answer: "
                f"passage is {self.passage!r:.40}, answer {self.answer!r:.40}"
            )
            raise ValueError(msg)


Row = EmbeddingRow | GeneratorRow | PreferenceRow | ReflectionRow
RowT = TypeVar("RowT", EmbeddingRow, GeneratorRow, PreferenceRow, ReflectionRow)


def distinct_rows(rows: Iterable[RowT]) -> list[RowT]:
    """Each row once, in the order of first sight; case and spaces make no other row."""
    found: dict[str, RowT] = {}
    for row in rows:
        found.setdefault(_normal(" ".join(_content(row))), row)
    return list(found.values())


def digest_of_rows(rows: Iterable[Row]) -> str:
    """What tells these rows, in this order, from any others; 32 hexadecimal digits."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row_as_json(row)}\n".encode())
    return digest.hexdigest()[:32]


def split_rows(
    rows: Sequence[RowT],
    *,
    by: SplitBy | Callable[[RowT], Hashable] = "document",
    share: float = 0.1,
    seed: int = 0,
) -> tuple[list[RowT], list[RowT]]:
    """Rows to learn from, and rows to be measured on that share nothing with them.

    Rows with the same question, the same passage or the same `group` stay together, and what is
    connected through others does too.

    Args:
        rows: In any order; both parts keep it.
        by: What besides must not be on both sides: `template`, the question without its names,
            numbers and quotations; or a function of a row.
        share: Of the rows that are measured on: so many, or a few less.
        seed: The same seed gives the same parts.

    Raises:
        ValueError: `share` is out of range, or all rows hang together.
    """
    if not 0 < share < 1:
        msg = f"share is {share!r}, expected a number between 0 and 1"
        raise ValueError(msg)
    clusters = _clusters(rows, by)
    order = sorted(clusters)
    random.Random(seed).shuffle(order)  # noqa: S311 (no secret)
    room, held = max(1, round(share * len(rows))), set[int]()
    for first in order:
        if len(held) + len(clusters[first]) <= room:
            held.update(clusters[first])
    if not held:
        smallest = min(map(len, clusters.values()), default=0)
        msg = (
            f"{len(rows)} rows can not be split by {by!r}: the smallest part of what hangs "
            f"together has {smallest} rows, room is for {room}. Raise the share, or give more rows"
        )
        raise ValueError(msg)
    learned = [row for place, row in enumerate(rows) if place not in held]
    return learned, [rows[place] for place in sorted(held)]


def question_of_row(row: Row) -> str:
    """What is asked in a row: the query, or the user's last words."""
    if isinstance(row, EmbeddingRow):
        return row.query
    if isinstance(row, ReflectionRow):
        return row.question
    messages = row.messages if isinstance(row, GeneratorRow) else row.prompt
    asked = [message["content"] for message in messages if message["role"] == "user"]
    return asked[-1] if asked else messages[0]["content"]


def template_of(question: str) -> str:
    """A question without what stands in quotes, names and numbers, which questions share.

    Names are told by their capital letters: in a language without, give rows a `group`.
    """
    for pattern, mask in _MASKS:
        question = pattern.sub(mask, question.strip())
    return _normal(question)


def _clusters(
    rows: Sequence[RowT], by: SplitBy | Callable[[RowT], Hashable]
) -> dict[int, list[int]]:
    """Places of rows that hang together, by the first of them."""
    parents = list(range(len(rows)))

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    seen: dict[Hashable, int] = {}
    for place, row in enumerate(rows):
        for key in _keys(row, by):
            one, other = root(seen.setdefault(key, place)), root(place)
            parents[max(one, other)] = min(one, other)
    clusters = defaultdict(list)
    for place in range(len(rows)):
        clusters[root(place)].append(place)
    return dict(clusters)


def _keys(row: RowT, by: SplitBy | Callable[[RowT], Hashable]) -> Iterator[Hashable]:
    question = question_of_row(row)
    yield "question", _normal(question)
    if row.group:
        yield "group", row.group
    if isinstance(row, EmbeddingRow):
        yield "passage", _normal(row.positive)
    if by == "template":
        yield "template", template_of(question)
    elif by != "document":
        yield "own", by(row)


def _content(row: Row) -> Iterator[str]:
    if isinstance(row, EmbeddingRow):
        yield from (row.query, row.positive)
        return
    if isinstance(row, ReflectionRow):
        yield from (row.question, row.passage, row.answer)
        return
    messages = row.messages if isinstance(row, GeneratorRow) else row.prompt
    yield from (f"{message['role']}: {message['content']}" for message in messages)
    if isinstance(row, PreferenceRow):
        yield from (row.chosen, row.rejected)


def _normal(text: str) -> str:
    return _SPACE.sub(" ", text).strip().casefold()


def row_as_json(row: Row) -> str:
    """A row as one line of JSON."""
    return json.dumps(asdict(row), ensure_ascii=False)


def _texts(**values: object) -> None:
    for name, value in values.items():
        if not isinstance(value, str) or not value.strip():
            msg = f"{name} is {value!r:.80}, expected a text"
            raise ValueError(msg)
        try:
            value.encode()
        except UnicodeEncodeError as error:
            msg = f"{name} has half a character ({error.reason}): {value!r:.80}"
            raise ValueError(msg) from error


def _strings(name: str, values: object) -> tuple[str, ...]:
    if not isinstance(values, list | tuple):
        msg = f"{name} is {values!r:.80}, expected a list of texts"
        raise ValueError(msg)  # noqa: TRY004 (a file's content)
    for place, value in enumerate(values):
        _texts(**{f"{name}[{place}]": value})
    return tuple(values)


def _messages(values: object) -> tuple[Mapping[str, str], ...]:
    if not isinstance(values, list | tuple) or not values:
        msg = f"The messages are {values!r:.80}, expected a list of role and content"
        raise ValueError(msg)
    return tuple(_message(value) for value in values)


def _message(value: object) -> Mapping[str, str]:
    match value:
        case {"role": str(role), "content": str(content), **others} if role in ROLES and not others:
            _texts(content=content)
            return {"role": role, "content": content}
    msg = f"A message is {value!r:.80}, expected a role ({', '.join(ROLES)}) and a content"
    raise ValueError(msg)
