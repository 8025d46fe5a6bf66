"""What was quoted, traded and paid, kept for weeks: one pass after another over the public market. No key is needed.

A pass keeps the open board of each series with the price of its coin, and of each market that has ended since how it
ended and what was traded in it. The same pass again adds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from evenkeel.archive import contracts
from evenkeel.desk.sight import Spots
from evenkeel.errors import FeedError, StoppedError, VenueError, VenueUnknownError
from evenkeel.events.fair import Spot
from evenkeel.units import DAY_S
from evenkeel.venues.kalshi import Kalshi
from evenkeel.venues.kalshi_board import asset_of
from evenkeel.venues.kalshi_rows import Market, Trade


@dataclass(frozen=True, slots=True)
class Kept:
    """What one pass, or all of them, brought: quotes of markets, ends of markets, trades."""

    quotes: int = 0
    ends: int = 0
    trades: int = 0

    def __add__(self, other: Kept) -> Kept:
        """Both together."""
        return Kept(self.quotes + other.quotes, self.ends + other.ends, self.trades + other.trades)


def collected(home: Path, market: Kalshi, series: Sequence[str], spots: Spots, time: int) -> Kept:
    """One pass at `time` (UTC s). Raises VenueError, VenueUnknownError, FeedError; EvenkeelError of the disk."""
    coins = {asset_of(name) for name in series} - {""}
    prices = spots(coins, time) if coins else {}
    done = Kept()
    for name in series:
        done += _board(home, market, name, prices, time) + _ends(home, market, name)
    return done


def by_day(look: Callable[[int], Kept], join: Callable[[], object]) -> Callable[[int], Kept]:
    """The same looks; after the first of each UTC day what was kept so far is joined, for whoever trains meanwhile."""
    joined = -1

    def looked(time: int) -> Kept:
        nonlocal joined
        found = look(time)
        if time // DAY_S != joined:
            join()
            joined = time // DAY_S
        return found

    return looked


def watched(
    look: Callable[[int], Kept],
    every_s: int,
    *,
    now: Callable[[], float],
    pause: Callable[[float], bool],
    told: Callable[[int, Kept, str], None],
    until: float = math.inf,
) -> tuple[Kept, int]:
    """Looks at the multiples of `every_s` until `until` (UTC s), the first at once; -> all of it, and how many failed.

    pause  waits so many seconds, True = it was asked to stop · told  gets time, sum and what went wrong of each look
    """
    total, failed = Kept(), 0
    while True:
        at, wrong = int(now()), ""
        try:
            total += look(at)
        except StoppedError:
            return total, failed
        except (VenueError, VenueUnknownError, FeedError) as error:
            failed, wrong = failed + 1, str(error)
        told(at, total, wrong)
        following = at // every_s * every_s + every_s
        if following >= until or pause(max(following - now(), 0.05)):
            return total, failed


def _board(home: Path, market: Kalshi, series: str, prices: Mapping[str, Spot], time: int) -> Kept:
    spot = prices.get(asset_of(series))
    rows = [
        _quote(one, series, None if spot is None else spot.price, time)
        for event in market.events(series, "open", nested=True)
        for one in event.markets
    ]
    contracts.keep_board(home, series, time, rows)
    return Kept(quotes=len(rows))


def _ends(home: Path, market: Kalshi, series: str) -> Kept:
    """Markets that ended and are not known yet, their trades first: an end that is known has its trades."""
    known = contracts.ended(home, series)
    new = [one for one in market.markets(series=series, status="settled").rows
           if one.ticker not in known and one.status == "finalized" and one.result]  # fmt: skip
    count = 0
    for close in sorted({one.closes // 1000 for one in new}):
        trades = [row for one in new if one.closes // 1000 == close for row in market.trades(one.ticker)]
        contracts.keep_trades(home, series, close, [_trade(row) for row in trades])
        count += len(trades)
    contracts.keep_results(home, series, [_end(one) for one in new])
    return Kept(ends=len(new), trades=count)


def _quote(one: Market, series: str, spot: float | None, time: int) -> dict[str, Any]:
    return {
        "captured_at": time, "event_ticker": one.event, "ticker": one.ticker, "open_time": one.opens // 1000,
        "close_time": one.closes // 1000, "strike_type": one.strike, "floor_strike": _number(one.floor),
        "cap_strike": _number(one.cap), "yes_bid": _number(one.yes_bid), "yes_ask": _number(one.yes_ask),
        "no_bid": _number(one.no_bid), "no_ask": _number(one.no_ask), "bid_size": _number(one.bid_size),
        "ask_size": _number(one.ask_size), "series": series, "spot_price": spot,
    }  # fmt: skip


def _end(one: Market) -> dict[str, Any]:
    return {
        "ticker": one.ticker, "event_ticker": one.event, "close_time": one.closes // 1000, "result": one.result,
        "expiration_value": _written(one.settled_as),
        "settled_at": None if one.settled is None else one.settled // 1000,
    }  # fmt: skip


def _trade(row: Trade) -> dict[str, Any]:
    return {"trade_id": row.id, "ticker": row.ticker, "time": row.time, "yes_price": float(row.price),
            "count": float(row.count), "taker": row.taker}  # fmt: skip


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _written(text: str) -> float | None:
    """The index value as the venue wrote it; None for words."""
    try:
        return float(text.replace(",", "").removeprefix("$")) if text else None
    except ValueError:
        return None
