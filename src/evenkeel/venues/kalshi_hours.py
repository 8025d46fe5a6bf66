"""May anything be traded at Kalshi now? Its status and its weekly schedule, whose hours are New York's.

The law: what the venue does not clearly call open is closed. Source: specs/kalshi.md section 4, `/exchange/status` and
`/exchange/schedule`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from evenkeel.errors import VenueUnknownError
from evenkeel.venues import kalshi_fields as fields
from evenkeel.venues.kalshi_fields import Row

NEW_YORK: Final = ZoneInfo("America/New_York")
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY: Final = 1_440
_HOUR: Final = re.compile(r"([01]\d|2[0-4]):([0-5]\d)(:00)?")


@dataclass(frozen=True, slots=True)
class Status:
    """Whether the exchange is up and whether it trades. shards  the same per shard, where the venue tells it."""

    active: bool
    trading: bool
    resumes: str = ""
    shards: Mapping[int, bool] = field(default_factory=dict)

    def trades(self, shard: int | None) -> bool:
        """Whether orders of a market on this shard are taken; a shard that is not listed follows the exchange."""
        return self.active and self.trading and (shard is None or self.shards.get(shard, True))


@dataclass(frozen=True, slots=True)
class Week:
    """Sessions per weekday (0 = Monday) as minutes after New York's midnight; an end above 1440 is the next day's.

    start, end  UTC ms between which this week holds; None = without a limit
    """

    start: int | None
    end: int | None
    days: tuple[tuple[tuple[int, int], ...], ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Standard weeks, and maintenance as (start, end) UTC ms."""

    weeks: tuple[Week, ...]
    maintenance: tuple[tuple[int, int], ...] = ()

    def open_at(self, time_s: float) -> bool:
        """Whether the exchange is open at a time, UTC s."""
        at = round(time_s * 1000)
        if any(start <= at < end for start, end in self.maintenance):
            return False
        return any(_in_session(week, time_s) for week in self.weeks if _holds(week, at))


def status_of(reply: Row) -> Status:
    """`/exchange/status`. Raises VenueUnknownError."""
    shards = {}
    for row in fields.rows(reply, "exchange_index_statuses") if reply.get("exchange_index_statuses") else []:
        active, trading = row.get("exchange_active", True), row.get("trading_active", row.get("exchange_active"))
        shards[fields.whole(row, "exchange_index")] = active is True and trading is True
    return Status(
        fields.truth(reply, "exchange_active"), fields.truth(reply, "trading_active"),
        fields.maybe_text(reply, "exchange_estimated_resume_time"), shards,
    )  # fmt: skip


def schedule_of(reply: Row) -> Schedule:
    """`/exchange/schedule`. Raises VenueUnknownError."""
    row = fields.child(reply, "schedule")
    pauses = fields.rows(row, "maintenance_windows") if "maintenance_windows" in row else []
    return Schedule(
        fields.each(row, "standard_hours", _week),
        tuple((fields.time_ms(pause, "start_datetime"), fields.time_ms(pause, "end_datetime")) for pause in pauses),
    )


def _week(row: Row) -> Week:
    start, end = fields.maybe_time_ms(row, "start_time"), fields.maybe_time_ms(row, "end_time")
    return Week(start, end, tuple(_sessions(row, day) for day in _DAYS))


def _sessions(row: Row, day: str) -> tuple[tuple[int, int], ...]:
    """A day's sessions; one that ends where it begins is a whole day. A day that is not listed is closed."""
    found = []
    for session in fields.rows(row, day) if day in row else []:
        start, end = _minute(session, "open_time"), _minute(session, "close_time")
        found.append((start, end if end > start else end + _DAY))
    return tuple(found)


def _minute(row: Row, name: str) -> int:
    match = _HOUR.fullmatch(fields.text(row, name))
    if match is None:
        raise VenueUnknownError(f"{name} is no time of a day")
    return int(match[1]) * 60 + int(match[2])


def _holds(week: Week, at: int) -> bool:
    return (week.start is None or week.start <= at) and (week.end is None or at < week.end)


def _in_session(week: Week, time_s: float) -> bool:
    """By the clocks of New York, whose days may have 23 or 25 hours."""
    local = datetime.fromtimestamp(time_s, UTC).astimezone(NEW_YORK)
    minute = local.hour * 60 + local.minute
    today, yesterday = local.weekday(), (local - timedelta(days=1)).weekday()
    return any(start <= minute < end for start, end in week.days[today]) or any(
        minute + _DAY < end for _, end in week.days[yesterday]
    )
