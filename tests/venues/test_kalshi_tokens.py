"""The token bucket: never more than the venue allows, urgent calls first."""

from __future__ import annotations

import numpy as np
import pytest

from evenkeel.venues.kalshi_tokens import Tokens


class Time:
    """A clock that moves only when somebody waits."""

    def __init__(self):
        self.now = 0.0

    def wait(self, _condition, seconds):
        """Time passes."""
        self.now += seconds

    def bucket(self, rate=100.0, capacity=100.0, kept=0.0):
        """A bucket on this clock."""
        return Tokens(rate, capacity, kept=kept, clock=lambda: self.now, wait=self.wait)


def test_no_span_holds_more_than_the_bucket_and_what_came_in():
    """Costs drawn at random: between any two grants at most capacity + rate * time is granted."""
    rng, time = np.random.default_rng(1), Time()
    bucket = time.bucket()
    grants = []
    for _ in range(300):
        time.now += float(rng.exponential(0.03))
        cost = float(rng.choice([2, 10]))
        assert bucket.take(cost)
        grants.append((time.now, cost))

    for i in range(0, len(grants), 7):
        total = 0.0
        for at, cost in grants[i:]:
            total += cost
            assert total <= 100 + 100 * (at - grants[i][0]) + 1e-6


def test_what_is_kept_is_for_urgent_calls():
    """Others wait for the rate, a cancel does not."""
    time = Time()
    bucket = time.bucket(rate=10, capacity=40, kept=20)
    assert bucket.take(10)
    assert bucket.take(10)

    assert not bucket.take(10, within_s=0)
    assert bucket.take(10, urgent=True, within_s=0)
    assert time.now == 0.0
    assert bucket.take(10)
    assert time.now == pytest.approx(2.0)


def test_after_a_429_nobody_calls():
    """Full or not, the bucket is closed for the wait, to the urgent too."""
    time = Time()
    bucket = time.bucket()
    bucket.hold(4.0)

    assert not bucket.take(2, urgent=True, within_s=1.0)
    assert bucket.take(2, urgent=True)
    assert time.now == pytest.approx(4.0)


@pytest.mark.parametrize("bad", [{"rate": 0}, {"kept": 100}, {"kept": -1}])
def test_a_bucket_that_cannot_work_is_refused(bad):
    """Without a rate, or with everything kept."""
    with pytest.raises(ValueError, match="rate"):
        Time().bucket(**bad)


def test_a_call_that_never_fits_is_refused_at_once():
    """It would wait for ever."""
    with pytest.raises(ValueError, match="never fits"):
        Time().bucket().take(101)
