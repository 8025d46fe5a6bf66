"""Time, decimals and the words that describe a configuration key.

Times are integer UTC seconds. Durations are written `15m`, `6h`, `1d`. Money and quantities are Decimal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal
from functools import lru_cache

HOUR_S = 3_600
DAY_S = 86_400
YEAR_S = 365.25 * DAY_S

_DURATION = re.compile(r"^\s*(\d+)\s*(s|m|h|d|w)\s*$")
_UNIT_S = {"s": 1, "m": 60, "h": HOUR_S, "d": DAY_S, "w": 7 * DAY_S}


@dataclass(frozen=True, slots=True)
class Key:
    """What a configuration key means: goes into `Annotated[...]` beside `annotated_types` bounds."""

    doc: str
    unit: str = ""


def seconds(duration: str | int) -> int:
    """Seconds of a duration such as `30m`, `6h`, `1d`; an int is seconds already.

    Raises ValueError for anything else.
    """
    if isinstance(duration, int):
        return duration
    match = _DURATION.match(duration)
    if match is None:
        raise ValueError(f"{duration!r} is not a duration: write a whole number and s, m, h, d or w, such as 30m")
    return int(match[1]) * _UNIT_S[match[2]]


def duration(seconds_: int) -> str:
    """The shortest word for a number of seconds: 1800 -> `30m`."""
    for unit in ("w", "d", "h", "m"):
        if seconds_ and seconds_ % _UNIT_S[unit] == 0 and unit != "w":
            return f"{seconds_ // _UNIT_S[unit]}{unit}"
    return f"{seconds_}s"


def utc(text: str | int | datetime) -> int:
    """UTC seconds of an ISO date or time (`2025-07-01`, `2025-07-01T06:00`); naive times are UTC.

    Raises ValueError for text that is no date.
    """
    if isinstance(text, int):
        return text
    moment = text if isinstance(text, datetime) else datetime.fromisoformat(str(text))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp())


def iso(time_s: int) -> str:
    """ISO time of UTC seconds, e.g. `2025-07-01T06:00:00Z`."""
    day, second = divmod(int(time_s), DAY_S)
    return f"{_date(day)}T{_clock(second)}Z"


@lru_cache(maxsize=256)
def _date(day: int) -> str:
    """ISO date of a day counted from 1970."""
    return datetime.fromtimestamp(day * DAY_S, UTC).date().isoformat()


@lru_cache(maxsize=256)
def _clock(second: int) -> str:
    """ISO time of a second of the day."""
    return f"{second // HOUR_S:02d}:{second % HOUR_S // 60:02d}:{second % 60:02d}"


def floor_to(value: Decimal, decimals: int) -> Decimal:
    """Round toward zero to a number of decimals (a venue never accepts more, and up may exceed the balance)."""
    return value.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_DOWN)


def plain(value: Decimal) -> str:
    """Decimal without exponent or trailing zeros: the string that travels to a venue and into digests."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def decimal_sum(values: Iterable[Decimal]) -> Decimal:
    """Sum that is a Decimal also when there is nothing to add."""
    return sum(values, Decimal(0))
