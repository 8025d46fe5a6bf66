"""What can be said of every asset at every bar's close? One declarative table, one function over the whole panel.

Panel (T, N) -> `Features` (R, N, F) and market-wide (R, G). Formulas: design section 10 and `hours`.
The laws: row t has the same bits whether the panel ends at t or later, and depends on its declared warm-up only.

Horizons are whole hours on any bar that divides the hour. At every row the trailing hour is made one bar (as
`panel.trailing` does); each of the k phases within the hour of each asset is then an hourly series of its own, and
what is said of its hours stands in their bars' rows again. So a feature at a full hour has the same bits on 15, 30 and
60-minute bars. A few assets go through at a time, in machine code, which is loaded where features are first computed.

NaN = unknown: always where the trailing hour is not wholly known, and where less than 75 % of a window is.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evenkeel.errors import DataError
from evenkeel.market import kernels
from evenkeel.market.kernels import BETA_H, COVERAGE, VOL_DECAY, decay_of, window_of
from evenkeel.types import Array, IntArray, Panel, frozen
from evenkeel.units import DAY_S, HOUR_S, YEAR_S

if TYPE_CHECKING:
    from evenkeel.market.hours import Hours

VERSION = 1
"""Raised with every change of a formula: a model fitted on other features must not be served."""

ANNUAL = math.sqrt(YEAR_S / HOUR_S)
"""Vol per sqrt(hour) -> vol per sqrt(year)."""

MONTH_H = 720

_ROWS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Feature:
    """One line of the table: a name, the formula, the hours it looks back (its own included), unit and range."""

    name: str
    function: Callable[[Hours, Array], None]
    warmup_h: int
    doc: str


@dataclass(frozen=True, slots=True)
class MarketFeature:
    """One market-wide line: the formula reads per-asset columns (R, N), the benchmark's column, times (R,) -> (R,)."""

    name: str
    function: Callable[[Features, int, IntArray], Array]
    warmup_h: int
    doc: str


@dataclass(frozen=True, slots=True)
class Features:
    """All features of R rows. NaN = unknown.

    names         F names · values  (R, N, F)
    market_names  G names · market  (R, G), the same for every asset
    """

    names: tuple[str, ...]
    values: Array
    market_names: tuple[str, ...]
    market: Array

    def column(self, name: str) -> Array:
        """(R, N) one per-asset feature. Raises DataError for an unknown name."""
        return self.values[:, :, _position(name, self.names)]

    def market_column(self, name: str) -> Array:
        """(R,) one market-wide feature. Raises DataError for an unknown name."""
        return self.market[:, _position(name, self.market_names)]


# ---------------------------------------------------------------- formulas per asset


def _annual_vol(x: Hours, out: Array) -> None:
    np.multiply(x.vol, ANNUAL, out=out)


def _annual_residual(x: Hours, out: Array) -> None:
    np.multiply(x.regression[1], ANNUAL, out=out)


def _return(hours: int) -> Callable[[Hours, Array], None]:
    return lambda x, out: x.change(hours, out)


_VOL_H = window_of(VOL_DECAY) + 1
_RSI_H = window_of(decay_of(wilder=14)) + 1

FEATURES: tuple[Feature, ...] = (
    *(Feature(f"r_{k}", _return(k), k + 1, f"log return over {k} h") for k in (1, 3, 6, 24, 72, 168, 336, 720)),
    Feature("vol", _annual_vol, _VOL_H, "EWMA sd of 1 h log returns about 0, half-life 48 h, annualised"),
    Feature("emaz_12", lambda x, out: x.ema_distance(12, out), _VOL_H, "(p - EMA_12 p) / (vol sqrt 12), in sd"),
    Feature("emaz_72", lambda x, out: x.ema_distance(72, out), _VOL_H, "(p - EMA_72 p) / (vol sqrt 72), in sd"),
    Feature("rsi", lambda x, out: x.relative_strength(14, out), _RSI_H, "Wilder's RSI, 14 h, fraction in [0, 1]"),
    Feature("bb", lambda x, out: x.band_position(20, out), 20, "place in the 20 h, 2 sd Bollinger band; 0 low, 1 up"),
    Feature("atr", lambda x, out: x.average_range(24, out), 25, "mean true range of 24 h / close, fraction >= 0"),
    Feature("dd", lambda x, out: x.drawdown(168, out), 168, "log close - its highest in 168 h, <= 0"),
    Feature(
        "volz",
        lambda x, out: x.volume_zscore(6, 168, out),
        173,
        "z score in 168 h of the 6 h mean of log hourly dollar volume, in sd",
    ),
    Feature(
        "liq",
        lambda x, out: x.liquidity(out),
        MONTH_H,
        "log USD: median of the last 30 trailing-24 h dollar volumes, 24 h apart",
    ),
    Feature(
        "amihud",
        lambda x, out: x.illiquidity(168, out),
        169,
        "log of the mean of abs(r) / dollar volume, 168 h, log 1/USD",
    ),
    Feature(
        "dvchg",
        lambda x, out: x.volume_change(MONTH_H, out),
        MONTH_H,
        "log of mean dollar volume, 24 h over 720 h",
    ),
    Feature(
        "beta",
        lambda x, out: np.copyto(out, x.regression[0]),
        BETA_H + 1,
        "slope of 1 h returns on the benchmark's, 336 h",
    ),
    Feature("ivol", _annual_residual, BETA_H + 1, "sd of that regression's residual, annualised"),
    Feature(
        "resmom_24",
        lambda x, out: x.residual_change(24, out),
        _VOL_H,
        "(r_24 - beta benchmark's r_24) / (vol sqrt 24), in sd",
    ),
    Feature(
        "resmom_168",
        lambda x, out: x.residual_change(168, out),
        _VOL_H,
        "(r_168 - beta benchmark's r_168) / (vol sqrt 168), in sd",
    ),
)


# ---------------------------------------------------------------- formulas of the market: (R, N) -> (R,)


def _of_benchmark(name: str) -> Callable[[Features, int, IntArray], Array]:
    return lambda x, base, _: x.column(name)[:, base]


def _across(x: Array) -> Array:
    known = np.isfinite(x)
    count = known.sum(axis=1)
    mean: Array = np.where(known, x, 0.0).sum(axis=1) / np.where(count > 0, count, np.nan)
    return mean


def _dispersion(x: Features, _base: int, _time: IntArray) -> Array:
    returns = np.ascontiguousarray(x.column("r_24"))
    deviation = returns - _across(returns)[:, None]
    several = np.isfinite(returns).sum(axis=1) > 1
    return np.where(several, np.sqrt(_across(deviation * deviation)), np.nan)


def _breadth(x: Features, _base: int, _time: IntArray) -> Array:
    distance = np.ascontiguousarray(x.column("emaz_72"))
    return _across(np.where(np.isfinite(distance), distance > 0, np.nan))


def _hour(_x: Features, _base: int, time: IntArray) -> Array:
    return (time % DAY_S).astype(np.float64) / HOUR_S


def _weekday(_x: Features, _base: int, time: IntArray) -> Array:
    return ((time // DAY_S + 3) % 7).astype(np.float64)


MARKET_FEATURES: tuple[MarketFeature, ...] = (
    MarketFeature(
        "mkt_r24",
        lambda x, _b, _t: _across(np.ascontiguousarray(x.column("r_24"))),
        25,
        "mean 24 h log return of known assets",
    ),
    MarketFeature("btc_r24", _of_benchmark("r_24"), 25, "the benchmark's 24 h log return"),
    MarketFeature("btc_r168", _of_benchmark("r_168"), 169, "the benchmark's 168 h log return"),
    MarketFeature("btc_vol", _of_benchmark("vol"), _VOL_H, "the benchmark's vol, annualised"),
    MarketFeature("dispersion", _dispersion, 25, "sd across assets of 24 h log returns; NaN below two known"),
    MarketFeature("breadth", _breadth, _VOL_H, "share in [0, 1] of known assets above their 72 h EMA"),
    MarketFeature("hour", _hour, 1, "UTC hour of the bar's close, [0, 24)"),
    MarketFeature("weekday", _weekday, 1, "UTC weekday of the close, Monday 0 to 6"),
)


def compute(panel: Panel, *, benchmark: str = "BTC", first_row: int = 0) -> Features:
    """All features of rows >= first_row.

    panel      (T, N) from the declared origin on; kernels always start at row 0
    benchmark  asset that beta, ivol and resmom are measured against
    first_row  cuts the output only, to R = T - first_row rows; bits do not depend on it
    Raises DataError if the bar does not divide the hour, the benchmark is absent, or there is no such row.
    """
    phases = _phases(panel.bar_s)
    if benchmark not in panel.assets:
        raise DataError(f"the panel has no {benchmark}, features need a benchmark: add it or name another")
    if not 0 <= first_row < len(panel.time):
        raise DataError(f"first_row is {first_row}, the panel ends at row {len(panel.time) - 1}: ask for one in it")
    names, market_names = tuple(x.name for x in FEATURES), tuple(x.name for x in MARKET_FEATURES)
    values = np.empty((len(panel.time) - first_row, len(panel.assets), len(FEATURES)))
    values[: phases - 1] = np.nan
    position = panel.assets.index(benchmark)
    if len(panel.time) >= phases:
        from evenkeel.market import hours  # noqa: PLC0415 - loads numba, half a second

        hours.fill(values, panel, position, first_row, [x.function for x in FEATURES])
    return Features(
        names, frozen(values), market_names, frozen(_market(names, values, position, panel.time[first_row:]))
    )


def warmup_bars(bar_s: int) -> int:
    """Rows, the last included, that determine the last row of every feature. Raises DataError for an unfit bar."""
    return _phases(bar_s) * max([x.warmup_h for x in FEATURES] + [x.warmup_h for x in MARKET_FEATURES])


def digest() -> str:
    """SHA-256 of version, order, names, warm-ups and coverage: what a model was fitted on."""
    lines = [f"features {VERSION} coverage {COVERAGE} tail {kernels.TAIL}"]
    lines += [f"{x.name} {x.warmup_h}" for x in FEATURES] + ["market"]
    lines += [f"{x.name} {x.warmup_h}" for x in MARKET_FEATURES]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _market(names: tuple[str, ...], values: Array, benchmark: int, time: IntArray) -> Array:
    """(R, G) market features of (R, N, F) values; a few rows at a time stay in the cache."""
    from evenkeel.market.compiled import each  # noqa: PLC0415 - loads numba, half a second

    market, none = np.empty((len(values), len(MARKET_FEATURES))), np.empty((0, 0))

    def work(start: int) -> None:
        some = slice(start, start + _ROWS_AT_ONCE)
        x = Features(names, values[some], (), none)
        for i, feature in enumerate(MARKET_FEATURES):
            market[some, i] = feature.function(x, benchmark, time[some])

    each(work, range(0, len(values), _ROWS_AT_ONCE))
    return market


def _phases(bar_s: int) -> int:
    if bar_s <= 0 or HOUR_S % bar_s:
        raise DataError(f"features cannot be had from {bar_s} s bars: use bars that divide the hour")
    return HOUR_S // bar_s


def _position(name: str, names: tuple[str, ...]) -> int:
    if name not in names:
        raise DataError(f"there is no feature {name}: ask for one of {', '.join(names)}")
    return names.index(name)
