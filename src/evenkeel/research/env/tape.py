"""The market that books are taught on: what `signals.view` and `engine.replay` show a decision, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evenkeel.decide import Rules
from evenkeel.market import quality
from evenkeel.market.kernels import window_sum
from evenkeel.signals.actor import Inputs
from evenkeel.signals.policy import Scale, market_part
from evenkeel.signals.view import Signals
from evenkeel.types import Array, BoolArray, IntArray, Panel
from evenkeel.units import DAY_S, YEAR_S

_ROWS_AT_ONCE = 4_096


@dataclass(frozen=True, slots=True)
class Tape:
    """T rows of N assets. NaN = unknown.

    time (T,) UTC s of the bar's close · price, low, high (T, N) believed USD · opens (T, N) first price after the row,
    NaN = no market · volume (T, N) USD of the 24 h before · liquidity (T, N) USD a day · day_vol (T, N) sd of 24 h
    atr (T, N) fraction of price · ready, frozen (T, N) · trading (T,) whether enough of the market is known
    raw (T, N, M) what an actor observes of the market, not standardised
    """

    time: IntArray
    bar_s: int
    assets: tuple[str, ...]
    price: Array
    low: Array
    high: Array
    opens: Array
    volume: Array
    liquidity: Array
    day_vol: Array
    atr: Array
    ready: BoolArray
    frozen: BoolArray
    trading: BoolArray
    raw: NDArray[np.float32]

    def scaled(self, scale: Scale) -> Inputs:
        """(T, N, M) market inputs as an actor is given them."""
        out = np.empty(self.raw.shape, dtype=np.float32)
        for start in range(0, len(out), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            out[rows] = scale.of(self.raw[rows])
        return out


def tape(signals: Signals, rules: Rules) -> Tape:
    """The rows that signals were computed for."""
    panel, first = signals.panel, signals.first
    benchmark = panel.assets.index(rules.benchmark)
    fault = signals.fault[first:]
    known = [not quality.universe_ok(row, benchmark, rules.quality) for row in fault]
    return Tape(
        time=panel.time[first:],
        bar_s=panel.bar_s,
        assets=panel.assets,
        price=signals.price[first:],
        low=signals.low[first:],
        high=signals.high[first:],
        opens=_next_open(panel)[first:],
        volume=_day_volume(panel)[first:],
        liquidity=signals.liquidity,
        day_vol=signals.vol * np.sqrt(DAY_S / YEAR_S),
        atr=signals.atr,
        ready=signals.ready,
        frozen=fault != quality.Fault.OK,
        trading=np.array(known, dtype=bool),
        raw=market_part(signals.features.values, signals.features.market, signals.regime).astype(np.float32),
    )


def scale_of(tape: Tape, rows: slice) -> Scale:
    """Mean and sd of the known market inputs of some rows; an input that does not vary keeps sd 1."""
    size = tape.raw.shape[2]
    mean, sd = np.zeros(size), np.ones(size)
    for number in range(size):  # one at a time: a year of a wide universe is too much in float64
        seen = tape.raw[rows, :, number].astype(np.float64)
        known = seen[np.isfinite(seen)]
        if len(known):
            mean[number], sd[number] = known.mean(), known.std()
    return Scale(mean, np.where(sd > 1e-9, sd, 1.0))


def _next_open(panel: Panel) -> Array:
    """Open of the bar that begins at each row's close; NaN after the last."""
    out = np.full_like(panel.open, np.nan)
    out[:-1] = panel.open[1:]
    return out


def _day_volume(panel: Panel) -> Array:
    """USD traded in the 24 h up to each row; NaN where no bar of them is known. As the replay's tape."""
    dollars = panel.volume * panel.close
    known = np.isfinite(dollars)
    day = DAY_S // panel.bar_s
    total = window_sum(np.where(known, dollars, 0.0), day)
    some = window_sum(known.astype(np.float64), day)
    return np.where(some > 0, total, np.nan)
