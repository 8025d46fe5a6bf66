"""Ranks within a timestamp, the common scale of cross-sectional signals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evenkeel.types import Array, BoolArray

_CHUNK, _LONG = 512, 4096
"""Rows that a thread takes at a time: where a row stands alone, and where those of a window are read again."""


def ranks(x: Array) -> Array:
    """Ranks within each row, in [-0.5, 0.5].

    x (R, N), NaN = left out -> (R, N): (average rank - 1)/(n - 1) - 0.5 over the n known values of the row; NaN where x
    is NaN; 0 where the row has one known value. Ties share their average, so the order of assets does not matter.
    """
    return _by_rows(_ranked, x)


def _by_rows(formula: Callable[[Array], Array], x: Array) -> Array:
    """A formula of each row alone, (R, N) -> (R, N), a few rows at a time: they stay near the processor."""
    if len(x) <= _CHUNK:
        return formula(x)
    from evenkeel.market.compiled import each  # noqa: PLC0415 - loads numba, half a second

    out = np.empty(x.shape)

    def work(start: int) -> None:
        out[start : start + _CHUNK] = formula(x[start : start + _CHUNK])

    each(work, range(0, len(x), _CHUNK))
    return out


def _ranked(x: Array) -> Array:
    known = np.isfinite(x)
    count = known.sum(axis=1, keepdims=True)
    order = np.argsort(x, axis=1)
    ordered = np.take_along_axis(x, order, axis=1)
    place = np.broadcast_to(np.arange(x.shape[1], dtype=np.float64), x.shape)
    same = ordered[:, 1:] == ordered[:, :-1]
    if same.any():
        place = _shared(~same)
    scaled = np.where(count > 1, place / np.maximum(count - 1, 1) - 0.5, 0.0)
    out = np.empty_like(x)
    np.put_along_axis(out, order, scaled, axis=1)
    out[~known] = np.nan
    return out


def _shared(other: BoolArray) -> Array:
    """(R, N) places in order, equals sharing the mean of theirs; other (R, N - 1) = differs from the one before."""
    rows, size = other.shape[0], other.shape[1] + 1
    place, edge = np.arange(size), np.ones((rows, 1), dtype=bool)
    first = np.maximum.accumulate(np.where(np.concatenate([edge, other], axis=1), place, 0), axis=1)
    ends = np.where(np.concatenate([other, edge], axis=1), place, size)
    last = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    return first + 0.5 * (last - first)


def zscores(x: Array, limit: float = 3.0) -> Array:
    """Mean 0 and deviation 1 within each row, clipped to +-limit. x (R, N); NaN stays NaN; constant rows are 0."""
    return _by_rows(lambda rows: _standard(rows, limit), x)


def _standard(x: Array, limit: float) -> Array:
    known = np.isfinite(x)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    filled = np.where(known, x, 0.0)
    mean = filled.sum(axis=1, keepdims=True) / count
    centred = np.where(known, x - mean, 0.0)
    deviation = np.sqrt((centred**2).sum(axis=1, keepdims=True) / count)
    z = np.where(deviation > 0, centred / np.where(deviation > 0, deviation, 1.0), 0.0)
    return np.where(known, np.clip(z, -limit, limit), np.nan)


def smooth(x: Array, half_life: float, window: int) -> Array:
    """Exponentially weighted mean over the last `window` rows, (R, N); NaN rows weigh nothing, NaN only where x is NaN.

    half_life  in rows. The window is finite, so that a row depends on nothing older (law 2), and rows are added in a
    fixed order, newest first, so that a row has the same bits wherever the array begins at least `window` rows earlier.
    """
    from evenkeel.market.compiled import each  # noqa: PLC0415 - loads numba, half a second
    from evenkeel.signals.means import trailing  # noqa: PLC0415

    factor = np.array([0.5 ** (lag / half_life) for lag in range(window)])
    out = np.empty(x.shape)

    def work(start: int) -> None:
        lead = max(0, start - window)
        part = x[lead : start + _LONG]
        known = np.isfinite(part)
        out[start : start + _LONG] = trailing(np.where(known, part, 0.0), known, factor)[start - lead :]

    each(work, range(0, len(x), _LONG))
    return out
