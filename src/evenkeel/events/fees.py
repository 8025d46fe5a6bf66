"""What does the venue take? Count, price and the series' terms -> USD, to the cent.

Taker: 0.07 C P (1 - P) x multiplier. Maker: 0.0175 C P (1 - P) where the series charges makers, else 0. Rounded up to
the cent for every fill. No fee at settlement. Source: Kalshi's fee schedule, specs/kalshi.md section 9.

The law: a fee is never understated. Where two documented roundings differ (prices below the cent, fractional counts)
the dearer counts, and terms that are not known give no fee but None or NaN, from which no stake can be computed.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Decimal
from typing import Final

import numpy as np

from evenkeel.types import Array, Contract

TAKER: Final = Decimal("0.07")
MAKER: Final = Decimal("0.0175")
CENT: Final = Decimal("0.01")
_FINE: Final = Decimal("0.0001")
_FREE_MAKER: Final = "quadratic"
_PAID_MAKER: Final = "quadratic_with_maker_fees"


def rate(contract: Contract, *, maker: bool = False) -> Decimal | None:
    """What multiplies C P (1 - P), a fraction of USD; None for terms that are unknown (`flat` has no known formula).

    A multiplier below 1 is documented for takers only: makers are not given it.
    """
    kind, multiplier = contract.fee_type, contract.fee_multiplier
    if multiplier is None or not multiplier.is_finite() or multiplier < 0 or kind not in (_FREE_MAKER, _PAID_MAKER):
        return None
    if maker:
        return MAKER * max(multiplier, Decimal(1)) if kind == _PAID_MAKER else Decimal(0)
    return TAKER * multiplier


def fee(count: Decimal, price: Decimal, rate_: Decimal, *, selling: bool = False) -> Decimal:
    """Fee of one fill, USD >= 0.

    count  contracts > 0 · price  USD paid or received for one, of the outcome that is traded · rate_  of `rate`

    The dearer of: the fee rounded up to the cent; the fee rounded up to 0.0001 USD and then the change of the balance
    rounded down to the cent. They are the same wherever count x price is whole cents.
    """
    raw, value = rate_ * count * price * (1 - price), count * price * (-1 if selling else 1)
    leaves = (value + raw.quantize(_FINE, ROUND_CEILING)).quantize(CENT, ROUND_CEILING)
    return max(raw.quantize(CENT, ROUND_CEILING), leaves - value)


def rates(contracts: tuple[Contract, ...], *, maker: bool = False) -> Array:
    """(M,) `rate` as floats; NaN where the terms are unknown."""
    terms = {(c.fee_type, c.fee_multiplier): c for c in contracts}
    known = {key: rate(c, maker=maker) for key, c in terms.items()}
    of = {key: math.nan if value is None else float(value) for key, value in known.items()}
    return np.array([of[c.fee_type, c.fee_multiplier] for c in contracts], dtype=np.float64)


def fees(count: Array, price: Array, rates_: Array) -> Array:
    """`fee` of purchases as arrays, USD; 0 for no contracts, NaN where price or rate is unknown.

    count, price, rates_  broadcast; counts of 0.01, prices with at most four decimals
    """
    raw, value = rates_ * count * price * (1 - price), count * price
    leaves = _up(value + _up(raw, 1e4), 1e2)
    return np.maximum(_up(raw, 1e2), leaves - value)


def _up(value: Array, per_usd: float) -> Array:
    """Rounded up to a whole number of 1 / per_usd; float noise below a billionth of it is not rounded up."""
    rounded: Array = np.ceil(np.round(value * per_usd, 8)) / per_usd
    return rounded
