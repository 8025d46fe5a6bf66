"""Which bars does a polled ticker make? Pure: ticks in, closed bars out, for a venue that shows no candles.

The law: only what was seen is told. A bar of which a stretch longer than `gap_s` went unseen is absent, never filled;
a tick whose time does not advance (a cached answer, an old one) counts for nothing, not even for freshness.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from evenkeel.types import Array
from evenkeel.units import DAY_S
from evenkeel.venues.roostoo_rows import Tick

SOURCE = "ticker"
"""What these bars are made of, to be named beside them."""


@dataclass(frozen=True, slots=True)
class _Forming:
    """A bar at work: open time s, prices USD, worst gap so far s, and the ticks before it and last in it."""

    start: int
    open: float
    high: float
    low: float
    close: float
    gap_s: float
    before: Tick | None
    last: Tick


@dataclass(frozen=True, slots=True)
class BarBuilder:
    """The bars at work of every asset. Never changed: each step gives another one.

    bar_s  length of a bar, s · gap_s  longest stretch of a bar that may go unseen, s
    drained  UTC s: bars that end by then have been handed out, later ticks for them count for nothing
    """

    bar_s: int
    gap_s: float = 300.0
    drained: int = 0
    source: str = SOURCE
    seen: Mapping[str, Tick] = field(default_factory=dict)
    ready: Mapping[str, tuple[_Forming, ...]] = field(default_factory=dict)
    forming: Mapping[str, _Forming] = field(default_factory=dict)

    def take(self, ticks: Mapping[str, Tick]) -> BarBuilder:
        """With one more poll's ticks, by asset."""
        news = {asset: tick for asset, tick in ticks.items() if self._counts(asset, tick)}
        forming, ready = dict(self.forming), dict(self.ready)
        for asset, tick in news.items():
            old, start = forming.get(asset), tick.time // (1000 * self.bar_s) * self.bar_s
            if old is not None and old.start == start:
                forming[asset] = _with(old, tick)
            else:
                if old is not None:
                    ready[asset] = (*ready.get(asset, ()), old)
                forming[asset] = _first(start, tick, self.seen.get(asset))
        return replace(self, seen={**self.seen, **news}, ready=ready, forming=forming)

    def closed(
        self, now: int, traded: Mapping[str, Mapping[int, float]] | None = None
    ) -> tuple[dict[str, Array], BarBuilder]:
        """Bars that end by `now` (UTC s) and were not handed out before, and the builder without them.

        traded  units traded per asset and open time (UTC s) of bars a day earlier, where somebody knows them
        ->      per asset (n, 6), n >= 1: open time, open, high, low, close (USD), volume (units; NaN = unknown)

        The ticker shows the units of a moving day. Its change over a bar is what was traded in the bar less what was
        traded in the same bar yesterday, so a volume is told only where yesterday's is known and both neighbours are.
        """
        known, rows = traded or {}, dict[str, list[tuple[float, ...]]]()
        for asset in self.seen:
            waiting = (*self.ready.get(asset, ()), *((self.forming[asset],) if asset in self.forming else ()))
            rows[asset] = [_row(bar, known.get(asset, {}), self.bar_s) for bar in waiting if self._whole(bar, now)]
        left = {asset: bar for asset, bar in self.forming.items() if bar.start + self.bar_s > now}
        drained = max(self.drained, now // self.bar_s * self.bar_s)
        made = {asset: np.array(found) for asset, found in rows.items() if found}
        return made, replace(self, drained=drained, ready={}, forming=left)

    def ages(self, now: float) -> dict[str, float]:
        """Age of the last tick that counted, s, by asset that ever had one."""
        return {asset: now - tick.time / 1000 for asset, tick in self.seen.items()}

    def _counts(self, asset: str, tick: Tick) -> bool:
        before = self.seen.get(asset)
        return tick.time >= self.drained * 1000 and (before is None or tick.time > before.time)

    def _whole(self, bar: _Forming, now: int) -> bool:
        """Whether a bar is over and was watched from end to end."""
        end = bar.start + self.bar_s
        return end <= now and max(bar.gap_s, end - bar.last.time / 1000) <= self.gap_s


def _first(start: int, tick: Tick, before: Tick | None) -> _Forming:
    price = float(tick.last)
    return _Forming(start, price, price, price, price, tick.time / 1000 - start, before, tick)


def _with(bar: _Forming, tick: Tick) -> _Forming:
    price = float(tick.last)
    return replace(
        bar,
        high=max(bar.high, price),
        low=min(bar.low, price),
        close=price,
        gap_s=max(bar.gap_s, (tick.time - bar.last.time) / 1000),
        last=tick,
    )


def _row(bar: _Forming, traded: Mapping[int, float], bar_s: int) -> tuple[float, ...]:
    return (float(bar.start), bar.open, bar.high, bar.low, bar.close, _volume(bar, traded, bar_s))


def _volume(bar: _Forming, traded: Mapping[int, float], bar_s: int) -> float:
    before, last = bar.before, bar.last
    if before is None or before.time // (1000 * bar_s) * bar_s != bar.start - bar_s:
        return math.nan
    if before.day_units is None or last.day_units is None or bar.start - DAY_S not in traded:
        return math.nan
    volume = float(last.day_units - before.day_units) + traded[bar.start - DAY_S]
    return volume if volume >= 0 else math.nan
