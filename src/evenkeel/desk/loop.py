"""When does the desk take its turns? On a grid of times, after trades and ends that the stream tells of, until stopped.

What is open is asked for again after a few seconds, whatever the grid says. The law: nothing is decided here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from evenkeel.desk.turn import Desk
from evenkeel.events.board import series_of
from evenkeel.venues.kalshi_stream import Heard, Missed, Traded, Turned

OPEN_S = 5.0
"""Pause between two looks at an order whose fate is not known."""
LATE_S = 30
"""A turn that is later than this is one of its own time, not of the grid's: what it sees is of now."""
_ENDS = frozenset({"determined", "settled"})
QUIET_S = 10
"""Least time between two turns that the stream asks for: a busy market is not looked at more often."""


@dataclass(frozen=True, slots=True)
class Bell:
    """What the stream rings where something happened, in one of the series, that a turn should look at."""

    series: frozenset[str]
    _rung: threading.Event = field(default_factory=threading.Event)

    def hear(self, event: Heard) -> None:
        """Ask for a turn after a trade or an end, and where some may have been missed."""
        match event:
            case Traded(trade):
                ours = series_of(trade.ticker) in self.series
            case Turned(ticker, what):
                ours = what in _ENDS and series_of(ticker) in self.series
            case _:
                ours = isinstance(event, Missed)
        if ours:
            self._rung.set()

    def taken(self) -> bool:
        """Whether it rang since it was last asked."""
        was = self._rung.is_set()
        self._rung.clear()
        return was


def serve(
    desk: Desk,
    interval_s: int,
    *,
    stopped: Callable[[], bool],
    pause: Callable[[float], object],
    told: Callable[[int, str], None],
    bell: Bell | None = None,
) -> int:
    """Turns at the multiples of `interval_s`, and when the bell rang, until stopped; -> how many.

    pause  waits at most so many seconds · told  gets the time and the outcome of each turn
    Raises StateError where the disk refuses.
    """
    turns, last = 0, -1
    while not stopped():
        time = int(desk.now())
        due = time // interval_s * interval_s
        rung = bell is not None and time >= last + QUIET_S and bell.taken()
        at = due if due > last and time - due <= LATE_S else time if due > last or rung else -1
        if at > last:
            told(at, desk.turn(at))
            turns, last = turns + 1, at
        elif desk.ledger.open_slots:
            desk.resolve()
        left = due + interval_s - desk.now()
        pause(max(0.05, min(left, OPEN_S if desk.ledger.open_slots else 1.0 if bell is not None else left)))
    return turns
