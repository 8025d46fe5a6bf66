"""What the formulas read: whole hours of a few assets, and the windows over them that the table of features names.

A column is one asset at one phase of the hour, asset x k + phase: an hourly series of its own, its hours side by side
in memory, (C, H). A few assets go through at a time, so that what they need stays in the cache, and two threads share
the assets; no bit of a column depends on which others are with it.

Whoever imports this module loads numba: import it where features are computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import numpy as np

from evenkeel.market import windows
from evenkeel.market.compiled import THREADS, each
from evenkeel.market.kernels import BETA_H, COVERAGE, FLAT, VOL_DECAY, decay_of, window_of, window_weights
from evenkeel.types import Array, Panel
from evenkeel.units import HOUR_S

DAYS = 30
"""Whose dollars are ranked for liquidity."""

_HOURS_AT_ONCE = 20_000
"""Hours x columns whose features are computed together: some 40 series of that length stay in the cache."""
_ASSETS_AT_ONCE = 10
"""Assets whose bars are gathered together: their values of one bar lie side by side."""


class Hours:
    """Trailing hours, C columns x H hours; NaN = unknown. Methods write what they say to `out` (C, H).

    close, high, low  (C, H) USD · dollars  (C, H) close x volume of the hour, USD
    price       (C, H) log close · base_price  (k, H) log close of the benchmark, a row for each phase
    first       first hour that is wanted: earlier ones of what is derived from windows hold anything

    What several formulas share is made when the first of them asks, in `room` (SHARED, C, H).
    """

    SHARED = 7

    def __init__(self, bars: Array, base_price: Array, room: Array, first: int) -> None:
        self.close, self.high, self.low, self.dollars = bars
        self.price = np.log(self.close, out=room[0])
        self.base_price, self.first = base_price, first
        self._room = room

    @cached_property
    def quiet(self) -> Array:
        """(C, H) log dollars, -inf = none."""
        quiet: Array = np.log(self.dollars, out=self._room[1])
        return quiet

    @cached_property
    def ret(self) -> Array:
        """(C, H) log return of one hour."""
        return _change(self.price, 1, self._room[2])

    @cached_property
    def vol(self) -> Array:
        """(C, H) sd of ret per sqrt(h) about zero, half-life 48 h."""
        vol: Array = np.multiply(self.ret, self.ret, out=self._room[3])
        windows.mean(vol, *window_weights(window_of(VOL_DECAY), VOL_DECAY), self.first, vol)
        np.sqrt(vol, out=vol)
        return vol

    @cached_property
    def regression(self) -> tuple[Array, Array]:
        """(C, H) slope of ret on the benchmark's over 336 h, and (C, H) sd of what it leaves, per sqrt(h)."""
        base_ret = _change(self.base_price, 1, np.empty_like(self.base_price))
        beta, residual_sd = self._room[4], self._room[5]
        windows.regression(self.ret, base_ret, *window_weights(BETA_H), FLAT, self.first, beta, residual_sd)
        return beta, residual_sd

    @cached_property
    def day(self) -> Array:
        """(C, H) mean dollars an hour over 24 h."""
        day: Array = self._room[6]
        windows.mean(self.dollars, *window_weights(24), max(0, self.first - 24 * (DAYS - 1)), day)
        return day

    def change(self, hours: int, out: Array) -> None:
        """Log return over some hours."""
        _change(self.price, hours, out)

    def ema_distance(self, span: int, out: Array) -> None:
        """(price - EMA price) / (vol sqrt(span))."""
        decay = decay_of(span=span)
        windows.mean(self.price, *window_weights(window_of(decay), decay), self.first, out)
        np.subtract(self.price, out, out=out)
        windows.ratio(out, self.vol, math.sqrt(span), out)

    def relative_strength(self, wilder: int, out: Array) -> None:
        """Wilder's RSI as a fraction in [0, 1]; NaN where nothing moved in the whole window."""
        decay = decay_of(wilder=wilder)
        windows.relative_strength(self.close, *window_weights(window_of(decay), decay), self.first, out)

    def band_position(self, window: int, out: Array) -> None:
        """Place in the Bollinger band of 2 sd: 0 low, 1 up."""
        windows.band_position(self.close, window, window_weights(window)[1], self.first, out)

    def average_range(self, window: int, out: Array) -> None:
        """Mean true range / close."""
        windows.true_range(self.high, self.low, self.close, out)
        windows.mean(out, *window_weights(window), self.first, out)
        windows.ratio(out, self.close, 1.0, out)

    def drawdown(self, window: int, out: Array) -> None:
        """Log close less its highest."""
        windows.below_highest(self.price, window, window_weights(window)[1], self.first, out)

    def volume_zscore(self, short: int, window: int, out: Array) -> None:
        """Z score of the short mean of log dollars in its own window."""
        windows.mean(self.quiet, *window_weights(short), max(0, self.first - window + 1), out)
        windows.zscore(out, *window_weights(window), FLAT, self.first, out)

    def liquidity(self, out: Array) -> None:
        """Log of the median dollars of the last 30 trailing days, 24 h apart."""
        windows.strided_median(self.day, 24, DAYS, 24.0, COVERAGE * DAYS, self.first, out)
        np.log(out, out=out)

    def illiquidity(self, window: int, out: Array) -> None:
        """Log of the mean of abs(ret) / dollars."""
        np.abs(self.ret, out=out)
        windows.ratio(out, self.dollars, 1.0, out)
        windows.mean(out, *window_weights(window), self.first, out)
        np.log(out, out=out)

    def volume_change(self, window: int, out: Array) -> None:
        """Log of mean dollars, 24 h over a longer window."""
        windows.mean(self.dollars, *window_weights(window), self.first, out)
        windows.ratio(self.day, out, 1.0, out)
        np.log(out, out=out)

    def residual_change(self, hours: int, out: Array) -> None:
        """(change - beta x the benchmark's) / (vol sqrt(hours))."""
        windows.residual_change(self.price, self.base_price, self.regression[0], hours, out)
        windows.ratio(out, self.vol, math.sqrt(hours), out)


Formula = Callable[[Hours, Array], object]
"""Writes one feature of every hour, (C, H)."""


def fill(values: Array, panel: Panel, benchmark: int, first_row: int, formulas: Sequence[Formula]) -> None:
    """Write what F formulas say of all N assets to `values` (R, N, F), from bar `first_row` on.

    panel  (T, N) of k bars an hour, T >= k · benchmark  its column
    """
    phases, bars, assets = HOUR_S // panel.bar_s, len(panel.time), len(panel.assets)
    length = -(-(bars - phases + 1) // phases)
    base_price = np.log(_gathered(panel, benchmark, phases, np.empty((4, phases, length)))[0])
    first = max(0, first_row - phases + 1) // phases
    few = _columns_at_once(length, phases)
    many = min(_ASSETS_AT_ONCE, -(-assets // THREADS))
    parts = (Hours.SHARED, len(formulas))

    def work(starts: Iterable[int]) -> None:
        """Go through every `many` assets from `starts` on, a `few` at a time, in arrays that are used again."""
        bars_room, room = np.empty(4 * many * phases * length), np.empty(sum(parts) * few * length)
        for start in starts:
            size = min(many, assets - start)
            block = _gathered(panel, start, phases, _shaped(bars_room, 4, size * phases, length))
            for at in range(0, size * phases, few):
                some, phase = block[:, at : at + few], at % phases
                shared, made = np.split(_shaped(room, sum(parts), *some.shape[1:]), parts[:1])
                with np.errstate(all="ignore"):  # an absurd price ends as NaN, hours before `first` hold anything
                    hours = Hours(some, base_price[phase : phase + few], shared, first)
                    for formula, out in zip(formulas, made, strict=True):
                        formula(hours, out)
                windows.to_rows(made, hours.close, phases, first_row, start * phases + at, values)

    starts = range(0, assets, many)
    each(work, [starts[i::THREADS] for i in range(THREADS)])


def _columns_at_once(length: int, phases: int) -> int:
    """Columns of some hours whose features are computed together: of whole assets, or a part of one asset's."""
    some = max(1, _HOURS_AT_ONCE // length)
    return some - some % phases if some >= phases else max(n for n in range(1, some + 1) if phases % n == 0)


def _gathered(panel: Panel, asset: int, phases: int, out: Array) -> Array:
    """(4, n k, H) close, high, low, dollars of the n assets from column `asset` on."""
    windows.trailing_hours(panel.close, panel.high, panel.low, panel.volume, asset, phases, out)
    return out


def _change(x: Array, hours: int, out: Array) -> Array:
    """Value less what it was some hours ago; NaN where there is none."""
    out[:, :hours] = np.nan
    np.subtract(x[:, hours:], x[:, : max(0, x.shape[1] - hours)], out=out[:, hours:])
    return out


def _shaped(room: Array, *shape: int) -> Array:
    """The beginning of a flat array in another shape, without gaps: kernels are compiled for arrays without."""
    return room[: math.prod(shape)].reshape(shape)
