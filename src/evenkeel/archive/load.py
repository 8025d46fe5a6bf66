"""What did the market do, for the pairs we trade? Stored candles in, one aligned `Panel` out.

The law: a bar that is not stored is NaN, never a copy of its neighbour; a coarse bar exists only if all its finer bars
do. Prices are per one coin: a venue's factor (1000PEPEUSDT quotes 1000 coins) is taken out here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from evenkeel.archive.files import Dataset, datasets, merge, read, spans
from evenkeel.archive.ingest import check
from evenkeel.archive.integrity import CLOSE, HIGH, LOW, OPEN, TIME, VOLUME, IntegrityReport, Rows
from evenkeel.errors import DataError, NotReadyError
from evenkeel.market.panel import panel
from evenkeel.types import Pair, Panel, frozen
from evenkeel.units import duration, iso, seconds


def load(
    home: Path, source: str, bar_s: int, pairs: Sequence[Pair], start: int | None = None, end: int | None = None
) -> tuple[Panel, tuple[str, ...]]:
    """All stored pairs on one UTC grid, and the assets of the pairs that have no bar.

    source      where candles lie; a pair's symbol of that venue is preferred, any of its symbols is taken
    start, end  UTC s; bars that lie wholly inside: start < close time <= end
    ->          (panel, missing): assets in the order of `pairs`; time = bar close; NaN where no bar is stored
    Where this bar is not stored, the coarsest stored bar that divides it is resampled. Raises NotReadyError, saying
    what to run, if nothing is stored for these pairs and times; DataError for a damaged file.
    """
    stored_s, chosen = _choose(home, source, bar_s, pairs)
    series: list[tuple[str, Rows, int]] = []
    for pair in pairs:
        if pair.asset in chosen:
            symbol, factor = chosen[pair.asset]
            rows = coarser(read(home, source, stored_s, symbol), stored_s, bar_s)
            rows = _between(rows, bar_s, start, end)
            if len(rows):
                series.append((pair.asset, rows, factor))
    if not series:
        span = f"between {iso(start) if start else 'the beginning'} and {iso(end) if end else 'the end'}"
        raise NotReadyError(
            f"no {duration(bar_s)} candles of {source} are stored {span}: {_what_to_run(source, bar_s)}"
        )
    found = {asset for asset, _, _ in series}
    return align(series, bar_s), tuple(pair.asset for pair in pairs if pair.asset not in found)


def align(series: Sequence[tuple[str, Rows, int]], bar_s: int) -> Panel:
    """Rows of several assets on the one grid that spans them all.

    series  (asset, rows (n, 6) with n >= 1 on the bar's grid, price factor), in the order wanted
    ->      panel (T, N), time = open + bar_s; price / factor, volume x factor; NaN where an asset has no row
    """
    first = min(int(rows[0, TIME]) for _, rows, _ in series)
    last = max(int(rows[-1, TIME]) for _, rows, _ in series)
    time = np.arange(first, last + bar_s, bar_s, dtype=np.int64) + bar_s
    fields = np.full((5, len(time), len(series)), np.nan)
    for n, (_, rows, factor) in enumerate(series):
        at = ((rows[:, TIME] - first) // bar_s).astype(np.int64)
        fields[:4, at, n] = rows[:, OPEN:VOLUME].T / factor
        fields[4, at, n] = rows[:, VOLUME] * factor
    open_, high, low, close, volume = (frozen(field) for field in fields)
    return panel(time, [asset for asset, _, _ in series], open_, high, low, close, volume, bar_s)


def coarser(rows: Rows, bar_s: int, to_s: int) -> Rows:
    """(n, 6) rows of `bar_s` -> (m, 6) rows of `to_s`, opening on multiples of `to_s`; incomplete bars are dropped.

    rows  sorted, unique, on the grid. Raises DataError if `to_s` is no multiple of `bar_s`.
    """
    count, rest = divmod(to_s, bar_s)
    if rest or count < 1:
        raise DataError(f"{duration(bar_s)} bars cannot make {duration(to_s)} bars: ask for a whole multiple of it")
    if count == 1 or len(rows) == 0:
        return rows
    opens = rows[:, TIME] // to_s * to_s
    starts = np.flatnonzero(np.diff(opens, prepend=-1.0))
    sizes = np.diff(np.append(starts, len(rows)))
    made: Rows = np.column_stack(
        [
            opens[starts],
            rows[starts, OPEN],
            np.maximum.reduceat(rows[:, HIGH], starts),
            np.minimum.reduceat(rows[:, LOW], starts),
            rows[starts + sizes - 1, CLOSE],
            np.add.reduceat(rows[:, VOLUME], starts),
        ]
    )
    whole: Rows = made[sizes == count]
    return whole


def resample(home: Path, source: str, bar_s: int, to_s: int) -> IntegrityReport:
    """Build and store the coarser candles of every stored symbol; finer ones stay. -> `check` of what was built.

    Raises NotReadyError if nothing is stored or no coarse bar is whole, DataError if `to_s` is no multiple of `bar_s`.
    """
    symbols = spans(home, source, bar_s)
    if not symbols:
        raise NotReadyError(f"no {duration(bar_s)} candles of {source} are stored: {_what_to_run(source, bar_s)}")
    made = {symbol: coarser(read(home, source, bar_s, symbol), bar_s, to_s) for symbol in symbols}
    merge(home, source, to_s, {symbol: rows for symbol, rows in made.items() if len(rows)})
    return check(home, source, to_s)


def _choose(home: Path, source: str, bar_s: int, pairs: Sequence[Pair]) -> tuple[int, Mapping[str, tuple[str, int]]]:
    """The stored bar to read and, per asset, the stored symbol and its factor."""
    stored = [dataset for dataset in datasets(home) if dataset.source == source]
    usable = [dataset for dataset in stored if bar_s % seconds(dataset.bar) == 0]
    for dataset in sorted(usable, key=lambda dataset: -seconds(dataset.bar)):
        chosen = {pair.asset: hit for pair in pairs if (hit := _symbol_of(pair, dataset)) is not None}
        if chosen:
            return seconds(dataset.bar), chosen
    raise NotReadyError(f"{_what_is_missing(source, bar_s, stored)}: {_what_to_run(source, bar_s)}")


def _symbol_of(pair: Pair, dataset: Dataset) -> tuple[str, int] | None:
    own = pair.symbols.get(dataset.source)
    for symbol, factor in ([own] if own else []) + list(pair.symbols.values()):
        if symbol in dataset.symbols:
            return symbol, factor
    return None


def _between(rows: Rows, bar_s: int, start: int | None, end: int | None) -> Rows:
    first = 0 if start is None else int(np.searchsorted(rows[:, TIME], start, side="left"))
    last = len(rows) if end is None else int(np.searchsorted(rows[:, TIME], end - bar_s, side="right"))
    return rows[first:last]


def _what_is_missing(source: str, bar_s: int, stored: Sequence[Dataset]) -> str:
    if not stored:
        return f"no candles of {source} are stored"
    bars = ", ".join(dataset.bar for dataset in stored)
    return f"{source} has no candles of these pairs that make {duration(bar_s)} bars (stored: {bars})"


def _what_to_run(source: str, bar_s: int) -> str:
    bar = duration(bar_s)
    return f"run `evenkeel data import FILE --bar {bar} --source {source}` or `evenkeel data download --bar {bar}`"
