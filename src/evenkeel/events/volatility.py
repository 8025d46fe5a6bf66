"""How much does the underlying move? Prices seen so far -> its volatility per square root of a second, with its error.

Our own realised estimate, never the one that quotes imply: a model that learns its width from the market agrees with
the market by construction. Prices may come at irregular times: sum of squared log returns over sum of time (realised
variance: Andersen & Bollerslev 1998), with weights that halve every `half_life_s`.

The law: nothing after `now` is read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evenkeel.types import Array, IntArray
from evenkeel.units import HOUR_S

LEAST = 8
"""Returns that make an estimate; fewer are none."""


@dataclass(frozen=True, slots=True)
class Volatility:
    """sigma: std of log returns per sqrt(s), NaN = unknown · error: its standard error, the same unit."""

    sigma: float
    error: float


UNKNOWN = Volatility(math.nan, math.nan)


def realised(
    time: IntArray, price: Array, now: int, *, half_life_s: float = 24 * HOUR_S, longest_s: int = 2 * HOUR_S
) -> Volatility:
    """Volatility of the prices up to `now`; unknown with fewer than LEAST returns, or where they never moved.

    time   (T,) UTC s, ascending · price (T,) USD; NaN or <= 0 = none seen
    longest_s  returns over a longer gap are left out: nobody saw what happened in it

    sigma^2 = sum w r^2 / sum w dt; its variance is sum w^2 (r^2 - sigma^2 dt)^2 / (sum w dt)^2, which fat tails raise.
    """
    seen = (time <= now) & (price > 0) & np.isfinite(price)
    at, log = time[seen].astype(np.float64), np.log(price[seen])
    gap, squared = np.diff(at), np.diff(log) ** 2
    used = (gap > 0) & (gap <= longest_s)
    gap, squared, age = gap[used], squared[used], now - at[1:][used]
    if len(gap) < LEAST or not squared.any():
        return UNKNOWN
    weight = 0.5 ** (age / half_life_s)
    whole = float(weight @ gap)
    variance = float(weight @ squared) / whole
    error = math.sqrt(float(np.sum((weight * (squared - variance * gap)) ** 2))) / whole
    return Volatility(math.sqrt(variance), error / (2 * math.sqrt(variance)))
