"""Does Kalshi take an order for this market now? By the venue's own word on its state and its hours, and by the close.

Asked for anew where it is old; for the account and for paper alike, so that paper buys nothing that could not be had.
The law: what the venue does not clearly call open is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.venues.kalshi import Kalshi
from evenkeel.venues.kalshi_hours import Schedule, Status
from evenkeel.venues.kalshi_rows import Market

STATUS_GOOD_S: Final = 60.0
SCHEDULE_GOOD_S: Final = 3_600.0


class Doors:
    """What the venue said of its state and hours, and when. now  UTC s."""

    def __init__(self, venue: Kalshi, now: Callable[[], float]) -> None:
        """Nothing is asked yet."""
        self._venue, self._now = venue, now
        self._status: tuple[float, Status] | None = None
        self._schedule: tuple[float, Schedule] | None = None

    def check(self, market: Market) -> None:
        """Whether orders of a market are taken now. Raises VenueError: nothing was sent."""
        now = self._now()
        try:
            status, schedule = self._known_status(now), self._known_schedule(now)
        except VenueUnknownError as error:
            raise VenueError(
                f"{market.ticker}: not sent, as the venue does not say that it is open ({error})"
            ) from None
        if not status.trades(market.shard):
            resumes = f" until {status.resumes}" if status.resumes else ""
            raise VenueError(f"{market.ticker}: not sent, the exchange does not trade{resumes}")
        if not schedule.open_at(now):
            raise VenueError(f"{market.ticker}: not sent, outside the exchange's hours")
        if now * 1000 >= market.closes:
            raise VenueError(f"{market.ticker}: not sent, the market has closed")

    def _known_status(self, now: float) -> Status:
        if self._status is None or not 0 <= now - self._status[0] < STATUS_GOOD_S:
            self._status = now, self._venue.status()
        return self._status[1]

    def _known_schedule(self, now: float) -> Schedule:
        if self._schedule is None or not 0 <= now - self._schedule[0] < SCHEDULE_GOOD_S:
            self._schedule = now, self._venue.schedule()
        return self._schedule[1]
