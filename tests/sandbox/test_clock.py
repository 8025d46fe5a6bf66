from __future__ import annotations

import pytest

from evenkeel.errors import UsageError
from evenkeel.sandbox.clock import Clock


class Wall:
    """A wall clock that moves when told to."""

    def __init__(self, time):
        self.time = time

    def __call__(self):
        """Wall time in s."""
        return self.time


def test_without_a_start_it_is_the_wall_clock():
    """Speed 1, no start: the wall's own seconds."""
    wall = Wall(1_000.0)
    clock = Clock(wall)
    wall.time += 2.5

    assert clock.now() == 1_002.5


def test_time_passes_at_its_speed():
    """One wall second is `speed` sandbox seconds, also after the pace was changed."""
    wall = Wall(50.0)
    clock = Clock(wall, start=1_000.0, speed=60.0)
    wall.time += 2.0
    clock.run(0.5)
    wall.time += 4.0

    assert clock.now() == 1_000.0 + 120.0 + 2.0
    assert clock.speed == 0.5


def test_a_clock_that_stands_still_is_moved_by_hand():
    """Speed 0: only `set` and `advance` move it."""
    wall = Wall(50.0)
    clock = Clock(wall, start=1_000.0, speed=0.0)
    wall.time += 1_000.0

    assert clock.now() == 1_000.0
    assert clock.advance(30.0) == 1_030.0
    clock.set(500.0)
    assert clock.now() == 500.0


@pytest.mark.parametrize("speed", [-1.0, float("nan"), float("inf")])
def test_a_pace_that_is_none_is_refused(speed):
    """Negative and unknown speeds, at the start and later."""
    clock = Clock(Wall(0.0))

    with pytest.raises(UsageError, match="pace"):
        Clock(Wall(0.0), speed=speed)
    with pytest.raises(UsageError, match="pace"):
        clock.run(speed)


def test_a_time_that_is_none_is_refused():
    """NaN leaves the clock where it is."""
    clock = Clock(Wall(0.0), start=7.0, speed=0.0)

    with pytest.raises(UsageError, match="finite"):
        clock.set(float("nan"))
    assert clock.now() == 7.0
