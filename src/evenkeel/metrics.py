"""Portfolio statistics from an equity curve. A year has 365.25 days; the period comes from the timestamps.

time (T,) UTC s, never decreasing; equity (T,) USD >= 0. Fractions, never percent; the risk-free rate is 0. Too little
data gives NaN; what cannot be (negative or unknown equity, time running backwards) raises DataError, never a figure.
Daily figures stand on *marks*: the equity at each UTC midnight; equity at midnight itself closes the day before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from evenkeel.errors import DataError
from evenkeel.types import Array, IntArray
from evenkeel.units import DAY_S, YEAR_S, iso

DAYS_A_YEAR = YEAR_S / DAY_S
Z_90 = 1.6448536269514722
NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Drawdown:
    """One fall below a previous high: UTC s of the high, of the lowest point and of the recovery (None = not yet).

    depth  in [0, 1] · days  from the high to the recovery, or to the end of the curve
    """

    depth: float
    peak: int
    trough: int
    recovered: int | None
    days: float


@dataclass(frozen=True, slots=True)
class Band:
    """A series with its confidence band, each (T,); NaN where the window is not full."""

    value: Array
    low: Array
    high: Array


@dataclass(frozen=True, slots=True)
class Month:
    """Return of one calendar month (UTC), as far as the curve covers it."""

    year: int
    month: int
    value: float


# ---------------------------------------------------------------- curves


def marks(time: Sequence[int] | IntArray, equity: Sequence[float] | Array) -> tuple[IntArray, Array]:
    """UTC midnights (D,) and the last equity known at each (D,) USD; the opening equity is the first mark.

    Days without equity have no mark. Raises DataError for what cannot be.
    """
    stamps, values = _checked(time, equity)
    if not len(stamps):
        return stamps, values
    ends = -(-stamps // DAY_S) * DAY_S
    last = np.append(ends[1:] != ends[:-1], [True])
    times, closes = ends[last], values[last]
    if len(stamps) > 1 and ends[0] == ends[1] and stamps[0] < ends[0]:
        return np.concatenate([[times[0] - DAY_S], times]), np.concatenate([[values[0]], closes])
    return times, closes


def daily(time: Sequence[int] | IntArray, equity: Sequence[float] | Array) -> Array:
    """Equity at the marks, (D,) USD."""
    return marks(time, equity)[1]


def daily_returns(time: Sequence[int] | IntArray, equity: Sequence[float] | Array) -> tuple[IntArray, Array]:
    """The UTC day that each return ends with (its start, s), and simple returns: together they make the total."""
    times, values = marks(time, equity)
    return times[1:] - DAY_S, simple(values)


def simple(equity: Array) -> Array:
    """Simple returns of successive equities, (T - 1,); 0 once everything is lost."""
    before = equity[:-1]
    changes: Array = np.divide(np.diff(equity), before, out=np.zeros(len(before)), where=before > 0)
    return changes


def paired(first: tuple[IntArray, Array], second: tuple[IntArray, Array]) -> tuple[IntArray, Array, Array]:
    """Days and daily returns of two curves (time, equity), over the marks that both have."""
    (time_a, equity_a), (time_b, equity_b) = marks(*first), marks(*second)
    both, left, right = np.intersect1d(time_a, time_b, return_indices=True)
    return both[1:] - DAY_S, simple(equity_a[left]), simple(equity_b[right])


# ---------------------------------------------------------------- return and risk


def total_return(equity: Sequence[float] | Array) -> float:
    """Last equity over first, less 1."""
    return float(equity[-1] / equity[0] - 1.0) if len(equity) > 1 and equity[0] > 0 else NAN


def cagr(time: Sequence[int] | IntArray, equity: Sequence[float] | Array) -> float:
    """Yearly growth that makes the total return over the years between the first and the last timestamp."""
    years = float(time[-1] - time[0]) / YEAR_S if len(time) else 0.0
    total = total_return(equity)
    if years <= 0 or not np.isfinite(total):
        return NAN
    with np.errstate(over="ignore"):
        growth = float(np.float64(1.0 + total) ** (1.0 / years) - 1.0)
    return growth if np.isfinite(growth) else NAN


def volatility(returns: Array, per_year: float = DAYS_A_YEAR) -> float:
    """Annualised sample deviation."""
    return float(np.std(returns, ddof=1) * np.sqrt(per_year)) if len(returns) > 1 else NAN


def sharpe(returns: Array, per_year: float) -> float:
    """Annualised mean over sample deviation of returns, risk-free rate 0; NaN below 2 returns or at 0 risk."""
    if len(returns) < 2:
        return NAN
    deviation = float(np.std(returns, ddof=1))
    return float(np.mean(returns)) / deviation * float(np.sqrt(per_year)) if deviation > 1e-12 else NAN


def sortino(returns: Array, per_year: float = DAYS_A_YEAR) -> float:
    """Annualised mean over the root mean square of the losses; NaN without a loss."""
    downside = float(np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2))) if len(returns) else 0.0
    return float(np.mean(returns)) / downside * float(np.sqrt(per_year)) if downside > 0 else NAN


def calmar(time: Sequence[int] | IntArray, equity: Sequence[float] | Array) -> float:
    """Yearly growth over the deepest fall; NaN without a fall."""
    depth = max_drawdown(equity)
    return cagr(time, equity) / depth if depth > 0 else NAN


def sharpe_error(returns: Array) -> float:
    """Standard error of the Sharpe ratio per period (not annualised), for any skewness g3 and kurtosis g4.

    sqrt((1 + (g4 - 1)/4 SR^2 - g3 SR) / n): Mertens 2002; with normal returns it is Lo's 2002 sqrt((1 + SR^2/2) / n).
    """
    return float(_sharpe_errors(returns[None, :])[1][0]) if len(returns) > 1 else NAN


def rolling_sharpe(returns: Array, window: int, per_year: float = DAYS_A_YEAR, z: float = Z_90) -> Band:
    """Annualised Sharpe ratio of the last `window` returns with a band of z standard errors (default: 90 %), (T,)."""
    value = np.full((3, len(returns)), np.nan)
    if 2 <= window <= len(returns):
        ratio, error = _sharpe_errors(sliding_window_view(returns, window))
        value[:, window - 1 :] = np.array([ratio, ratio - z * error, ratio + z * error]) * np.sqrt(per_year)
    return Band(value[0], value[1], value[2])


# ---------------------------------------------------------------- drawdown


def underwater(equity: Sequence[float] | Array) -> Array:
    """Distance from the highest equity so far, (T,), in [-1, 0]."""
    values = _values(equity)
    high = np.maximum.accumulate(values) if len(values) else values
    depth: Array = np.divide(values, high, out=np.ones(len(values)), where=high > 0) - 1.0
    return depth


def max_drawdown(equity: Sequence[float] | Array) -> float:
    """Deepest fall from a previous high, in [0, 1]."""
    depth = underwater(equity)
    return float(-np.min(depth)) + 0.0 if len(depth) else NAN


def drawdowns(time: Sequence[int] | IntArray, equity: Sequence[float] | Array) -> tuple[Drawdown, ...]:
    """Every fall below a previous high, deepest first."""
    stamps, values = _checked(time, equity)
    depth = underwater(values)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], depth < 0, [False]]).astype(np.int8)))
    found = []
    for first, after in edges.reshape(-1, 2):
        peak, trough = int(stamps[first - 1]), first + int(np.argmin(depth[first:after]))
        recovered = int(stamps[after]) if after < len(stamps) else None
        end = recovered if recovered is not None else int(stamps[-1])
        found.append(Drawdown(float(-depth[trough]), peak, int(stamps[trough]), recovered, (end - peak) / DAY_S))
    return tuple(sorted(found, key=lambda fall: (-fall.depth, fall.peak)))


def longest_drawdown_days(time: Sequence[int] | IntArray, equity: Sequence[float] | Array) -> float:
    """Longest time under a previous high, days; 0 if there was none."""
    return max((fall.days for fall in drawdowns(time, equity)), default=0.0)


# ---------------------------------------------------------------- the calendar


def monthly(time: Sequence[int] | IntArray, equity: Sequence[float] | Array) -> tuple[Month, ...]:
    """Return of each calendar month; compounded they make the return from the first mark to the last."""
    times, values = marks(time, equity)
    if len(times) < 2:
        return ()
    months = (times - 1).astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
    months[0] = months[1]
    last = np.flatnonzero(np.append(months[1:] != months[:-1], [True]))
    starts = np.concatenate([[0], last[:-1]])
    return tuple(
        Month(1970 + int(months[i]) // 12, 1 + int(months[i]) % 12, total_return(values[[k, i]]))
        for k, i in zip(starts, last, strict=True)
    )


def hit_rate(returns: Array) -> float:
    """Share of the periods with any move that ended higher."""
    moved = returns[returns != 0]
    return float(np.mean(moved > 0)) if len(moved) else NAN


def extremes(days: IntArray, returns: Array, count: int = 5) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """The best and the worst days, (day, return), the most extreme first; ties: the earlier day."""
    rows = [(int(day), float(value)) for day, value in zip(days, returns, strict=True)]
    best = sorted(rows, key=lambda row: (-row[1], row[0]))[:count]
    return best, sorted(rows, key=lambda row: (row[1], row[0]))[:count]


def yearly_turnover(traded_usd: float, time: Sequence[int] | IntArray, equity: Sequence[float] | Array) -> float:
    """Bought plus sold USD as a multiple of the mean equity, a year."""
    years = float(time[-1] - time[0]) / YEAR_S if len(time) else 0.0
    mean = float(np.mean(daily(time, equity))) if years > 0 else 0.0
    return traded_usd / mean / years if mean > 0 else NAN


# ---------------------------------------------------------------- beside a benchmark


def alpha_beta(returns: Array, benchmark: Array, per_year: float = DAYS_A_YEAR) -> tuple[float, float]:
    """Annualised intercept and slope of returns on the benchmark's, by least squares; NaN if that stood still."""
    if len(returns) < 3 or float(np.std(benchmark)) == 0.0:
        return NAN, NAN
    centred = benchmark - np.mean(benchmark)
    beta = float(centred @ returns / (centred @ centred))
    return float(np.mean(returns) - beta * np.mean(benchmark)) * per_year, beta


def active(returns: Array, benchmark: Array, per_year: float = DAYS_A_YEAR) -> tuple[float, float, float]:
    """Annualised mean of the difference, its deviation (tracking error) and their ratio (information ratio)."""
    difference = returns - benchmark
    if len(difference) < 2:
        return NAN, NAN, NAN
    return (
        float(np.mean(difference)) * per_year,
        volatility(difference, per_year),
        sharpe(difference, per_year),
    )


# ---------------------------------------------------------------- all at once


def summary(time: Sequence[int] | IntArray, equity: Sequence[float] | Array) -> Mapping[str, float | None]:
    """Return, yearly return, volatility, Sharpe and drawdown of an equity curve; None = too little data."""
    if len(equity) < 2:
        return dict.fromkeys(("total_return", "cagr", "volatility", "sharpe", "max_drawdown"))
    returns = simple(daily(time, equity))
    return _known({
        "total_return": total_return(equity),
        "cagr": cagr(time, equity),
        "volatility": volatility(returns),
        "sharpe": sharpe(returns, DAYS_A_YEAR),
        "max_drawdown": max_drawdown(equity),
    })  # fmt: skip


def statistics(
    time: Sequence[int] | IntArray,
    equity: Sequence[float] | Array,
    benchmark: tuple[IntArray, Array] | None = None,
) -> Mapping[str, float | None]:
    """All of `summary`, and the rest of this page that needs nothing but the curve and a benchmark's (time, equity)."""
    if len(equity) < 2:
        return summary(time, equity)
    returns = simple(daily(time, equity))
    values = {
        "sharpe_error": sharpe_error(returns) * float(np.sqrt(DAYS_A_YEAR)),
        "sortino": sortino(returns),
        "calmar": calmar(time, equity),
        "longest_drawdown_days": longest_drawdown_days(time, equity),
        "hit_rate": hit_rate(returns),
        "best_day": float(np.max(returns)) if len(returns) else NAN,
        "worst_day": float(np.min(returns)) if len(returns) else NAN,
    }
    if benchmark is not None:
        _, ours, theirs = paired((np.asarray(time, dtype=np.int64), np.asarray(equity, dtype=np.float64)), benchmark)
        values["alpha"], values["beta"] = alpha_beta(ours, theirs)
        values["active_return"], values["tracking_error"], values["information_ratio"] = active(ours, theirs)
    return {**summary(time, equity), **_known(values)}


def _known(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: (value if np.isfinite(value) else None) for name, value in values.items()}


def _sharpe_errors(returns: Array) -> tuple[Array, Array]:
    """Sharpe ratio per period of each row (K, n), and its standard error, (K,); NaN at 0 risk."""
    centred = returns - returns.mean(axis=1, keepdims=True)
    square = np.mean(centred**2, axis=1)
    square = np.where(square > 1e-30, square, np.nan)
    skew = np.mean(centred**3, axis=1) / square**1.5
    kurtosis = np.mean(centred**4, axis=1) / square**2
    count = returns.shape[1]
    ratio = returns.mean(axis=1) / np.sqrt(square * count / (count - 1))
    variance = (1.0 + (kurtosis - 1.0) / 4.0 * ratio**2 - skew * ratio) / count
    return ratio, np.sqrt(np.maximum(variance, 0.0))


def _checked(time: Sequence[int] | IntArray, equity: Sequence[float] | Array) -> tuple[IntArray, Array]:
    stamps, values = np.asarray(time, dtype=np.int64), _values(equity)
    if stamps.shape != values.shape or stamps.ndim != 1:
        raise DataError(f"{len(values)} equities for {len(stamps)} times: they must be as many")
    back = np.flatnonzero(np.diff(stamps) < 0)
    if len(back):
        raise DataError(f"equity at {iso(int(stamps[back[0] + 1]))} stands after a later one: sort the curve by time")
    return stamps, values


def _values(equity: Sequence[float] | Array) -> Array:
    values = np.asarray(equity, dtype=np.float64)
    wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if len(wrong):
        raise DataError(
            f"equity {values[wrong[0]]} USD at point {wrong[0]} cannot be: a drawdown beyond 100 % does not exist here"
        )
    return values
