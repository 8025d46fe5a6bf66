"""Who may call a venue next? One limiter for all lanes: at most so many calls in any window, the urgent ones first.

The law: no half-open window of `window_s` ever holds more than `calls` grants, and nothing that only watches can use up
the last `kept` of them. Within one priority the first to ask is the first to go.
"""

from __future__ import annotations

import heapq
import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from enum import IntEnum

Wait = Callable[[threading.Condition, float], object]
"""Waits on a held condition for at most so many seconds."""


class Priority(IntEnum):
    """What a call is for; the lower number goes first."""

    EXIT = 0
    """Cancels and sells."""
    STOP = 1
    """What a stop has to see before it can fire."""
    RECONCILE = 2
    """The account, what became of orders, purchases."""
    PRICE = 3
    """Prices and rules."""


class Limiter:
    """Grants calls. Safe for any number of threads.

    calls     most grants in any `window_s` seconds
    kept      of these, how many only EXIT and STOP may use, 0 <= kept < calls
    clock     s, never going back · wait  blocks on the condition that it is given
    """

    def __init__(
        self,
        calls: int = 25,
        window_s: float = 60.0,
        *,
        kept: int = 5,
        clock: Callable[[], float] = time.monotonic,
        wait: Wait = threading.Condition.wait,
    ) -> None:
        if not 0 <= kept < calls:
            raise ValueError(f"kept is {kept}, calls {calls}: keep at least 0 and fewer than all calls")
        self._calls, self._window_s, self._kept = calls, window_s, kept
        self._clock, self._wait = clock, wait
        self._turn = threading.Condition()
        self._granted: deque[float] = deque(maxlen=calls)
        self._queue: list[tuple[Priority, int]] = []
        self._number = itertools.count()
        self._held_until = -math.inf
        self._own = threading.local()

    @property
    def waited(self) -> float:
        """Seconds for which this thread has waited for its turns so far, less what the venue asked for by a 429."""
        return float(getattr(self._own, "seconds", 0.0))

    def take(self, priority: Priority, within_s: float = math.inf) -> bool:
        """Wait for a call and use it up; False if none came free within `within_s`, and then none is used."""
        with self._turn:
            began, ticket = self._clock(), (priority, next(self._number))
            heapq.heappush(self._queue, ticket)
            try:
                return self._wait_for(ticket, self._clock() + within_s)
            finally:
                now = self._clock()
                self._own.seconds = self.waited + now - max(began, min(self._held_until, now))
                self._queue.remove(ticket)
                heapq.heapify(self._queue)
                self._turn.notify_all()

    def hold(self, wait_s: float) -> None:
        """Grant nothing to anybody for `wait_s`: the venue asked us to stay away."""
        with self._turn:
            self._held_until = max(self._held_until, self._clock() + wait_s)

    def _wait_for(self, ticket: tuple[Priority, int], deadline: float) -> bool:
        while True:
            now, first = self._clock(), self._queue[0] == ticket
            free_at = self._free_at(ticket[0])
            if first and free_at <= now:
                self._granted.append(now)
                return True
            if now >= deadline:
                return False
            # One who is not first is woken by whoever leaves the queue before him.
            until = free_at if first else now + self._window_s
            self._wait(self._turn, min(until, deadline) - now)

    def _free_at(self, priority: Priority) -> float:
        """When a call of this priority may go if nobody else goes before."""
        most = self._calls - (self._kept if priority > Priority.STOP else 0)
        if len(self._granted) < most:
            return self._held_until
        return max(self._held_until, self._granted[-most] + self._window_s)
