"""The search for an answer, segment by segment: it thinks, and asks others to do."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from langchain_graft.chains.refusal import is_refusal
from langchain_graft.chains.self_rag.budget import Economy, Ledger
from langchain_graft.chains.self_rag.choosing import best_first, by_answer, grown
from langchain_graft.chains.self_rag.correction import RetrievalCorrection, corrected, strips_of
from langchain_graft.chains.self_rag.formulas import relevance_score, retrieve_probability
from langchain_graft.chains.self_rag.paths import (
    Candidate,
    Level,
    Path,
    clean,
    document_key,
    scored,
)
from langchain_graft.chains.self_rag.roles import Draft, Judged, Judgement, Written
from langchain_graft.chains.self_rag.vocabulary import (
    CONTINUE,
    FULLY,
    RETRIEVE,
    UNSUPPORTED,
)
from langchain_graft.chains.support import find_support
from langchain_graft.source_text import source_text

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from langchain_core.documents import Document

    from langchain_graft.chains.self_rag.settings import SelfRagSettings
    from langchain_graft.chains.self_rag.vocabulary import Aspect


@dataclass(frozen=True, kw_only=True)
class Search:
    """Asks for documents: a list for each query."""

    queries: Sequence[str]
    fallback: bool = False
    """Whether the other retriever is asked."""


Request = Search | list[Judgement] | list[Draft]
"""What the search asks for; it is sent a list of the same length."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the search has come to."""

    best: Path
    """Without a segment: there is no answer."""
    others: list[Path] = field(default_factory=list)
    """Further whole answers, best first."""
    notes: list[str] = field(default_factory=list)
    calls: int = 0
    tokens: int = 0


BUDGET_SPENT = "the budget of the answer was spent before it was whole"
NOTHING_SAID = "it is empty, or repeats what was said"
NOT_THERE = "it says that the passage does not hold the answer"


class SelfRagSearch:
    """One search; `run` is a generator of requests that is sent what they come to.

    Beam search over segments (Asai et al. 2023, section 3.3). Each unfinished answer decides
    whether to retrieve, with the question and its last segment; each passage gives a segment; the
    best `width` are carried on. An answer that ends is kept, and takes nothing from the others. The
    best is that with the highest mean of its segments' scores. It ends after `depth` segments, or
    when nothing can be paid any more.

    Args:
        question: What is asked.
        settings: How it decides, and what it may spend.
        writes_judged: What the writer judges itself.
        correction: What is done about bad retrieval; None: nothing.
        clock: Seconds, from any start.
    """

    def __init__(
        self,
        question: str,
        settings: SelfRagSettings,
        *,
        writes_judged: frozenset[Aspect] = frozenset(),
        correction: RetrievalCorrection | None = None,
        clock: Callable[[], float],
    ) -> None:
        self._question, self._settings = question, settings
        self._writes_judged, self._correction = writes_judged, correction
        self._ledger = Ledger(settings, clock)
        self._notes: list[str] = []
        self._known: dict[tuple[Any, ...], Judged] = {}

    def run(self) -> Generator[Request, Any, Found]:
        """Ask, until there is an answer."""
        live, whole = [Path()], list[Path]()
        for _ in range(self._settings.segments):
            economy = self._ledger.choose(
                len(live), self._writes_judged, twice=self._correction is not None
            )
            if economy is None:
                self._note(BUDGET_SPENT)
                break
            self._note(economy.told)
            live = live[: economy.width]
            following: list[Path] = []
            for path, level in zip(live, (yield from self._levels(live, economy)), strict=True):
                longer = grown(path, level)
                following += longer
                if not longer or any(not one.text and one.ended for one in level.candidates):
                    whole.append(replace(path, levels=(*path.levels, level)))
            whole += [path for path in following if path.ended]
            live = best_first([path for path in following if not path.ended])
            live = live[: self._settings.width]
            if not live:
                break
        return self._found([*whole, *live])

    def route(self) -> Generator[Request, Any, Level | None]:
        """Ask whether documents are needed, and which; None: nothing could be paid.

        Returns:
            A level whose candidates are the documents, with their relevance and without a text.
        """
        economy = self._ledger.choose(1, frozenset({"support", "utility"}))
        if economy is None:
            return None
        levels = yield from self._retrieved([Path()], economy)
        _, [level] = yield from self._correct(levels, economy)
        if "relevance" not in economy.judges:
            return replace(level, candidates=tuple(_only(one, {}) for one in level.documents))
        said = yield from self._ask_relevance(level.documents)
        judged = zip(level.documents, said, strict=True)
        candidates = tuple(_only(one, how.probabilities) for one, how in judged)
        return replace(level, candidates=candidates)

    def _found(self, paths: list[Path]) -> Found:
        ranked = by_answer(paths) if self._settings.mode == "closed" else best_first(paths)
        return Found(
            best=ranked[0] if ranked else Path(),
            others=[path for path in ranked[1:] if path.segments],
            notes=self._notes,
            calls=self._ledger.calls,
            tokens=self._ledger.tokens,
        )

    def _levels(
        self, live: Sequence[Path], economy: Economy
    ) -> Generator[Request, Any, list[Level]]:
        """The next segment of each path, all their requests of one kind together."""
        levels = yield from self._retrieved(live, economy)
        texts, levels = yield from self._correct(levels, economy)
        levels = yield from self._only_relevant(levels, economy)
        drafted = yield from self._write(live, levels, texts)
        return (yield from self._judge(live, drafted, texts, economy))

    def _retrieved(
        self, live: Sequence[Path], economy: Economy
    ) -> Generator[Request, Any, list[Level]]:
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
        said = yield from self._ask(asked)
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

    def _correct(
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

    def _only_relevant(
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
        said = yield from self._ask_relevance(documents)
        return [relevance_score(judged.probabilities) for judged in said]

    def _ask_relevance(
        self, documents: Sequence[Document]
    ) -> Generator[Request, Any, list[Judged]]:
        asked = [
            Judgement(aspect="relevance", question=self._question, passage=one) for one in documents
        ]
        return (yield from self._ask(asked))

    def _write(
        self, live: Sequence[Path], levels: Sequence[Level], texts: dict[int, Document]
    ) -> Generator[Request, Any, list[Level]]:
        """The levels with a candidate from each document, or from none."""
        passages = [(None,) if level.decision == "none" else level.documents for level in levels]
        drafts = [
            Draft(
                question=self._question,
                before=path.text,
                passage=None if one is None else texts.get(id(one), one),
                goes_on=self._settings.mode == "long",
                max_tokens=self._settings.segment_tokens,
            )
            for path, some in zip(live, passages, strict=True)
            for one in some
        ]
        said: list[Written] = (yield drafts) if drafts else []
        self._ledger.spend(len(drafts), sum(one.tokens for one in said))
        written = iter(said)
        return [
            replace(
                level, candidates=tuple(self._candidate(path, one, next(written)) for one in some)
            )
            for path, level, some in zip(live, levels, passages, strict=True)
        ]

    def _candidate(self, path: Path, document: Document | None, written: Written) -> Candidate:
        text = clean(written.text)
        said = {segment.text.casefold() for segment in path.segments}
        dropped = "" if text and text.casefold() not in said else NOTHING_SAID
        if document is not None and text and is_refusal(text):
            dropped = NOT_THERE
        return Candidate(
            text=text,
            document=document,
            fluency=written.fluency,
            ended=written.ended or self._settings.mode != "long",
            judged=dict(written.judged),
            dropped=dropped,
        )

    def _judge(
        self,
        live: Sequence[Path],
        levels: Sequence[Level],
        texts: dict[int, Document],
        economy: Economy,
    ) -> Generator[Request, Any, list[Level]]:
        """The levels with their candidates judged and scored."""
        asked: list[Judgement] = []
        for path, level in zip(live, levels, strict=True):
            for one in level.candidates:
                for aspect in self._unjudged(one, economy):
                    read = texts.get(id(one.document), one.document)
                    passage = one.document if aspect == "relevance" else read
                    asked.append(self._judgement(aspect, path, passage, one.text))
        said = iter((yield from self._ask(asked)))
        return [
            replace(
                level,
                candidates=tuple(
                    scored(self._with_judged(one, economy, said), self._settings)
                    for one in level.candidates
                ),
            )
            for level in levels
        ]

    def _unjudged(self, candidate: Candidate, economy: Economy) -> list[Aspect]:
        """What a critic is asked of a candidate, in a fixed order."""
        if candidate.dropped:
            return []
        wanted: list[Aspect] = ["utility"]
        if candidate.document is not None:
            wanted = ["relevance", "support", "utility"]
        return [one for one in wanted if one in economy.judges - self._writes_judged]

    def _judgement(
        self, aspect: Aspect, path: Path, passage: Document | None, text: str
    ) -> Judgement:
        if aspect == "relevance":
            return Judgement(aspect=aspect, question=self._question, passage=passage)
        return Judgement(
            aspect=aspect, question=self._question, before=path.text, passage=passage, segment=text
        )

    def _with_judged(self, one: Candidate, economy: Economy, said: Any) -> Candidate:
        judged = {**one.judged}
        for aspect in self._unjudged(one, economy):
            judged[aspect] = next(said).probabilities
        if "support" not in economy.judges | judged.keys() and one.document is not None:
            judged["support"] = self._support_by_words(one.text, one.document)
        return replace(one, judged=judged)

    def _support_by_words(self, text: str, document: Document) -> dict[str, float]:
        support = find_support(text, source_text(document), question=self._question)
        score = support.score if support and support.holds else 0.0
        return {FULLY: score, UNSUPPORTED: 1 - score}

    def _ask(self, asked: Sequence[Judgement]) -> Generator[Request, Any, list[Judged]]:
        """What a critic says; nothing is asked twice."""
        keys = [_key(one) for one in asked]
        new = {key: one for key, one in zip(keys, asked, strict=True) if key not in self._known}
        if new:
            said: list[Judged] = yield list(new.values())
            self._known |= dict(zip(new, said, strict=True))
            self._ledger.spend(len(new), sum(one.tokens for one in said))
        return [self._known[key] for key in keys]

    def _note(self, note: str) -> None:
        if note and note not in self._notes:
            self._notes.append(note)


def _decision(path: Path, known: Any) -> str:
    """New documents, or those there are, where any are needed."""
    has_some = bool(path.levels and path.levels[-1].documents)
    goes_on = known.get(CONTINUE, 0.0) > known.get(RETRIEVE, 0.0)
    return "continue" if has_some and goes_on else "retrieve"


def _only(document: Document, relevance: Any) -> Candidate:
    return Candidate(text="", document=document, judged={"relevance": relevance})


def _distinct(documents: Sequence[Document]) -> tuple[Document, ...]:
    return tuple({document_key(one): one for one in reversed(documents)}.values())[::-1]


def _key(one: Judgement) -> tuple[Any, ...]:
    passage = None if one.passage is None else source_text(one.passage)
    return one.aspect, one.before, passage, one.segment
