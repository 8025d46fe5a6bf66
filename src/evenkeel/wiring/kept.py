"""What a replay over the archive hears: boards that `kalshi collect` kept, as they were known at each bar.

The law: at a bar only a board that was captured in it counts; days without boards are silent.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

from evenkeel.signals import crowd as crowds
from evenkeel.signals.crowd import COINS, MEAN_S, Crowd, Past
from evenkeel.types import Board, Contract, Panel, Reading

SOURCE = "Kalshi"
NOTHING = Crowd(silent="no boards of Kalshi were kept for these days: `evenkeel kalshi collect` keeps them")


@dataclass(slots=True)
class _Look:
    """One moment at which boards were captured: contracts of all series, and what each coin cost then, USD."""

    contracts: list[Contract] = field(default_factory=list)
    prices: dict[str, float] = field(default_factory=dict)


def recorded(home: Path, panel: Panel, first: int) -> Crowd:
    """What was heard from row `first` on. Raises DataError for a kept file that is damaged."""
    begin = max(0, first - MEAN_S // panel.bar_s)
    looks = _looks(home, int(panel.time[begin]) - panel.bar_s, int(panel.time[-1]))
    times, past = sorted(looks), dict[str, Any]()
    readings: dict[int, tuple[Reading, ...]] = {}
    for row, now in enumerate(panel.time[begin:].tolist(), begin):
        at = bisect_right(times, now) - 1
        if at >= 0 and times[at] > now - panel.bar_s:
            heard = _read(times[at], looks[times[at]], panel, past)
            past = dict(crowds.later(past, heard))
            if row >= first:
                readings[now] = heard
    return Crowd(SOURCE, readings, "no board of Kalshi was kept at this bar") if readings else NOTHING


def _read(time: int, look: _Look, panel: Panel, past: Past) -> tuple[Reading, ...]:
    prices = {coin: (price, time) for coin, price in look.prices.items()}
    return crowds.read(Board(time, tuple(look.contracts)), crowds.spots(panel, time, prices), past)


def _looks(home: Path, since: int, until: int) -> Mapping[int, _Look]:
    from evenkeel.archive import contracts  # noqa: PLC0415 - loads pyarrow

    found: dict[int, _Look] = {}
    for coin, kind in product(COINS, ("", "D")):
        for row in contracts.boards(home, f"KX{coin}{kind}", since, until):
            look = found.setdefault(int(row["captured_at"].timestamp()), _Look())
            look.contracts.append(_contract(row, coin))
            if row["spot_price"] is not None and math.isfinite(row["spot_price"]):
                look.prices[coin] = float(row["spot_price"])
    return found


def _contract(row: Mapping[str, Any], coin: str) -> Contract:
    """A kept row; only open markets are kept. Its grid and fees are not known: it can be read, not traded."""
    bid, ask = (None if row[name] is None else Decimal(str(row[name])) for name in ("yes_bid", "yes_ask"))
    return Contract(
        ticker=row["ticker"],
        event=row["event_ticker"],
        asset=coin,
        kind=row["strike_type"] or "",
        floor=row["floor_strike"],
        cap=row["cap_strike"],
        expiry=int(row["close_time"].timestamp()),
        yes_bid=bid,
        yes_ask=ask,
        bid_size=Decimal(0 if row["bid_size"] is None else str(row["bid_size"])),
        ask_size=Decimal(0 if row["ask_size"] is None else str(row["ask_size"])),
        status="active",
    )
