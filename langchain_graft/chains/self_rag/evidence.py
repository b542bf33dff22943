"""Which documents an answer goes on with: whether any are needed, found, corrected, relevant."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_graft.chains.self_rag.correction import RetrievalCorrection, corrected, strips_of
from langchain_graft.chains.self_rag.formulas import relevance_score, retrieve_probability
from langchain_graft.chains.self_rag.paths import Level, Path, document_key
from langchain_graft.chains.self_rag.roles import Judged, Judgement, Request, Search
from langchain_graft.chains.self_rag.vocabulary import CONTINUE, RETRIEVE
from langchain_graft.source_text import source_text

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from langchain_core.documents import Document

    from langchain_graft.chains.self_rag.budget import Economy, Ledger
    from langchain_graft.chains.self_rag.settings import SelfRagSettings
    from langchain_graft.chains.self_rag.vocabulary import Aspect


class Evidence:
    """Generators of requests about documents, and what was judged so far.

    Args:
        question: What is asked.
        settings: When documents are looked for, and which are read.
        ledger: Where what is asked is counted.
        correction: What is done about bad retrieval; None: nothing.
        writes_judged: What the writer judges itself.
    """

    def __init__(
        self,
        question: str,
        settings: SelfRagSettings,
        *,
        ledger: Ledger,
        correction: RetrievalCorrection | None,
        writes_judged: frozenset[Aspect],
    ) -> None:
        self._question, self._settings, self._ledger = question, settings, ledger
        self._correction, self._writes_judged = correction, writes_judged
        self._known: dict[tuple[Any, ...], Judged] = {}

    @property
    def judges_documents(self) -> bool:
        """Whether relevance is asked before anything is written."""
        return self._correction is not None or self._settings.least_relevance > 0

    def retrieved(
        self, live: Sequence[Path], economy: Economy
    ) -> Generator[Request, Any, list[Level]]:
        """The next level of each path, with what it needs of documents."""
        levels = yield from self._decide(live, economy)
        return (yield from self._retrieve(levels, economy))

    def _decide(
        self, live: Sequence[Path], economy: Economy
    ) -> Generator[Request, Any, list[Level]]:
        """Whether each path needs documents."""
        settings = self._settings
        if settings.retrieval == "never" or not economy.decides:
            decision = "none" if settings.retrieval == "never" else "retrieve"
            return [self._level(path, decision, None, {}, economy) for path in live]
        asked = [Judgement(aspect="retrieve", question=self._question, before=p.text) for p in live]
        said = yield from self.ask(asked)
        levels = []
        for path, judged in zip(live, said, strict=True):
            known = judged.probabilities
            probability = retrieve_probability(known, midway=bool(path.segments))
            needed = probability is None or probability > settings.threshold
            decision = _decision(path, known) if needed else "none"
            levels.append(self._level(path, decision, probability, known, economy))
        return levels

    def _level(
        self,
        path: Path,
        decision: str,
        probability: float | None,
        known: Any,
        economy: Economy,
    ) -> Level:
        last = path.segments[-1].text if path.segments else ""
        searched = decision == "retrieve"
        return Level(
            query=f"{self._question} {last}".strip() if searched else "",
            decision=decision,
            probability=probability,
            probabilities=known,
            economy=economy.told,
            documents=path.levels[-1].documents if decision == "continue" else (),
        )

    def _retrieve(
        self, levels: Sequence[Level], economy: Economy
    ) -> Generator[Request, Any, list[Level]]:
        """The documents of those levels that need new ones."""
        queries = [level.query for level in levels if level.decision == "retrieve"]
        found = iter((yield Search(queries=queries)) if queries else ())
        return [
            replace(level, documents=tuple(next(found)[: economy.passages]))
            if level.decision == "retrieve"
            else level
            for level in levels
        ]

    def corrected(
        self, levels: list[Level], economy: Economy
    ) -> Generator[Request, Any, tuple[dict[int, Document], list[Level]]]:
        """Where retrieval is judged: other documents, and what of each is worth reading, by id."""
        texts: dict[int, Document] = {}
        rule = self._correction
        if rule is None or "relevance" not in economy.judges:
            return texts, levels
        for n, level in enumerate(levels):
            if level.decision != "retrieve":
                continue
            scores = yield from self._relevances(level.documents)
            verdict = rule.verdict(scores)
            kept = tuple(corrected(level.documents, scores, verdict, rule))
            if verdict != "correct" and rule.fallback is not None:
                [more] = yield Search(queries=[level.query], fallback=True)
                kept = _distinct([*kept, *more])[: economy.passages]
            if verdict != "incorrect" and rule.refine:
                room = self._ledger.left() - economy.calls(len(levels), self._writes_judged)
                texts |= yield from self._refined(kept, rule, room)
            levels[n] = replace(level, documents=kept, correction=verdict)
        return texts, levels

    def _refined(
        self, documents: Sequence[Document], rule: RetrievalCorrection, room: float
    ) -> Generator[Request, Any, dict[int, Document]]:
        """Documents cut down to their relevant strips, if any are and `room` calls suffice."""
        strips = [(one, strip) for one in documents for strip in strips_of(one)]
        if len(strips) > room:
            return {}
        scores = yield from self._relevances([strip for _, strip in strips])
        kept: dict[int, list[str]] = {}
        for (whole, strip), score in zip(strips, scores, strict=True):
            if score >= rule.lower:
                kept.setdefault(id(whole), []).append(strip.page_content)
        return {
            id(one): one.model_copy(update={"page_content": " ".join(kept[id(one)])})
            for one in documents
            if id(one) in kept
        }

    def only_relevant(
        self, levels: list[Level], economy: Economy
    ) -> Generator[Request, Any, list[Level]]:
        """Without the documents that no segment is written from."""
        least = self._settings.least_relevance
        if not least or "relevance" not in economy.judges:
            return levels
        scores = yield from self._relevances([one for level in levels for one in level.documents])
        left = iter(scores)
        return [
            replace(level, documents=tuple(one for one in level.documents if next(left) >= least))
            for level in levels
        ]

    def _relevances(self, documents: Sequence[Document]) -> Generator[Request, Any, list[float]]:
        said = yield from self.ask_relevance(documents)
        return [relevance_score(judged.probabilities) for judged in said]

    def ask_relevance(self, documents: Sequence[Document]) -> Generator[Request, Any, list[Judged]]:
        """What a critic says of the documents and the question."""
        asked = [
            Judgement(aspect="relevance", question=self._question, passage=one) for one in documents
        ]
        return (yield from self.ask(asked))

    def ask(self, asked: Sequence[Judgement]) -> Generator[Request, Any, list[Judged]]:
        """What a critic says; nothing is asked twice."""
        keys = [_key(one) for one in asked]
        new = {key: one for key, one in zip(keys, asked, strict=True) if key not in self._known}
        if new:
            said: list[Judged] = yield list(new.values())
            self._known |= dict(zip(new, said, strict=True))
            self._ledger.spend(len(new), sum(one.tokens for one in said))
        return [self._known[key] for key in keys]


def _decision(path: Path, known: Any) -> str:
    """New documents, or those there are, where any are needed."""
    has_some = bool(path.levels and path.levels[-1].documents)
    goes_on = known.get(CONTINUE, 0.0) > known.get(RETRIEVE, 0.0)
    return "continue" if has_some and goes_on else "retrieve"


def _distinct(documents: Sequence[Document]) -> tuple[Document, ...]:
    return tuple({document_key(one): one for one in reversed(documents)}.values())[::-1]


def _key(one: Judgement) -> tuple[Any, ...]:
    passage = None if one.passage is None else source_text(one.passage)
    return one.aspect, one.before, passage, one.segment
