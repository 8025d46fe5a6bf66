"""Opinions into one expected return.

All opinions speak unit-scale x; each is converted to expected 24 h return, m_o = b_o x_o sigma_i, weighted by regime
and health, and summed. A missing opinion adds 0 and is not renormalised away: what is not known shrinks the book
toward the inverse-volatility base (design section 10, Blend).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from annotated_types import Ge, Le

from evenkeel.signals.strategies import SCORES
from evenkeel.types import Array, BoolArray, Health, Opinion
from evenkeel.units import DAY_S, YEAR_S, Key

PRIOR_STRENGTH = 0.002
"""b0: expected 24 h return per sigma that is believed of an opinion without evidence. Declared, not measured."""

_ROWS_AT_ONCE = 512

Weight = Annotated[float, Ge(0), Le(5)]
Share = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True, slots=True)
class WeightByRegime:
    """An opinion's weight in each regime."""

    trend: Annotated[Weight, Key("weight while the market trends up", "factor")] = 1.0
    chop: Annotated[Weight, Key("weight while it goes sideways", "factor")] = 1.0
    down: Annotated[Weight, Key("weight while it falls", "factor")] = 1.0

    def expected(self, regime: Array) -> Array:
        """(R,) weight under regime probabilities (R, 6), of which the first three are directions."""
        out: Array = self.trend * regime[:, 0] + self.chop * regime[:, 1] + self.down * regime[:, 2]
        return out


@dataclass(frozen=True, slots=True)
class ShareByRegime:
    """Part of the short horizon in the mix, in each regime."""

    trend: Annotated[Share, Key("part of the 6 h forecast while the market trends up", "fraction")] = 0.25
    chop: Annotated[Share, Key("part of the 6 h forecast while it goes sideways", "fraction")] = 0.25
    down: Annotated[Share, Key("part of the 6 h forecast while it falls", "fraction")] = 0.25

    def expected(self, regime: Array) -> Array:
        """(R,) part under regime probabilities (R, 6), of which the first three are directions."""
        out: Array = self.trend * regime[:, 0] + self.chop * regime[:, 1] + self.down * regime[:, 2]
        return out


@dataclass(frozen=True, slots=True)
class OpinionSettings:
    """Which opinions are wanted and how much they weigh. One that is wanted and absent is said to be missing."""

    alpha: Annotated[bool, Key("LightGBM forecasts")] = True
    policy: Annotated[bool, Key("PPO policy")] = True
    edge: Annotated[bool, Key("Kalshi prediction-market edge")] = True
    rule: Annotated[bool, Key("low volatility and 7-day return, only while no alpha is fitted")] = True
    alpha_weight: Annotated[WeightByRegime, Key("weight of alpha")] = WeightByRegime()
    alpha_short: Annotated[ShareByRegime, Key("part of alpha's 6 h forecast; the rest is its 24 h forecast")] = (
        ShareByRegime()
    )
    alpha_in_sample: Annotated[bool, Key("let alpha judge bars it was trained on; every verdict says IN-SAMPLE")] = (
        False
    )
    policy_weight: Annotated[WeightByRegime, Key("weight of the policy")] = WeightByRegime()
    edge_weight: Annotated[WeightByRegime, Key("weight of the edge")] = WeightByRegime()
    rule_weight: Annotated[WeightByRegime, Key("weight of the rule")] = WeightByRegime()
    min_history_days: Annotated[float, Ge(1), Le(3650), Key("history an asset needs before it is opened", "days")] = (
        14.0
    )

    def weight(self, name: str, regime: Array) -> float:
        """Weight of the named opinion under regime probabilities (6,); a strategy's score stands alone, at 1."""
        return float(self.weights(name, regime[None])[0])

    def weights(self, name: str, regime: Array) -> Array:
        """(R,) the same of many rows (R, 6)."""
        if name in SCORES:
            return np.ones(len(regime))
        by_regime: WeightByRegime = getattr(self, f"{name}_weight")
        return by_regime.expected(regime)


def strength(ic: float, t: float, *, prior: float = PRIOR_STRENGTH) -> float:
    """b_o = max(0, b0 + (IC - b0) max(0, 1 - 1/t^2)), and 0 where t < -2.

    ic, t: out-of-sample information coefficient and its t statistic, from a manifest; NaN = no evidence, gives b0.
    prior: b0
    """
    if not (np.isfinite(ic) and np.isfinite(t)) or t == 0:
        return prior
    if t < -2:
        return 0.0
    return max(0.0, prior + (ic - prior) * max(0.0, 1.0 - 1.0 / t**2))


def day_vol(vol: Array) -> Array:
    """24 h volatility of annualised volatility, same shape."""
    return vol * math.sqrt(DAY_S / YEAR_S)


def blend(opinions: Sequence[Opinion], vol: Array, regime: Array, settings: OpinionSettings) -> tuple[Array, Array]:
    """Expected 24 h return m (N,) and score s = m / sigma (N,); 0 = no opinion, never NaN.

    vol (N,) annualised, NaN = unknown (m = s = 0 there) · regime (6,) probabilities.
    """
    one = np.ones(1, dtype=bool)
    said = [Said(o.name, o.x[None], np.array([o.strength]), one) for o in opinions if o.health is Health.OK]
    expected, score = blend_rows(said, vol[None], regime[None], settings)
    return expected[0], score[0]


def joined(
    expected: Array, score: Array, opinion: Opinion, vol: Array, regime: Array, settings: OpinionSettings
) -> tuple[Array, Array]:
    """What opinions came to, (N,) each, and one more that was asked only in the decision: as `blend` of all of them."""
    if not speaks(opinion):
        return expected, score
    known = np.isfinite(vol)
    more = settings.weight(opinion.name, regime) * opinion.strength * np.where(np.isfinite(opinion.x), opinion.x, 0.0)
    score = np.where(known, score + more, 0.0)
    return score * np.where(known, day_vol(vol), 0.0), score


class Said(NamedTuple):
    """One opinion of many rows: x (R, N), NaN = none; strength (R,) of those that are well (R,)."""

    name: str
    x: Array
    strength: Array
    well: BoolArray


def blend_rows(said: Sequence[Said], vol: Array, regime: Array, settings: OpinionSettings) -> tuple[Array, Array]:
    """`blend` of many rows, (R, N) each; vol (R, N), regime (R, 6). A few rows at a time: they stay near."""
    expected, score = np.empty(vol.shape), np.zeros(vol.shape)
    weights = [np.where(one.well, settings.weights(one.name, regime) * one.strength, 0.0) for one in said]
    for start in range(0, len(vol), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        for one, weight in zip(said, weights, strict=True):
            if one.well[rows].any():
                score[rows] += weight[rows, None] * np.where(np.isfinite(one.x[rows]), one.x[rows], 0.0)
        known = np.isfinite(vol[rows])
        score[rows] = np.where(known, score[rows], 0.0)
        expected[rows] = score[rows] * np.where(known, day_vol(vol[rows]), 0.0)
    return expected, score


def heard(said: Sequence[Said], rows: int) -> BoolArray:
    """(R,) whether any opinion that is well says something."""
    out = np.zeros(rows, dtype=bool)
    for one in said:
        out |= one.well & np.isfinite(one.x).any(axis=1)
    return out


def speaks(opinion: Opinion) -> bool:
    """Whether it is well and says something of some asset."""
    return opinion.health is Health.OK and bool(np.count_nonzero(np.isfinite(opinion.x)))


def lost(opinions: Sequence[Opinion]) -> bool:
    """True when opinions are configured and every one of them failed."""
    wanted = [opinion for opinion in opinions if opinion.health is not Health.OFF]
    return bool(wanted) and not any(speaks(opinion) for opinion in wanted)
