"""Windows over time as machine code, on many independent hourly series at once; `kernels` says what a window is.

Every kernel takes (C, H): C independent columns, each H hours side by side in memory, and writes `out` (C, H), which
may be its own input. Common arguments:

weight  (W + 1,) weight of a value 0 to W hours old, decay^j: its window is the last W hours
least   least weight of known values that a known window needs
first   hour before which nothing is wanted: earlier rows of `out` hold anything

A sum is a prefix sum of its own block of W hours plus a suffix sum of the block before, blocks counted from the first
hour, each added up in one fixed order: its bits depend on t alone and not on `first`, later rows or other columns.
Sums begin with -0.0, the one number that changes no other when it is added.
"""

from __future__ import annotations

import math

import numpy as np

from evenkeel.market.compiled import kernel
from evenkeel.types import Array

_TILE = 512
"""Hours that a kernel goes through at a time where it need not go through all of them."""
_LINES = 32
"""The same where it writes to a line of memory of its own for each."""


@kernel
def trailing_hours(close: Array, high: Array, low: Array, volume: Array, asset: int, phases: int, made: Array) -> None:
    """The trailing hour of every bar, as `panel.trailing` has it, for some assets from column `asset` on.

    close, high, low, volume  (T, N) bars · made  (>= 4, n k, H) close, high, low in USD and dollars traded; column
    asset x k + phase; NaN = unknown, which are hours not wholly known, what is no price and a volume below 0
    """
    made[:4, :, -1] = np.nan
    for start in range(0, made.shape[2], _TILE):
        for column in range(made.shape[1]):
            at, phase = asset + column // phases, column % phases
            closes, highs, lows, volumes = close[:, at], high[:, at], low[:, at], volume[:, at]
            last, top, bottom, dollars = made[0, column], made[1, column], made[2, column], made[3, column]
            for hour in range(start, min(start + _TILE, (len(close) - phase) // phases)):
                row = hour * phases + phase
                known, highest, lowest, traded = True, highs[row], lows[row], volumes[row]
                for bar in range(row, row + phases):
                    known &= 0.0 < closes[bar] < np.inf
                for bar in range(row + 1, row + phases):
                    highest = highs[bar] if highs[bar] > highest or math.isnan(highs[bar]) else highest
                    lowest = lows[bar] if lows[bar] < lowest or math.isnan(lows[bar]) else lowest
                    traded += volumes[bar]
                price = closes[row + phases - 1] if known else np.nan
                last[hour] = price
                top[hour] = highest if known and 0.0 < highest < np.inf else np.nan
                bottom[hour] = lowest if known and 0.0 < lowest < np.inf else np.nan
                dollars[hour] = price * traded if traded >= 0.0 else np.nan


@kernel
def to_rows(made: Array, close: Array, phases: int, first_row: int, first_column: int, values: Array) -> None:
    """Turn columns into rows: F features of some columns (F, C, H) into `values` (R, N, F), bar first_row its first.

    Not a finite number, or in an hour without a close (C, H): NaN.
    """
    lead = first_row - phases + 1
    for start in range(max(0, lead) // phases, made.shape[2], _LINES):
        for column in range(made.shape[1]):
            asset, phase = (first_column + column) // phases, (first_column + column) % phases
            for hour in range(start, min(start + _LINES, made.shape[2])):
                row = hour * phases + phase - lead
                if not 0 <= row < len(values):
                    continue
                known, to = close[column, hour] > 0.0, values[row, asset]
                for feature in range(len(made)):
                    value = made[feature, column, hour]
                    to[feature] = value if known and abs(value) < np.inf else np.nan


@kernel
def _slide(values: Array, size: int, weight: Array, older: Array, newer: Array, sums: Array) -> None:
    """Window sums of one block of `size` <= W hours, of several series without NaN.

    values (m, W) · older (m, W + 1) suffix sums of the block before, newer the same of this one, if it is whole
    """
    window, decay = len(weight) - 1, weight[1]
    for i in range(len(values)):
        total, rest = -0.0, -0.0
        newer[i, window] = -0.0
        if decay == 1.0 and size == window:
            for j in range(window):
                total += values[i, j]
                sums[i, j] = total + older[i, j + 1]
                rest += values[i, window - 1 - j]
                newer[i, window - 1 - j] = rest
        elif size == window:
            for j in range(window):
                total = values[i, j] + decay * total
                sums[i, j] = total + older[i, j + 1] * weight[j + 1]
                rest += values[i, window - 1 - j] * weight[j]
                newer[i, window - 1 - j] = rest
        else:
            for j in range(size):
                total = values[i, j] + decay * total
                sums[i, j] = total + older[i, j + 1] * weight[j + 1]


@kernel
def total(x: Array, weight: Array, out: Array) -> None:
    """Weighted sum of each window of x, which has no NaN; what was before the first hour counts as 0."""
    window = len(weight) - 1
    room = np.full((4, 1, window + 1), -0.0)
    values, sums, older, newer = room[0], room[1], room[2], room[3]
    for c in range(x.shape[0]):
        older[:] = -0.0
        for start in range(0, x.shape[1], window):
            size = min(window, x.shape[1] - start)
            values[0, :size] = x[c, start : start + size]
            _slide(values, size, weight, older, newer, sums)
            older, newer = newer, older
            out[c, start : start + size] = sums[0, :size]


@kernel
def mean(x: Array, weight: Array, least: float, first: int, out: Array) -> None:
    """Weighted mean of the known values of each window."""
    window = len(weight) - 1
    room = np.full((4, 2, window + 1), -0.0)
    values, sums, older, newer = room[0], room[1], room[2], room[3]
    for c in range(x.shape[0]):
        older[:] = -0.0
        for start in range(max(0, first // window - 1) * window, x.shape[1], window):
            size = min(window, x.shape[1] - start)
            now, made = x[c, start : start + size], out[c, start : start + size]
            for j in range(size):
                value = now[j]
                known = abs(value) < np.inf
                values[0, j] = value if known else 0.0
                values[1, j] = 1.0 if known else 0.0
            _slide(values, size, weight, older, newer, sums)
            older, newer = newer, older
            for j in range(size):
                made[j] = sums[0, j] / sums[1, j] if sums[1, j] >= least else np.nan


@kernel
def zscore(x: Array, weight: Array, least: float, flat: float, first: int, out: Array) -> None:
    """(x - mean) / sd of each window (population sd); NaN where the variance is below `flat` of the mean square."""
    window = len(weight) - 1
    room = np.full((4, 3, window + 1), -0.0)
    values, sums, older, newer = room[0], room[1], room[2], room[3]
    for c in range(x.shape[0]):
        older[:] = -0.0
        for start in range(max(0, first // window - 1) * window, x.shape[1], window):
            size = min(window, x.shape[1] - start)
            now, made = x[c, start : start + size], out[c, start : start + size]
            for j in range(size):
                value = now[j]
                known = abs(value) < np.inf
                values[0, j] = value if known else 0.0
                values[1, j] = value * value if known else 0.0
                values[2, j] = 1.0 if known else 0.0
            _slide(values, size, weight, older, newer, sums)
            older, newer = newer, older
            for j in range(size):
                n = sums[2, j] if sums[2, j] >= least else np.nan
                average, square = sums[0, j] / n, sums[1, j] / n
                variance = square - average * average
                sd = math.sqrt(variance) if variance > flat * square else np.nan
                made[j] = (now[j] - average) / sd


@kernel
def relative_strength(x: Array, weight: Array, least: float, first: int, out: Array) -> None:
    """Mean rise / mean move of each window of hourly moves: Wilder's RSI in [0, 1]; NaN where nothing moved."""
    window = len(weight) - 1
    room = np.full((4, 3, window + 1), -0.0)
    values, sums, older, newer = room[0], room[1], room[2], room[3]
    for c in range(x.shape[0]):
        older[:] = -0.0
        for start in range(max(0, first // window - 1) * window, x.shape[1], window):
            size = min(window, x.shape[1] - start)
            for j in range(size):
                move = x[c, start + j] - x[c, start + j - 1] if start + j else np.nan
                known = abs(move) < np.inf
                values[0, j] = move if known and move > 0.0 else 0.0
                values[1, j] = abs(move) if known else 0.0
                values[2, j] = 1.0 if known else 0.0
            _slide(values, size, weight, older, newer, sums)
            older, newer = newer, older
            for j in range(size):
                n = sums[2, j] if sums[2, j] >= least else np.nan
                rise, moved = sums[0, j] / n, sums[1, j] / n
                out[c, start + j] = rise / moved if moved > 0.0 else np.nan


@kernel
def regression(
    y: Array, x: Array, weight: Array, least: float, flat: float, first: int, slope: Array, rest: Array
) -> None:
    """Least squares of y (C, H) on x (k, H), column c on c modulo k, with an intercept, where both are known.

    -> slope (C, H) and population sd of the residual (C, H); NaN where x does not vary
    """
    window = len(weight) - 1
    room = np.full((4, 6, window + 1), -0.0)
    values, sums, older, newer = room[0], room[1], room[2], room[3]
    for c in range(y.shape[0]):
        older[:] = -0.0
        for start in range(max(0, first // window - 1) * window, y.shape[1], window):
            size = min(window, y.shape[1] - start)
            for j in range(size):
                here, base = y[c, start + j], x[c % len(x), start + j]
                known = abs(here) < np.inf and abs(base) < np.inf
                here, base = here if known else 0.0, base if known else 0.0
                values[0, j], values[1, j], values[2, j] = base, here, base * base
                values[3, j], values[4, j], values[5, j] = here * here, base * here, 1.0 if known else 0.0
            _slide(values, size, weight, older, newer, sums)
            older, newer = newer, older
            for j in range(size):
                n = sums[5, j] if sums[5, j] >= least else np.nan
                mean_x, mean_y, square_x = sums[0, j] / n, sums[1, j] / n, sums[2, j] / n
                variance_x = square_x - mean_x * mean_x
                variance_y = sums[3, j] / n - mean_y * mean_y
                covariance = sums[4, j] / n - mean_x * mean_y
                beta = covariance / (variance_x if variance_x > flat * square_x else np.nan)
                left = variance_y - beta * covariance
                slope[c, start + j], rest[c, start + j] = beta, math.sqrt(max(left, 0.0))


@kernel
def below_highest(x: Array, window: int, least: float, first: int, out: Array) -> None:
    """Each value less the largest known one of its window, <= 0; NaN = too few known."""
    older, newer, seen_older, seen_newer = np.empty((4, window + 1))
    for c in range(x.shape[0]):
        older[:], seen_older[:] = -np.inf, 0.0
        for start in range(max(0, first // window - 1) * window, x.shape[1], window):
            size = min(window, x.shape[1] - start)
            newer[window], seen_newer[window] = -np.inf, 0.0
            for j in range(size - 1, -1, -1) if size == window else range(0):
                value = x[c, start + j]
                known = abs(value) < np.inf
                newer[j] = value if known and value > newer[j + 1] else newer[j + 1]
                seen_newer[j] = seen_newer[j + 1] + (1.0 if known else 0.0)
            top, seen = -np.inf, 0.0
            for j in range(size):
                value = x[c, start + j]
                known = abs(value) < np.inf
                top = value if known and value > top else top
                seen += 1.0 if known else 0.0
                highest = max(top, older[j + 1])
                out[c, start + j] = value - highest if seen + seen_older[j + 1] >= least else np.nan
            older, newer, seen_older, seen_newer = newer, older, seen_newer, seen_older


@kernel
def band_position(x: Array, window: int, least: float, first: int, out: Array) -> None:
    """Place of x in its Bollinger band, (x - (m - 2s)) / (4s): 0 = lower band, 1 = upper; NaN where s is 0.

    Deviations are taken from the latest value, so equal values give exactly s = 0, and n s^2 >= mean square
    (that value's own deviation is 0): no cancellation.
    """
    count, total, squares = np.empty((3, _TILE))
    for c in range(x.shape[0]):
        for start in range(first, x.shape[1], _TILE):
            stop = min(start + _TILE, x.shape[1])
            count[:], total[:], squares[:] = 0.0, 0.0, 0.0
            for age in range(window):
                begin = max(start, age)
                now, past = x[c, begin:stop], x[c, begin - age : stop - age]
                n, sums, squared = count[begin - start :], total[begin - start :], squares[begin - start :]
                for j in range(len(now)):
                    deviation = past[j] - now[j]
                    known = abs(deviation) < np.inf
                    deviation = deviation if known else 0.0
                    n[j] += 1.0 if known else 0.0
                    sums[j] += deviation
                    squared[j] += deviation * deviation
            for j in range(stop - start):
                whole = count[j] if count[j] >= least else np.nan
                average = total[j] / whole
                width = 4.0 * math.sqrt(squares[j] / whole - average * average)
                out[c, start + j] = 0.5 - average / (width if width > 0.0 else np.nan)


@kernel
def strided_median(x: Array, stride: int, count: int, scale: float, least: float, first: int, out: Array) -> None:
    """Median of the known among scale x(t), scale x(t - stride), ..., `count` of them; NaN = too few known.

    They are kept sorted between -inf and inf, inf for an unknown one; with every step one goes and one comes. The line
    without the one that goes, and then with the one that comes, is written anew: faster than to search in it.
    """
    drawn, renewed = np.empty((2, count + 2))
    for c in range(x.shape[0]):
        series, medians = x[c], out[c]
        for begin in range(first, min(first + stride, len(series))):
            oldest, known = begin - (count - 1) * stride, 0
            drawn[:], drawn[0], renewed[0], renewed[-1] = np.inf, -np.inf, -np.inf, np.inf
            for t in range(oldest, len(series), stride):
                gone = t - count * stride
                old = scale * series[gone] if gone >= max(0, oldest) else np.inf
                new = scale * series[t] if t >= 0 else np.inf
                old, new = old if abs(old) < np.inf else np.inf, new if abs(new) < np.inf else np.inf
                known += (1 if new < np.inf else 0) - (1 if old < np.inf else 0)
                left, here, right, line = drawn[:count], drawn[1 : count + 1], drawn[2:], renewed[1 : count + 1]
                for i in range(count):
                    before = left[i] if left[i] < old else here[i]
                    after = here[i] if here[i] < old else right[i]
                    after = after if after < new else new  # noqa: FURB136 - min and max compare twice, for NaN
                    line[i] = before if before > after else after  # noqa: FURB136 - as above
                drawn, renewed = renewed, drawn
                if t >= first:
                    middle = 0.5 * (drawn[1 + max(known - 1, 0) // 2] + drawn[1 + known // 2])
                    medians[t] = middle if known >= least else np.nan


@kernel
def true_range(high: Array, low: Array, close: Array, out: Array) -> None:
    """max(high, close an hour ago) - min(low, close an hour ago); NaN where any is unknown (Wilder 1978)."""
    for c in range(close.shape[0]):
        out[c, 0] = np.nan
        for t in range(1, close.shape[1]):
            h, l, before = high[c, t], low[c, t], close[c, t - 1]
            spread = max(h, before) - min(l, before)
            out[c, t] = np.nan if math.isnan(h + l + before) else spread


@kernel
def ratio(numerator: Array, denominator: Array, scale: float, out: Array) -> None:
    """Quotient: numerator / (denominator x scale); NaN where that is not above 0."""
    for c in range(out.shape[0]):
        for t in range(out.shape[1]):
            under = denominator[c, t] * scale
            out[c, t] = numerator[c, t] / (under if under > 0.0 else np.nan)


@kernel
def residual_change(x: Array, base: Array, beta: Array, hours: int, out: Array) -> None:
    """What x (C, H) changed in some hours, less beta (C, H) times what its row of base (k, H), c modulo k, did."""
    for c in range(x.shape[0]):
        out[c, :hours] = np.nan
        for t in range(hours, x.shape[1]):
            moved = base[c % len(base), t] - base[c % len(base), t - hours]
            out[c, t] = x[c, t] - x[c, t - hours] - beta[c, t] * moved
