"""Fees, spread and the square-root law."""

import numpy as np
import pytest

from evenkeel.portfolio.costs import CostSettings, round_trip, slippage

TIER = np.array([1, 2, 3])
COSTS = CostSettings()


def test_slippage_by_hand():
    """1 % of a day's volume: half spread + impact x 0.1."""
    got = slippage(np.full(3, 1e4), np.full(3, 1e6), TIER, COSTS)

    np.testing.assert_allclose(got, [1e-4 + 15e-4, 3e-4 + 30e-4, 8e-4 + 60e-4])


def test_four_times_the_order_doubles_the_impact():
    one, four = (slippage(np.full(3, x), np.full(3, 1e8), TIER, COSTS) - COSTS.half_spread.of(TIER) for x in (1e4, 4e4))

    np.testing.assert_allclose(four, 2 * one)


@pytest.mark.parametrize("volume", [np.nan, 0.0])
def test_unknown_volume_costs_as_much_as_the_liquidity_cap_lets_through(volume):
    np.testing.assert_allclose(
        slippage(np.full(3, 123.0), np.full(3, volume), TIER, COSTS),
        slippage(np.ones(3), np.full(3, 100.0), TIER, COSTS),
    )


def test_a_round_trip_pays_twice():
    once = 10e-4 + slippage(np.full(3, 1e4), np.full(3, 1e8), TIER, COSTS)
    assert [round_trip(1e4, 1e8, int(tier), COSTS) for tier in TIER] == (2 * once).tolist()
