"""Ranks within a timestamp, the common scale of cross-sectional signals."""

from __future__ import annotations

import numpy as np

from evenkeel.types import Array

_CHUNK = 512


def ranks(x: Array) -> Array:
    """Ranks within each row, in [-0.5, 0.5].

    x (R, N), NaN = left out -> (R, N): (average rank - 1)/(n - 1) - 0.5 over the n known values of the row; NaN where x
    is NaN; 0 where the row has one known value. Ties share their average, so the order of assets does not matter.
    """
    known = np.isfinite(x)
    count = known.sum(axis=1, keepdims=True)
    order = np.argsort(x, axis=1, kind="stable")
    ordered = np.take_along_axis(x, order, axis=1)
    place = np.arange(x.shape[1])
    new = np.ones(x.shape, dtype=bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.maximum.accumulate(np.where(new, place, 0), axis=1)
    ends = np.ones(x.shape, dtype=bool)
    ends[:, :-1] = new[:, 1:]
    last = np.minimum.accumulate(np.where(ends, place, x.shape[1])[:, ::-1], axis=1)[:, ::-1]
    scaled = np.where(count > 1, (first + 0.5 * (last - first)) / np.maximum(count - 1, 1) - 0.5, 0.0)
    out = np.empty_like(x)
    np.put_along_axis(out, order, scaled, axis=1)
    out[~known] = np.nan
    return out


def zscores(x: Array, limit: float = 3.0) -> Array:
    """Mean 0 and deviation 1 within each row, clipped to +-limit. x (R, N); NaN stays NaN; constant rows are 0."""
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
    out = np.empty_like(x)
    for start in range(0, len(x), _CHUNK):
        begin = max(0, start - window + 1)
        out[start : start + _CHUNK] = _smoothed(x[begin : start + _CHUNK], half_life, window)[start - begin :]
    return out


def _smoothed(x: Array, half_life: float, window: int) -> Array:
    known = np.isfinite(x)
    filled, there = np.where(known, x, 0.0), known.astype(np.float64)
    total, weight, part = np.zeros_like(x), np.zeros_like(x), np.empty_like(x)
    for lag in range(min(window, len(x))):
        factor, older = 0.5 ** (lag / half_life), slice(0, len(x) - lag)
        total[lag:] += np.multiply(filled[older], factor, out=part[older])
        weight[lag:] += np.multiply(there[older], factor, out=part[older])
    return np.where(known, total / np.where(weight > 0, weight, 1.0), np.nan)
