"""Places for threads and tasks, and the line before them."""

import pytest

from langchain_graft.errors import ModelError
from langchain_graft.models.slots import Slots


def test_places_are_given_in_the_order_of_the_line():
    slots = Slots(1, waiting=3)
    first, second, third = (slots.take() for _ in range(3))
    assert (first.done(), second.done(), third.done()) == (True, False, False)
    slots.give_up(first)
    assert (second.done(), third.done()) == (True, False)
    slots.give_up(second)
    slots.give_up(third)
    assert slots.take().done()


def test_who_leaves_the_line_is_passed_over():
    slots = Slots(1, waiting=2)
    first, second, third = (slots.take() for _ in range(3))
    second.cancel()
    slots.give_up(second)
    slots.give_up(first)
    assert third.done()
    assert not third.cancelled()


def test_the_line_is_bounded():
    slots = Slots(1, waiting=1)
    slots.take()
    waiting = slots.take()
    with pytest.raises(ModelError, match="1 requests waiting"):
        slots.take()
    slots.give_up(waiting)
    assert not slots.take().done()
