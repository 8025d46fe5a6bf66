"""Does a forecast order assets as their returns then do? Forecast and returns in, IC with its t statistic out.

All of it within a timestamp: (D, N) grids, NaN = not judged; a decision counts with at least 8 assets. IC is Pearson's
correlation with the simple return, RankIC that with its rank; the vol-neutral ones take the rank of the forecast less
what the rank of volatility explains of it. Overlapping labels make decisions depend on each other, hence Newey & West
(1987) with horizon / step lags.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evenkeel.signals.rank import ranks
from evenkeel.types import Array, BoolArray
from evenkeel.units import HOUR_S

MIN_ASSETS = 8
FLAT = 1e-18
"""A residual with less than this share of the variance is rounding noise."""
MEASURES = ("ic", "rank_ic", "ic_neutral", "rank_ic_neutral")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What D decisions say: means over decisions, t by Newey-West, and ICIR = mean / sd of the decisions' IC."""

    decisions: int
    ic: float
    ic_t: float
    icir: float
    rank_ic: float
    rank_ic_t: float
    ic_neutral: float
    ic_neutral_t: float
    rank_ic_neutral: float
    rank_ic_neutral_t: float

    def to_json(self) -> dict[str, float | int | None]:
        """Fields as they stand in a manifest; null = not known."""
        named = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value if math.isfinite(value) else None for name, value in named.items()}


def lags_of(horizon_h: int, step_s: int) -> int:
    """Decisions whose labels overlap: horizon / step, rounded up."""
    return -(-horizon_h * HOUR_S // step_s)


def series(x: Array, returns: Array, vol: Array, *, min_assets: int = MIN_ASSETS) -> dict[str, Array]:
    """Each of `MEASURES` per decision, (D,); NaN where fewer than `min_assets` assets are judged or nothing varies.

    x (D, N) forecast · returns (D, N) simple returns over the horizon · vol (D, N) any unit
    """
    known = np.isfinite(x) & np.isfinite(returns) & np.isfinite(vol)
    known &= (known.sum(axis=1) >= min_assets)[:, None]
    x, returns, vol = (np.where(known, array, np.nan) for array in (x, returns, vol))
    place, outcome = ranks(x), ranks(returns)
    neutral = _residual(place, ranks(vol))
    return {
        "ic": correlation(x, returns),
        "rank_ic": correlation(place, outcome),
        "ic_neutral": correlation(neutral, returns),
        "rank_ic_neutral": correlation(neutral, outcome),
    }


def measure(x: Array, returns: Array, vol: Array, lags: int, *, min_assets: int = MIN_ASSETS) -> Evidence:
    """Summary of `series`; NaN figures where no decision counts."""
    return summary(series(x, returns, vol, min_assets=min_assets), lags)


def summary(found: Mapping[str, Array], lags: int) -> Evidence:
    """Means and t statistics of per-decision measures."""
    known = {name: values[np.isfinite(values)] for name, values in found.items()}
    ic = known["ic"]
    means = {name: float(values.mean()) if len(values) else math.nan for name, values in known.items()}
    ts = {name: newey_west_t(values, lags) for name, values in known.items()}
    spread = float(ic.std()) if len(ic) > 1 else 0.0
    return Evidence(
        decisions=len(ic),
        ic=means["ic"],
        ic_t=ts["ic"],
        icir=means["ic"] / spread if spread > 0 else math.nan,
        rank_ic=means["rank_ic"],
        rank_ic_t=ts["rank_ic"],
        ic_neutral=means["ic_neutral"],
        ic_neutral_t=ts["ic_neutral"],
        rank_ic_neutral=means["rank_ic_neutral"],
        rank_ic_neutral_t=ts["rank_ic_neutral"],
    )


def correlation(a: Array, b: Array) -> Array:
    """Pearson's within each row over assets known in both, (D, N), (D, N) -> (D,); NaN where either does not vary."""
    known = np.isfinite(a) & np.isfinite(b)
    a, b = _centred(a, known), _centred(b, known)
    scale = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    out: Array = (a * b).sum(axis=1) / np.where(scale > 0, scale, np.nan)
    return out


def newey_west_t(values: Array, lags: int) -> float:
    """T statistic of the mean of n values, Bartlett weights up to `lags`; NaN below 3 values or without spread."""
    n = len(values)
    if n < 3:
        return math.nan
    centred = values - values.mean()
    variance = float(centred @ centred) / n
    for lag in range(1, min(lags, n - 1) + 1):
        variance += 2.0 * (1.0 - lag / (lags + 1.0)) * float(centred[lag:] @ centred[:-lag]) / n
    return float(values.mean()) / math.sqrt(variance / n) if variance > 0 else math.nan


def _residual(a: Array, b: Array) -> Array:
    """What of a, within its row, a line in b leaves over."""
    known = np.isfinite(a) & np.isfinite(b)
    x, y = _centred(b, known), _centred(a, known)
    square = (x * x).sum(axis=1)
    slope = (x * y).sum(axis=1) / np.where(square > 0, square, np.inf)
    rest = y - slope[:, None] * x
    nothing = (rest * rest).sum(axis=1) <= FLAT * (y * y).sum(axis=1)
    return np.where(known, np.where(nothing[:, None], 0.0, rest), np.nan)


def _centred(x: Array, known: BoolArray) -> Array:
    """Deviation from the row's mean; 0 where not known."""
    filled = np.where(known, x, 0.0)
    mean = filled.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.where(known, filled - mean[:, None], 0.0)
