"""Our figures against pandas and scipy, each written the other way round, and against what cannot be."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from evenkeel import metrics
from evenkeel.errors import DataError
from evenkeel.units import DAY_S, YEAR_S, utc

START = utc("2023-01-17T06:00")


@pytest.fixture(scope="module")
def curve():
    """500 days of 6 h equity that begins at 06:00, with fat tails."""
    rng = np.random.default_rng(7)
    steps = 0.0003 + 0.01 * rng.standard_t(4, 2000)
    equity = 10_000 * np.cumprod(np.concatenate([[1.0], 1.0 + np.clip(steps, -0.3, 0.3)]))
    return START + 21_600 * np.arange(2001, dtype=np.int64), equity


@pytest.fixture(scope="module")
def other(curve):
    """A benchmark that moves with the curve."""
    time, equity = curve
    rng = np.random.default_rng(8)
    steps = 0.6 * np.diff(equity) / equity[:-1] + 0.004 * rng.standard_normal(2000)
    return time, 500.0 * np.cumprod(np.concatenate([[1.0], 1.0 + steps]))


@pytest.fixture(scope="module")
def frame(curve):
    """The view of pandas of the same: closes at midnight, labelled at the right, and the opening."""
    time, equity = curve
    series = pd.Series(equity, pd.to_datetime(time, unit="s"))
    closes = series.resample("D", closed="right", label="right").last()
    return pd.concat([pd.Series(equity[:1], [closes.index[0] - pd.Timedelta("1D")]), closes])


@pytest.fixture(scope="module")
def returns(curve):
    return metrics.daily_returns(*curve)[1]


def test_marks_are_what_pandas_resamples(curve, frame):
    times, values = metrics.marks(*curve)

    assert list(pd.to_datetime(times, unit="s")) == list(frame.index)
    assert np.array_equal(values, frame.to_numpy())


def test_daily_returns_compound_to_the_total_return(curve, returns):
    assert math.isclose(np.prod(1 + returns) - 1, metrics.total_return(curve[1]), rel_tol=1e-12)
    assert np.allclose(returns, metrics.simple(metrics.daily(*curve)))


def test_volatility_and_sharpe_against_pandas_and_scipy(returns):
    series = pd.Series(returns)

    assert math.isclose(metrics.volatility(returns), series.std() * 365.25**0.5, rel_tol=1e-12)
    assert math.isclose(metrics.volatility(returns), stats.tstd(returns) * math.sqrt(365.25), rel_tol=1e-12)
    assert math.isclose(metrics.sharpe(returns, 365.25), series.mean() / series.std() * 365.25**0.5, rel_tol=1e-12)
    t, n = stats.ttest_1samp(returns, 0.0).statistic, len(returns)
    assert math.isclose(metrics.sharpe(returns, 365.25), t / math.sqrt(n) * math.sqrt(365.25), rel_tol=1e-12)


def test_sortino_against_two_formulas(returns):
    below = returns[returns < 0]
    direct = returns.mean() * 365.25 / math.sqrt(365.25 * (below**2).sum() / len(returns))
    integral = math.sqrt(sum(min(r, 0.0) ** 2 for r in returns.tolist()) / len(returns))

    assert math.isclose(metrics.sortino(returns), direct, rel_tol=1e-12)
    assert math.isclose(metrics.sortino(returns), sum(returns) / len(returns) / integral * 365.25**0.5, rel_tol=1e-9)


def test_cagr_comes_from_timestamps(curve):
    time, equity = curve
    years = (pd.to_datetime(time[-1], unit="s") - pd.to_datetime(time[0], unit="s")) / pd.Timedelta(days=365.25)

    assert math.isclose(metrics.cagr(time, equity), (equity[-1] / equity[0]) ** (1 / years) - 1, rel_tol=1e-12)
    logs = math.exp(math.log(equity[-1] / equity[0]) / ((time[-1] - time[0]) / YEAR_S)) - 1
    assert math.isclose(metrics.cagr(time, equity), logs, rel_tol=1e-9)
    assert math.isnan(metrics.cagr([1, 1], [1.0, 2.0]))


def test_underwater_against_pandas_and_a_loop(curve):
    equity = curve[1]
    series = pd.Series(equity)
    high, slow = 0.0, []
    for value in equity:
        high = max(high, value)
        slow.append(value / high - 1)

    assert np.allclose(metrics.underwater(equity), series / series.cummax() - 1, rtol=0, atol=1e-15)
    assert np.allclose(metrics.underwater(equity), slow, rtol=0, atol=1e-15)
    assert math.isclose(metrics.max_drawdown(equity), -min(slow), rel_tol=1e-12)
    assert math.isclose(metrics.calmar(*curve), metrics.cagr(*curve) / -min(slow), rel_tol=1e-12)


def test_drawdowns_against_a_loop(curve):
    time, equity = curve
    high, peak, spells = equity[0], time[0], {}
    for now, value in zip(time.tolist(), equity.tolist(), strict=True):
        if value >= high:
            if peak in spells:
                spells[peak] = (spells[peak][0], now)
            high, peak = value, now
        else:
            depth, _ = spells.get(peak, (0.0, None))
            spells[peak] = (max(depth, 1 - value / high), None)
    found = metrics.drawdowns(time, equity)

    assert {d.peak for d in found} == set(spells)
    assert all(math.isclose(d.depth, spells[d.peak][0]) and d.recovered == spells[d.peak][1] for d in found)
    assert math.isclose(found[0].depth, metrics.max_drawdown(equity))
    longest = max(((end or time[-1]) - start) / DAY_S for start, (_, end) in spells.items())
    assert metrics.longest_drawdown_days(time, equity) == longest


def test_monthly_against_pandas(curve, frame):
    ends = frame.copy()
    ends.index = ends.index - pd.Timedelta("1s")
    closes = ends.iloc[1:].groupby(ends.index[1:].to_period("M")).last()
    wanted = closes / closes.shift(1).fillna(ends.iloc[0]) - 1
    got = metrics.monthly(*curve)

    assert [(m.year, m.month) for m in got] == [(p.year, p.month) for p in wanted.index]
    assert np.allclose([m.value for m in got], wanted, rtol=1e-12)
    total = math.prod(1 + m.value for m in got) - 1
    assert math.isclose(total, metrics.total_return(metrics.daily(*curve)), rel_tol=1e-9)


def test_alpha_and_beta_against_scipy_and_numpy(curve, other):
    _, ours, theirs = metrics.paired(curve, other)
    fitted = stats.linregress(theirs, ours)
    slope, intercept = np.polyfit(theirs, ours, 1)
    alpha, beta = metrics.alpha_beta(ours, theirs)

    assert math.isclose(beta, fitted.slope, rel_tol=1e-9)
    assert math.isclose(beta, slope, rel_tol=1e-9)
    assert math.isclose(alpha, fitted.intercept * 365.25, rel_tol=1e-9)
    assert math.isclose(alpha, intercept * 365.25, rel_tol=1e-9)


def test_active_return_against_pandas_and_scipy(curve, other):
    _, ours, theirs = metrics.paired(curve, other)
    mean, error, ratio = metrics.active(ours, theirs)
    difference = pd.Series(ours) - pd.Series(theirs)

    assert math.isclose(mean, difference.mean() * 365.25, rel_tol=1e-9)
    assert math.isclose(error, difference.std() * 365.25**0.5, rel_tol=1e-9)
    assert math.isclose(error, stats.tstd(ours - theirs) * 365.25**0.5, rel_tol=1e-9)
    t = stats.ttest_rel(ours, theirs).statistic
    assert math.isclose(ratio, t / len(ours) ** 0.5 * 365.25**0.5, rel_tol=1e-9)


def test_pairs_only_days_that_both_have(curve, other):
    time, equity = other
    hole = (time < START + 40 * DAY_S) | (time > START + 44 * DAY_S)
    days, ours, theirs = metrics.paired(curve, (time[hole], equity[hole]))

    assert len(days) < len(metrics.paired(curve, other)[0])
    assert math.isclose(np.prod(1 + ours), np.prod(1 + metrics.daily_returns(*curve)[1]), rel_tol=1e-9)
    assert math.isclose(np.prod(1 + theirs), np.prod(1 + metrics.daily_returns(*other)[1]), rel_tol=1e-9)


def test_the_sharpe_error_is_los_for_normal_returns_and_mertens_otherwise(returns):
    rng = np.random.default_rng(3)
    normal = 0.1 + rng.standard_normal(400_000)
    ratio = normal.mean() / normal.std(ddof=1)
    assert math.isclose(metrics.sharpe_error(normal), math.sqrt((1 + ratio**2 / 2) / len(normal)), rel_tol=2e-3)

    ratio = returns.mean() / returns.std(ddof=1)
    skew, excess = stats.skew(returns), stats.kurtosis(returns)
    mertens = math.sqrt((1 + ratio**2 / 2 - skew * ratio + excess / 4 * ratio**2) / len(returns))
    assert math.isclose(metrics.sharpe_error(returns), mertens, rel_tol=1e-12)


def test_the_sharpe_error_is_the_spread_over_many_samples():
    rng = np.random.default_rng(4)
    samples = 0.15 + rng.exponential(1.0, (20_000, 300)) - 1.0
    ratios = samples.mean(axis=1) / samples.std(axis=1, ddof=1)

    assert math.isclose(np.mean([metrics.sharpe_error(s) for s in samples[:500]]), ratios.std(), rel_tol=0.05)


def test_rolling_sharpe_against_pandas_and_one_window(returns):
    band = metrics.rolling_sharpe(returns, 60)
    series = pd.Series(returns).rolling(60)
    wanted = (series.mean() / series.std() * 365.25**0.5).to_numpy()

    assert np.allclose(band.value, wanted, rtol=1e-9, equal_nan=True)
    half = 1.6448536269514722 * metrics.sharpe_error(returns[40:100]) * 365.25**0.5
    assert math.isclose(band.high[99] - band.value[99], half, rel_tol=1e-9)
    assert math.isclose(band.value[99] - band.low[99], half, rel_tol=1e-9)
    assert np.isnan(metrics.rolling_sharpe(returns, len(returns) + 1).value).all()


def test_turnover_hit_rate_and_extremes(curve, returns):
    time, equity = curve
    years = (time[-1] - time[0]) / YEAR_S
    days = metrics.daily_returns(*curve)[0]
    best, worst = metrics.extremes(days, returns, 3)
    series = pd.Series(returns, days)

    assert math.isclose(metrics.yearly_turnover(5e4, *curve), 5e4 / metrics.daily(time, equity).mean() / years)
    assert math.isclose(metrics.hit_rate(returns), (series > 0).sum() / (series != 0).sum())
    assert [day for day, _ in best] == list(series.nlargest(3).index)
    assert [day for day, _ in worst] == list(series.nsmallest(3).index)


def test_statistics_hold_every_figure(curve, other):
    got = metrics.statistics(*curve, benchmark=other)

    assert {"sharpe", "sortino", "calmar", "alpha", "beta", "tracking_error", "worst_day", "cagr"} <= set(got)
    assert all(value is not None and math.isfinite(value) for value in got.values())


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_impossible_equity_raises(wrong):
    """A curve below zero would show a drawdown beyond 100 %: it is an error, not a figure."""
    with pytest.raises(DataError, match="cannot be"):
        metrics.max_drawdown([100.0, wrong])
    with pytest.raises(DataError, match="cannot be"):
        metrics.summary([0, 1], [100.0, wrong])


def test_time_running_backwards_raises():
    with pytest.raises(DataError, match="sort the curve"):
        metrics.marks([DAY_S, 0], [1.0, 2.0])
    with pytest.raises(DataError, match="as many"):
        metrics.marks([0], [1.0, 2.0])


def test_everything_lost_is_minus_one_and_stays_there():
    time = [0, DAY_S, 2 * DAY_S]

    assert metrics.max_drawdown([10.0, 0.0, 0.0]) == 1.0
    assert metrics.summary(time, [10.0, 0.0, 0.0])["total_return"] == -1.0
    assert metrics.cagr(time, [10.0, 0.0, 0.0]) == -1.0


def test_too_little_data_is_unknown():
    assert set(metrics.summary([1], [1.0]).values()) == {None}
    assert metrics.monthly([1], [1.0]) == ()
    assert metrics.marks([], [])[0].size == 0
    assert math.isnan(metrics.sharpe(np.array([0.1]), 365.25))
    assert math.isnan(metrics.sharpe(np.full(9, 0.1), 365.25))
    assert metrics.drawdowns([0, 1], [1.0, 2.0]) == ()


def test_slots_at_one_instant_count_once():
    """Risk and rebalance share a timestamp: the later row is the close."""
    times, values = metrics.marks([0, DAY_S, DAY_S, DAY_S + 60], [1.0, 2.0, 3.0, 4.0])

    assert times.tolist() == [0, DAY_S, 2 * DAY_S]
    assert values.tolist() == [1.0, 3.0, 4.0]
