"""A back-test does not search for cycles of objects, because its slots leave none."""

import gc

import pytest
import world


def left_over(**decider):
    """Objects that only a search for cycles frees after four days of slots."""
    shown = world.feed(days=4)
    gc.collect()
    gc.disable()
    try:
        world.backtested(4, shown=shown, **decider)
        return gc.collect()
    finally:
        gc.enable()


def knotted(*given):
    """A decision that leaves a cycle behind."""
    knot = []
    knot.append(knot)
    return world.decide(*given)


def test_slots_leave_no_cycles():
    assert left_over() < 100  # of 384 risk slots and 192 passes
    assert left_over(decider=knotted) > 384


def test_the_search_is_off_while_slots_run_and_on_again_after_that():
    seen = []
    world.backtested(1, on_plan=lambda _: seen.append(gc.isenabled()))

    assert set(seen) == {False}
    assert gc.isenabled()


def test_a_back_test_that_fails_leaves_the_search_on():
    def broken(*_):
        raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        world.backtested(1, decider=broken)
    assert gc.isenabled()
