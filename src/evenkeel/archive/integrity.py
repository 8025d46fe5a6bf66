"""Can these candles be trusted? Rows of many symbols in, clean rows and a count of every defect out.

Row defects are dropped, series defects (gaps, zero volume, jumps) are kept and told: nothing is repaired in silence.
The law: `screen` and `dedupe` decide row by row and symbol by symbol, so importing twice equals importing once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenkeel.types import Array, BoolArray, IntArray
from evenkeel.units import duration, iso

Rows = Array
"""(n, 6) float64: open time UTC s, open, high, low, close (USD), volume (units)."""
Codes = NDArray[np.int64]
"""(n,) which symbol a row belongs to: an index into a list of symbols."""

TIME, OPEN, HIGH, LOW, CLOSE, VOLUME = range(6)
JUMP = math.log(1.5)
_LISTED = 20

ROW_DEFECTS: Mapping[str, str] = {
    "missing_value": "no time, symbol, price or volume, or not a finite number",
    "nonpositive_price": "a price is zero or negative",
    "broken_ohlc": "high below open or close, or low above them",
    "negative_volume": "volume is negative",
    "off_grid": "open time is not a multiple of the bar",
}
OUTCOMES: Mapping[str, str] = {
    **dict.fromkeys(ROW_DEFECTS, "dropped"),
    "duplicate": "dropped",
    "conflicting_duplicate": "dropped",
    "replaced_stored": "dropped",
    "gap": "kept",
    "zero_volume": "kept",
    "jump": "kept",
}


@dataclass(frozen=True, slots=True)
class Issue:
    """One kind of defect: how often, what was done (`kept` or `dropped`), the worst or first one, and some more.

    `replaced_stored`, `conflicting_duplicate`: the older row was dropped, the last one wins. `gap` counts gaps.
    """

    kind: str
    count: int
    outcome: str
    example: str = ""
    listed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SymbolReport:
    """One symbol's clean rows: how many, first and last open time (UTC s), gaps and bars missing in them."""

    rows: int
    first: int
    last: int
    gaps: int
    missing_bars: int

    def to_json(self) -> dict[str, Any]:
        """Names of docs/reference; times as ISO text."""
        times = {"from": iso(self.first), "to": iso(self.last)}
        return {"rows": self.rows, **times, "gaps": self.gaps, "missing_bars": self.missing_bars}


@dataclass(frozen=True, slots=True)
class IntegrityReport:
    """What an import or a check found.

    rows    rows read · kept  rows that passed · stored  rows the archive now holds of these symbols
    issues  every kind that is looked for, also those with count 0
    """

    source: str
    bar: str
    rows: int
    kept: int
    stored: int
    issues: tuple[Issue, ...]
    symbols: Mapping[str, SymbolReport]

    @property
    def assets(self) -> int:
        """Number of symbols with at least one sane row."""
        return len(self.symbols)

    def count(self, kind: str) -> int:
        """How often a kind of defect was found."""
        return next(issue.count for issue in self.issues if issue.kind == kind)

    def to_json(self) -> dict[str, Any]:
        """The document behind `data import --json` and `data check --json`."""
        return {
            "source": self.source,
            "bar": self.bar,
            "assets": self.assets,
            "rows": self.rows,
            "kept": self.kept,
            "stored": self.stored,
            "from": iso(min(s.first for s in self.symbols.values())) if self.symbols else None,
            "to": iso(max(s.last for s in self.symbols.values())) if self.symbols else None,
            "issues": [
                {"kind": i.kind, "count": i.count, "outcome": i.outcome, "example": i.example, "listed": list(i.listed)}
                for i in self.issues
            ],
            "symbols": {name: symbol.to_json() for name, symbol in self.symbols.items()},
        }


@dataclass(frozen=True, slots=True)
class Census:
    """Clean rows of many symbols, sorted by (symbol, time), unique."""

    names: tuple[str, ...]
    codes: Codes
    rows: Rows


def screen(rows: Rows, bar_s: int) -> IntArray:
    """(n, 6) -> (n,) 0 where a row is sane, else 1 + the index in `ROW_DEFECTS` of the first defect found."""
    time, prices, volume = rows[:, TIME], rows[:, OPEN:VOLUME], rows[:, VOLUME]
    body_high, body_low = np.maximum(prices[:, 0], prices[:, 3]), np.minimum(prices[:, 0], prices[:, 3])
    tests = (
        ~np.isfinite(rows).all(axis=1),
        (prices <= 0).any(axis=1),
        (prices[:, 1] < body_high) | (prices[:, 2] > body_low),
        volume < 0,
        np.remainder(np.where(np.isfinite(time), time, 0.0), bar_s) != 0,
    )
    return np.select(tests, range(1, len(tests) + 1), 0).astype(np.int64)


def row_issues(names: Sequence[str], codes: Codes, rows: Rows, defect: IntArray) -> list[Issue]:
    """One Issue per row defect, with the first row that has it as the example."""
    issues = []
    for number, (kind, meaning) in enumerate(ROW_DEFECTS.items(), start=1):
        found = np.flatnonzero(defect == number)
        listed = tuple(f"{_describe(names, codes, rows, int(i))}: {meaning}" for i in found[:_LISTED])
        issues.append(_issue(kind, len(found), listed))
    return issues


def dedupe(names: Sequence[str], codes: Codes, rows: Rows) -> tuple[Census, list[Issue]]:
    """Sort by (symbol, time) and keep the last of equal keys; identical and contradicting twins are counted apart."""
    if not _is_sorted(codes, rows[:, TIME]):
        order = np.lexsort((rows[:, TIME], codes))
        codes, rows = codes[order], rows[order]
    twin = (codes[1:] == codes[:-1]) & (rows[1:, TIME] == rows[:-1, TIME])
    if not twin.any():
        return Census(tuple(names), codes, rows), [_issue("duplicate", 0), _issue("conflicting_duplicate", 0)]
    differs = twin & (rows[1:] != rows[:-1]).any(axis=1)
    issues = [
        _twins("duplicate", names, codes, rows, twin & ~differs),
        _twins("conflicting_duplicate", names, codes, rows, differs),
    ]
    keep = np.append(~twin, True)
    return Census(tuple(names), codes[keep], rows[keep]), issues


def series_issues(census: Census, bar_s: int) -> list[Issue]:
    """Gaps, zero volume and jumps of clean rows: kept, counted, the largest first."""
    return [_gaps(census, bar_s), _zero_volume(census), _jumps(census, bar_s)]


def symbol_reports(census: Census, bar_s: int) -> dict[str, SymbolReport]:
    """One report per symbol that has rows, by name."""
    reports = {}
    for name, rows in split(census):
        steps = np.diff(rows[:, TIME]) / bar_s
        missing = int((steps - 1).sum())
        reports[name] = SymbolReport(
            len(rows), int(rows[0, TIME]), int(rows[-1, TIME]), int((steps > 1).sum()), missing
        )
    return dict(sorted(reports.items()))


def split(census: Census) -> Iterable[tuple[str, Rows]]:
    """Each symbol and its rows `(n, 6)` (views), symbols without rows left out."""
    starts = np.flatnonzero(np.diff(census.codes, prepend=-1))
    ends = np.append(starts[1:], len(census.codes))
    for start, end in zip(starts, ends, strict=True):
        yield census.names[int(census.codes[start])], census.rows[start:end]


def join(series: Mapping[str, Rows]) -> Census:
    """Many symbols' rows as one census, in the order given (each already sorted and unique)."""
    if not series:
        return Census((), np.empty(0, dtype=np.int64), np.empty((0, 6)))
    codes = np.repeat(np.arange(len(series)), [len(rows) for rows in series.values()])
    return Census(tuple(series), codes, np.concatenate(list(series.values())))


def replaced(count: int, example: str = "") -> Issue:
    """The issue that tells how many stored rows the new ones contradicted and replaced."""
    return _issue("replaced_stored", count, (example,) if count else ())


def _issue(kind: str, count: int, listed: tuple[str, ...] = ()) -> Issue:
    return Issue(kind, count, OUTCOMES[kind], listed[0] if listed else "", listed)


def _is_sorted(codes: Codes, time: Array) -> bool:
    step = np.diff(codes)
    return bool(((step > 0) | ((step == 0) & (np.diff(time) >= 0))).all())


def _twins(kind: str, names: Sequence[str], codes: Codes, rows: Rows, twin: BoolArray) -> Issue:
    found = np.flatnonzero(twin)
    listed = tuple(f"{_where(names, codes, rows, int(i))} is given again" for i in found[:_LISTED])
    return _issue(kind, len(found), listed)


def _gaps(census: Census, bar_s: int) -> Issue:
    step = np.diff(census.rows[:, TIME])
    found = np.flatnonzero((np.diff(census.codes) == 0) & (step > bar_s))
    widest = found[np.argsort(-step[found], kind="stable")][:_LISTED]
    bars = np.rint(step / bar_s).astype(np.int64) - 1
    text = (f"{bars[i]} bars of {duration(bar_s)} missing after {_where_in(census, int(i))}" for i in widest)
    return _issue("gap", len(found), tuple(text))


def _zero_volume(census: Census) -> Issue:
    found = np.flatnonzero(census.rows[:, VOLUME] == 0)
    return _issue("zero_volume", len(found), tuple(f"{_where_in(census, int(i))}" for i in found[:_LISTED]))


def _jumps(census: Census, bar_s: int) -> Issue:
    close = census.rows[:, CLOSE]
    next_bar = (np.diff(census.codes) == 0) & (np.diff(census.rows[:, TIME]) == bar_s)
    move = np.where(next_bar, np.diff(np.log(close)), 0.0)
    found = np.flatnonzero(np.abs(move) > JUMP)
    largest = found[np.argsort(-np.abs(move[found]), kind="stable")][:_LISTED]
    text = (f"{_where_in(census, int(i) + 1)}: close {close[i]:.6g} to {close[i + 1]:.6g}" for i in largest)
    return _issue("jump", len(found), tuple(text))


def _where_in(census: Census, i: int) -> str:
    return _where(census.names, census.codes, census.rows, i)


def _where(names: Sequence[str], codes: Codes, rows: Rows, i: int) -> str:
    name = names[int(codes[i])] if codes[i] >= 0 else "(no symbol)"
    time = rows[i, TIME]
    return f"{name} {iso(int(time)) if np.isfinite(time) else '(no time)'}"


def _describe(names: Sequence[str], codes: Codes, rows: Rows, i: int) -> str:
    bar = " ".join(f"{word}={x:.6g}" for word, x in zip("ohlcv", rows[i, OPEN:], strict=True))
    return f"{_where(names, codes, rows, i)} ({bar})"
