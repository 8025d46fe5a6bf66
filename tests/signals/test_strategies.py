"""What each strategy says, against slow plain twins and by hand."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.signals import strategies
from evenkeel.signals.strategies import SCORES, WEIGHTS, Name, Seen, long_states, score, wanted

START = 1_751_328_000
"""2025-07-01T00:00:00Z."""
DAY = 86_400


def seen(price, kept=None, bar_s=3600, ready=None, assets=None, seed=1, **other):
    """Everything that strategies read, of T prices of which `kept` rows are wanted."""
    rows, n = price.shape
    kept = rows if kept is None else kept
    size = (kept, n)
    time = START + bar_s * np.arange(rows - kept + 1, rows + 1)
    assets = assets or ("BTC", "ETH", "SOL", "XRP")[:n]
    ready = np.ones(size, dtype=bool) if ready is None else ready
    return Seen(
        assets, time, price, other.get("vol", np.full(size, 0.5)), other.get("r_168", np.zeros(size)), ready, bar_s,
        "BTC", seed,
    )  # fmt: skip


def walk(seed, rows=700, n=3, sd=0.012):
    """Prices with a late listing and a stretch in which nothing moves."""
    price = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, sd, (rows, n)), axis=0))
    price[150:170, 0] = price[150, 0]
    price[:77, 1] = np.nan
    return price


# ---------------------------------------------------------------- slow plain twins


def slow_rsi(close):
    """Wilder 1978: the first average is the first move; then 13/14 of the old and 1/14 of the new."""
    out, up, down = [np.nan] * len(close), 0.0, 0.0
    for i in range(1, len(close)):
        move = close[i] - close[i - 1]
        up, down = (13 * up + max(move, 0)) / 14, (13 * down + max(-move, 0)) / 14
        if i >= 13:
            out[i] = 100.0 if down == 0 else 100 - 100 / (1 + up / down)
    return out


def slow_mean(close, window):
    return [np.nan if i + 1 < window else sum(close[i + 1 - window : i + 1]) / window for i in range(len(close))]


def by_phase(price, phases, indicator):
    """One column, each phase within the hour alone, from its first price on."""
    out = np.full(len(price), np.nan)
    begin = next(i for i, p in enumerate(price) if np.isfinite(p))
    for start in range(begin, begin + phases):
        out[start::phases] = indicator(list(price[start::phases]))
    return out


def slow_states(price, phases, name):
    """1 in, 0 out, NaN unknown; row by row."""
    strength = by_phase(price, phases, slow_rsi)
    fast, slow = (by_phase(price, phases, lambda close, w=w: slow_mean(close, w)) for w in (50, 200))
    states, inside = [], False
    for p, r, f, s in zip(price, strength, fast, slow, strict=True):
        enter = {"rsi": r < 30, "rsi_sma": r < 30 and p > s, "ma_crossover": f > s}[name]
        leave = {"rsi": r > 70, "rsi_sma": r > 70 or p < s, "ma_crossover": f <= s}[name]
        inside = False if leave else True if enter else inside
        known = {"rsi": r, "rsi_sma": r + s, "ma_crossover": f + s}[name]
        states.append(float(inside) if np.isfinite(known) else np.nan)
    return np.array(states)


@pytest.mark.parametrize("bar_s", [1800, 3600])
@pytest.mark.parametrize("name", ["rsi", "rsi_sma", "ma_crossover"])
def test_long_states_equal_those_of_a_slow_plain_twin(name, bar_s):
    """A third of the book in each asset that is in, on walks with a late listing and a standstill."""
    entries = 0
    for seed in range(4):
        price = walk(seed)
        got = wanted(name, seen(price, bar_s=bar_s))
        slow = np.stack([slow_states(price[:, i], 3600 // bar_s, name) for i in range(3)], axis=1)

        np.testing.assert_allclose(got, slow / 3, rtol=1e-12)
        entries += int((np.diff(np.nan_to_num(slow), axis=0) > 0).sum())
    assert entries >= 2


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 60))
def test_a_state_holds_from_entry_to_exit(seed, rows):
    """Leaving wins a row that does both; out before the first entry."""
    rng = np.random.default_rng(seed)
    enter, leave = rng.random((2, rows, 3)) < 0.15
    inside = np.zeros(3, dtype=bool)
    for row, state in enumerate(long_states(enter, leave)):
        inside = ~leave[row] & (enter[row] | inside)

        assert (state == inside).all()


def test_an_indicator_of_a_full_hour_is_the_same_on_every_bar():
    """Half-hour bars whose full hours are the hourly bars: the same RSI there."""
    hourly = walk(5, 200)
    half = np.repeat(hourly, 2, axis=0) * 1.01
    half[1::2] = hourly
    coarse = strategies._by_hour(seen(hourly), strategies._rsi)
    fine = strategies._by_hour(seen(half, bar_s=1800), strategies._rsi)

    np.testing.assert_array_equal(fine[1::2], coarse)


def test_the_indicator_is_the_libraries_own():
    """RSI by `ta` on the column as it is."""
    import pandas as pd
    from ta.momentum import RSIIndicator

    price = walk(6, 200, 2)

    np.testing.assert_array_equal(
        strategies._by_hour(seen(price), strategies._rsi)[:, 0], RSIIndicator(pd.Series(price[:, 0])).rsi().to_numpy()
    )


# ---------------------------------------------------------------- shares and scores


def test_shares_are_of_what_is_ready_and_the_rest_has_no_wish():
    ready = np.array([[True, True, False], [True, True, True], [False, False, False]])
    got = wanted("equal_weight", seen(np.ones((3, 3)), ready=ready))

    np.testing.assert_array_equal(got, [[0.5, 0.5, np.nan], [1 / 3] * 3, [np.nan] * 3])


def test_buy_and_hold_wants_all_of_the_benchmark_and_nothing_else():
    ready = np.array([[False, True], [True, False]])
    got = wanted("buy_and_hold", seen(np.ones((2, 2)), ready=ready))

    np.testing.assert_array_equal(got, [[np.nan, 0.0], [1.0, 0.0]])


def test_low_vol_and_momentum_rank_the_right_way():
    """The calmest, and the one that rose most, score highest; the unknown have no score."""
    vol, r_168 = np.array([[0.9, 0.3, np.nan, 0.5]]), np.array([[0.1, -0.2, 0.3, np.nan]])
    both = seen(np.ones((1, 4)), vol=vol, r_168=r_168)
    z = np.sqrt(1.5)

    np.testing.assert_allclose(score("low_vol", both), [[-z, z, np.nan, 0.0]], atol=1e-12)
    np.testing.assert_allclose(score("momentum", both), [[0.0, -z, z, np.nan]], atol=1e-12)


def test_random_is_of_seed_asset_and_day_alone():
    """Neither other assets, nor their order, nor where the rows begin or end, nor the bar changes a bit."""
    price = np.ones((24 * 9, 3))
    whole = score("random", seen(price))
    cut = score("random", seen(price, kept=30))
    turned = score("random", seen(price, assets=("SOL", "BTC", "DOGE")))
    half = score("random", seen(np.ones((48 * 9, 3)), bar_s=1800))

    assert (cut == whole[-30:]).all()
    assert (turned[:, :2] == whole[:, [2, 0]]).all()
    assert (turned[:, 2] != whole[:, 1]).all()
    assert (half[1::2] == whole).all()
    assert (score("random", seen(price, seed=2)) != whole).all()
    changes = np.flatnonzero((np.diff(whole, axis=0) != 0).any(axis=1))
    assert changes.tolist() == [24 * day + 22 for day in range(9)]  # the bar that closes at midnight is of the new day


def test_random_is_persistent_and_of_unit_size():
    """Over twelve years: mean 0, deviation 1, correlation of days 2^(-1/7), of assets 0."""
    x = np.concatenate([score("random", seen(np.ones((24 * 365, 2)), seed=s))[23::24] for s in range(12)])

    assert np.abs(x).max() <= 3
    assert x.mean() == pytest.approx(0, abs=0.15)
    assert x.std() == pytest.approx(1, abs=0.1)
    assert np.corrcoef(x[1:, 0], x[:-1, 0])[0, 1] == pytest.approx(0.5 ** (1 / 7), abs=0.03)
    assert np.corrcoef(x[:, 0], x[:, 1])[0, 1] == pytest.approx(0, abs=0.2)


def test_every_name_is_in_one_table_or_needs_none():
    from typing import get_args

    assert set(get_args(Name)) == {*SCORES, *WEIGHTS, "rebalancer", "inverse_vol", "policy"}
    assert not set(SCORES) & set(WEIGHTS)
    assert score("rebalancer", seen(np.ones((2, 2)))) is None
    assert wanted("low_vol", seen(np.ones((2, 2)))) is None


def test_only_the_strategies_of_the_library_load_pandas():
    """A service with another strategy must not pay half a second for it."""
    code = (
        "import sys, numpy as np; from evenkeel import wiring; from evenkeel.signals.strategies import *;"
        "x = np.ones((50, 2)); seen = Seen(('A', 'B'), np.arange(50) * 3600, x, x, x, x > 0, 3600, 'A', 1);"
        "[f(seen) for n, f in (SCORES | WEIGHTS).items() if n not in ('rsi', 'rsi_sma', 'ma_crossover')];"
        "before = 'pandas' in sys.modules; WEIGHTS['rsi'](seen); print(before, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "True"]
