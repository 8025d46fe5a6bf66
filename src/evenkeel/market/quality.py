"""May this price be believed? Panel or quotes -> one verdict per bar and asset.

A price that is missing, old, zero, broken, crossed or spiking freezes its own asset; when too much of the universe,
or the benchmark, is unavailable, trading fails closed (design section 6).

The law: the verdict on row t reads only rows <= t, so its bits do not change when bars are added. Comparisons use
ratios of prices, never sums of logarithms, for the same reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Final

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from evenkeel.types import Array, BoolArray, Panel, Quotes
from evenkeel.units import DAY_S, Key

Codes = NDArray[np.int8]

_ROWS_AT_ONCE = 512

BENCHMARK_UNAVAILABLE: Final = "BENCHMARK_UNAVAILABLE"
UNIVERSE_UNAVAILABLE: Final = "UNIVERSE_UNAVAILABLE"


class Fault(IntEnum):
    """Why a price is not believed. Everything but OK freezes the asset; the first that applies is named.

    OK       believed
    MISSING  no bar or quote now, the last believed one is young enough to value a position
    STALE    none now, and the last believed one is older than the limit
    ZERO     a price at or below zero
    BROKEN   a price that is infinite, a high below or a low above another price of its bar
    CROSSED  bid above ask
    SPIKE    further from the last believed price than the limit, and not yet confirmed by a second bar
    ABSENT   no bar now, and none believed yet (not listed) or for very long (delisted)
    SUSPENDED  believed, but the venue takes no orders in it now; said of a view, never of a bar or quote
    """

    OK = 0
    MISSING = 1
    STALE = 2
    ZERO = 3
    BROKEN = 4
    CROSSED = 5
    SPIKE = 6
    ABSENT = 7
    SUSPENDED = 8


@dataclass(frozen=True, slots=True)
class QualitySettings:
    """Which prices are believed, and when too few are left to trade."""

    max_age: Annotated[int, Ge(1), Key("oldest price that is believed; never less than 1.5 bars", "s")] = 900
    spike: Annotated[
        float, Gt(0), Le(10), Key("move of one bar that needs a second bar to be believed", "absolute log return")
    ] = 0.35
    max_unavailable: Annotated[
        float, Ge(0), Le(1), Key("part of the listed universe that may be unavailable before trading stops", "fraction")
    ] = 0.30
    delisted_after: Annotated[
        int, Ge(1), Key("time without a believed bar after which an asset no longer counts as listed", "s")
    ] = 3 * DAY_S

    def limit(self, bar_s: int) -> float:
        """The oldest age (s) that is believed when bars are `bar_s` long."""
        return max(float(self.max_age), 1.5 * bar_s)


def codes(panel: Panel, settings: QualitySettings) -> Codes:
    """The verdict on every bar, as it could be given at that bar's close.

    ->  (T, N) int8 `Fault`

    A spike becomes believed with the next known bar that stays within the limit of it: one bad tick never is, a
    crash is one bar later. The first bar of an asset has nothing to be compared with and is believed.
    """
    verdict = _present(panel)
    sane = verdict == Fault.OK
    for column in np.flatnonzero(_moved(panel.close, sane, settings.spike)).tolist():
        rows = np.flatnonzero(sane[:, column])
        doubted = _doubted(panel.close[rows, column].tolist(), settings.spike)
        verdict[rows[doubted], column] = Fault.SPIKE
    holes = np.flatnonzero((verdict == Fault.MISSING).any(axis=0))
    if len(holes):
        verdict[:, holes] = _aged(verdict[:, holes], panel, settings)
    verdict.flags.writeable = False
    return verdict


def _aged(verdict: Codes, panel: Panel, settings: QualitySettings) -> Codes:
    """(T, n) verdicts with what is missing for too long named so."""
    age, gone = _age(panel.time, verdict == Fault.OK), verdict == Fault.MISSING
    verdict[gone & (age > settings.limit(panel.bar_s))] = Fault.STALE
    verdict[gone & (age > settings.delisted_after)] = Fault.ABSENT
    return verdict


def quote_codes(quotes: Quotes, last_close: Array, settings: QualitySettings, *, bar_s: int = 0) -> Codes:
    """The verdict on what a risk check sees.

    last_close  (N,) last believed close USD; NaN = never seen, then a spike cannot be told
    bar_s       bar length where quotes are made of bars: their age may reach 1.5 bars; 0 = the configured age alone
    ->          (N,) int8 `Fault`: MISSING, STALE, ZERO, CROSSED, SPIKE (of bid or ask) or OK
    """
    bid, ask = quotes.bid, quotes.ask
    far = _far(bid, last_close, settings.spike) | _far(ask, last_close, settings.spike)
    verdict = np.select(
        [
            ~(np.isfinite(bid) & np.isfinite(ask)),
            ~(quotes.age <= settings.limit(bar_s)),
            (bid <= 0) | (ask <= 0),
            bid > ask,
            far,
        ],
        [Fault.MISSING, Fault.STALE, Fault.ZERO, Fault.CROSSED, Fault.SPIKE],
        default=Fault.OK,
    ).astype(np.int8)
    verdict.flags.writeable = False
    return verdict


def carried(panel: Panel, verdict: Codes) -> tuple[Array, Array]:
    """What a position may be valued at: the last believed close and how old it is.

    verdict  (T, N) from `codes`
    ->       close (T, N) USD, NaN = none believed yet; age (T, N) s, 0 where this bar is believed, inf = never
    """
    close, age = panel.close.copy(), np.zeros(panel.close.shape)
    doubted = np.flatnonzero((verdict != Fault.OK).any(axis=0))  # few: what is believed throughout carries itself
    if len(doubted):
        good = verdict[:, doubted] == Fault.OK
        close[:, doubted] = _newest(panel.close[:, doubted], good)
        age[:, doubted] = _age(panel.time, good)
    close.flags.writeable = age.flags.writeable = False
    return close, age


def universe_ok(codes_row: Codes, benchmark_index: int, settings: QualitySettings) -> str:
    """Empty if enough of the market can be believed to trade, else the reason code of failing closed.

    codes_row        (N,) verdicts of one row
    benchmark_index  column of BTC; negative = not in the universe
    ->               "", BENCHMARK_UNAVAILABLE or UNIVERSE_UNAVAILABLE

    The benchmark must be OK. Of the other assets only the listed count: ABSENT ones (never seen, or unseen for
    longer than `delisted_after`) stand neither among the unavailable nor in the universe they are measured by.
    """
    if benchmark_index >= 0 and not np.count_nonzero(codes_row):
        return ""  # all are OK
    if benchmark_index < 0 or codes_row[benchmark_index] != Fault.OK:
        return BENCHMARK_UNAVAILABLE
    listed = int(np.count_nonzero(codes_row != Fault.ABSENT))
    unavailable = listed - int(np.count_nonzero(codes_row == Fault.OK))
    return UNIVERSE_UNAVAILABLE if unavailable > settings.max_unavailable * listed else ""


def _present(panel: Panel) -> Codes:
    """(T, N) what each bar says of itself: OK, MISSING, ZERO or BROKEN."""
    verdict = np.empty(panel.close.shape, dtype=np.int8)
    for start in range(0, len(verdict), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        verdict[rows] = _of_bars(panel.open[rows], panel.high[rows], panel.low[rows], panel.close[rows])
    return verdict


def _of_bars(open_: Array, high: Array, low: Array, close: Array) -> Codes:
    lowest = np.minimum(np.minimum(open_, close), np.minimum(low, high))
    highest = np.maximum(np.maximum(open_, close), np.maximum(low, high))
    broken = (low > lowest) | (high < highest) | np.isinf(highest)
    verdict = np.where(broken, np.int8(Fault.BROKEN), np.int8(Fault.OK))
    verdict[lowest <= 0] = Fault.ZERO
    verdict[np.isnan(lowest)] = Fault.MISSING
    return verdict


def _last(good: BoolArray) -> NDArray[np.int64]:
    """(T, N) the newest row <= t that is good; -1 = none yet."""
    rows = np.arange(len(good), dtype=np.int64)[:, None]
    newest: NDArray[np.int64] = np.maximum.accumulate(np.where(good, rows, -1), axis=0)
    return newest


def _newest(close: Array, good: BoolArray) -> Array:
    """(T, n) the newest good close; NaN = none yet."""
    row = _last(good)
    return np.where(row >= 0, np.take_along_axis(close, np.maximum(row, 0), axis=0), np.nan)


def _age(time: NDArray[np.int64], good: BoolArray) -> Array:
    """(T, N) s since the newest good row; inf = none yet."""
    row = _last(good)
    return np.where(row >= 0, (time[:, None] - time[np.maximum(row, 0)]).astype(np.float64), np.inf)


def _far(price: Array, reference: Array, spike: float) -> BoolArray:
    """True where a price stands further than `spike` (log) from its reference; False where either is unknown."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = price / reference
    far: BoolArray = (ratio > math.exp(spike)) | (ratio < math.exp(-spike))
    return far


def _moved(close: Array, sane: BoolArray, spike: float) -> BoolArray:
    """(N,) assets in which some sane close is far from the sane close before it: only they can hold a spike."""
    before = close
    holes = np.flatnonzero(~sane.all(axis=0))
    if len(holes):
        before = close.copy()
        before[:, holes] = _newest(close[:, holes], sane[:, holes])
    moved = np.zeros(close.shape[1], dtype=bool)
    for start in range(1, len(close), _ROWS_AT_ONCE):
        now, then = slice(start, start + _ROWS_AT_ONCE), slice(start - 1, start - 1 + _ROWS_AT_ONCE)
        newer = close[now]
        moved |= np.any(_far(newer, before[then][: len(newer)], spike) & sane[now], axis=0)
    return moved


def _doubted(closes: list[float], spike: float) -> list[int]:
    """Positions of the closes of one asset, without holes and above 0, that are spikes not yet confirmed."""
    up, down = math.exp(spike), math.exp(-spike)
    believed, suspect = closes[0], math.nan
    doubted = []
    for position, close in enumerate(closes):
        if down <= close / believed <= up or down <= close / suspect <= up:
            believed, suspect = close, math.nan
        else:
            suspect = close
            doubted.append(position)
    return doubted
