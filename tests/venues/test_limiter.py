"""The limiter that all lanes share."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenkeel.venues.limiter import Limiter, Priority


class Clock:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Monotonic s."""
        return self.now

    def wait(self, _turn: threading.Condition, wait_s: float) -> None:
        """Move on."""
        self.now += wait_s


def _limiter(clock, calls=25, kept=5, window_s=60.0) -> Limiter:
    return Limiter(calls, window_s, kept=kept, clock=clock, wait=clock.wait)


@given(
    asks=st.lists(st.tuples(st.sampled_from(Priority), st.integers(0, 40)), max_size=60),
    calls=st.integers(2, 6),
    kept=st.integers(0, 1),
)
def test_no_window_holds_more_calls_than_allowed(asks, calls, kept):
    """However the calls come, any 60 s hold at most `calls` grants, and `calls - kept` of those that only watch."""
    clock = Clock()
    limiter, granted = _limiter(clock, calls, kept), []

    for priority, pause_s in asks:
        clock.now += pause_s
        assert limiter.take(priority)
        granted.append((clock.now, priority))

    for start, _ in granted:
        window = [priority for at, priority in granted if start <= at < start + 60]
        assert len(window) <= calls
    for i, (at, priority) in enumerate(granted):
        window = [other for other, _ in granted[: i + 1] if other > at - 60]
        assert len(window) <= calls - (kept if priority > Priority.STOP else 0)


def test_watching_leaves_calls_for_exits():
    """After a burst of prices the exit goes at once, while the next price waits for the window."""
    clock = Clock()
    limiter = _limiter(clock)
    for _ in range(20):
        limiter.take(Priority.PRICE)

    assert limiter.take(Priority.EXIT)
    assert clock.now == 1000.0
    assert limiter.take(Priority.PRICE)
    assert clock.now == 1060.0


def test_who_cannot_go_in_time_uses_nothing():
    """A bounded wait that ends without a call leaves the window as it was."""
    clock = Clock()
    limiter = _limiter(clock, calls=2, kept=0)
    limiter.take(Priority.EXIT)
    limiter.take(Priority.EXIT)

    assert not limiter.take(Priority.EXIT, within_s=10.0)
    assert clock.now == 1010.0
    assert limiter.take(Priority.EXIT)
    assert clock.now == 1060.0


def test_nobody_calls_while_the_venue_wants_peace():
    """A hold keeps even exits back for as long as it was asked."""
    clock = Clock()
    limiter = _limiter(clock)

    limiter.hold(7.0)

    assert limiter.take(Priority.EXIT)
    assert clock.now == 1007.0


def test_the_urgent_go_first_and_equals_in_the_order_of_asking():
    """Lanes that wait together are let through by priority, then by arrival, each exactly once."""
    clock = Clock()
    limiter = Limiter(1, 60.0, kept=0, clock=clock, wait=lambda turn, _s: turn.wait(0.005))
    assert limiter.take(Priority.PRICE)
    order, asked = [], [Priority.PRICE, Priority.RECONCILE, Priority.EXIT, Priority.RECONCILE, Priority.STOP]

    def lane(name: int, priority: Priority) -> None:
        limiter.take(priority)
        order.append((priority, name))
        clock.now += 60.0

    lanes = [threading.Thread(target=lane, args=item) for item in enumerate(asked)]
    for waiting, thread in enumerate(lanes, 1):
        thread.start()
        while len(limiter._queue) < waiting:
            pass
    clock.now += 60.0
    for thread in lanes:
        thread.join(10.0)

    assert order == sorted(order)
    assert len(order) == 5


def test_many_lanes_together_keep_the_law():
    """Eight threads at once take exactly what one window has."""
    clock = Clock()
    limiter = Limiter(25, 60.0, kept=5, clock=clock, wait=threading.Condition.wait)
    taken = []

    def lane() -> None:
        taken.extend(limiter.take(Priority.EXIT, within_s=0.0) for _ in range(10))

    lanes = [threading.Thread(target=lane) for _ in range(8)]
    for thread in lanes:
        thread.start()
    for thread in lanes:
        thread.join(10.0)

    assert taken.count(True) == 25


def test_all_calls_cannot_be_kept_for_exits():
    """A limiter that would never let a price through is refused."""
    with pytest.raises(ValueError, match="fewer than all"):
        Limiter(5, kept=5)


def test_what_a_thread_waited_for_its_turns_is_known_without_what_the_venue_asked_for():
    """Four calls at once under a budget of three: the last one waits a minute. A wait after a 429 is the venue's."""
    clock = Clock()
    limiter, elsewhere = _limiter(clock, 3, 0), []
    for _ in range(4):
        limiter.take(Priority.EXIT)
    own = limiter.waited
    clock.now += 60
    limiter.hold(10)
    limiter.take(Priority.EXIT)
    other = threading.Thread(target=lambda: elsewhere.append(limiter.waited))
    other.start()
    other.join()

    assert own == 60
    assert limiter.waited == 60
    assert clock.now == 1130
    assert elsewhere == [0]
