"""Intervals: known cases, the same every time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_graft.evaluation import mean_interval, paired_bootstrap

VALUES = st.lists(st.floats(-5, 5), min_size=1, max_size=30)


@settings(deadline=None)
@given(VALUES, st.integers(0, 3))
def test_an_interval_holds_its_mean_and_is_the_same_for_the_same_seed(values, seed):
    interval = mean_interval(values, samples=200, seed=seed)
    assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9
    assert interval.mean == pytest.approx(sum(values) / len(values))
    assert interval == mean_interval(values, samples=200, seed=seed)


def test_a_known_case():
    """40 of 100: the normal interval is 0.4 +- 1.96 * sqrt(0.4 * 0.6 / 100)."""
    interval = mean_interval([1.0] * 40 + [0.0] * 60)
    assert interval.mean == 0.4
    assert interval.low == pytest.approx(0.304, abs=0.011)
    assert interval.high == pytest.approx(0.496, abs=0.011)


def test_another_seed_draws_others():
    values = [0.1, 0.25, 0.7, 0.91]
    assert mean_interval(values, samples=50) != mean_interval(values, samples=50, seed=1)


def test_values_that_are_all_the_same_have_no_width():
    assert mean_interval([0.5] * 9) == (0.5, 0.5, 0.5)
    assert mean_interval([1.0]) == (1.0, 1.0, 1.0)


def test_more_values_make_a_narrower_interval():
    few, many = mean_interval([0.0, 1.0] * 10), mean_interval([0.0, 1.0] * 1000)
    assert many.high - many.low < (few.high - few.low) / 5


def test_pairs_are_compared_question_by_question():
    theirs = [0.1, 0.9, 0.2, 0.8, 0.5] * 10
    ours = [value + 0.05 for value in theirs]
    assert paired_bootstrap(ours, theirs) == pytest.approx((0.05, 0.05, 0.05))
    assert paired_bootstrap(theirs, ours).high < 0
    same = paired_bootstrap(theirs, theirs[1:] + theirs[:1])
    assert same.low < 0 < same.high


def test_wrong_lists_are_value_errors():
    with pytest.raises(ValueError, match="mean of nothing"):
        mean_interval([])
    with pytest.raises(ValueError, match="not 2 and 1"):
        paired_bootstrap([1, 2], [1])
    with pytest.raises(ValueError, match="samples must be 1 or more"):
        mean_interval([1.0], samples=0)
