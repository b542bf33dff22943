"""Who writes segments and who judges them: what the search asks of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from langchain_core.documents import Document
    from langchain_core.runnables import RunnableConfig

    from langchain_graft.chains.self_rag.vocabulary import Aspect

Probabilities = Mapping[str, float]
"""By label of an aspect (`vocabulary.LABELS`); what is unknown is missing."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One thing that a critic is asked."""

    aspect: Aspect
    question: str
    before: str = ""
    """The answer so far; not told where relevance is asked."""
    passage: Document | None = None
    segment: str = ""
    """What is judged, in support and utility."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a critic says."""

    probabilities: Probabilities = field(default_factory=dict)
    """May be empty: nothing could be read."""
    tokens: int = 0
    """That it cost, as far as the model tells."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """One segment that is to be written."""

    question: str
    before: str = ""
    passage: Document | None = None
    """What it is written from; None: from the model alone."""
    goes_on: bool = False
    """Whether another segment may follow, in a long answer."""
    max_tokens: int = 100


@dataclass(frozen=True, kw_only=True)
class Written:
    """A segment."""

    text: str
    fluency: float = 0.0
    """exp(mean log-probability) of its tokens; 0 where the model tells none."""
    ended: bool = True
    """Whether the answer ends with it."""
    judged: Mapping[Aspect, Probabilities] = field(default_factory=dict)
    """What the writer itself judged on the way."""
    tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class Search:
    """Asks for documents: a list for each query."""

    queries: Sequence[str]
    fallback: bool = False
    """Whether the other retriever is asked."""


Request = Search | list[Judgement] | list[Draft]
"""What the search asks for; it is sent a list of the same length."""


@runtime_checkable
class Critic(Protocol):
    """Judges; every source of probabilities has this one interface."""

    def judge(
        self, asked: Sequence[Judgement], config: RunnableConfig | None = None
    ) -> list[Judged]:
        """One answer each, in their order; together, where the model can."""
        ...

    async def ajudge(
        self, asked: Sequence[Judgement], config: RunnableConfig | None = None
    ) -> list[Judged]:
        """Like `judge`."""
        ...


@runtime_checkable
class Writer(Protocol):
    """Writes segments."""

    judges: frozenset[Aspect]
    """What `Written.judged` has, which no critic is asked then."""

    def write(self, drafts: Sequence[Draft], config: RunnableConfig | None = None) -> list[Written]:
        """One segment each, in their order; together, where the model can."""
        ...

    async def awrite(
        self, drafts: Sequence[Draft], config: RunnableConfig | None = None
    ) -> list[Written]:
        """Like `write`."""
        ...
