"""Charts as inline SVG from plain dicts; no library, no script. What is drawn is in the dict, number for number.

line       time [T], series [{name, values [T]}], optional band {low, high}, scale linear|log, fill
bars       time [T], values [T]                      columns over time, from zero
ranked     rows [[name, value]]                      horizontal bars, from zero
waterfall  rows [[name, value, total?]]              steps from a total to a total

Every chart has `unit` (usd, percent, ratio) and may have `axis`, the name of a value without unit. Each is drawn twice:
for a wide page and for a telephone. Colours come from the page's style (`c0` .. `c7`); dashes tell lines apart too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

Numbers = Sequence[float | None]

WIDE, NARROW = 900, 356
UNITS = {"usd": "USD", "percent": "%", "ratio": "ratio"}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY_S = 86_400


def draw(chart: Mapping[str, Any]) -> str:
    """Both forms of a chart; the style shows the one that fits."""
    shape = {"line": _lines, "bars": _columns, "ranked": _ranked, "waterfall": _waterfall}[chart["kind"]]
    return "".join(shape(chart, _Frame(width, name)) for width, name in ((WIDE, "wide"), (NARROW, "narrow")))


def number(value: float | None, unit: str, digits: int | None = None) -> str:
    """A figure as people read it: `12,400`, `-3.1 %`, `0.84`; an en dash where it is not known."""
    if value is None or not math.isfinite(value):
        return "–"
    scaled, places = (value * 100, 1) if unit == "percent" else (value, 0 if unit == "usd" else 2)
    words = f"{scaled:,.{places if digits is None else digits}f}".replace("-", "−")
    if not words.strip("−0.,"):
        words = words.removeprefix("−")
    return f"{words} %" if unit == "percent" else words


class _Frame:
    """Where a chart's plot lies within its picture, px."""

    def __init__(self, width: int, name: str) -> None:
        self.width, self.name = width, name
        self.height = 320 if name == "wide" else 240
        self.left, self.right, self.top, self.bottom = (64 if name == "wide" else 52), 14, 26, 30

    def x(self, share: float) -> float:
        return self.left + share * (self.width - self.left - self.right)

    def y(self, share: float) -> float:
        return self.height - self.bottom - share * (self.height - self.top - self.bottom)

    def picture(self, chart: Mapping[str, Any], inside: str) -> str:
        label = escape(f"{chart['title']}. {chart.get('finding', '')}", quote=True)
        return (
            f'<svg class="chart {self.name}" viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{label}">'
            f"{inside}</svg>"
        )


# ---------------------------------------------------------------- axes


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from low to high, at most about `most`."""
    rough = (high - low) / max(most - 1, 1)
    size: float = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if size * factor >= rough * 0.999)
    return [round(i * step, 12) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 times powers of ten from low to high; ordinary ticks where fewer than three of them fit."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [factor * 10.0**power for power in powers for factor in (1, 2, 5) if low <= factor * 10.0**power <= high]
    return found if len(found) >= 3 else [tick for tick in ticks(low, high, 5) if tick > 0]


def time_ticks(start: int, end: int, most: int) -> list[tuple[int, str]]:
    """First days of months or years, or days where the span is short, with their names."""
    first, last = (datetime.fromtimestamp(moment, UTC) for moment in (start, end))
    months = (last.year - first.year) * 12 + last.month - first.month + 1
    if months <= 2:
        step = max(1, math.ceil((end - start) / _DAY_S / most))
        days = range(-(-start // _DAY_S) * _DAY_S, end + 1, step * _DAY_S)
        return [(day, f"{(at := datetime.fromtimestamp(day, UTC)).day} {_MONTHS[at.month - 1]}") for day in days]
    step = next((size for size in (1, 2, 3, 6, 12, 24, 60) if months / size <= most), 120)
    found = []
    for month in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
        moment = int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp())
        if month % step == 0 and start <= moment <= end:
            name = str(month // 12) if step >= 12 else f"{_MONTHS[month % 12]} {month // 12}"
            found.append((moment, name))
    return found


def _text(x: float, y: float, words: str, anchor: str = "middle", style: str = "tick") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _rule(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _value_axis(frame: _Frame, low: float, high: float, chart: Mapping[str, Any], *, log: bool = False) -> str:
    unit = chart["unit"]
    marks = log_ticks(low, high) if log else ticks(low, high, 6)
    digits = _digits(marks, unit)
    drawn = []
    for mark in marks:
        y = frame.y(_share(mark, low, high, log=log))
        drawn.append(_rule(frame.left, y, frame.width - frame.right, y, "zero" if mark == 0 else "grid"))
        drawn.append(_text(frame.left - 6, y + 4, number(mark, unit, digits).removesuffix(" %"), "end"))
    name = chart.get("axis") or UNITS[unit]
    return "".join(drawn) + _text(2, 14, name + (", log scale" if log else ""), "start", "axis")


def _digits(marks: Sequence[float], unit: str) -> int:
    """The fewest digits that tell the marks apart, and show each as it is."""
    scaled = [mark * (100 if unit == "percent" else 1) for mark in marks]
    return next(
        (n for n in range(5) if all(abs(mark - round(mark, n)) < 1e-9 * max(1, abs(mark)) for mark in scaled)), 4
    )


def _time_axis(frame: _Frame, start: int, end: int) -> str:
    drawn = []
    for moment, name in time_ticks(start, end, max(3, frame.width // 75)):
        x = frame.x((moment - start) / max(end - start, 1))
        drawn.append(_rule(x, frame.height - frame.bottom, x, frame.height - frame.bottom + 4, "axisline"))
        half = 3.8 * len(name)
        x = min(max(x, half), frame.width - half)
        drawn.append(_text(x, frame.height - frame.bottom + 18, name))
    return "".join(drawn)


def _share(value: float, low: float, high: float, *, log: bool = False) -> float:
    if log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _range(values: Sequence[float], *, zero: bool, log: bool = False) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low < 1e-12:
        low, high = (low / 1.1, high * 1.1) if log else (low - 0.5 * (not zero), high + 0.5)
    if log:
        pad = (high / low) ** 0.03
        return low / pad, high * pad
    pad = 0.04 * (high - low)
    return low - pad * (low < 0 or not zero), high + pad * (high > 0 or not zero)


# ---------------------------------------------------------------- charts


def _lines(chart: Mapping[str, Any], frame: _Frame) -> str:
    time, log, band = chart["time"], chart.get("scale") == "log", chart.get("band")
    columns: list[Numbers] = [series["values"] for series in chart["series"]]
    seen = [*columns, band["low"], band["high"]] if band else columns
    low, high = _range(_known(seen), zero=bool(chart.get("zero")), log=log)
    xs = [frame.x((moment - time[0]) / max(time[-1] - time[0], 1)) for moment in time]

    def points(values: Numbers) -> list[tuple[float, float] | None]:
        return [
            None if value is None else (x, frame.y(_share(value, low, high, log=log)))
            for x, value in zip(xs, values, strict=True)
        ]

    drawn = [_value_axis(frame, low, high, chart, log=log), _time_axis(frame, time[0], time[-1])]
    if band:
        drawn.append(_area(points(band["low"]), points(band["high"])))
    if chart.get("fill"):
        floor = frame.y(_share(0.0, low, high))
        ours = points(columns[0])
        drawn.append(_area(ours, [None if point is None else (point[0], floor) for point in ours]))
    drawn += [
        f'<path class="line c{place % 8}" d="{_path(_thin(points(columns[place]), frame.width))}"/>'
        for place in reversed(range(len(columns)))
    ]
    return frame.picture(chart, "".join(drawn))


def _known(columns: Sequence[Numbers]) -> list[float]:
    return [value for column in columns for value in column if value is not None]


def _thin(points: list[tuple[float, float] | None], most: int) -> list[tuple[float, float] | None]:
    """Lowest and highest point of every small stretch: the picture stays, the file shrinks."""
    size = math.ceil(len(points) / most)
    if size <= 1:
        return points
    kept: list[tuple[float, float] | None] = []
    for begin in range(0, len(points), size):
        part = points[begin : begin + size]
        there = [point for point in part if point is not None]
        if len(there) < len(part):
            kept.append(None)
        if there:
            kept += sorted({min(there, key=lambda p: p[1]), max(there, key=lambda p: p[1])})
    return kept + ([points[-1]] if points[-1] is not None else [])


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    drawn, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        drawn.append(f"{pen}{point[0]:.1f} {point[1]:.1f}")
        pen = "L"
    return "".join(drawn)


def _area(lower: Sequence[tuple[float, float] | None], upper: Sequence[tuple[float, float] | None]) -> str:
    both = [(a, b) for a, b in zip(lower, upper, strict=True) if a is not None and b is not None]
    if not both:
        return ""
    outline = _path([*[a for a, _ in both], *[b for _, b in reversed(both)]])
    return f'<path class="area" d="{outline}Z"/>'


def _columns(chart: Mapping[str, Any], frame: _Frame) -> str:
    time, values = chart["time"], chart["values"]
    low, high = _range(_known([values]), zero=True)
    start, end = time[0], time[-1] + (time[-1] - time[0]) // max(len(time) - 1, 1)
    floor, wide = frame.y(_share(0.0, low, high)), max(0.6, 0.8 * (frame.x(1) - frame.x(0)) / len(time))
    drawn = [_value_axis(frame, low, high, chart), _time_axis(frame, start, end)]
    for moment, value in zip(time, values, strict=True):
        if value is not None:
            x, y = frame.x((moment - start) / max(end - start, 1)), frame.y(_share(value, low, high))
            drawn.append(_bar(x, min(y, floor), wide, abs(y - floor), negative=value < 0))
    return frame.picture(chart, "".join(drawn))


def _bar(x: float, y: float, width: float, height: float, *, negative: bool, total: bool = False) -> str:
    style = "total" if total else "minus" if negative else "plus"
    return f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{max(height, 0.5):.1f}"/>'


def _ranked(chart: Mapping[str, Any], frame: _Frame) -> str:
    rows: Sequence[tuple[str, float]] = chart["rows"]
    names = 172 if frame.name == "wide" else 126
    frame.left, frame.right, step = names, 78 if frame.name == "wide" else 58, 24
    frame.height = len(rows) * step + 30
    low, high = _range([value for _, value in rows], zero=True)
    zero = frame.x(_share(0.0, low, high))
    drawn = [_rule(zero, 20, zero, frame.height - 6, "zero"), _text(2, 12, UNITS[chart["unit"]], "start", "axis")]
    for place, (name, value) in enumerate(rows):
        y, x = 24.0 + place * step, frame.x(_share(value, low, high))
        drawn.append(_text(names - 8, y + 13, name, "end"))
        drawn.append(_bar(min(x, zero), y + 2, abs(x - zero), step - 8, negative=value < 0))
        drawn.append(_text(frame.width - 2, y + 13, number(value, chart["unit"]), "end", "value"))
    return frame.picture(chart, "".join(drawn))


def _waterfall(chart: Mapping[str, Any], frame: _Frame) -> str:
    rows: Sequence[tuple[str, float, bool]] = chart["rows"]
    level, spans = 0.0, []
    for _, value, total in rows:
        begin = 0.0 if total else level
        level = value if total else level + value
        spans.append((begin, level))
    low, high = _range([edge for span in spans for edge in span], zero=True)
    high += 0.06 * (high - low)
    drawn = [_value_axis(frame, low, high, chart)]
    share = 1.0 / len(rows)
    for place, ((name, value, total), (begin, end)) in enumerate(zip(rows, spans, strict=True)):
        x, wide = frame.x((place + 0.15) * share), 0.7 * share * (frame.x(1) - frame.x(0))
        top, foot = frame.y(_share(max(begin, end), low, high)), frame.y(_share(min(begin, end), low, high))
        drawn.append(_bar(x, top, wide, foot - top, negative=value < 0, total=total))
        drawn.append(_text(x + wide / 2, top - 5, number(value, chart["unit"]), style="value"))
        drawn.append(_text(x + wide / 2, frame.height - frame.bottom + 18, name))
    return frame.picture(chart, "".join(drawn))
