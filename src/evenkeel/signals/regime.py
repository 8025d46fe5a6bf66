"""Which weather the market is in: trend, chop or down, and how volatile.

Market features in, probabilities out, from fixed formulas on breadth and on BTC's risk-adjusted week. The label, with
dwell, is a step that `decide` takes; its state lives in Memory. NaN features give the uniform distribution.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from evenkeel.types import Array, Regime
from evenkeel.units import HOUR_S, YEAR_S, Key

LABELS = ("trend", "chop", "down")
VOL_LABELS = ("vol_low", "vol_mid", "vol_high")
WEEK_IN_YEARS = 168 * HOUR_S / YEAR_S


@dataclass(frozen=True, slots=True)
class RegimeSettings:
    """Shape of the regime probabilities and of the label's inertia."""

    sharpness: Annotated[float, Gt(0), Le(20), Key("how quickly probabilities turn with the market", "1")] = 1.5
    chop_bias: Annotated[float, Ge(-5), Le(5), Key("logit that sideways gets in advance", "1")] = 0.75
    vol_low: Annotated[float, Gt(0), Le(5), Key("BTC volatility below which it counts as low", "annualised")] = 0.35
    vol_high: Annotated[float, Gt(0), Le(5), Key("BTC volatility above which it counts as high", "annualised")] = 0.70
    dwell: Annotated[
        int, Ge(1), Le(500), Key("trading slots that a new label must lead before it is taken", "slots")
    ] = 6


def probabilities(breadth: Array, btc_r168: Array, btc_vol: Array, settings: RegimeSettings) -> Array:
    """(R, 6): trend, chop, down (sum 1), then vol_low, vol_mid, vol_high (sum 1).

    breadth (R,) share of assets above their 72 h mean, in [0, 1] · btc_r168 (R,) log return · btc_vol (R,) annualised.
    u = (clip(r/(vol sqrt(week)), -3, 3)/1.5 + 1.5 (2 breadth - 1))/2; logits (2u, bias, -2u) x sharpness.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        week = np.clip(btc_r168 / (btc_vol * np.sqrt(WEEK_IN_YEARS)), -3.0, 3.0)
    u = (week / 1.5 + 1.5 * (2.0 * breadth - 1.0)) / 2.0
    direction = _softmax(
        np.stack([2.0 * u, np.full_like(u, settings.chop_bias), -2.0 * u], axis=1) * settings.sharpness
    )
    width = np.log(settings.vol_high / settings.vol_low) / 4.0
    with np.errstate(invalid="ignore", divide="ignore"):
        low = _logistic((np.log(settings.vol_low) - np.log(btc_vol)) / width)
        high = _logistic((np.log(btc_vol) - np.log(settings.vol_high)) / width)
    vol = np.stack([low, np.maximum(0.0, 1.0 - low - high), high], axis=1)
    vol = vol / vol.sum(axis=1, keepdims=True)
    both = np.concatenate([direction, vol], axis=1)
    return np.where(np.isfinite(both), both, 1.0 / 3.0)


def step(regime: Regime, row: Array, time: int, settings: RegimeSettings) -> Regime:
    """The label after one trading slot: a challenger must lead `dwell` slots in a row; a tie keeps the label.

    row  (6,) probabilities; uniform where the market is unknown
    """
    likely = dict(zip(LABELS, row.tolist(), strict=False))
    most = max(likely.values())
    if likely[regime.label] == most:
        return replace(regime, challenger="", streak=0) if regime.challenger or regime.streak else regime
    leader = next(label for label in LABELS if likely[label] == most)
    streak = regime.streak + 1 if leader == regime.challenger else 1
    if streak >= settings.dwell:
        return Regime(label=leader, since=time)
    return replace(regime, challenger=leader, streak=streak)


def _softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    out: Array = shifted / shifted.sum(axis=1, keepdims=True)
    return out


def _logistic(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -40.0, 40.0)))
