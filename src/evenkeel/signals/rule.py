"""The `rule` opinion: low volatility and 7-day return, standing in, visibly, where no alpha is fitted."""

from __future__ import annotations

from evenkeel.signals.rank import ranks, smooth, zscores
from evenkeel.types import Array
from evenkeel.units import HOUR_S

VERSION = "rule-2"
HALF_LIFE_H = 24
WINDOW_H = 96


def rule(vol: Array, r_168: Array, bar_s: int) -> Array:
    """Z within the timestamp of rank(-vol) + rank(7-day return), smoothed; (R, N) in [-3, 3], NaN = unknown.

    Smoothed over 96 h with a half-life of 24 h, because ranks near the middle change places with every bar. A declared
    prior, not evidence (design section 10): its strength is b0.
    """
    per_hour = HOUR_S / bar_s
    return zscores(smooth(ranks(-vol) + ranks(r_168), HALF_LIFE_H * per_hour, round(WINDOW_H * per_hour)))
