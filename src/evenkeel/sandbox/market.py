"""What does the sandbox's market quote at any moment? A panel of bars -> a price path, quotes and candles of any step.

Inside a bar the price moves in three straight lines of equal time: from the open over low and high (low first where the
bar rises, else high first) to the close. So whoever polls quotes sees each bar's own extremes, and candles of every
step agree with the panel and with each other.

The law: every answer is a function of (panel, asset, time), the same for whoever asks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from evenkeel.errors import DataError
from evenkeel.types import Pair, Panel
from evenkeel.units import DAY_S

_LOW_FIRST = (0, 2, 1, 3)  # positions in open, high, low, close
_HIGH_FIRST = (0, 1, 2, 3)


class Bar(NamedTuple):
    """One candle: open time UTC s, prices USD, volume in units, and whether it is closed at the time of asking."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    closed: bool


class Day(NamedTuple):
    """The 24 h before now: change as a fraction, units and USD traded."""

    change: float
    volume: float
    value: float


class Market:
    """The prices of all venues of a sandbox. Times are UTC s; None = no market then (gap, not listed, over)."""

    def __init__(self, panel: Panel, pairs: Mapping[str, Pair], *, spread_bps: float = 2.0) -> None:
        """Bars of `panel`; `pairs` gives every asset's precision; ask and bid stand `spread_bps` apart, or one tick.

        Raises DataError for a panel without bars, an asset without a pair, or a spread that is negative.
        """
        missing = [asset for asset in panel.assets if asset not in pairs]
        if missing or not len(panel.time):
            raise DataError(f"no sandbox market: {f'no pair of {missing[0]}' if missing else 'the panel has no bars'}")
        if not 0 <= spread_bps < 10_000:
            raise DataError(f"spread of {spread_bps} bps: give 0 or more, below 10000")
        self._bar_s = panel.bar_s
        self._first = int(panel.time[0]) - panel.bar_s
        self._rows = len(panel.time)
        self._fields = np.stack([panel.open, panel.high, panel.low, panel.close, panel.volume])
        self._column = {asset: i for i, asset in enumerate(panel.assets)}
        self._pairs = {asset: pairs[asset] for asset in panel.assets}
        self._half = spread_bps / 2e4

    @property
    def begin(self) -> int:
        """When the first bar opens, UTC s."""
        return self._first

    @property
    def end(self) -> int:
        """When the last bar closes, UTC s: nothing is quoted from then on."""
        return self._first + self._bar_s * self._rows

    def symbols(self) -> tuple[str, ...]:
        """The assets, in the panel's order."""
        return tuple(self._pairs)

    def pair(self, asset: str) -> Pair:
        """Precision and names of an asset. Raises KeyError for one that is not listed."""
        return self._pairs[asset]

    def last(self, asset: str, now: float) -> float | None:
        """Last price, USD, on the pair's grid."""
        price = self._price(asset, now)
        decimals = self._pairs[asset].price_decimals
        return None if price is None else max(round(price, decimals), round(10.0**-decimals, decimals))

    def quote(self, asset: str, now: float) -> tuple[float, float] | None:
        """Best bid and ask, USD, on the pair's grid, at least one tick apart."""
        price = self._price(asset, now)
        if price is None:
            return None
        decimals = self._pairs[asset].price_decimals
        ticks = price * 10.0**decimals
        bid = max(math.floor(ticks * (1 - self._half) + 1e-6), 1)
        ask = max(math.ceil(ticks * (1 + self._half) - 1e-6), bid + 1)
        return round(bid * 10.0**-decimals, decimals), round(ask * 10.0**-decimals, decimals)

    def bars(self, asset: str, step_s: int, start: float, end: float, now: float) -> list[Bar]:
        """Candles that open in [start, end) and not after now, ascending; the newest may still be open.

        step_s  a multiple of the panel's bar that divides a day or is whole days, or a part of the panel's bar

        A candle without a trade is left out. Raises DataError for another step.
        """
        if step_s <= 0 or (step_s % self._bar_s and self._bar_s % step_s):
            raise DataError(f"no candles of {step_s} s here: the market has bars of {self._bar_s} s")
        first = max(start, self._first - step_s + 1)
        last = min(end, math.floor(now) + 1, self.end)
        opens = range(math.ceil(first / step_s) * step_s, math.ceil(last), step_s)
        made = (self._bar(asset, at, step_s, now) for at in opens)
        return [bar for bar in made if bar is not None]

    def day(self, asset: str, now: float) -> Day:
        """Change and volume of the last 24 h, in whole bars; 0 where nothing is known."""
        upto = self._row(now) + 1
        rows = self._fields[:, max(upto - DAY_S // self._bar_s, 0) : max(upto, 0), self._column[asset]]
        rows = rows[:, ~np.isnan(rows[3])]
        price = self._price(asset, now)
        if not rows.size or price is None:
            return Day(0.0, 0.0, 0.0)
        return Day(price / float(rows[0, 0]) - 1.0, float(rows[4].sum()), float((rows[4] * rows[3]).sum()))

    def turns(self, asset: str, since: float, until: float) -> list[float]:
        """Times in (since, until] at which the path may turn, ascending, `until` last: between them it is straight."""
        rows = range(max(self._row(since), 0), min(self._row(until), self._rows - 1) + 1)
        column = self._column[asset]
        knots = [
            self._first + (row + third / 3) * self._bar_s
            for row in rows
            if not math.isnan(self._fields[3, row, column])
            for third in range(3)
        ]
        return [*(at for at in knots if since < at < until), until]

    def _row(self, now: float) -> int:
        return math.floor((now - self._first) / self._bar_s)

    def _ohlc(self, asset: str, row: int) -> list[float] | None:
        """Open, high, low, close of a row of the panel; None = no bar."""
        if not 0 <= row < self._rows:
            return None
        prices: list[float] = self._fields[:4, row, self._column[asset]].tolist()
        return None if any(math.isnan(price) for price in prices) else prices

    def _price(self, asset: str, now: float) -> float | None:
        row = self._row(now)
        prices = self._ohlc(asset, row)
        return None if prices is None else _along(prices, (now - self._first) / self._bar_s - row)

    def _bar(self, asset: str, at: int, step_s: int, now: float) -> Bar | None:
        """The candle that opens at `at`, as far as it has come by now."""
        end = min(at + step_s, now)
        parts = [self._part(asset, row, at, end) for row in range(self._row(at), self._row(at + step_s - 1) + 1)]
        known = [part for part in parts if part is not None]
        if not known:
            return None
        decimals, units = self._pairs[asset].price_decimals, self._pairs[asset].amount_decimals
        opened, high, low, close = (
            round(price, decimals)
            for price in (known[0][0], max(p[1] for p in known), min(p[2] for p in known), known[-1][3])
        )
        volume = round(sum(p[4] for p in known), units)
        return Bar(at, opened, high, low, close, volume, at + step_s <= now)

    def _part(self, asset: str, row: int, start: float, end: float) -> tuple[float, float, float, float, float] | None:
        """Open, high, low, close, volume of the part of a row of the panel that lies in [start, end]."""
        prices = self._ohlc(asset, row)
        opens = self._first + row * self._bar_s
        a, b = max(start - opens, 0) / self._bar_s, min((end - opens) / self._bar_s, 1.0)
        if prices is None or b < a or (b <= a and b > 0):
            return None
        volume = float(self._fields[4, row, self._column[asset]])
        if a <= 0 and b >= 1:
            return prices[0], prices[1], prices[2], prices[3], volume
        seen = [_along(prices, x) for x in (a, *(k / 3 for k in (1, 2) if a < k / 3 < b), b)]
        return seen[0], max(seen), min(seen), seen[-1], volume * (b - a)


def _along(prices: list[float], share: float) -> float:
    """Price after a share in [0, 1] of a bar's time."""
    order = _LOW_FIRST if prices[3] >= prices[0] else _HIGH_FIRST
    leg = min(int(share * 3), 2)
    a, b = prices[order[leg]], prices[order[leg + 1]]
    return a + (b - a) * (share * 3 - leg)
