"""How many calls may go to Kalshi now? A token bucket: it fills at a steady rate, and every call costs tokens.

The law: in any span of w seconds at most `capacity + rate * w` tokens are granted, and the last `kept` of them only to
what is urgent (exits, cancels). Source: specs/kalshi.md section 7.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from evenkeel.venues.limiter import Wait


class Tokens:
    """One bucket. Safe for any number of threads.

    rate   tokens that come in per second · capacity  most that it holds, full at first
    kept   of these, how many only urgent calls may use, 0 <= kept < capacity
    clock  s, never going back · wait  blocks on the condition that it is given
    """

    def __init__(
        self,
        rate: float,
        capacity: float,
        *,
        kept: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        wait: Wait = threading.Condition.wait,
    ) -> None:
        if rate <= 0 or not 0 <= kept < capacity:
            raise ValueError(f"rate {rate}, capacity {capacity}, kept {kept}: give a rate and keep less than all")
        self._rate, self._capacity, self._kept = rate, capacity, kept
        self._clock, self._wait = clock, wait
        self._turn = threading.Condition()
        self._held, self._at = capacity, clock()
        self._closed_until = -math.inf

    def take(self, cost: float, *, urgent: bool = False, within_s: float = math.inf) -> bool:
        """Wait for `cost` tokens and use them up; False if they did not come within `within_s`, and then none is used.

        Raises ValueError for a cost that the bucket can never hold.
        """
        floor = 0.0 if urgent else self._kept
        if cost + floor > self._capacity:
            raise ValueError(f"a call of {cost} tokens never fits a bucket of {self._capacity - floor}")
        with self._turn:
            deadline = self._clock() + within_s
            while True:
                wait_s = self._wait_s(cost + floor)
                if wait_s <= 0:
                    self._held -= cost
                    return True
                left = deadline - self._clock()
                if left <= 0:
                    return False
                self._wait(self._turn, min(wait_s, left))

    def hold(self, wait_s: float) -> None:
        """Grant nothing to anybody for `wait_s`: the venue said that we called too often."""
        with self._turn:
            self._closed_until = max(self._closed_until, self._clock() + wait_s)

    def _wait_s(self, needed: float) -> float:
        """Seconds until so many tokens are there; the bucket is brought up to now."""
        now = self._clock()
        self._held = min(self._capacity, self._held + (now - self._at) * self._rate)
        self._at = now
        missing = needed - self._held
        return max(self._closed_until - now, missing / self._rate if missing > 1e-9 else 0.0)
