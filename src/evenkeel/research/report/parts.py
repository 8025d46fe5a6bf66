"""The small shapes that a document is made of: charts, tables, sections. Numbers that are not known become None."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from evenkeel.metrics import marks
from evenkeel.research.report.charts import number
from evenkeel.research.report.data import Curve
from evenkeel.research.significance import Interval
from evenkeel.types import Array, IntArray
from evenkeel.units import iso

Part = dict[str, Any]
Column = tuple[str, str, int | None]

FIGURES: Sequence[tuple[str, str, str, int | None]] = (
    ("total_return", "total return", "percent", None),
    ("cagr", "CAGR", "percent", None),
    ("volatility", "volatility, a year", "percent", None),
    ("sharpe", "Sharpe", "ratio", None),
    ("sharpe_error", "± 1 SE", "ratio", None),
    ("sortino", "Sortino", "ratio", None),
    ("calmar", "Calmar", "ratio", None),
    ("max_drawdown", "max drawdown", "percent", None),
    ("longest_drawdown_days", "longest under water, days", "ratio", 0),
    ("hit_rate", "days up", "percent", None),
    ("best_day", "best day", "percent", None),
    ("worst_day", "worst day", "percent", None),
    ("beta", "beta", "ratio", None),
    ("alpha", "alpha, a year", "percent", None),
    ("active_return", "active return, a year", "percent", None),
    ("tracking_error", "tracking error", "percent", None),
)


def known(value: float) -> float | None:
    """The value, or None where it is not finite."""
    return float(value) if math.isfinite(value) else None


def listed(values: Array) -> list[float | None]:
    """An array as JSON holds it: unknown is None, eight digits are enough to see."""
    return [known(float(f"{value:.8g}")) for value in values.tolist()]


def bounds(interval: Interval) -> list[float | None]:
    """Estimate, low and high."""
    return [known(interval.estimate), known(interval.low), known(interval.high)]


def day(time: int) -> str:
    """UTC date."""
    return iso(time)[:10]


def at(curve: Curve, times: IntArray) -> Array:
    """Equity of a curve at the marks asked for; NaN where it has none."""
    own, values = marks(*curve)
    place = np.clip(np.searchsorted(own, times), 0, max(len(own) - 1, 0))
    if not len(own):
        return np.full(len(times), np.nan)
    found: Array = np.where(own[place] == times, values[place], np.nan)
    return found


def line(title: str, finding: str, unit: str, times: IntArray, series: Mapping[str, Array], **more: Any) -> Part:
    """A line chart."""
    rows = [{"name": name, "values": listed(values)} for name, values in series.items()]
    return {
        "kind": "line",
        "title": title,
        "finding": finding,
        "unit": unit,
        "time": times.tolist(),
        "series": rows,
    } | more


def ranked(title: str, finding: str, unit: str, rows: Iterable[tuple[str, float]]) -> Part:
    """A chart of horizontal bars, in the order given."""
    return {"kind": "ranked", "title": title, "finding": finding, "unit": unit, "rows": [list(row) for row in rows]}


def bars(title: str, finding: str, unit: str, times: IntArray, values: Array) -> Part:
    """A chart of columns over time."""
    return {
        "kind": "bars", "title": title, "finding": finding, "unit": unit, "time": times.tolist(),
        "values": listed(values),
    }  # fmt: skip


def table(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> Part:
    """A table; columns are (name, unit, digits), the first one heads the rows."""
    heads = [{"name": name, "unit": unit, "digits": digits} for name, unit, digits in columns]
    return {"caption": caption, "columns": heads, "rows": [list(row) for row in rows]}


def section(
    name: str,
    title: str,
    *,
    absent: str = "",
    notes: Sequence[str] = (),
    charts: Sequence[Part] = (),
    tables: Sequence[Part] = (),
) -> Part:
    """One chapter of the page; `absent` says why there is nothing."""
    return {
        "id": name, "title": title, "absent": absent, "notes": list(notes), "charts": list(charts),
        "tables": list(tables),
    }  # fmt: skip


def listing(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def usd(value: float) -> str:
    """`12,400 USD`."""
    return f"{number(value, 'usd')} USD"


def percent(value: float | None, digits: int = 1) -> str:
    """`-3.1 %`."""
    return number(value, "percent", digits)
