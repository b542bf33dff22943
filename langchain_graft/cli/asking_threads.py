"""Threads that ask a knowledge base without a pause, and what they were answered."""

from __future__ import annotations

import threading
from itertools import cycle
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_graft.knowledge_base import KnowledgeBase

_K = 5
_NEAR = 5e-3
"""Of scores by the same embedder, which are rounded as the texts beside a question have it."""
_PATIENCE_SECONDS = 60.0

Ranking = list[tuple[str, float]]
"""Chunk ids and scores, the best first."""


class AskingThreads:
    """Asks questions in threads for as long as the context lasts.

    A question is answered by the passages that are found for it; an answer is of one release when
    passages and scores are those that this release alone gives.

    Args:
        kb: Who is asked.
        questions: What is asked, again and again.
        threads: How many ask at once.
    """

    def __init__(self, kb: KnowledgeBase, questions: Sequence[str], *, threads: int = 4) -> None:
        self._kb = kb
        self._questions = list(questions)
        self.threads = threads
        self.answers: list[tuple[str, Ranking]] = []
        self.failures: list[str] = []
        self._ended = threading.Event()
        self._answered = threading.Condition()
        self._running: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._ended.clear()
        self._running = [
            threading.Thread(target=self._ask, args=(number,), daemon=True)
            for number in range(self.threads)
        ]
        for thread in self._running:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._running:
            thread.join()

    def wait(self) -> bool:
        """Until there is one more answer; False: it takes too long."""
        with self._answered:
            return self._answered.wait(_PATIENCE_SECONDS)

    def rankings(self) -> dict[str, Ranking]:
        """What the release that serves answers."""
        retriever = self._kb.retriever(k=_K)
        return {one: _ranking(retriever.invoke(one)) for one in self._questions}

    def summary(self, known: Mapping[int, Mapping[str, Ranking]]) -> dict[str, Any]:
        """How many answers there were of each release, of none, and none at all.

        Args:
            known: By release, what it answers.
        """
        by_release = dict.fromkeys(map(str, known), 0)
        mixed = 0
        for question, answer in self.answers:
            of = [n for n, rankings in known.items() if _same(answer, rankings[question])]
            mixed += not of
            if of:
                by_release[str(of[0])] += 1
        return {
            "threads": self.threads,
            "answers": len(self.answers),
            "by_release": by_release,
            "mixed": mixed,
            "failed": len(self.failures),
            "failures": self.failures[:3],
        }

    def _ask(self, number: int) -> None:
        retriever = self._kb.retriever(k=_K)
        start = number * len(self._questions) // self.threads
        turn = self._questions[start:] + self._questions[:start]
        for question in cycle(turn):
            if self._ended.is_set():
                return
            try:
                answer = _ranking(retriever.invoke(question))
            except Exception as error:  # noqa: BLE001 (whatever it is, it is told)
                self.failures.append(f"{question!r}: {error!r}")
            else:
                self.answers.append((question, answer))
            with self._answered:
                self._answered.notify_all()


def _ranking(documents: Sequence[Any]) -> Ranking:
    return [(str(one.id), float(one.metadata["score"])) for one in documents]


def _same(one: Ranking, other: Ranking) -> bool:
    """The same passages with the same scores; what scores alike may change places."""
    if len(one) != len(other):
        return False
    scores = all(abs(a[1] - b[1]) < _NEAR for a, b in zip(one, other, strict=True))
    mine, others = dict(one), dict(other)
    last = min(score for _, score in other) + _NEAR
    return scores and all(
        abs(mine[id_] - others[id_]) < _NEAR if id_ in others else mine[id_] <= last for id_ in mine
    )
