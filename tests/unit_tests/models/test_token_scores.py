"""Windows and batches of tokens that are scored."""

import pytest

from langchain_graft.models.token_scores import batches, score_windows


@pytest.mark.parametrize("total", [2, 7, 8, 9, 20, 33])
@pytest.mark.parametrize("first", [1, 3, 8, 19])
def test_each_token_is_scored_once_with_half_a_window_before_it(total, first):
    scored = []
    for begin, end, start in score_windows(total, first, 8):
        assert end - begin <= 8
        assert end <= total
        assert start - begin >= min(start, 4)
        scored += range(start, end)
    assert scored == list(range(first, total))


def test_a_row_that_fits_is_one_window():
    assert score_windows(8, 3, 8) == [(0, 8, 3)]
    assert score_windows(8, 8, 8) == []
    assert score_windows(14, 1, 8) == [(0, 8, 1), (4, 12, 8), (6, 14, 12)]


def test_rows_of_like_length_share_a_batch():
    rows = [([0] * length, range(0)) for length in (2, 9, 3, 5, 4, 30)]
    assert list(batches(rows, 10)) == [[5], [1], [3, 4], [2, 0]]
    assert list(batches([], 10)) == []
