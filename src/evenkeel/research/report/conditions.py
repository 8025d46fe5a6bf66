"""How the run fared under what: its forecasts week by week, regimes, the worst days, and without each of its parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from evenkeel import metrics
from evenkeel.metrics import DAYS_A_YEAR
from evenkeel.research import significance
from evenkeel.research.report.attribution import WEEK_S
from evenkeel.research.report.charts import number
from evenkeel.research.report.data import Curve, Forecast, Labels, ReportData
from evenkeel.research.report.parts import Column, Part, bars, bounds, day, known, percent, section, table
from evenkeel.types import Array, IntArray

STRESS_DAYS = 10


def forecasts(data: ReportData) -> Part:
    """IC by horizon, and week by week."""
    title = "Do the forecasts order the assets"
    if not data.forecasts:
        return section("forecasts", title, absent=data.why("forecasts", "no out-of-sample forecast was measured"))
    columns: list[Column] = [
        ("horizon", "text", None), ("decisions", "ratio", 0), ("IC", "ratio", 3), ("RankIC", "ratio", 3),
        ("t of RankIC", "ratio", 1), ("decisions above 0", "percent", 0),
    ]  # fmt: skip
    rows = [
        [f.horizon, len(f.time), known(_mean(f.ic)), known(_mean(f.rank_ic)), known(f.t), known(_mean(f.rank_ic > 0))]
        for f in data.forecasts
    ]
    charts = [_weekly(forecast) for forecast in data.forecasts]
    return section("forecasts", title, charts=charts, tables=[table("Out of sample, by horizon", columns, rows)])


def _weekly(forecast: Forecast) -> Part:
    week = forecast.time // WEEK_S
    starts = np.unique(week)
    means = np.array([_mean(forecast.rank_ic[week == start]) for start in starts])
    mean = number(_mean(forecast.rank_ic), "ratio", 3)
    finding = f"Mean {mean}; above 0 in {percent(_mean(means > 0), 0)} of {len(starts)} weeks."
    chart = bars(f"RankIC of the {forecast.horizon} forecast, week by week", finding, "ratio", starts * WEEK_S, means)
    return chart | {"axis": "RankIC"}


def _mean(values: np.ndarray[Any, Any]) -> float:
    there = values[np.isfinite(values)]
    return float(np.mean(there)) if len(there) else float("nan")


# ---------------------------------------------------------------- regimes


def regimes(data: ReportData) -> Part:
    """Days by the regime that was believed at their start."""
    title = "In which market"
    if data.regimes is None or not len(data.regimes.time):
        return section("regimes", title, absent=data.why("regimes", "the run kept no regime labels"))
    days, returns = metrics.daily_returns(*data.strategy)
    labels = _at_starts(data.regimes, days)
    other = _returns_on(data.baselines[data.first], days) if data.first else np.full(len(days), np.nan)
    columns: list[Column] = [
        ("regime", "text", None), ("days", "ratio", 0), ("share", "percent", 0), ("mean, a year", "percent", 0),
        ("Sharpe", "ratio", None), ("worst day", "percent", None),
        (f"mean of {data.first or 'baseline'}, a year", "percent", 0),
    ]  # fmt: skip
    rows = [_regime(label, labels == label, returns, other) for label in sorted(set(labels.tolist()) - {""})]
    return section("regimes", title, tables=[table("Days by the regime believed at their start", columns, rows)])


def _at_starts(found: Labels, days: IntArray) -> np.ndarray[Any, np.dtype[np.str_]]:
    place = np.searchsorted(found.time, days, side="right") - 1
    return np.array(["" if i < 0 else found.label[i] for i in place])


def _returns_on(curve: Curve, days: IntArray) -> Array:
    own, returns = metrics.daily_returns(*curve)
    known_days = dict(zip(own.tolist(), returns.tolist(), strict=True))
    return np.array([known_days.get(int(moment), np.nan) for moment in days])


def _regime(label: str, here: np.ndarray[Any, np.dtype[np.bool_]], returns: Array, other: Array) -> list[Any]:
    return [
        label, int(here.sum()), float(here.mean()), float(returns[here].mean()) * DAYS_A_YEAR,
        known(metrics.sharpe(returns[here], DAYS_A_YEAR)), float(returns[here].min()),
        known(_mean(other[here]) * DAYS_A_YEAR),
    ]  # fmt: skip


# ---------------------------------------------------------------- stress, ablation


def stress(data: ReportData) -> Part:
    """The worst days of the benchmark, and what the run did on them."""
    title = "On the worst days"
    first = data.first
    if first is None:
        return section("stress", title, absent=data.why("baselines", "no baseline says which days were bad"))
    days, own, market = metrics.paired(data.strategy, data.baselines[first])
    order = [i for i in np.argsort(market, kind="stable")[:STRESS_DAYS] if market[i] < 0]
    if not order:
        return section("stress", title, absent=f"{first} fell on no day")
    rows = [[day(int(days[i])), *(float(x) for x in (market[i], own[i], own[i] - market[i]))] for i in order]
    columns: list[Column] = [
        ("day", "text", None), (first, "percent", None), (data.name, "percent", None), ("difference", "percent", None),
    ]  # fmt: skip
    better = sum(own[i] > market[i] for i in order)
    note = f"Lost less than {first} on {better} of its {len(rows)} worst days."
    return section(
        "stress", title, notes=[note], tables=[table(f"The {len(rows)} worst days of {first}", columns, rows)]
    )


def ablation(data: ReportData, rng: np.random.Generator) -> Part:
    """What the run loses without each of its parts; `rng` draws the intervals."""
    title = "What each part is worth"
    if not data.variants:
        return section("ablation", title, absent=data.why("ablation", "the run was not repeated without its parts"))
    columns: list[Column] = [
        ("", "text", None), ("total return", "percent", None), ("Sharpe", "ratio", None),
        ("max drawdown", "percent", None), ("worth, a day", "percent", 3), ("low", "percent", 3),
        ("high", "percent", 3), ("", "text", None),
    ]  # fmt: skip
    rows: list[list[Any]] = [[data.name, *_three(data.strategy), None, None, None, ""]]
    rows += [
        _without(name, data.strategy, curve, child)
        for (name, curve), child in zip(data.variants.items(), rng.spawn(len(data.variants)), strict=True)
    ]
    caption = "The same run without one part; worth = whole less the run without it, with 90 % interval"
    return section("ablation", title, tables=[table(caption, columns, rows)])


def _without(name: str, whole: Curve, curve: Curve, rng: np.random.Generator) -> list[Any]:
    _, own, less = metrics.paired(whole, curve)
    found = significance.intervals(own, less, rng).active
    word = "helps" if found.low > 0 else "hurts" if found.high < 0 else "not distinguishable"
    return [name, *_three(curve), *bounds(found), word]


def _three(curve: Curve) -> list[float | None]:
    figures = metrics.statistics(*curve)
    return [figures[key] for key in ("total_return", "sharpe", "max_drawdown")]
