"""What did the market do? Bars of N assets on one constant grid, checked once at the door.

Arrays from a feed or an archive -> `Panel`; after that every function here trusts it and returns another `Panel`.
The law: a row never depends on a later row. A bar is *known* where its close is a positive number; NaN = unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evenkeel.errors import DataError
from evenkeel.types import Array, BoolArray, IntArray, Panel, frozen
from evenkeel.units import duration, iso

_FIELDS = tuple(field.name for field in fields(Panel) if field.name not in ("time", "assets", "bar_s"))


def panel(
    time: ArrayLike,
    assets: Sequence[str],
    open: ArrayLike,  # noqa: A002 - the field's own name
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
    volume: ArrayLike,
    bar_s: int,
) -> Panel:
    """Build a checked, read-only panel.

    time    (T,)    whole UTC s of the bar's close, step exactly `bar_s`, T >= 1
    assets  N >= 1 unique, non-empty names
    open, high, low, close, volume  (T, N)  numbers; NaN = no bar known
    bar_s   s, > 0
    Raises DataError naming what, the value, the limit and what to do. Read-only float64 C arrays are kept without a
    copy; all others are copied, so a caller's later writes cannot reach a panel. Whether a price makes sense
    (zero, spike) is `quality`'s question, not this one.
    """
    if bar_s <= 0:
        raise DataError(f"bar_s is {bar_s}, it must be above 0: give the bars' length in seconds")
    times = _times(time, bar_s)
    names = _names(assets)
    shape = (len(times), len(names))
    given = zip(_FIELDS, (open, high, low, close, volume), strict=True)
    return Panel(time=times, assets=names, bar_s=int(bar_s), **{name: _matrix(name, x, shape) for name, x in given})


def rows(panel: Panel, start: int, stop: int) -> Panel:
    """Rows start <= i < stop, as views. Raises DataError unless 0 <= start < stop <= T."""
    if not 0 <= start < stop <= len(panel.time):
        raise DataError(f"rows {start} to {stop} of {len(panel.time)} bars: ask for 0 <= start < stop <= bars")
    return _rebuilt(panel, panel.time[start:stop], panel.assets, [getattr(panel, name)[start:stop] for name in _FIELDS])


def until(panel: Panel, time_s: int) -> Panel:
    """All bars closed at or before `time_s` (UTC s), as views. Raises DataError if there is none."""
    stop = (time_s - int(panel.time[0])) // panel.bar_s + 1
    if stop < 1:
        first = iso(int(panel.time[0]))
        raise DataError(f"no bar is closed by {iso(time_s)}, the first closes at {first}: ask for that time or later")
    return rows(panel, 0, min(stop, len(panel.time)))


def pick(panel: Panel, assets: Sequence[str]) -> Panel:
    """Keep the named assets, in the order given. Raises DataError for a name that is absent or given twice."""
    column = {name: i for i, name in enumerate(panel.assets)}
    absent = [name for name in assets if name not in column]
    if absent:
        raise DataError(f"the panel has no {', '.join(absent)}: it holds {', '.join(panel.assets)}; ask for those")
    names = _names(assets)
    chosen = [column[name] for name in names]
    return _rebuilt(panel, panel.time, names, [getattr(panel, name)[:, chosen] for name in _FIELDS])


def index_of(panel: Panel, time_s: int) -> int:
    """Row whose bar closes exactly at `time_s` (UTC s). Raises DataError if no bar of the panel does."""
    row, rest = divmod(time_s - int(panel.time[0]), panel.bar_s)
    if rest or not 0 <= row < len(panel.time):
        span = f"{iso(int(panel.time[0]))} to {iso(int(panel.time[-1]))} every {duration(panel.bar_s)}"
        raise DataError(f"no bar closes at {iso(time_s)}: bars close from {span}; ask for one of those times")
    return row


def trailing(panel: Panel, count: int) -> Panel:
    """Overlapping bars: row i is the bar of the last `count` bars; the first count - 1 rows have none and are dropped.

    -> T - count + 1 rows whose times still step by `bar_s`: open of the first, highest high, lowest low, close of the
    last, volume summed oldest first. All five are NaN unless every one of the `count` bars is known (a half-known bar
    would understate range and volume); a NaN high, low, open or volume of a known bar makes that field alone NaN.
    Raises DataError if T < count.
    """
    length = len(panel.time) - count + 1
    if count < 1 or length < 1:
        raise DataError(f"a bar of {count} bars from a panel of {len(panel.time)}: give 1 or more, up to all")
    known = is_known(panel)
    whole = known[:length].copy()
    high, low, volume = panel.high[:length].copy(), panel.low[:length].copy(), panel.volume[:length].copy()
    for i in range(1, count):
        later = slice(i, i + length)
        whole &= known[later]
        np.maximum(high, panel.high[later], out=high)
        np.minimum(low, panel.low[later], out=low)
        volume += panel.volume[later]
    made = [panel.open[:length].copy(), high, low, panel.close[count - 1 :].copy(), volume]
    for array in made:
        array[~whole] = np.nan
    return _rebuilt(panel, panel.time[count - 1 :], panel.assets, made)


def resample(panel: Panel, bar_s: int) -> Panel:
    """Coarser bars that close on multiples of `bar_s` since 1970 UTC; bars that the panel covers in part are dropped.

    A coarse bar is NaN unless all its finer bars are known (see `trailing`). Raises DataError if `bar_s` is no multiple
    of the panel's, if closes miss the grid, or if no whole bar is covered.
    """
    count, rest = divmod(bar_s, panel.bar_s)
    if rest or count < 1:
        raise DataError(f"cannot make {bar_s} s bars of {panel.bar_s} s bars: ask for a whole multiple")
    if count == 1:
        return panel
    if len(panel.time) >= count:
        overlapping = trailing(panel, count)
        on_grid = np.flatnonzero(overlapping.time % bar_s == 0)
        if len(on_grid):
            step = slice(int(on_grid[0]), None, count)
            made = [np.ascontiguousarray(getattr(overlapping, name)[step]) for name in _FIELDS]
            return _rebuilt(panel, overlapping.time[step].copy(), panel.assets, made, bar_s)
    raise DataError(
        f"{len(panel.time)} bars of {panel.bar_s} s ending {iso(int(panel.time[-1]))} cover no whole {bar_s} s bar "
        "closing on that UTC grid: load more bars or ask for a shorter bar"
    )


def is_known(panel: Panel) -> BoolArray:
    """(T, N) True where the bar is known: its close is a finite number above 0."""
    known: BoolArray = np.isfinite(panel.close) & (panel.close > 0)
    return known


def _rebuilt(
    panel: Panel, time: IntArray, assets: tuple[str, ...], arrays: Sequence[Array], bar_s: int | None = None
) -> Panel:
    time.flags.writeable = False
    named = {name: frozen(np.ascontiguousarray(x)) for name, x in zip(_FIELDS, arrays, strict=True)}
    return Panel(time=time, assets=assets, bar_s=bar_s or panel.bar_s, **named)


def _times(time: ArrayLike, bar_s: int) -> IntArray:
    given = np.asarray(time)
    if given.ndim != 1 or not len(given):
        raise DataError(f"time has shape {given.shape}, it must be (bars,) with one bar or more: load some bars")
    if given.dtype.kind not in "iu":
        raise DataError(f"time holds {given.dtype}, it must be whole UTC seconds: convert it to integers first")
    times: NDArray[np.int64] = np.array(given, dtype=np.int64)
    bad = np.flatnonzero(np.diff(times) != bar_s)
    if len(bad):
        step, at = int(times[bad[0] + 1] - times[bad[0]]), iso(int(times[bad[0]]))
        raise DataError(f"time steps by {step} s after {at}, it must step by {bar_s} s: sort bars, fill gaps with NaN")
    times.flags.writeable = False
    return times


def _names(assets: Sequence[str]) -> tuple[str, ...]:
    names = tuple(assets)
    if not names or not all(names):
        raise DataError(f"assets are {names!r}, they must be one or more non-empty names: name every column")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"assets name {', '.join(twice)} more than once, each may stand once: drop repeated columns")
    return names


def _matrix(name: str, given: ArrayLike, shape: tuple[int, int]) -> Array:
    try:
        array = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} holds something that is no number ({error}): clean it, unknown is NaN") from error
    if array.shape != shape:
        raise DataError(f"{name} has shape {array.shape}, it must be {shape}: one value per bar and asset")
    if array.flags.writeable or not array.flags.c_contiguous:
        array = np.array(array, dtype=np.float64, order="C")
    return frozen(array)
