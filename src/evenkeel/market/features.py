"""What can be said of every asset at every bar's close? One declarative table, one function over the whole panel.

Panel (T, N) -> `Features` (R, N, F) and market-wide (R, G). Formulas: design section 10; kernels: `kernels.py`.
The laws: row t has the same bits whether the panel ends at t or later, and depends on its declared warm-up only.

Horizons are whole hours on any bar that divides the hour. At every row the trailing hour is made one bar
(`panel.trailing`); time is then folded, (T, N) -> (T/k, k N), so that each of the k phases within the hour is an
independent hourly series; every kernel runs hourly on k N columns; the result is unfolded. So a feature at a full hour
has the same bits on 15, 30 and 60-minute bars. Assets go through a few at a time, which bounds memory.

NaN = unknown: always where the trailing hour is not wholly known, and where less than 75 % of a window is.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evenkeel.errors import DataError
from evenkeel.market import kernels
from evenkeel.market.kernels import COVERAGE, decay_of, fold, lag, log, ratio, window_mean, window_of
from evenkeel.market.panel import is_known, pick, trailing
from evenkeel.types import Array, BoolArray, IntArray, Panel, frozen
from evenkeel.units import DAY_S, HOUR_S, YEAR_S

VERSION = 1
"""Raised with every change of a formula: a model fitted on other features must not be served."""

ANNUAL = math.sqrt(YEAR_S / HOUR_S)
"""Vol per sqrt(hour) -> vol per sqrt(year)."""

VOL_DECAY = decay_of(half_life=48)
WILDER_H = 14
BETA_H = 336
MONTH_H = 720

_CELLS_AT_ONCE = 600_000
"""Bars x assets that go through together: what they need beside the result is some 30 times as much."""

_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Hours:
    """What the formulas read: H hourly bars of C = phases x assets columns; NaN = unknown.

    close, high, low  (H, C) USD · dollars  (H, C) close x volume of the hour, USD
    price       (H, C) log close · ret       (H, C) log return of one hour
    base_price  (H, C) log close of the benchmark, repeated for each asset of the phase
    vol         (H, C) sd of ret per sqrt(h) about zero, half-life 48 h
    first       hour of the first row that is wanted: what needs no earlier result may leave out the rest
    beta        (H, C) slope of ret on the benchmark's, 336 h · residual_sd  (H, C) sd of what is left, per sqrt(h)
    """

    close: Array
    high: Array
    low: Array
    dollars: Array
    price: Array
    ret: Array
    base_price: Array
    vol: Array
    beta: Array
    residual_sd: Array
    first: int


@dataclass(frozen=True, slots=True)
class Feature:
    """One line of the table: a name, the formula, the hours it looks back (its own included), unit and range."""

    name: str
    function: Callable[[Hours], Array]
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


# ---------------------------------------------------------------- formulas per asset: Hours -> (H, C)


def _return(hours: int) -> Callable[[Hours], Array]:
    return lambda x: x.price - lag(x.price, hours)


def _ema_distance(span: int) -> Callable[[Hours], Array]:
    return lambda x: ratio(x.price - kernels.ewm(x.price, decay_of(span=span)), x.vol * math.sqrt(span))


def _residual_momentum(hours: int) -> Callable[[Hours], Array]:
    def formula(x: Hours) -> Array:
        own, base = x.price - lag(x.price, hours), x.base_price - lag(x.base_price, hours)
        return ratio(own - x.beta * base, x.vol * math.sqrt(hours))

    return formula


def _atr(x: Hours) -> Array:
    return ratio(window_mean(kernels.true_range(x.high, x.low, x.close), 24), x.close)


def _drawdown(x: Hours) -> Array:
    return x.price - kernels.window_max(x.price, 168)


def _volume_zscore(x: Hours) -> Array:
    return kernels.zscore(window_mean(log(x.dollars), 6), 168)


def _liquidity(x: Hours) -> Array:
    return log(kernels.strided_median(24.0 * window_mean(x.dollars, 24), 24, 30, x.first))


def _illiquidity(x: Hours) -> Array:
    return log(window_mean(ratio(np.abs(x.ret), x.dollars), 168))


def _volume_change(x: Hours) -> Array:
    return log(ratio(window_mean(x.dollars, 24), window_mean(x.dollars, MONTH_H)))


_VOL_H = window_of(VOL_DECAY) + 1

FEATURES: tuple[Feature, ...] = (
    *(Feature(f"r_{k}", _return(k), k + 1, f"log return over {k} h") for k in (1, 3, 6, 24, 72, 168, 336, 720)),
    Feature("vol", lambda x: x.vol * ANNUAL, _VOL_H, "EWMA sd of 1 h log returns about 0, half-life 48 h, annualised"),
    Feature("emaz_12", _ema_distance(12), _VOL_H, "(p - EMA_12 p) / (vol sqrt 12), in sd"),
    Feature("emaz_72", _ema_distance(72), _VOL_H, "(p - EMA_72 p) / (vol sqrt 72), in sd"),
    Feature(
        "rsi",
        lambda x: kernels.relative_strength(x.close, WILDER_H),
        window_of(decay_of(wilder=WILDER_H)) + 1,
        "Wilder's RSI, 14 h, fraction in [0, 1]",
    ),
    Feature(
        "bb",
        lambda x: kernels.band_position(x.close, 20, x.first),
        20,
        "place in the 20 h, 2 sd Bollinger band; 0 low, 1 up",
    ),
    Feature("atr", _atr, 25, "mean true range of 24 h / close, fraction >= 0"),
    Feature("dd", _drawdown, 168, "log close - its highest in 168 h, <= 0"),
    Feature("volz", _volume_zscore, 173, "z score in 168 h of the 6 h mean of log hourly dollar volume, in sd"),
    Feature("liq", _liquidity, MONTH_H, "log USD: median of the last 30 trailing-24 h dollar volumes, 24 h apart"),
    Feature("amihud", _illiquidity, 169, "log of the mean of abs(r) / dollar volume, 168 h, log 1/USD"),
    Feature("dvchg", _volume_change, MONTH_H, "log of mean dollar volume, 24 h over 720 h"),
    Feature("beta", lambda x: x.beta, BETA_H + 1, "slope of 1 h returns on the benchmark's, 336 h"),
    Feature("ivol", lambda x: x.residual_sd * ANNUAL, BETA_H + 1, "sd of that regression's residual, annualised"),
    Feature("resmom_24", _residual_momentum(24), _VOL_H, "(r_24 - beta benchmark's r_24) / (vol sqrt 24), in sd"),
    Feature("resmom_168", _residual_momentum(168), _VOL_H, "(r_168 - beta benchmark's r_168) / (vol sqrt 168), in sd"),
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
    returns = x.column("r_24")
    deviation = returns - _across(returns)[:, None]
    several = np.isfinite(returns).sum(axis=1) > 1
    return np.where(several, np.sqrt(_across(deviation * deviation)), np.nan)


def _breadth(x: Features, _base: int, _time: IntArray) -> Array:
    distance = x.column("emaz_72")
    return _across(np.where(np.isfinite(distance), distance > 0, np.nan))


def _hour(_x: Features, _base: int, time: IntArray) -> Array:
    return (time % DAY_S).astype(np.float64) / HOUR_S


def _weekday(_x: Features, _base: int, time: IntArray) -> Array:
    return ((time // DAY_S + 3) % 7).astype(np.float64)


MARKET_FEATURES: tuple[MarketFeature, ...] = (
    MarketFeature("mkt_r24", lambda x, _b, _t: _across(x.column("r_24")), 25, "mean 24 h log return of known assets"),
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
    if len(panel.time) >= phases:
        base = fold(trailing(pick(panel, [benchmark]), phases).close, phases)
        together = max(4, _CELLS_AT_ONCE // len(panel.time))
        for start in range(0, len(panel.assets), together):
            some = slice(start, start + together)
            with np.errstate(over="ignore", invalid="ignore"):  # an absurd price ends as NaN, see `_fill`
                _fill(values[:, some], pick(panel, panel.assets[some]), base, phases, first_row)
    per_asset = Features(names, frozen(values), (), np.empty((len(values), 0)))
    position, time = panel.assets.index(benchmark), panel.time[first_row:]
    market = np.stack([x.function(per_asset, position, time) for x in MARKET_FEATURES], axis=1)
    return Features(names, values, market_names, frozen(market))


def warmup_bars(bar_s: int) -> int:
    """Rows, the last included, that determine the last row of every feature. Raises DataError for an unfit bar."""
    return _phases(bar_s) * max([x.warmup_h for x in FEATURES] + [x.warmup_h for x in MARKET_FEATURES])


def digest() -> str:
    """SHA-256 of version, order, names, warm-ups and coverage: what a model was fitted on."""
    lines = [f"features {VERSION} coverage {COVERAGE} tail {kernels.TAIL}"]
    lines += [f"{x.name} {x.warmup_h}" for x in FEATURES] + ["market"]
    lines += [f"{x.name} {x.warmup_h}" for x in MARKET_FEATURES]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _fill(values: Array, some: Panel, base: Array, phases: int, first_row: int) -> None:
    """Write all features of a few assets into values (R, n, F), a slice of the result.

    All formulas first, then a few rows of all features at a time: a formula alone would touch every line of memory.
    """
    bars = trailing(some, phases)
    unknown = ~is_known(bars)
    skipped = max(0, first_row - (phases - 1))
    hours = _hours(bars, base, phases, skipped // phases)
    to = max(0, phases - 1 - first_row)
    made = [feature.function(hours).reshape(-1, len(some.assets)) for feature in FEATURES]
    for start in range(skipped, len(unknown), _ROWS_AT_ONCE):
        some_rows = slice(start, min(start + _ROWS_AT_ONCE, len(unknown)))
        block = np.stack([x[some_rows] for x in made], axis=-1)
        block[unknown[some_rows]] = np.nan
        block[np.isinf(block)] = np.nan
        values[to + start - skipped : to + some_rows.stop - skipped] = block


def _hours(bars: Panel, base: Array, phases: int, first: int) -> Hours:
    """Fold trailing-hour bars and add what several formulas share. base (H, k) is the benchmark's close."""
    known = is_known(bars)
    dollars = np.where(known & (bars.volume >= 0), bars.close * bars.volume, np.nan)
    close = fold(np.where(known, bars.close, np.nan), phases)
    price, base_price = log(close), np.repeat(log(base), len(bars.assets), axis=1)
    ret = price - lag(price, 1)
    beta, residual_sd = kernels.regression(ret, base_price - lag(base_price, 1), BETA_H)
    return Hours(
        close=close,
        high=fold(_positive(bars.high), phases),
        low=fold(_positive(bars.low), phases),
        dollars=fold(dollars, phases),
        price=price,
        ret=ret,
        base_price=base_price,
        vol=np.sqrt(kernels.ewm(ret * ret, VOL_DECAY)),
        beta=beta,
        residual_sd=residual_sd,
        first=first,
    )


def _positive(x: Array) -> Array:
    good: BoolArray = np.isfinite(x) & (x > 0)
    return np.where(good, x, np.nan)


def _phases(bar_s: int) -> int:
    if bar_s <= 0 or HOUR_S % bar_s:
        raise DataError(f"features cannot be had from {bar_s} s bars: use bars that divide the hour")
    return HOUR_S // bar_s


def _position(name: str, names: tuple[str, ...]) -> int:
    if name not in names:
        raise DataError(f"there is no feature {name}: ask for one of {', '.join(names)}")
    return names.index(name)
