"""What trading costs: fees, half the spread and square-root impact, by tier.

One model for the planner's expectation and for the paper venue's fills. All costs are fractions of notional.
Impact follows the square-root law (Almgren et al. 2005; Toth et al. 2011): I = c sqrt(notional / daily volume).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from evenkeel.types import Array, IntArray, frozen
from evenkeel.units import Key

Bps = Annotated[float, Ge(0), Le(1_000)]
BPS = 1e-4


@dataclass(frozen=True, slots=True)
class BpsByTier:
    """A cost in basis points for each tier."""

    tier1: Annotated[Bps, Key("tier 1", "bps")]
    tier2: Annotated[Bps, Key("tier 2", "bps")]
    tier3: Annotated[Bps, Key("tier 3", "bps")]

    def of(self, tier: IntArray) -> Array:
        """Fraction of notional for each asset, (N,)."""
        fractions: Array = _by_tier(self)[tier]
        return fractions

    def one(self, tier: int) -> float:
        """Fraction of notional of one tier."""
        return (self.tier1, self.tier2, self.tier3)[tier - 1] * BPS


@lru_cache(maxsize=64)
def _by_tier(cost: BpsByTier) -> Array:
    """(4,) fraction of notional of a tier at its own number; there is no tier 0."""
    return frozen(np.array([np.nan, cost.tier1, cost.tier2, cost.tier3]) * BPS)


@dataclass(frozen=True, slots=True)
class CostSettings:
    """The paper venue's prices, and what the planner expects of any venue."""

    taker: Annotated[Bps, Key("fee of an order that crosses the spread", "bps")] = 10.0
    maker: Annotated[Bps, Key("fee of a resting order", "bps")] = 5.0
    half_spread: Annotated[BpsByTier, Key("half the bid-ask spread")] = BpsByTier(1.0, 3.0, 8.0)
    impact: Annotated[BpsByTier, Key("impact of an order as large as a day's volume")] = BpsByTier(150.0, 300.0, 600.0)


def slippage(notional: Array, volume: Array, tier: IntArray, settings: CostSettings) -> Array:
    """Distance of a taker's price from mid, fraction >= 0, (N,): half spread + c sqrt(notional / volume).

    notional (N,) USD >= 0 · volume (N,) USD traded a day; NaN or 0 = unknown, taken as 100 times the notional,
    the worst that the liquidity cap lets through.
    """
    known = np.isfinite(volume) & (volume > 0)
    share = np.where(known, notional / np.where(known, volume, 1.0), 0.01)
    return settings.half_spread.of(tier) + settings.impact.of(tier) * np.sqrt(share)


def slippage_of(notional: float, volume: float, tier: int, settings: CostSettings) -> float:
    """`slippage` of one order, to the same bits, without making arrays of it."""
    share = notional / volume if 0 < volume < math.inf else 0.01
    return settings.half_spread.one(tier) + settings.impact.one(tier) * math.sqrt(share)


def round_trip(notional: float, volume: float, tier: int, settings: CostSettings) -> float:
    """Cost of buying and later selling, fraction of notional."""
    return 2.0 * (settings.taker * BPS + slippage_of(notional, volume, tier, settings))
