"""Segments that a model with reflection tokens writes and judges in one pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_graft.chains.self_rag.shared_rows import SharedRows
from langchain_graft.chains.self_rag.vocabulary import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import torch

    from langchain_graft.chains.self_rag.vocabulary import Aspect


@dataclass(kw_only=True)
class Row:
    """One segment on its way."""

    prompt: Sequence[int]
    has_passage: bool
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    judged: dict[Aspect, dict[str, float]] = field(default_factory=dict)
    ended: bool = True
    """Whether the answer ends with it."""
    state: str = "prompt"
    """"prompt", "text", "support" (it was read) or "done"."""


class ReflectedRows:
    """Rows that are written together, token by token; all in the thread that computes.

    Behind the passage the likelier of [Relevant] and [Irrelevant] is read as said; then the
    likeliest tokens, until a reflection token or an end is the likeliest; there the support is
    read, and behind the likeliest of its labels the utility. So all distributions are known,
    whatever the model says by itself, and nothing but the 13 tokens of them is read.

    Args:
        model: A causal language model.
        rows: What is written; they are filled.
        token_ids: Of the reflection tokens, by label.
        ends: Tokens that end a reply.
        max_tokens: Of a segment.
    """

    def __init__(
        self,
        model: Any,
        rows: Sequence[Row],
        *,
        token_ids: Mapping[str, int],
        ends: frozenset[int],
        max_tokens: int,
    ) -> None:
        self._model, self._live = model, list(rows)
        self._ids, self._ends, self._most = token_ids, ends, max_tokens
        self._reflections = frozenset(token_ids.values())
        self._shared: SharedRows | None = None

    @property
    def has_work(self) -> bool:
        """Whether a row is not done."""
        return bool(self._live)

    def forward(self) -> None:
        """Read the prompts, or one more token of each row."""
        if self._shared is None:
            self._shared = SharedRows(self._model, [row.prompt for row in self._live])
        logits = self._shared.logits
        said = logits.log_softmax(-1)
        likeliest = logits.argmax(-1).tolist()
        following = [
            self._following(row, logits[n], said[n], likeliest[n])
            for n, row in enumerate(self._live)
        ]
        going = [n for n, row in enumerate(self._live) if row.state != "done"]
        self._live = [self._live[n] for n in going]
        if going:
            self._shared.keep(going)
            self._shared.push([following[n] for n in going])

    def _following(self, row: Row, logits: torch.Tensor, said: torch.Tensor, likeliest: int) -> int:
        """The next token of a row, from the logits behind its last one."""
        if row.state == "prompt" and row.has_passage:
            row.state = "text"
            return self._judge(row, "relevance", logits)
        if row.state in {"prompt", "text"}:
            stops = likeliest in self._reflections or likeliest in self._ends
            if not stops and len(row.tokens) < self._most:
                row.state = "text"
                row.tokens.append(likeliest)
                row.logprobs.append(float(said[likeliest]))
                return likeliest
            if row.has_passage:
                row.state = "support"
                return self._judge(row, "support", logits)
        row.ended = self._ends_here(logits)
        row.state = "done"
        return self._judge(row, "utility", logits)

    def _judge(self, row: Row, aspect: Aspect, logits: torch.Tensor) -> int:
        """Read an aspect; the token of its likeliest label."""
        row.judged[aspect] = read_aspect(logits, aspect, self._ids)
        best = max(row.judged[aspect], key=row.judged[aspect].__getitem__)
        return self._ids[best]

    def _ends_here(self, logits: torch.Tensor) -> bool:
        """Whether the utility, or an end, is likelier than a decision on more retrieval."""
        ends = [self._ids[label] for label in LABELS["utility"]] + sorted(self._ends)
        goes_on = [self._ids[label] for label in LABELS["retrieve"]]
        return bool(logits[ends].logsumexp(0) >= logits[goes_on].logsumexp(0))


def read_aspect(
    logits: torch.Tensor, aspect: Aspect, token_ids: Mapping[str, int]
) -> dict[str, float]:
    """The probabilities of an aspect's labels, of themselves alone: no other logit is read."""
    labels = LABELS[aspect]
    chances = logits[[token_ids[label] for label in labels]].softmax(0).tolist()
    return dict(zip(labels, chances, strict=True))


def read_next(
    model: Any,
    prompts: Sequence[Sequence[int]],
    aspects: Sequence[Aspect],
    token_ids: Mapping[str, int],
) -> list[dict[str, float]]:
    """The probabilities of one aspect's labels behind each prompt; all in one batch."""
    logits = SharedRows(model, prompts).logits
    return [read_aspect(logits[n], aspect, token_ids) for n, aspect in enumerate(aspects)]
