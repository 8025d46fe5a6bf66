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
    out = np.full_like(x, np.nan)
    for start in range(0, len(x), _CHUNK):
        part = x[start : start + _CHUNK]
        with np.errstate(invalid="ignore"):
            less = (part[:, None, :] < part[:, :, None]).sum(axis=2)
            same = (part[:, None, :] == part[:, :, None]).sum(axis=2)
        known = np.isfinite(part)
        count = known.sum(axis=1, keepdims=True)
        place = less + 0.5 * (same - 1)
        scaled = np.where(count > 1, place / np.maximum(count - 1, 1) - 0.5, 0.0)
        out[start : start + _CHUNK] = np.where(known, scaled, np.nan)
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
    known = np.isfinite(x)
    filled = np.where(known, x, 0.0)
    total, weight = np.zeros_like(x), np.zeros_like(x)
    for lag in range(min(window, len(x))):
        factor = 0.5 ** (lag / half_life)
        total[lag:] += factor * filled[: len(x) - lag]
        weight[lag:] += factor * known[: len(x) - lag]
    return np.where(known, total / np.where(weight > 0, weight, 1.0), np.nan)
