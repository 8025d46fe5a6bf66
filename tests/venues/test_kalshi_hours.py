"""When Kalshi is open, by the clocks of New York."""

from __future__ import annotations

import pytest

from evenkeel.errors import VenueUnknownError
from evenkeel.units import utc
from evenkeel.venues.kalshi_hours import Status, schedule_of, status_of

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def schedule(**sessions):
    week = {day: [{"open_time": a, "close_time": b} for a, b in sessions.get(day, [])] for day in DAYS}
    return schedule_of({"schedule": {"standard_hours": [week], "maintenance_windows": []}})


@pytest.mark.parametrize(
    ("at", "open_"),
    [
        ("2026-07-10T11:59:59Z", False),  # Friday 07:59:59 in New York, summer
        ("2026-07-10T12:00:00Z", True),
        ("2026-07-11T06:59:59Z", True),  # Saturday 02:59:59: still Friday's session
        ("2026-07-11T07:00:00Z", False),
        ("2026-12-11T12:59:59Z", False),  # winter: an hour later in UTC
        ("2026-12-11T13:00:00Z", True),
        ("2026-12-12T07:59:59Z", True),
    ],
)
def test_a_session_that_ends_after_midnight_follows_new_yorks_clocks(at, open_):
    """Friday 08:00 to 03:00 of Saturday, before and after the clocks change."""
    assert schedule(friday=[("08:00", "03:00")]).open_at(utc(at)) == open_


@pytest.mark.parametrize("hours", [("00:00", "00:00"), ("00:00", "24:00")])
def test_a_whole_day_is_open_to_its_last_second(hours):
    """Whichever way the venue writes it; the day before is closed."""
    whole = schedule(friday=[hours])

    assert whole.open_at(utc("2026-07-10T04:00:00Z"))
    assert whole.open_at(utc("2026-07-11T03:59:59Z"))
    assert not whole.open_at(utc("2026-07-11T04:00:00Z"))


def test_what_is_not_listed_is_closed():
    """No day, no week: nothing is open."""
    assert not schedule().open_at(utc("2026-07-10T15:00:00Z"))
    assert not schedule_of({"schedule": {"standard_hours": []}}).open_at(utc("2026-07-10T15:00:00Z"))


@pytest.mark.parametrize(
    "bad", [{}, {"schedule": {"standard_hours": [{"monday": [{"open_time": "8", "close_time": "9"}]}]}}]
)
def test_a_schedule_that_cannot_be_read_is_unknown(bad):
    """Never "always open"."""
    with pytest.raises(VenueUnknownError):
        schedule_of(bad)


def test_a_shard_trades_only_while_the_exchange_does():
    """One that is not listed follows it."""
    row = {"exchange_index": 2, "exchange_active": True, "trading_active": False}
    status = status_of({"exchange_active": True, "trading_active": True, "exchange_index_statuses": [row]})

    assert (status.trades(2), status.trades(0), status.trades(None)) == (False, True, True)
    assert not Status(active=True, trading=False, shards={2: True}).trades(2)
