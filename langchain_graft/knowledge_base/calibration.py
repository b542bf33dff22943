"""When should a search be rewritten? Thresholds from questions whose documents are known."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from itertools import product
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableLambda

from langchain_graft.evaluation.ranking import distinct, ranking_metrics
from langchain_graft.retrievers.many import search_many
from langchain_graft.retrievers.query import Query
from langchain_graft.retrievers.together import invoke_each, raised
from langchain_graft.retrievers.weakness import Signals, Weakness, signals_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.documents import Document
    from langchain_core.runnables import Runnable

    from langchain_graft.evaluation.ranking import Judgements
    from langchain_graft.retrievers.fusion_retriever import FusionRetriever

TOLERANCE = 0.01
"""Half of what one of fifty questions can move their mean by."""
_QUANTILES = tuple(n / 8 for n in range(1, 8))
_K = 10
_DEPTH = 50
"""Chunks that are asked for: ten documents may have many."""
_BATCH = 8


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The same questions, searched as they are and with rewrites; lists in one order."""

    signals: list[Signals]
    plain: list[float]
    """nDCG@10 of the question itself."""
    rewritten: list[float]
    """nDCG@10 with its rewrites."""

    def adaptive(self, weakness: Weakness) -> list[float]:
        """nDCG@10 when only weak searches are rewritten."""
        triples = zip(self.signals, self.plain, self.rewritten, strict=True)
        return [rewritten if weakness.reasons(of) else plain for of, plain, rewritten in triples]

    def rewritten_share(self, weakness: Weakness) -> float:
        """How many of the questions are rewritten, from 0 to 1."""
        return sum(bool(weakness.reasons(of)) for of in self.signals) / len(self.signals)


def compare_rewriting(
    retriever: FusionRetriever,
    queries: Mapping[str, str],
    judgements: Judgements,
    *,
    on_progress: Callable[[str, int, int], object] | None = None,
) -> Comparison:
    """Search every question as it is, and with its rewrites.

    Args:
        retriever: With a rewriter; documents have `metadata["source_id"]`, or else an id.
        queries: Query id to question.
        judgements: Which documents are right.
        on_progress: Told ("rewrite", done, total).

    Raises:
        ValueError: There is no rewriter, or nothing is judged.
        Exception: What a retriever met, or the rewriter where it failed eight times on end: without
            rewrites all would look as if they were of no use.
    """
    judged = {id_: text for id_, text in queries.items() if judgements.get(id_)}
    if retriever.rewriter is None or not judged:
        msg = "Calibration needs a retriever with a rewriter, and questions with their documents"
        raise ValueError(msg)
    plainly = retriever.model_copy(update={"rewriter": None, "weakness": None})
    rewrites: dict[str, Any] = {}
    given = RunnableLambda(rewrites.__getitem__)
    always = retriever.model_copy(update={"rewriter": given, "weakness": None})
    signals: list[Signals] = []
    rankings: tuple[dict[str, list[str]], dict[str, list[str]]] = ({}, {})
    for start in range(0, len(judged), _BATCH):
        ids = list(judged)[start : start + _BATCH]
        asked = [Query(judged[id_]) for id_ in ids]
        signals += _signals(retriever, asked)
        rewrites.update(_rewritten(retriever.rewriter, [query.text for query in asked]))
        for found, searched in zip(rankings, (plainly, always), strict=True):
            searches = searched.search_many(asked, k=_DEPTH)
            found.update(zip(ids, map(_sources, searches), strict=True))
        if on_progress:
            on_progress("rewrite", len(signals), len(judged))
    plain, rewritten = (_ndcg(found, judgements) for found in rankings)
    return Comparison(
        signals=signals,
        plain=[plain[id_] for id_ in judged],
        rewritten=[rewritten[id_] for id_ in judged],
    )


def calibrate(compared: Comparison, *, tolerance: float = TOLERANCE) -> Weakness:
    """The thresholds that cost the fewest rewritings among those that find nearly as much.

    Every threshold is tried at seven quantiles of what was seen, and left out, in all combinations;
    those count whose mean nDCG@10 lies at most `tolerance` below the best. It may be none at all:
    then rewriting does not pay on these questions.
    """
    names = [field.name for field in fields(Weakness)]
    grid = [_candidates([getattr(of, name) for of in compared.signals]) for name in names]
    tried = [Weakness(**dict(zip(names, values, strict=True))) for values in product(*grid)]
    quality = [_mean(compared.adaptive(weakness)) for weakness in tried]
    enough = max(quality) - tolerance
    good = [(weakness, of) for weakness, of in zip(tried, quality, strict=True) if of >= enough]
    best, _ = min(good, key=lambda pair: (compared.rewritten_share(pair[0]), -pair[1]))
    return best


def _candidates(values: Sequence[float | None]) -> list[float | None]:
    """What a signal's threshold may be."""
    known = sorted(value for value in values if value is not None)
    quantiles = (known[int(q * (len(known) - 1))] for q in _QUANTILES) if known else ()
    return [None, *dict.fromkeys(quantiles)]


def _rewritten(rewriter: Runnable[str, list[Query]], questions: list[str]) -> dict[str, Any]:
    """Per question its rewrites; none where the rewriter failed.

    Raises:
        Exception: It failed for every question.
    """
    found = invoke_each(rewriter, questions)
    errors = [one for one in found if isinstance(one, Exception)]
    if len(errors) == len(found):
        raise errors[0]
    return {
        question: [] if isinstance(one, Exception) else one
        for question, one in zip(questions, found, strict=True)
    }


def _signals(retriever: FusionRetriever, queries: Sequence[Query]) -> list[Signals]:
    found = [
        search_many(one, queries, k=retriever.fetch_k, filter=retriever.filter)
        for one in retriever.retrievers
    ]
    return [signals_of([raised(of[n]) for of in found]) for n in range(len(queries))]


def _sources(documents: Sequence[Document]) -> list[str]:
    return distinct([str(one.metadata.get("source_id") or one.id) for one in documents])


def _ndcg(rankings: Mapping[str, Sequence[str]], judgements: Judgements) -> dict[str, float]:
    judged = {id_: judgements[id_] for id_ in rankings}
    return ranking_metrics(rankings, judged, k=_K)[f"ndcg@{_K}"]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
