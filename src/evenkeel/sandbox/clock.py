"""What time is it in the sandbox? A wall clock that may be set, advanced, sped up and stopped, from any thread.

The law: `now()` never goes back unless `set` says so.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from evenkeel.errors import UsageError


class Clock:
    """Sandbox time, UTC s: it begins at `start` and passes `speed` times as fast as the wall clock."""

    def __init__(self, wall: Callable[[], float], *, start: float | None = None, speed: float = 1.0) -> None:
        """`wall` tells wall time in s (`time.time`); no `start` means the wall's own time; `speed` 0 stands still.

        Raises UsageError for a start or speed that is not finite, or a negative speed.
        """
        self._wall = wall
        self._lock = threading.Lock()
        self._wall_base = wall()
        self._base = _finite("time", self._wall_base if start is None else start)
        self._speed = _pace(speed)

    @property
    def speed(self) -> float:
        """Sandbox seconds per wall second."""
        return self._speed

    def now(self) -> float:
        """UTC s, fractions included."""
        with self._lock:
            return self._now()

    def set(self, time: float) -> None:
        """Jump to a time, UTC s; backwards too."""
        with self._lock:
            self._anchor(_finite("time", time))

    def advance(self, seconds: float) -> float:
        """Jump by a number of seconds; -> the new time."""
        with self._lock:
            self._anchor(self._now() + _finite("step", seconds))
            return self._base

    def run(self, speed: float) -> None:
        """Go on from now at another pace."""
        with self._lock:
            pace = _pace(speed)
            self._anchor(self._now())
            self._speed = pace

    def _now(self) -> float:
        return self._base + (self._wall() - self._wall_base) * self._speed

    def _anchor(self, time: float) -> None:
        self._base, self._wall_base = time, self._wall()


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise UsageError(f"{name} {value} is not a number of seconds: give a finite one")
    return float(value)


def _pace(speed: float) -> float:
    if not math.isfinite(speed) or speed < 0:
        raise UsageError(f"speed {speed} is not a pace: give 0 (stands still), 1 (real time) or more")
    return float(speed)
