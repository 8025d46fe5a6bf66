"""What moved: hourly returns, and their variance over 30 days, which the portfolio's volatility is made of."""

from __future__ import annotations

import numpy as np

from evenkeel.market.kernels import fold, lag, window_mean
from evenkeel.types import Array
from evenkeel.units import HOUR_S, YEAR_S

COVARIANCE_H = 720


def moves(logs: Array, hour: int) -> tuple[Array, Array]:
    """Hourly returns of log prices and their variance over 30 days: (T, N) each, see `View`.

    logs  (T, N) of carried prices: once known, known ever after; NaN before, and so is the variance · hour  in bars
    """
    moved = lag(logs, hour)
    np.subtract(logs, moved, out=moved)
    variance = window_mean(fold(moved * moved, hour), COVARIANCE_H)
    variance *= YEAR_S / HOUR_S
    moved[~np.isfinite(moved)] = 0.0
    return moved, variance.reshape(-1, logs.shape[1])[: len(logs)]


def own(variance: Array, vol: Array) -> Array:
    """(R, N) variance, that of `vol` where there is none, 0 where there is neither: such an asset cannot be held."""
    return np.where(np.isfinite(variance), variance, np.nan_to_num(vol) ** 2)
