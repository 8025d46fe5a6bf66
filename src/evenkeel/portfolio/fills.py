"""What the paper venue does to one order, for thousands of orders in one numpy operation.

The policy trains on many small books at once; these are the lots, prices and fees that its orders meet. The law: each
equals what `portfolio.orders` and `venues.sim` do in Decimal, to the last bit of a float.
"""

from __future__ import annotations

import numpy as np

from evenkeel.portfolio.costs import BPS, CostSettings, slippage
from evenkeel.types import Array, IntArray

CENT = 1e8
"""Fees are rounded up to 1e-8 USD."""


def lots(units: Array, scale: Array) -> Array:
    """Units rounded toward zero to whole lots of 1/scale; scale is 10^decimals. As `units.floor_to`."""
    size = np.abs(units)
    whole = np.rint(size * scale)
    whole -= whole / scale > size
    rounded: Array = np.copysign(whole / scale, units)
    return rounded


def taker_price(start: Array, units: Array, volume: Array, tier: IntArray, scale: Array, costs: CostSettings) -> Array:
    """USD per unit that a market order gets: worse than `start` by slippage, rounded against us to 1/scale.

    start  first price after the decision, or the stop's level if that is lower, USD · units signed, + buys
    volume  USD a day, NaN = unknown
    """
    slip = slippage(np.abs(units) * start, volume, tier, costs)
    buys = units > 0
    worse = np.where(buys, start * (1.0 + slip), start * (1.0 - slip))
    ticks = np.rint(worse * scale)
    up = buys & (ticks / scale < worse)
    down = ~buys & (ticks / scale > worse)
    price: Array = (ticks + up - down) / scale
    return price


def fee(notional: Array, costs: CostSettings) -> Array:
    """Taker fee in USD, rounded up to 1e-8."""
    owed = notional * (costs.taker * BPS)
    cents = np.rint(owed * CENT)
    charged: Array = (cents + (cents / CENT < owed)) / CENT
    return charged
