"""How good a ranking is: nDCG, recall, reciprocal rank, by trec_eval's own code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from langchain_graft.errors import MissingExtraError

try:
    import pytrec_eval
except ImportError as error:
    raise MissingExtraError("evaluation") from error

Rankings = Mapping[str, Sequence[str]]
"""Query id to document ids, best first."""
Judgements = Mapping[str, Mapping[str, int]]
"""Query id to document id to relevance, 1 or more; what is not there is not relevant."""


def ranking_metrics(
    rankings: Rankings, judgements: Judgements, *, k: int = 10
) -> dict[str, dict[str, float]]:
    """nDCG@k, recall@k and MRR@k of every judged query.

    A query without a ranking counts 0, a document that comes twice at its first place. nDCG has
    linear gain and a logarithmic discount (Järvelin and Kekäläinen 2002), as trec_eval and BEIR
    compute it.

    Returns:
        Metric ("ndcg@10", ...) to query id to value, from 0 to 1.

    Raises:
        ValueError: `k` is below 1.
    """
    if k < 1:
        msg = f"k must be 1 or more, not {k!r}"
        raise ValueError(msg)
    run = {
        query: {document: -float(rank) for rank, document in enumerate(distinct(ids)[:k])}
        for query, ids in rankings.items()
        if ids
    }
    names = {f"ndcg@{k}": f"ndcg_cut_{k}", f"recall@{k}": f"recall_{k}", f"mrr@{k}": "recip_rank"}
    asked = {f"ndcg_cut.{k}", f"recall.{k}", "recip_rank"}
    judged = {query: dict(documents) for query, documents in judgements.items() if documents}
    values = pytrec_eval.RelevanceEvaluator(judged, asked).evaluate(run)
    return {
        ours: {query: float(values.get(query, {}).get(theirs, 0.0)) for query in judged}
        for ours, theirs in names.items()
    }


def distinct(ids: Sequence[str]) -> list[str]:
    """Each id at its first place: chunks of one document count once."""
    return list(dict.fromkeys(ids))
