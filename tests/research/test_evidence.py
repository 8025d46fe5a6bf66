"""IC and its t statistic say what plain numpy says, decision by decision."""

import math

import numpy as np
import pytest

from evenkeel.research import evidence


def grids(seed=3, days=40, assets=12, holes=0.1):
    rng = np.random.default_rng(seed)
    vol = rng.lognormal(0.0, 0.3, (days, assets))
    returns = 0.02 * vol * rng.standard_normal((days, assets))
    x = returns + 0.05 * rng.standard_normal((days, assets))
    x[rng.random(x.shape) < holes] = np.nan
    returns[rng.random(x.shape) < holes] = np.nan
    return x, returns, vol


def test_correlations_are_those_of_numpy():
    x, returns, vol = grids()
    found = evidence.series(x, returns, vol, min_assets=3)

    for i in range(len(x)):
        known = np.isfinite(x[i]) & np.isfinite(returns[i])
        a, b, v = x[i][known], returns[i][known], vol[i][known]
        ra, rb, rv = (np.argsort(np.argsort(y)).astype(float) for y in (a, b, v))
        slope, at_zero = np.polyfit(rv, ra, 1)
        rest = ra - slope * rv - at_zero
        assert found["ic"][i] == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-12)
        assert found["rank_ic"][i] == pytest.approx(np.corrcoef(ra, rb)[0, 1], abs=1e-12)
        assert found["ic_neutral"][i] == pytest.approx(np.corrcoef(rest, b)[0, 1], abs=1e-9)
        assert found["rank_ic_neutral"][i] == pytest.approx(np.corrcoef(rest, rb)[0, 1], abs=1e-9)


def test_low_volatility_alone_has_no_vol_neutral_evidence():
    _, returns, vol = grids(holes=0.0)

    found = evidence.measure(-vol, returns, vol, 4)

    assert math.isnan(found.rank_ic_neutral) or abs(found.rank_ic_neutral) < 1e-9


def test_few_assets_make_no_decision():
    x, returns, vol = grids(assets=7, holes=0.0)

    found = evidence.measure(x, returns, vol, 4)

    assert found.decisions == 0
    assert math.isnan(found.ic)
    assert found.to_json()["ic"] is None


def test_newey_west_is_the_textbook_sum():
    values = np.cumsum(np.random.default_rng(1).standard_normal(200)) * 0.01 + 0.1
    n, lags = len(values), 5
    e = values - values.mean()
    gamma = [sum(e[i] * e[i - k] for i in range(k, n)) / n for k in range(lags + 1)]
    variance = gamma[0] + 2 * sum((1 - k / (lags + 1)) * gamma[k] for k in range(1, lags + 1))

    assert evidence.newey_west_t(values, lags) == pytest.approx(values.mean() / math.sqrt(variance / n), rel=1e-12)
    assert evidence.newey_west_t(values, 0) == pytest.approx(values.mean() / (values.std() / math.sqrt(n)), rel=1e-12)


def test_t_is_unknown_where_nothing_varies():
    assert math.isnan(evidence.newey_west_t(np.ones(50), 3))
    assert math.isnan(evidence.newey_west_t(np.ones(2), 3))


@pytest.mark.parametrize(("horizon", "step", "lags"), [(24, 3, 8), (24, 5, 5), (6, 6, 1), (6, 24, 1)])
def test_lags_cover_the_overlap(horizon, step, lags):
    assert evidence.lags_of(horizon, step * 3600) == lags
