"""What a view says of the last 30 days: hourly returns, and their variance over those that are known."""

import numpy as np
import pytest
import world

from evenkeel.market.panel import panel as make_panel
from evenkeel.portfolio.overlay import portfolio_vol, vol_at_most
from evenkeel.signals.compute import compute
from evenkeel.signals.moves import COVARIANCE_H, own
from evenkeel.types import Brain


@pytest.mark.parametrize("bar_s", [1800, 3600])
def test_moves_and_variance_equal_those_of_hourly_prices(bar_s):
    """At every phase of the hour, with a gap in one asset, before and after 30 days are full."""
    market = world.panel(3, 3, bar_s)
    close = market.close.copy()
    close[200:230, 1] = np.nan
    arrays = {name: np.where(np.isfinite(close), getattr(market, name), np.nan) for name in ("open", "high", "low")}
    gapped = make_panel(market.time, market.assets, **arrays, close=close, volume=market.volume, bar_s=bar_s)
    signals = compute(gapped, Brain(), world.SIGNALS, 400)
    hour = 3600 // bar_s

    for row in (400, 401, 600, len(market.time) - 1):
        view = signals.at(int(market.time[row]), 0)
        prices = signals.price[row % hour : row + 1 : hour][-COVARIANCE_H - 1 :]
        steps = np.diff(np.log(prices), axis=0)
        known = np.isfinite(steps)

        assert world.same_bits(np.ascontiguousarray(view.moves), np.where(known, steps, 0.0))
        expected = np.nanmean(np.where(known, steps, np.nan) ** 2, axis=0) * 365.25 * 24
        np.testing.assert_allclose(view.variance, expected, rtol=1e-12)


def test_an_asset_without_moves_has_the_variance_of_its_volatility_or_none():
    made = own(np.array([[0.5, np.nan, np.nan]]), np.array([[0.9, 0.8, np.nan]]))

    np.testing.assert_array_equal(made, [[0.5, 0.8**2, 0.0]])


@pytest.mark.parametrize("back", [0, 1, 2, 40, 700, 1400, 2000])
def test_no_portfolio_moves_more_than_its_assets_as_one(back):
    """The bound that spares the 30 days of returns holds in every row, before the 30 days are full and with gaps."""
    market = world.panel(3)
    close = market.close.copy()
    close[300:330, 1], close[:500, 2] = np.nan, np.nan
    arrays = {name: np.where(np.isfinite(close), getattr(market, name), np.nan) for name in ("open", "high", "low")}
    gapped = make_panel(market.time, market.assets, **arrays, close=close, volume=market.volume, bar_s=1800)
    view = compute(gapped, Brain(), world.SIGNALS).at(int(market.time[len(market.time) - 1 - back]), 0)
    rng = np.random.default_rng(back)

    for w in (*rng.dirichlet(np.ones(len(world.ASSETS)), 20), *np.eye(len(world.ASSETS))):
        for shrinkage in (0.0, 0.2, 1.0):
            most = vol_at_most(w, view.variance) * (1.0 + 1e-9)
            assert portfolio_vol(w, view.moves, view.variance, shrinkage) <= most
