"""Every formula of Self-RAG against its calculation, written out."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_graft.chains.self_rag.formulas import (
    distribution,
    fluency,
    path_score,
    relevance_score,
    retrieve_probability,
    support_score,
    utility_score,
)
from langchain_graft.chains.self_rag.vocabulary import LABELS, REFLECTION_TOKENS

R, N, C = LABELS["retrieve"]
RELEVANT, IRRELEVANT = LABELS["relevance"]
FULLY, PARTIALLY, NOT = LABELS["support"]
UTILITY = LABELS["utility"]


@pytest.mark.parametrize(
    ("retrieval", "none", "expected"),
    [(0.9, 0.05, 0.9 / 0.95), (0.05, 0.9, 0.05 / 0.95), (0.2, 0.8, 0.2), (1.0, 0.0, 1.0)],
)
def test_the_decision_is_of_probabilities_not_of_their_logarithms(retrieval, none, expected):
    """Of logarithms, 0.9 against 0.05 gives 0.04 and 0.05 against 0.9 gives 0.98: inverted."""
    assert retrieve_probability({R: retrieval, N: none}) == pytest.approx(expected)


def test_midway_going_on_with_evidence_speaks_for_it():
    known = {R: 0.1, N: 0.5, C: 0.4}
    assert retrieve_probability(known) == pytest.approx(0.1 / 0.6)
    assert retrieve_probability(known, midway=True) == pytest.approx(0.5 / 1.0)


def test_relevance_is_the_share_of_relevant():
    assert relevance_score({RELEVANT: 0.3, IRRELEVANT: 0.1}) == pytest.approx(0.3 / 0.4)


def test_support_counts_partial_half():
    known = {FULLY: 0.5, PARTIALLY: 0.2, NOT: 0.1}
    assert support_score(known) == pytest.approx((0.5 + 0.5 * 0.2) / 0.8)


def test_utility_is_the_mean_of_its_own_five_labels():
    """Not of the labels of support, with which it was always 0."""
    known = dict(zip(UTILITY, (0.1, 0.1, 0.2, 0.2, 0.4), strict=True))
    assert utility_score(known) == pytest.approx(-0.1 - 0.05 + 0.0 + 0.1 + 0.4)
    assert utility_score({UTILITY[4]: 1.0}) == 1
    assert utility_score({UTILITY[0]: 1.0}) == -1
    assert utility_score({FULLY: 1.0}) == 0


@pytest.mark.parametrize("given", [{}, {"else": 1.0}, {FULLY: -100.0}, {FULLY: math.nan}])
def test_what_is_missing_counts_nothing(given):
    """Neither a probability of -100 nor a KeyError."""
    assert support_score(given) == utility_score(given) == relevance_score(given) == 0
    assert retrieve_probability(given) is None


def test_one_label_alone_is_certain():
    assert relevance_score({RELEVANT: 1e-9}) == 1
    assert support_score({PARTIALLY: 1e-300}) == 0.5
    assert retrieve_probability({N: 0.3}) == 0


def test_fluency_is_the_exponential_of_the_mean():
    """Neither the exponential of the sum, nor that by the length."""
    logprobs = [math.log(0.5), math.log(0.125)]
    assert fluency(logprobs) == pytest.approx(math.sqrt(0.5 * 0.125))
    assert fluency([]) == 0
    assert fluency([math.nan]) == 0
    assert fluency([-math.inf, 0.0]) == 0


def test_the_score_of_a_path_is_a_mean():
    """Of a product, two bad segments make a good path."""
    assert path_score([-0.5, -0.5]) == -0.5 < path_score([0.2])
    assert path_score([1.0, 2.0]) == 1.5 < path_score([2.0])
    assert path_score([]) == -math.inf


numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(st.dictionaries(st.sampled_from(REFLECTION_TOKENS), numbers))
def test_any_numbers_give_scores_in_their_range(known):
    for aspect in LABELS:
        found = distribution(known, aspect)
        assert not found or math.isclose(sum(found.values()), 1)
    assert 0 <= relevance_score(known) <= 1 + 1e-9
    assert 0 <= support_score(known) <= 1 + 1e-9
    assert -1 - 1e-9 <= utility_score(known) <= 1 + 1e-9
    for midway in (False, True):
        probability = retrieve_probability(known, midway=midway)
        assert probability is None or 0 <= probability <= 1 + 1e-9


@given(st.lists(numbers, max_size=5))
def test_any_logprobs_give_a_fluency_in_its_range(logprobs):
    assert 0 <= fluency(logprobs) <= 1
