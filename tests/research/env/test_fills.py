"""Lots, prices and fees of many orders at once are those of the venue, in Decimal."""

from decimal import ROUND_CEILING, Decimal

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from evenkeel.portfolio import fills
from evenkeel.portfolio.costs import BPS, CostSettings
from evenkeel.types import Order, Pair
from evenkeel.units import floor_to
from evenkeel.venues.sim import fill_price

COSTS = CostSettings()
amounts = st.floats(1e-8, 1e7, allow_subnormal=False)


@given(units=amounts, sign=st.sampled_from([1, -1]), decimals=st.integers(0, 8))
@example(units=0.29, sign=1, decimals=2)
@example(units=0.57, sign=-1, decimals=2)
@example(units=1.1, sign=1, decimals=1)
def test_lots_are_floored_as_decimals_are(units, sign, decimals):
    found = fills.lots(np.array([sign * units]), np.array([10.0**decimals]))[0]
    assert found == float(floor_to(Decimal(repr(sign * units)), decimals))


@given(
    start=st.floats(1e-6, 1e6),
    worth=st.floats(1, 1e6),
    sign=st.sampled_from([1, -1]),
    volume=st.one_of(st.just(float("nan")), st.just(0.0), st.floats(1e3, 1e10)),
    tier=st.integers(1, 3),
    decimals=st.integers(0, 8),
)
def test_a_taker_pays_what_the_paper_venue_asks(start, worth, sign, volume, tier, decimals):
    pair = Pair("X", "X/USD", tier, decimals, 8, Decimal(1))
    units = sign * worth / start
    order = Order("id", "slot", 0, "X", Decimal(repr(units)), "TARGET")
    one = [np.array([x]) for x in (start, units, volume)]
    found = fills.taker_price(*one, np.array([tier]), np.array([10.0**decimals]), COSTS)[0]
    assert found == float(fill_price(order, start, volume, pair, COSTS))


@given(notional=st.floats(1e-2, 1e6))
def test_a_fee_is_rounded_up_to_the_venues_last_digit(notional):
    owed = notional * COSTS.taker * BPS
    exact = Decimal(repr(owed)).quantize(Decimal("1e-8"), rounding=ROUND_CEILING)
    assert abs(fills.fee(np.array([notional]), COSTS)[0] - float(exact)) <= 1.0000001e-8
