"""The gate before a release: better where it should be, no worse elsewhere, no slower."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from langchain_graft.errors import GateFailedError
from langchain_graft.evaluation.bootstrap import Interval, paired_bootstrap
from langchain_graft.evaluation.ranking import ranking_metrics
from langchain_graft.finetune_bridge.adapters.ref import BASE
from langchain_graft.knowledge_base.gate_questions import (
    GateQuestions,
    OwnDocuments,
    load_gate_questions,
    rank_in_index,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel

    from langchain_graft.knowledge_base.indexes import Indexes
    from langchain_graft.knowledge_base.knowledge_base import KnowledgeBase
    from langchain_graft.knowledge_base.promotion import Candidate

    OnProgress = Callable[[str, int, int], object]
    Measure = Callable[[BaseChatModel, GateQuestions], Mapping[str, float]]

Role = Literal["target", "guard"]
_METRIC = "ndcg@10"
_TIMED = 20
_ROUNDS = 3
_ANSWER_TOKENS = 256


@dataclass(frozen=True, kw_only=True)
class GateSettings:
    """What a gate lets pass."""

    most_worse: float = 0.01
    """Share of its mean that a guard set may lose."""
    most_slower: float = 1.5
    """A question may take so many times as long (median), and `slack_seconds` more."""
    slack_seconds: float = 0.005
    """Differences below it are noise."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value < math.inf:
                msg = f"{name} is {value!r}, expected a number, 0 or more"
                raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class GateFinding:
    """One set of questions under what serves and under the candidate."""

    role: Role
    name: str
    metric: str
    before: float
    after: float
    difference: Interval
    """Of the means, question by question, with its 95 % interval."""
    questions: int
    ok: bool

    @property
    def told(self) -> str:
        """As a person reads it."""
        gain = f"{self.difference.mean:+.4f}, 95 % interval {self.difference.low:+.4f} to "
        return (
            f"{self.role} {self.name}: {self.metric} {self.before:.4f} -> {self.after:.4f} "
            f"({gain}{self.difference.high:+.4f}, {self.questions} questions)"
        )


def judge(
    role: Role,
    name: str,
    before: Sequence[float],
    after: Sequence[float],
    *,
    metric: str = _METRIC,
    settings: GateSettings | None = None,
) -> GateFinding:
    """Compare two lists of figures, question by question (paired bootstrap).

    A target has to be better, its whole interval above 0. A guard may lose `most_worse` of its
    mean.
    """
    settings = settings or GateSettings()
    difference = paired_bootstrap(after, before)
    first, second = statistics.fmean(before), statistics.fmean(after)
    is_better, is_kept = difference.low > 0, second >= first * (1 - settings.most_worse) - 1e-9
    return GateFinding(
        role=role,
        name=name,
        metric=metric,
        before=first,
        after=second,
        difference=difference,
        questions=len(before),
        ok=is_better if role == "target" else is_kept,
    )


def create_gate(  # noqa: PLR0913 (what is compared, how, who is told)
    kb: KnowledgeBase,
    *,
    target: Sequence[Path | str] = (),
    guard: Sequence[Path | str] = (),
    settings: GateSettings | None = None,
    measure: Measure | None = None,
    on_finding: Callable[[GateFinding], object] | None = None,
    on_progress: OnProgress | None = None,
) -> Callable[[Candidate], str]:
    """A gate for `kb.promote`: measures the candidate beside what serves.

    Each set is a file of questions or a BEIR folder (`load_gate_questions`). An adapter on the
    embedder is measured by nDCG@10 of the search by meaning and by the time that a question takes,
    one on the chat model by the F1 of its answers (`create_rag_chain`, five passages).

    Args:
        kb: The knowledge base.
        target: What should be better.
        guard: What should not be worse: other questions than those that were learned from.
        settings: What is let pass.
        measure: Question id to figure of a chat model, in place of the answers' F1.
        on_finding: Told of each set, whether it passes or not.
        on_progress: Told ("embed" | "answer", done, total).

    Raises:
        ValueError: There is no set at all.
        EvaluationDataError: A set can not be used.
    """
    settings = settings or GateSettings()
    roles: list[tuple[Role, Path | str]] = [
        *(("target", path) for path in target),
        *(("guard", path) for path in guard),
    ]
    if not roles:
        msg = "A gate needs questions: a target, a guard, or both"
        raise ValueError(msg)
    sets = [(role, load_gate_questions(path, kb.folder)) for role, path in roles]

    def gate(candidate: Candidate) -> str:
        is_generator = candidate.release.generator_adapter != candidate.former.generator_adapter
        if is_generator:
            ask = _Asking(kb, candidate, measure or _answers_f1(kb, on_progress))
            findings = _told((ask.finding(*one, settings) for one in sets), on_finding)
            return _verdict(findings, "")
        if candidate.indexes is None:
            msg = "The knowledge base holds no documents: there is nothing to compare in"
            raise GateFailedError(msg)
        search = _Searching(kb, candidate.indexes, on_progress)
        findings = _told((search.finding(*one, settings) for one in sets), on_finding)
        return _verdict(findings, *search.latency(sets[0][1], settings))

    return gate


class _Searching:
    """Two embedders beside each other."""

    def __init__(self, kb: KnowledgeBase, indexes: Indexes, on_progress: OnProgress | None) -> None:
        self._serving = kb.retriever("vector").index
        self._indexes = indexes
        self._embedders: tuple[Embeddings, Embeddings] = (kb.embeddings, indexes.vector.embeddings)
        self._tell = on_progress

    def finding(self, role: Role, questions: GateQuestions, settings: GateSettings) -> GateFinding:
        queries = {id_: text for id_, text in questions.queries.items() if id_ in questions.judged}
        if not queries:
            msg = f"{questions.name!r} names no documents, which a search is compared by"
            raise GateFailedError(msg)
        if questions.corpus:
            own = OwnDocuments(questions.corpus, self._tell)
            ranked = [own.rank(embedder, queries) for embedder in self._embedders]
        else:
            searched = (self._serving, self._indexes.vector)
            ranked = [rank_in_index(index, queries) for index in searched]
        before, after = (
            ranking_metrics(rankings, questions.judged)[_METRIC] for rankings in ranked
        )
        pairs = [[values[id_] for id_ in queries] for values in (before, after)]
        return judge(role, questions.name, *pairs, settings=settings)

    def latency(self, questions: GateQuestions, settings: GateSettings) -> tuple[str, str]:
        """What is told of a question's time, and why it is too long, or nothing."""
        asked = list(questions.queries.values())[:_TIMED]
        ways = (self._serving, self._indexes.vector)
        seconds: tuple[list[float], list[float]] = ([], [])
        for text in asked[:1] + asked * _ROUNDS:  # the first warms both up
            for way, taken in zip(ways, seconds, strict=True):
                started = time.perf_counter()
                rank_in_index(way, {"": text})
                taken.append(time.perf_counter() - started)
        before, after = (statistics.median(taken[1:]) for taken in seconds)
        told = f"a search takes {after * 1000:.1f} ms, was {before * 1000:.1f} ms"
        limit = before * settings.most_slower + settings.slack_seconds
        return told, f"{told}, at most {limit * 1000:.1f} ms" if after > limit else ""


class _Asking:
    """Two chat models beside each other."""

    def __init__(self, kb: KnowledgeBase, candidate: Candidate, measure: Measure) -> None:
        self._measure = measure
        sides = (candidate.former, candidate.release)
        self._models = [
            kb.chat_model(
                one.generator or candidate.release.generator,
                adapter=one.generator_adapter or BASE,
                max_tokens=_ANSWER_TOKENS,
            )
            for one in sides
        ]

    def finding(self, role: Role, questions: GateQuestions, settings: GateSettings) -> GateFinding:
        before, after = (self._measure(model, questions) for model in self._models)
        pairs = [[values[id_] for id_ in before] for values in (before, after)]
        return judge(role, questions.name, *pairs, metric="score", settings=settings)


def _answers_f1(kb: KnowledgeBase, on_progress: OnProgress | None) -> Measure:
    from langchain_graft.chains import create_rag_chain, is_refusal  # noqa: PLC0415
    from langchain_graft.evaluation.datasets import Question  # noqa: PLC0415
    from langchain_graft.evaluation.rag import evaluate_answers  # noqa: PLC0415

    def measure(model: BaseChatModel, questions: GateQuestions) -> dict[str, float]:
        asked = [
            Question(id=id_, question=questions.queries[id_], answers=answers)
            for id_, answers in questions.answers.items()
        ]
        if not asked:
            msg = f"{questions.name!r} has no answers, which a chat model is compared by"
            raise GateFailedError(msg)

        def tell(done: int, total: int) -> None:
            if on_progress:
                on_progress("answer", done, total)

        chain = create_rag_chain(model, kb.retriever(k=5))
        rows = evaluate_answers(chain, asked, is_refusal=is_refusal, on_answer=tell)
        return {row.id: row.f1 for row in rows}

    return measure


def _told(
    findings: Iterable[GateFinding], on_finding: Callable[[GateFinding], object] | None
) -> list[GateFinding]:
    found = []
    for one in findings:
        if on_finding:
            on_finding(one)
        found.append(one)
    return found


def _verdict(findings: Sequence[GateFinding], latency: str, too_slow: str = "") -> str:
    """What the release says; raises when something does not pass."""
    failed = [
        f"{one.told}: {'not better' if one.role == 'target' else 'worse'}"
        for one in findings
        if not one.ok
    ]
    failed += [too_slow] if too_slow else []
    told = "; ".join([*(one.told for one in findings), *([latency] if latency else [])])
    if failed:
        msg = f"{'; '.join(failed)}. Measured: {told}"
        raise GateFailedError(msg)
    return told
