"""How do a stranger's candles become ours? A file in, sorted sane unique rows on disk and an `IntegrityReport` out.

The law: importing twice leaves the same bytes as importing once; nothing is dropped without being counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from evenkeel.archive.files import Merged, candle_folder, merge, read, spans
from evenkeel.archive.integrity import (
    TIME,
    Census,
    IntegrityReport,
    Issue,
    dedupe,
    join,
    replaced,
    row_issues,
    screen,
    series_issues,
    split,
    symbol_reports,
)
from evenkeel.archive.tables import read_candles
from evenkeel.errors import DataError, NotReadyError
from evenkeel.types import BoolArray
from evenkeel.units import duration, iso

_ENOUGH_STEPS = 10


def ingest(path: Path, bar_s: int, home: Path, source: str) -> IntegrityReport:
    """Import a tidy Parquet, CSV or Feather file into `<home>/data/candles/<source>/<bar>/`, adding to what is there.

    path    columns timestamp (bar open), symbol, open, high, low, close, volume: see `tables.read_candles`
    bar_s   s; a file whose rows are regularly another length apart is refused
    ->      rows = rows of the file, kept = of those, stored = rows that the archive now holds of these symbols
    Raises DataError for a file that cannot be used as it is (nothing is stored then), EvenkeelError for a full disk.
    """
    candle_folder(home, source, bar_s)
    names, codes, rows = read_candles(path)
    defect = screen(rows, bar_s)
    defect[codes < 0] = 1
    sane = defect == 0
    issues = row_issues(names, codes, rows, defect)
    if not sane.any() or _off_bar(sane, issues):
        raise _nothing_sane(path, bar_s, issues)
    census, twins = dedupe(names, codes[sane], rows[sane])
    _refuse_other_bar(path, census, bar_s)
    merged = merge(home, source, bar_s, dict(split(census)))
    issues += [*twins, _replaced(merged), *series_issues(census, bar_s)]
    stored = sum(one.rows for one in merged.values())
    return _report(source, bar_s, len(rows), stored, census, issues)


def check(home: Path, source: str, bar_s: int) -> IntegrityReport:
    """Count the defects of what is stored; changes nothing.

    Raises NotReadyError if nothing is stored, DataError for a damaged file.
    """
    symbols = spans(home, source, bar_s)
    if not symbols:
        raise NotReadyError(
            f"no {duration(bar_s)} candles of {source} are stored: run `evenkeel data import` or `data download` first"
        )
    stored = join({symbol: read(home, source, bar_s, symbol) for symbol in symbols})
    defect = screen(stored.rows, bar_s)
    issues = row_issues(stored.names, stored.codes, stored.rows, defect)
    census, twins = dedupe(stored.names, stored.codes[defect == 0], stored.rows[defect == 0])
    issues += [*twins, replaced(0), *series_issues(census, bar_s)]
    return _report(source, bar_s, len(stored.rows), len(stored.rows), census, issues)


def _report(
    source: str, bar_s: int, rows: int, stored: int, census: Census, issues: Iterable[Issue]
) -> IntegrityReport:
    kept = len(census.rows)
    return IntegrityReport(source, duration(bar_s), rows, kept, stored, tuple(issues), symbol_reports(census, bar_s))


def _replaced(merged: Mapping[str, Merged]) -> Issue:
    clashes = [(symbol, one) for symbol, one in merged.items() if one.replaced]
    text = f"{clashes[0][0]} {iso(clashes[0][1].example)} was stored with other values" if clashes else ""
    return replaced(sum(one.replaced for _, one in clashes), text)


def _off_bar(sane: BoolArray, issues: Iterable[Issue]) -> bool:
    """Whether so many rows miss the grid that the bar, not the rows, must be wrong."""
    off = next(issue.count for issue in issues if issue.kind == "off_grid")
    return off > max(_ENOUGH_STEPS, int(sane.sum()) // 10)


def _nothing_sane(path: Path, bar_s: int, issues: Iterable[Issue]) -> DataError:
    worst = max(issues, key=lambda issue: issue.count)
    if worst.kind == "off_grid":
        return DataError(
            f"{path}: {worst.count} rows do not open on a multiple of {duration(bar_s)} ({worst.example}): "
            "give the bar that the file has with --bar"
        )
    return DataError(f"{path} holds no usable candle ({worst.kind} in {worst.count} rows, {worst.example}): correct it")


def _refuse_other_bar(path: Path, census: Census, bar_s: int) -> None:
    """Rows that are mostly another step apart would otherwise pass as one long row of gaps."""
    step = np.diff(census.rows[:, TIME])[np.diff(census.codes) == 0]
    if len(step) < _ENOUGH_STEPS:
        return
    lengths, counts = np.unique(step, return_counts=True)
    usual = int(lengths[np.argmax(counts)])
    if usual != bar_s:
        raise DataError(
            f"{path}: rows are {duration(usual)} apart, not {duration(bar_s)}: import it with --bar {duration(usual)}"
        )
