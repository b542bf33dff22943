"""The search for an answer, segment by segment: it thinks, and asks others to do."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from langchain_graft.chains.refusal import is_refusal
from langchain_graft.chains.self_rag.budget import Economy, Ledger
from langchain_graft.chains.self_rag.choosing import best_first, by_answer, grown
from langchain_graft.chains.self_rag.evidence import Evidence
from langchain_graft.chains.self_rag.paths import (
    Candidate,
    Level,
    Path,
    clean,
    scored,
)
from langchain_graft.chains.self_rag.roles import Draft, Judgement, Request, Written
from langchain_graft.chains.self_rag.vocabulary import (
    FULLY,
    UNSUPPORTED,
)
from langchain_graft.chains.support import find_support
from langchain_graft.source_text import source_text

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from langchain_core.documents import Document

    from langchain_graft.chains.self_rag.correction import RetrievalCorrection
    from langchain_graft.chains.self_rag.settings import SelfRagSettings
    from langchain_graft.chains.self_rag.vocabulary import Aspect


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
        self._writes_judged = writes_judged
        self._ledger = Ledger(settings, clock)
        self._evidence = Evidence(
            question,
            settings,
            ledger=self._ledger,
            correction=correction,
            writes_judged=writes_judged,
        )
        self._notes: list[str] = []

    def run(self) -> Generator[Request, Any, Found]:
        """Ask, until there is an answer."""
        live, whole = [Path()], list[Path]()
        for _ in range(self._settings.segments):
            economy = self._economy(len(live), self._writes_judged)
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
        economy = self._economy(1, frozenset({"support", "utility"}))
        if economy is None:
            return None
        levels = yield from self._evidence.retrieved([Path()], economy)
        _, [level] = yield from self._evidence.corrected(levels, economy)
        if "relevance" not in economy.judges:
            return replace(level, candidates=tuple(_only(one, {}) for one in level.documents))
        said = yield from self._evidence.ask_relevance(level.documents)
        judged = zip(level.documents, said, strict=True)
        candidates = tuple(_only(one, how.probabilities) for one, how in judged)
        return replace(level, candidates=candidates)

    def _economy(self, paths: int, judged: frozenset[Aspect]) -> Economy | None:
        return self._ledger.choose(paths, judged, twice=self._evidence.judges_documents)

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
        levels = yield from self._evidence.retrieved(live, economy)
        texts, levels = yield from self._evidence.corrected(levels, economy)
        levels = yield from self._evidence.only_relevant(levels, economy)
        drafted = yield from self._write(live, levels, texts)
        return (yield from self._judge(live, drafted, texts, economy))

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
        said = iter((yield from self._evidence.ask(asked)))
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

    def _note(self, note: str) -> None:
        if note and note not in self._notes:
            self._notes.append(note)


def _only(document: Document, relevance: Any) -> Candidate:
    return Candidate(text="", document=document, judged={"relevance": relevance})
