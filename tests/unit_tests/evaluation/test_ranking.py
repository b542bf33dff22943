"""nDCG, recall and MRR against values worked out by hand."""

from math import log2

import pytest

from langchain_graft.evaluation import ranking_metrics
from langchain_graft.evaluation.ranking import distinct

JUDGED = {"q": {"a": 1, "b": 2, "c": 1}}


def metrics(ranking, *, k=10, judged=JUDGED):
    return {name: of["q"] for name, of in ranking_metrics({"q": ranking}, judged, k=k).items()}


def test_a_ranking_worked_out_by_hand():
    gained = 1 / log2(3) + 2 / log2(5)
    ideal = 2 / log2(2) + 1 / log2(3) + 1 / log2(4)
    assert metrics(["x", "a", "y", "b"]) == pytest.approx(
        {"ndcg@10": gained / ideal, "recall@10": 2 / 3, "mrr@10": 1 / 2}
    )


def test_only_the_first_k_count():
    ideal = 2 + 1 / log2(3)
    assert metrics(["x", "a", "y", "b"], k=2) == pytest.approx(
        {"ndcg@2": (1 / log2(3)) / ideal, "recall@2": 1 / 3, "mrr@2": 1 / 2}
    )
    assert metrics(["x", "y", "b"], k=2) == {"ndcg@2": 0.0, "recall@2": 0.0, "mrr@2": 0.0}


@pytest.mark.parametrize(
    ("ranking", "value"), [(["b", "a", "c"], 1.0), (["c", "a", "b"], None), ([], 0.0)]
)
def test_the_best_ranking_is_1_and_none_is_0(ranking, value):
    found = metrics(ranking)
    if value is None:
        assert found["recall@10"] == found["mrr@10"] == 1.0 > found["ndcg@10"] > 0.5
    else:
        assert set(found.values()) == {value}


def test_a_judged_query_without_a_ranking_counts_0():
    judged = {"q": {"a": 1}, "asked by nobody": {"a": 1}, "without relevant ones": {}}
    found = ranking_metrics({"q": ["a"], "not judged": ["a"]}, judged)
    assert found["mrr@10"] == {"q": 1.0, "asked by nobody": 0.0}


def test_a_document_that_comes_twice_counts_at_its_first_place():
    assert distinct(["b", "x", "b", "a"]) == ["b", "x", "a"]
    assert metrics(["x", "x", "x", "a"], k=2) == metrics(["x", "a"], k=2)


def test_ranks_of_a_long_ranking_are_exact():
    ranking = [f"d{n}" for n in range(1000)]
    assert metrics(ranking, k=1000, judged={"q": {"d999": 1}}) == pytest.approx(
        {"ndcg@1000": 1 / log2(1001), "recall@1000": 1.0, "mrr@1000": 1 / 1000}
    )


@pytest.mark.parametrize("k", [0, -1])
def test_a_k_below_1_is_a_value_error(k):
    with pytest.raises(ValueError, match="k must be 1 or more"):
        metrics(["a"], k=k)


def test_nothing_judged_is_nothing_measured():
    assert ranking_metrics({"q": ["a"]}, {}) == {"ndcg@10": {}, "recall@10": {}, "mrr@10": {}}
