"""Windows over time, on many independent hourly series at once.

Every kernel takes (H, C): H hours, C independent columns; row t of the result reads rows <= t only, in an order fixed
by t alone, so that it has the same bits whether the series ends at t or later. The law behind that, and behind the
window law: **every window is finite**, exponential ones too (they are cut where TAIL of their weight is left), and
sums never subtract what has left the window (prefix and suffix sums in blocks of one window: van Herk 1992, Gil &
Werman 1993).
So a window of zeros sums to exactly 0, an outlier or a gap is forgotten completely, and no error accumulates.

NaN = unknown. A window is known where at least COVERAGE of its weight lies on known values. Division by zero is NaN.
"""

from __future__ import annotations

import math

import numpy as np

from evenkeel.types import Array, BoolArray

COVERAGE = 0.75
"""Least share of a window's weight that must lie on known values."""

TAIL = 1e-6
"""Share of an exponential window's weight that is cut off."""

FLAT = 1e-12
"""A variance below this share of the mean square is rounding noise: the series does not vary."""

_ROUNDING = 1e-9
_NARROW = 2_000
"""Values in one row of all blocks below which one call for all rows beats a call for each; the bits are the same."""

_ROWS_AT_ONCE = 128
"""So that what is sorted stays in the cache."""


def decay_of(*, half_life: float | None = None, span: float | None = None, wilder: float | None = None) -> float:
    """Weight of a value one hour old against a new one: 2^(-1/half_life), 1 - 2/(span + 1) or 1 - 1/wilder (hours)."""
    if half_life is not None:
        return float(0.5 ** (1.0 / half_life))
    if span is not None:
        return 1.0 - 2.0 / (span + 1.0)
    if wilder is not None:
        return 1.0 - 1.0 / wilder
    raise ValueError("give half_life, span or wilder, in hours")


def window_of(decay: float) -> int:
    """Hours after which an exponential window is cut: ln(1/TAIL) / -ln(decay)."""
    return math.ceil(math.log(1.0 / TAIL) / -math.log(decay))


def fold(x: Array, phases: int, fill: float = math.nan) -> Array:
    """(L, n) -> (ceil(L / k), k n): column phase x n + asset; the last hour is filled up."""
    hours = -(-len(x) // phases)
    if hours * phases == len(x):
        return x.reshape(hours, phases * x.shape[1])
    padded = np.empty((hours * phases, x.shape[1]))
    padded[: len(x)], padded[len(x) :] = x, fill
    return padded.reshape(hours, phases * x.shape[1])


def lag(x: Array, hours: int) -> Array:
    """(H, C) value `hours` earlier; NaN where there is none."""
    out = np.full_like(x, np.nan)
    if hours < len(x):
        out[hours:] = x[: len(x) - hours]
    return out


def ratio(numerator: Array, denominator: Array) -> Array:
    """Quotient; NaN where the denominator is not above 0."""
    return numerator / np.where(denominator > 0, denominator, np.nan)


def log(x: Array) -> Array:
    """Natural logarithm; NaN where x is not above 0."""
    out: Array = np.log(np.where(x > 0, x, np.nan))
    return out


def window_sum(x: Array, window: int, decay: float = 1.0) -> Array:
    """Sum of the last `window` values, the one j hours old weighing decay^j; rows before the first count as 0.

    x  (H, C) without NaN -> (H, C)
    """
    prefix = _blocks(x, window, 0.0)
    if decay == 1.0 and len(prefix) * x.shape[1] < _NARROW:
        older = np.cumsum(prefix[:-1, :0:-1], axis=1)[:, ::-1]
        np.cumsum(prefix, axis=1, out=prefix)
        prefix[1:, :-1] += older
        return _unblocked(prefix, x)
    weight = decay ** np.arange(window + 1)
    suffix = prefix[:-1].copy()
    for j in range(1, window):
        prefix[:, j] += prefix[:, j - 1] if decay == 1.0 else decay * prefix[:, j - 1]
    for j in range(window - 2, -1, -1):
        if decay != 1.0:
            suffix[:, j] *= weight[window - 1 - j]
        suffix[:, j] += suffix[:, j + 1]
    older = suffix[:, 1:] if decay == 1.0 else suffix[:, 1:] * weight[1:window, None]
    prefix[1:, :-1] += older
    return _unblocked(prefix, x)


def window_max(x: Array, window: int) -> Array:
    """(H, C) largest known value of the last `window`; NaN = too few known."""
    known = np.isfinite(x)
    prefix = _blocks(np.where(known, x, -np.inf), window, -np.inf)
    suffix = prefix[:-1].copy()
    for j in range(1, window):
        np.maximum(prefix[:, j], prefix[:, j - 1], out=prefix[:, j])
    for j in range(window - 2, -1, -1):
        np.maximum(suffix[:, j], suffix[:, j + 1], out=suffix[:, j])
    np.maximum(prefix[1:, :-1], suffix[:, 1:], out=prefix[1:, :-1])
    return np.where(_covered(_weight(known, window), window), _unblocked(prefix, x), np.nan)


def window_mean(x: Array, window: int, decay: float = 1.0) -> Array:
    """(H, C) weighted mean of the known values of the last `window`, the one j hours old weighing decay^j."""
    known = np.isfinite(x)
    weight = _weight(known, window, decay)
    total = window_sum(np.where(known, x, 0.0), window, decay)
    total /= np.where(_covered(weight, window, decay), weight, np.nan)
    return total


def ewm(x: Array, decay: float) -> Array:
    """(H, C) exponentially weighted mean over `window_of(decay)` hours; hours without a value have no weight."""
    return window_mean(x, window_of(decay), decay)


def zscore(x: Array, window: int) -> Array:
    """(H, C) (x - mean) / sd over the last `window` (population sd); NaN where the window does not vary."""
    mean = window_mean(x, window)
    square = window_mean(x * x, window)
    variance = square - mean * mean
    return (x - mean) / np.sqrt(np.where(variance > FLAT * square, variance, np.nan))


def band_position(x: Array, window: int, first: int = 0) -> Array:
    """(H, C) place of x in its Bollinger band, (x - (m - 2s)) / (4s): 0 = lower band, 1 = upper; NaN where s is 0.

    first  rows before it are not wanted and come back NaN

    Deviations are taken from the latest value, so equal values give exactly s = 0, and n s^2 >= mean square
    (that value's own deviation is 0): no cancellation.
    """
    start = max(0, first - window + 1)
    out = np.full_like(x, np.nan)
    out[first:] = _band_position(x[start:], window)[first - start :]
    return out


def _band_position(x: Array, window: int) -> Array:
    count, total, squares = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    for hours in range(min(window, len(x))):
        deviation = x[: len(x) - hours] - x[hours:]
        known = np.isfinite(deviation)
        deviation[~known] = 0.0
        count[hours:] += known
        total[hours:] += deviation
        deviation *= deviation
        squares[hours:] += deviation
    n = np.where(_covered(count, window), count, np.nan)
    mean = total / n
    sd = np.sqrt(squares / n - mean * mean)
    return 0.5 - ratio(mean, 4.0 * sd)


def relative_strength(x: Array, wilder: float) -> Array:
    """(H, C) Wilder's RSI as a fraction in [0, 1]; NaN where nothing moved in the whole window."""
    move = x - lag(x, 1)
    decay = decay_of(wilder=wilder)
    return ratio(ewm(np.maximum(move, 0.0), decay), ewm(np.abs(move), decay))


def true_range(high: Array, low: Array, close: Array) -> Array:
    """(H, C) max(high, close an hour ago) - min(low, close an hour ago); NaN where any is unknown (Wilder 1978)."""
    before = lag(close, 1)
    spread: Array = np.maximum(high, before) - np.minimum(low, before)
    return spread


def regression(y: Array, x: Array, window: int) -> tuple[Array, Array]:
    """Least squares of y on x with an intercept over the last `window` hours in which both are known.

    y, x  (H, C) -> slope (H, C) and population sd of the residual (H, C), unit of y; NaN where x does not vary
    """
    known = np.isfinite(x) & np.isfinite(y)
    weight = _weight(known, window)
    n = np.where(_covered(weight, window), weight, np.nan)
    x, y = np.where(known, x, 0.0), np.where(known, y, 0.0)
    mean_x, mean_y = window_sum(x, window) / n, window_sum(y, window) / n
    square_x = window_sum(x * x, window) / n
    variance_x = square_x - mean_x * mean_x
    variance_y = window_sum(y * y, window) / n - mean_y * mean_y
    covariance = window_sum(x * y, window) / n - mean_x * mean_y
    slope = covariance / np.where(variance_x > FLAT * square_x, variance_x, np.nan)
    return slope, np.sqrt(np.maximum(variance_y - slope * covariance, 0.0))


def strided_median(x: Array, stride: int, count: int, first: int = 0) -> Array:
    """(H, C) median of the known among x(t), x(t - stride), ..., `count` of them; NaN = too few known.

    first  rows before it are not wanted and come back NaN
    """
    out = np.full_like(x, np.nan)
    for start in range(first, len(x), _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, len(x))
        drawn = np.full((stop - start, x.shape[1], count), np.nan)
        for i in range(count):
            top = max(start, i * stride)
            if top < stop:
                drawn[top - start :, :, i] = x[top - i * stride : stop - i * stride]
        out[start:stop] = _median(drawn)
    return out


def _median(drawn: Array) -> Array:
    known = np.isfinite(drawn).sum(axis=-1)
    drawn.sort(axis=-1)  # NaN last
    lower = np.take_along_axis(drawn, np.maximum(known - 1, 0)[..., None] // 2, axis=-1)[..., 0]
    upper = np.take_along_axis(drawn, (known // 2)[..., None] % drawn.shape[-1], axis=-1)[..., 0]
    return np.where(known >= COVERAGE * drawn.shape[-1], 0.5 * (lower + upper), np.nan)


def _blocks(x: Array, window: int, fill: float) -> Array:
    count = -(-len(x) // window)
    padded = np.empty((count * window, x.shape[1]))
    padded[: len(x)], padded[len(x) :] = x, fill
    return padded.reshape(count, window, x.shape[1])


def _unblocked(blocks: Array, like: Array) -> Array:
    return blocks.reshape(-1, like.shape[1])[: len(like)]


def _weight(known: BoolArray, window: int, decay: float = 1.0) -> Array:
    """(H, C) weight of the known values of each window; (H, 1) where all columns know the same rows."""
    alike = (known == known[:, :1]).all()
    return window_sum((known[:, :1] if alike else known).astype(np.float64), window, decay)


def _covered(weight: Array, window: int, decay: float = 1.0) -> BoolArray:
    whole = float(window) if decay == 1.0 else (1.0 - decay**window) / (1.0 - decay)
    covered: BoolArray = weight >= whole * (COVERAGE - _ROUNDING)
    return covered
