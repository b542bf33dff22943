import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_graft.server.stop_sequences import StopReader

TEXTS = st.text("ab\n", max_size=12)


@given(st.lists(TEXTS), st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3))
def test_what_comes_in_pieces_is_what_a_search_of_the_whole_gives(pieces, stop):
    reader = StopReader(stop)
    shown = "".join(reader.push(piece) for piece in pieces) + reader.finish()
    whole = "".join(pieces)
    found = [whole.find(one) for one in stop if one in whole]
    assert reader.stopped == bool(found)
    # a stop that is told first ends the answer, though a longer one may have begun before it
    ends = {whole[:place] for place in found} or {whole}
    assert shown in ends


def test_nothing_is_held_back_that_can_not_begin_a_stop():
    reader = StopReader(["END"])
    assert reader.push("a bE") == "a b"
    assert reader.push("a E") == "Ea "
    assert reader.push("N") == ""
    assert reader.push("D and more") == ""
    assert reader.stopped
    assert (reader.push("more"), reader.finish()) == ("", "")


@pytest.mark.parametrize("stop", [[], ["x"]])
def test_what_is_held_back_at_the_end_is_shown(stop):
    reader = StopReader(stop)
    assert reader.push("abc") == "abc"
    assert reader.finish() == ""
