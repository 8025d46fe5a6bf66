"""Windows over time: what they are; the machine code that adds them up is in `windows`.

A window reads rows <= t only, in an order fixed by t alone, so that it has the same bits whether the series ends at t
or later. The law behind that, and behind the window law: **every window is finite**, exponential ones too (they are
cut where TAIL of their weight is left), and sums never subtract what has left the window (prefix and suffix sums in
blocks of one window: van Herk 1992, Gil & Werman 1993). So a window of zeros sums to exactly 0, an outlier or a gap is
forgotten completely, and no error accumulates.

NaN = unknown. A window is known where at least COVERAGE of its weight lies on known values. Division by zero is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from evenkeel.types import Array, frozen

COVERAGE = 0.75
"""Least share of a window's weight that must lie on known values."""

TAIL = 1e-6
"""Share of an exponential window's weight that is cut off."""

FLAT = 1e-12
"""A variance below this share of the mean square is rounding noise: the series does not vary."""

_ROUNDING = 1e-9
_COLUMNS_AT_ONCE = 16


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


VOL_DECAY = decay_of(half_life=48)
"""Of volatility."""

BETA_H = 336
"""Of what is measured against the benchmark."""


@lru_cache(maxsize=64)
def window_weights(window: int, decay: float = 1.0) -> tuple[Array, float]:
    """(window + 1,) weight decay^j of a value j hours old, and the least known weight that makes a window known."""
    whole = float(window) if decay == 1.0 else (1.0 - decay**window) / (1.0 - decay)
    return frozen(np.power(decay, np.arange(window + 1.0))), whole * (COVERAGE - _ROUNDING)


def fold(x: Array, phases: int) -> Array:
    """(L, n) -> (ceil(L / k), k n): column phase x n + asset; the last hour is filled up with NaN."""
    hours = -(-len(x) // phases)
    if hours * phases == len(x):
        return x.reshape(hours, phases * x.shape[1])
    padded = np.empty((hours * phases, x.shape[1]))
    padded[: len(x)], padded[len(x) :] = x, np.nan
    return padded.reshape(hours, phases * x.shape[1])


def lag(x: Array, hours: int) -> Array:
    """(H, C) value `hours` earlier; NaN where there is none."""
    out = np.full_like(x, np.nan)
    if hours < len(x):
        out[hours:] = x[: len(x) - hours]
    return out


def window_sum(x: Array, window: int, decay: float = 1.0) -> Array:
    """Sum of the last `window` values, the one j hours old weighing decay^j; rows before the first count as 0.

    x  (H, C) without NaN -> (H, C)
    """
    from evenkeel.market import windows  # noqa: PLC0415 - loads numba, half a second

    weight, _ = window_weights(window, decay)
    return _by_columns(x, lambda columns: windows.total(columns, weight, columns))


def window_mean(x: Array, window: int, decay: float = 1.0) -> Array:
    """Mean of the known among the last `window` values, weighed alike; NaN where the latest is not known.

    x  (H, C), NaN = unknown -> (H, C)
    """
    from evenkeel.market import windows  # noqa: PLC0415 - loads numba, half a second

    weight, _ = window_weights(window, decay)

    def mean(columns: Array) -> None:
        unknown = ~np.isfinite(columns)
        windows.mean(columns, weight, 1.0, 0, columns)
        columns[unknown] = np.nan

    return _by_columns(x, mean)


def _by_columns(x: Array, change: Callable[[Array], object]) -> Array:
    """X (H, C) after a change of some columns at a time, which it gets as (c, H), each side by side in memory."""
    from evenkeel.market.compiled import each  # noqa: PLC0415 - loads numba, half a second

    out = np.empty(x.shape)

    def work(start: int) -> None:
        columns = np.array(x[:, start : start + _COLUMNS_AT_ONCE].T, dtype=np.float64, order="C")
        change(columns)
        out[:, start : start + _COLUMNS_AT_ONCE] = columns.T

    each(work, range(0, x.shape[1], _COLUMNS_AT_ONCE))
    return out
