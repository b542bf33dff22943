"""Reciprocal rank fusion: the formula, its properties, and what a document is known by."""

import copy
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_graft.retrievers.fusion import (
    Ranking,
    Share,
    fuse_documents,
    reciprocal_rank_fusion,
)

RANKINGS = st.lists(
    st.lists(st.integers(0, 9).map(str), unique=True, max_size=10), min_size=1, max_size=5
)
WEIGHTS = st.floats(0.01, 10)


def scores(rankings, **settings):
    return {one.key: one.score for one in reciprocal_rank_fusion(rankings, **settings)}


def test_the_formula_written_out():
    fused = reciprocal_rank_fusion([["a", "b"], ["b", "c"]], weights=[2.0, 1.0])
    assert [one.key for one in fused] == ["b", "a", "c"]
    assert [one.score for one in fused] == [
        pytest.approx(2 / 62 + 1 / 61),
        pytest.approx(2 / 61),
        pytest.approx(1 / 62),
    ]
    assert fused[0].shares == (Share(0, 2, 2 / 62), Share(1, 1, 1 / 61))


def test_another_constant():
    assert scores([["a", "b"]], constant=0) == {"a": 1.0, "b": 0.5}


def test_ties_come_in_order_of_first_sight():
    assert list(scores([["a"], ["b"], ["c"]])) == ["a", "b", "c"]


def test_one_that_a_ranking_holds_twice_counts_its_best_rank_alone():
    assert scores([["a", "b", "a"]]) == {"a": 1 / 61, "b": 1 / 62}


def test_a_ranking_of_weight_nought_is_left_out():
    assert scores([["a"], ["b"]], weights=[0, 1]) == {"b": 1 / 61}


def test_nothing_makes_nothing():
    assert reciprocal_rank_fusion([]) == []
    assert reciprocal_rank_fusion([[], []]) == []


@pytest.mark.parametrize("constant", [-1, math.inf, math.nan])
def test_a_constant_that_can_not_be(constant):
    with pytest.raises(ValueError, match="constant must be 0 or more"):
        reciprocal_rank_fusion([["a"]], constant=constant)


@pytest.mark.parametrize("weights", [[], [1, 1], [-1], [math.nan], [math.inf]])
def test_weights_that_can_not_be(weights):
    with pytest.raises(ValueError, match="weight"):
        reciprocal_rank_fusion([["a"]], weights=weights)


@given(RANKINGS, st.randoms(use_true_random=False))
def test_the_order_of_the_rankings_changes_no_score(rankings, random):
    shuffled = rankings.copy()
    random.shuffle(shuffled)
    assert scores(shuffled) == scores(rankings)


@given(RANKINGS, st.data())
def test_a_better_rank_gives_no_worse_score(rankings, data):
    number = data.draw(st.integers(0, len(rankings) - 1))
    ranking = rankings[number]
    if len(ranking) < 2:
        return
    place = data.draw(st.integers(1, len(ranking) - 1))
    raised = ranking.copy()
    raised[place - 1], raised[place] = raised[place], raised[place - 1]
    better = scores([*rankings[:number], raised, *rankings[number + 1 :]])
    assert better[ranking[place]] > scores(rankings)[ranking[place]]


@given(RANKINGS, WEIGHTS, st.data())
def test_scores_are_linear_in_the_weights(rankings, factor, data):
    weights = [data.draw(WEIGHTS) for _ in rankings]
    once = scores(rankings, weights=weights)
    times = scores(rankings, weights=[factor * weight for weight in weights])
    assert times == {key: pytest.approx(factor * score) for key, score in once.items()}
    alone = [scores([of], weights=[w]) for of, w in zip(rankings, weights, strict=True)]
    assert once == {key: pytest.approx(sum(of.get(key, 0) for of in alone)) for key in once}


@given(RANKINGS)
def test_the_shares_make_up_the_score_and_nothing_given_is_changed(rankings):
    before = copy.deepcopy(rankings)
    for one in reciprocal_rank_fusion(rankings):
        assert one.score == math.fsum(share.score for share in one.shares)
        for share in one.shares:
            assert rankings[share.ranking][share.rank - 1] == one.key
    assert rankings == before


def test_documents_carry_score_and_contributions():
    first, second = Document(id="1", page_content="one"), Document(id="2", page_content="two")
    fused = fuse_documents(
        [
            Ranking(documents=[first, second], query="q", retriever="words"),
            Ranking(documents=[second], weight=2, query="r", retriever="meaning"),
        ]
    )
    assert [document.id for document in fused] == ["2", "1"]
    assert fused[0].metadata["score"] == pytest.approx(1 / 62 + 2 / 61)
    assert fused[0].metadata["contributions"] == [
        {"query": "q", "retriever": "words", "rank": 2, "score": 1 / 62},
        {"query": "r", "retriever": "meaning", "rank": 1, "score": 2 / 61},
    ]
    assert first.metadata == second.metadata == {}


def document(text, id_=None, **metadata):
    return Document(id=id_, page_content=text, metadata=metadata)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (document("a", "1"), document("b", "1"), True),
        (document("a", "1"), document("a", "2"), False),
        (document("a", url="x"), document("b", url="x"), True),
        (document("a", url="x"), document("a", url="y"), False),
        (document("a", url=0), document("b", url=0), True),
        (document("a"), document("a"), True),
        (document("a"), document("b"), False),
        (document("a", "1"), document("a"), True),
        (document("a"), document("a", "1"), True),
        (document("a", url="x"), document("a"), True),
    ],
)
def test_what_a_document_is_known_by(one, other, same):
    rankings = [Ranking(documents=[one]), Ranking(documents=[other])]
    assert len(fuse_documents(rankings, id_key="url")) == (1 if same else 2)


def test_half_a_surrogate_pair_is_a_text_too():
    assert len(fuse_documents([Ranking(documents=[document("\ud83d")])])) == 1
