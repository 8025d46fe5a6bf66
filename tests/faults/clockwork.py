"""True time of a simulation, what is due in it, and the places where the process may die. One seed drives all.

Whoever waits (a socket, a pause) calls `elapse`; what is due meanwhile runs inside, as another thread would: to its
end. The law: the same seed gives the same interleaving.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable

Alarm = Callable[[], None]


class Crash(BaseException):
    """kill -9 at a named point."""


class Clockwork:
    """now  true time, UTC s · skew  what our computer's clock is ahead."""

    def __init__(self, start: float) -> None:
        self.now, self.skew = start, 0.0
        self._due: list[tuple[float, int, str, Alarm]] = []
        self._number = itertools.count()

    def wall(self) -> float:
        """Our computer's clock."""
        return self.now + self.skew

    def at(self, moment: float, alarm: Alarm, *, owner: str = "world") -> None:
        """Something happens then, or at once where that is past."""
        heapq.heappush(self._due, (moment, next(self._number), owner, alarm))

    def forget(self, owner: str) -> None:
        """What this owner had planned does not happen."""
        self._due = [entry for entry in self._due if entry[2] != owner]
        heapq.heapify(self._due)

    def elapse(self, seconds: float) -> None:
        """Time passes and what is due runs."""
        until = self.now + seconds
        while self._due and self._due[0][0] <= until:
            moment, _, _, alarm = heapq.heappop(self._due)
            self.now = max(self.now, moment)
            alarm()
        self.now = max(self.now, until)

    def skip(self, seconds: float) -> None:
        """Time passes for somebody who holds a lock: what is due runs later."""
        self.now += seconds


class Points:
    """Named places where the process may die: at the n-th of those whose name begins with `aim`, from now on.

    left  n; never where it is below 0
    """

    def __init__(self) -> None:
        self.left, self.aim = -1, ""
        self.met: Counter[str] = Counter()
        self.deaths: Counter[str] = Counter()

    def at(self, name: str) -> None:
        """Raises Crash if it is time."""
        self.met[name] += 1
        self.left -= name.startswith(self.aim)
        if self.left == 0 and name.startswith(self.aim):
            self.deaths[name] += 1
            raise Crash(name)


def draw(seed: int, name: str) -> random.Random:
    """The dice of one concern: what another concern throws does not move them."""
    return random.Random(f"{seed}|{name}")
