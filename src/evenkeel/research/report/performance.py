"""What the run earned beside its baselines: key figures, equity, falls, rolling Sharpe ratio, months."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from evenkeel import metrics
from evenkeel.metrics import Band, Drawdown, Month
from evenkeel.research.report.charts import number
from evenkeel.research.report.data import Curve, ReportData
from evenkeel.research.report.parts import (
    FIGURES,
    Column,
    Part,
    at,
    day,
    line,
    listed,
    listing,
    percent,
    section,
    table,
    usd,
)
from evenkeel.types import Array, IntArray
from evenkeel.units import DAY_S

ROLLING_DAYS = 180
SHORT_DAYS = 60
MOST_LINES = 5
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def statistics(data: ReportData) -> dict[str, Mapping[str, float | None]]:
    """All figures of the run and of each baseline; the first baseline is the benchmark of everyone but itself."""
    return {
        name: metrics.statistics(
            *curve, benchmark=data.baselines[data.first] if data.first not in (None, name) else None
        )
        for name, curve in data.curves.items()
    }


def key_figures(data: ReportData) -> Part:
    """The table of all figures, and the best and worst days."""
    found = statistics(data)
    columns: list[Column] = [("", "text", None), *((name, "ratio", None) for name in found)]
    rows = [[label, *[values.get(key) for values in found.values()]] for key, label, *_ in FIGURES]
    made = table("Run and baselines", columns, rows)
    made["row_units"] = [{"unit": unit, "digits": digits} for *_, unit, digits in FIGURES]
    beside = f"; beta, alpha and active return against {data.first}" if data.first else ""
    notes = [f"Daily returns, a year of 365.25 days, risk-free rate 0{beside}."]
    days = len(metrics.marks(*data.strategy)[0]) - 1
    if days < SHORT_DAYS:
        notes.append(f"Yearly figures are drawn out from {days} days: they say next to nothing.")
    return section("figures", "Key figures", notes=notes, tables=[made, _extremes(data)])


def _extremes(data: ReportData) -> Part:
    best, worst = metrics.extremes(*metrics.daily_returns(*data.strategy))
    columns: list[Column] = [("", "text", None), ("best day", "text", None), ("return", "percent", 2),
                             ("worst day", "text", None), ("return", "percent", 2)]  # fmt: skip
    rows = [
        [str(i + 1), day(up[0]), up[1], day(down[0]), down[1]]
        for i, (up, down) in enumerate(zip(best, worst, strict=True))
    ]
    return table(f"Best and worst days of {data.name}", columns, rows)


# ---------------------------------------------------------------- equity


def equity(data: ReportData) -> Part:
    """Every curve from the run's opening equity on, few to a chart; the best known also on a log scale."""
    times, own = metrics.marks(*data.strategy)
    grid = {name: at(curve, times) for name, curve in data.curves.items()}
    scaled = {name: values * (own[0] / _first(values)) for name, values in grid.items()}
    groups = _few(list(data.baselines))
    shown = [{name: scaled[name] for name in (data.name, *group)} for group in groups]
    positive = {name: np.where(values > 0, values, np.nan) for name, values in shown[0].items()}
    charts = [line("Run and baselines", _grown(data.name, scaled), "usd", times, shown[0])]
    charts += [
        line(f"Equity beside {listing(group)}", "The same run.", "usd", times, rest)
        for group, rest in zip(groups[1:], shown[1:], strict=True)
    ]
    charts.append(
        line("Equity on a log scale", "Equal distances are equal percentages.", "usd", times, positive, scale="log")
    )
    return section("equity", "Equity", charts=charts)


def _few(names: list[str]) -> list[list[str]]:
    """Names in groups that can be told apart in one chart; one group at least."""
    return [names[i : i + MOST_LINES] for i in range(0, len(names), MOST_LINES)] or [[]]


def _grown(name: str, scaled: Mapping[str, Array]) -> str:
    own = scaled[name]
    ends = {other: float(values[-1]) for other, values in scaled.items() if other != name and np.isfinite(values[-1])}
    finding = f"{usd(float(own[0]))} became {usd(float(own[-1]))}"
    if ends:
        best = max(ends, key=lambda other: ends[other])
        finding += f"; the best baseline, {best}, ended at {usd(ends[best])}"
    return f"{finding}."


def _first(values: Array) -> float:
    there = values[np.isfinite(values) & (values > 0)]
    return float(there[0]) if len(there) else float("nan")


# ---------------------------------------------------------------- under water


def underwater(data: ReportData) -> Part:
    """Distance from the high of the run and of its benchmark, and the deepest falls."""
    times, _ = metrics.marks(*data.strategy)
    falls = metrics.drawdowns(*data.strategy)
    series = {name: _deepest(data.curves[name], times) for name in list(data.curves)[:2]}
    title = "Distance from the highest equity so far, lowest of each day"
    chart = line(title, _fallen(falls), "percent", times, series, zero=True, fill=True)
    columns: list[Column] = [
        ("from", "text", None), ("lowest", "text", None), ("recovered", "text", None), ("depth", "percent", None),
        ("days", "ratio", 0),
    ]  # fmt: skip
    rows = [
        [day(f.peak), day(f.trough), day(f.recovered) if f.recovered is not None else "not yet", f.depth, f.days]
        for f in falls[:5]
    ]
    return section("underwater", "Under water", charts=[chart], tables=[table("The five deepest falls", columns, rows)])


def _fallen(falls: tuple[Drawdown, ...]) -> str:
    if not falls:
        return "Equity never fell below an earlier high."
    deepest, longest = falls[0], max(fall.days for fall in falls)
    end = f"recovered on {day(deepest.recovered)}" if deepest.recovered is not None else "not recovered yet"
    return (
        f"Deepest fall {percent(deepest.depth)}, from {day(deepest.peak)} to {day(deepest.trough)}, {end}; "
        f"longest time under a high {longest:,.0f} days."
    )


def _deepest(curve: Curve, times: IntArray) -> Array:
    """Lowest distance from the high so far within the day that ends at each mark, (D,); NaN where there is none."""
    found = np.full(len(times), np.nan)
    ends = -(-curve[0] // DAY_S) * DAY_S
    place = np.searchsorted(times, np.maximum(ends, times[0]))
    here = (place < len(times)) & (times[np.minimum(place, len(times) - 1)] == np.maximum(ends, times[0]))
    np.fmin.at(found, place[here], metrics.underwater(curve[1])[here])
    return found


# ---------------------------------------------------------------- rolling, months


def rolling(data: ReportData) -> Part:
    """The Sharpe ratio of the last 180 days with its confidence band."""
    days, returns = metrics.daily_returns(*data.strategy)
    title = "Rolling Sharpe ratio"
    if len(returns) <= ROLLING_DAYS:
        return section("rolling", title, absent=f"{len(returns)} days, more than {ROLLING_DAYS} are needed")
    band, seen = metrics.rolling_sharpe(returns, ROLLING_DAYS), slice(ROLLING_DAYS - 1, None)
    edges = {"low": listed(band.low[seen]), "high": listed(band.high[seen])}
    chart = line(f"Sharpe ratio of the last {ROLLING_DAYS} days, with 90 % band", _rolled(band, seen), "ratio",
                 days[seen], {data.name: band.value[seen]}, band=edges, zero=True, axis="Sharpe ratio")  # fmt: skip
    return section("rolling", title, charts=[chart])


def _rolled(band: Band, seen: slice) -> str:
    low, high = (number(float(edge), "ratio") for edge in (np.nanmin(band.value), np.nanmax(band.value)))
    inside = float(np.mean((band.low[seen] <= 0) & (band.high[seen] >= 0)))
    return (
        f"Between {low} and {high} over {ROLLING_DAYS} days; its 90 % band "
        f"(Mertens 2002) holds 0 on {percent(inside, 0)} of the days."
    )


def monthly(data: ReportData) -> Part:
    """Return of each calendar month, a row a year."""
    months = metrics.monthly(*data.strategy)
    columns: list[Column] = [("year", "text", None), *((name, "percent", 1) for name in _MONTHS)]
    made = table(
        "Return by calendar month (UTC); first and last may be parts",
        [*columns, ("year", "percent", 1)],
        _years(months),
    )
    made["heat"] = 0.15
    up = sum(month.value > 0 for month in months)
    worst = min(months, key=lambda month: month.value)
    name = f"{_MONTHS[worst.month - 1]} {worst.year}"
    note = f"{up} of {len(months)} months ended higher; the worst, {name}, {percent(worst.value)}."
    return section("monthly", "Month by month", notes=[note], tables=[made])


def _years(months: tuple[Month, ...]) -> list[list[str | float | None]]:
    years: dict[int, list[float | None]] = defaultdict(lambda: [None] * 12)
    for month in months:
        years[month.year][month.month - 1] = month.value
    return [
        [str(year), *values, float(np.prod([1.0 + value for value in values if value is not None])) - 1.0]
        for year, values in sorted(years.items())
    ]
