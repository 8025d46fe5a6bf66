"""Laws 1, 2 and 9 of the design for features: causality, window, bars within the hour, names and scale."""

import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evenkeel.market import features
from evenkeel.market.features import FEATURES, MARKET_FEATURES, Feature, compute, warmup_bars
from evenkeel.market.panel import panel, pick, resample, rows

START = 1_699_833_600
FIELDS = ("open", "high", "low", "close", "volume")
SCALE_FREE = [x.name for x in FEATURES]

quick = settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def make(bars, assets, bar_s, seed, *, holes=True):
    """Build a seeded market with late listings, gaps, flat stretches, silent hours and broken fields."""
    rng = np.random.default_rng(seed)
    shape = (bars, assets)
    steps = 0.004 * rng.standard_normal((bars, 1)) + 0.004 * rng.standard_normal(shape)
    volume = rng.lognormal(5.0, 1.0, shape)
    if holes:
        steps[bars // 3 : bars // 2, -1] = 0.0
        volume[rng.random(shape) < 0.02] = 0.0
        volume[rng.random(shape) < 0.01] = np.nan
    close = 10.0 ** rng.uniform(-4, 4, assets) * np.exp(np.cumsum(steps, axis=0))
    high = close * (1 + np.abs(0.002 * rng.standard_normal(shape)))
    low = close * (1 - np.abs(0.002 * rng.standard_normal(shape)))
    if holes:
        close[rng.random(shape) < 0.01] = np.nan
        high[rng.random(shape) < 0.005] = np.nan
        close[: rng.integers(0, bars), 1] = np.nan
        gap = int(rng.integers(0, bars))
        close[gap : gap + bars // 10, 0] = np.nan
    first = START + bar_s * int(rng.integers(1, 5))
    names = ["BTC", *(f"A{i}" for i in range(1, assets))]
    return panel(first + bar_s * np.arange(bars), names, close, high, low, close, volume, bar_s)


def changed(market, **fields):
    """Return the panel with some fields replaced."""
    given_fields = {name: getattr(market, name) for name in FIELDS} | fields
    return panel(market.time, market.assets, bar_s=market.bar_s, **given_fields)


def poisoned(market, row, seed):
    """Return the panel whose rows after `row` are lies: NaN, zero, infinity, huge, noise."""
    rng = np.random.default_rng(seed)
    fields = {}
    for name in FIELDS:
        array = getattr(market, name).copy()
        shape = array[row + 1 :].shape
        lies = np.stack([np.full(shape, x) for x in (np.nan, 0.0, np.inf, 1e300)] + [rng.lognormal(0, 9, shape)])
        array[row + 1 :] = np.take_along_axis(lies, rng.integers(0, len(lies), (1, *shape)), axis=0)[0]
        fields[name] = array
    return changed(market, **fields)


def same_bits(left, right):
    """Return whether both have equal bits; one NaN is as good as another."""
    bits = [np.where(np.isnan(x), np.nan, x).view(np.int64) for x in (left, right)]
    return left.shape == right.shape and bool((bits[0] == bits[1]).all())


def is_causal(market, row, seed):
    """Return whether rows <= row have the same bits if the panel ends there, and if all that follows is a lie."""
    whole, cut, lied = compute(market), compute(rows(market, 0, row + 1)), compute(poisoned(market, row, seed))
    kept = [(x.values[: row + 1], x.market[: row + 1]) for x in (whole, cut, lied)]
    return all(same_bits(a, b) for other in kept[1:] for a, b in zip(kept[0], other, strict=True))


# ---------------------------------------------------------------- law 1


@quick
@given(seed=st.integers(0, 10_000), bar_s=st.sampled_from([900, 1800, 3600]), part=st.floats(0.0, 0.999))
def test_no_row_knows_what_follows(seed, bar_s, part):
    """Bitwise: the panel ends here or later, and whatever comes later may be a lie."""
    market = make(420, 3, bar_s, seed)

    assert is_causal(market, int(part * 420), seed)


def test_every_early_row_is_the_last_row_of_a_shorter_panel():
    """Bitwise, one panel per row: block edges and half-filled hours included."""
    market = make(60, 2, 1800, 3)
    whole = compute(market)

    for row in range(60):
        cut = compute(rows(market, 0, row + 1))
        assert same_bits(cut.values[-1], whole.values[row])
        assert same_bits(cut.market[-1], whole.market[row])


@pytest.mark.parametrize(
    "peek",
    [
        lambda x, out: np.copyto(out, np.roll(x.price, -1, axis=1)),
        lambda x, out: np.subtract(x.price, np.nanmean(x.price, axis=1, keepdims=True), out=out),
        lambda x, out: np.copyto(out, np.isfinite(x.price).sum(axis=1, keepdims=True)),
    ],
    ids=["next hour", "mean of the whole history", "number of known hours"],
)
@pytest.mark.filterwarnings("ignore:Mean of empty slice:RuntimeWarning")
def test_the_causality_check_catches_a_planted_look_ahead(monkeypatch, peek):
    """A law that no kernel can break is no law."""
    market = make(420, 3, 1800, 5, holes=False)
    assert is_causal(market, 300, 5)

    monkeypatch.setattr(features, "FEATURES", (*FEATURES, Feature("peek", peek, 1, "looks ahead")))

    assert not is_causal(market, 300, 5)


@quick
@given(seed=st.integers(0, 10_000), first_row=st.integers(0, 299), bar_s=st.sampled_from([900, 1800, 3600]))
def test_the_cut_of_the_output_changes_no_bits(seed, first_row, bar_s):
    """Kernels start at the origin whatever is asked for."""
    market = make(300, 3, bar_s, seed)
    whole, cut = compute(market), compute(market, first_row=first_row)

    assert same_bits(cut.values, whole.values[first_row:])
    assert same_bits(cut.market, whole.market[first_row:])


def test_computing_twice_gives_the_same_bits():
    """Law 8: a function of its arguments only."""
    market = make(300, 3, 1800, 1)

    assert same_bits(compute(market).values, compute(market).values)


# ---------------------------------------------------------------- law 2


@pytest.mark.parametrize("bar_s", [1800, 3600])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_declared_warm_up_gives_the_last_row(bar_s, seed):
    """Each feature by its own declaration, on holes and flat stretches too, to 1e-6 (in truth to rounding)."""
    phases = 3600 // bar_s
    market = make(1_300 * phases, 3, bar_s, seed)
    whole = compute(market, first_row=len(market.time) - 1)
    assert np.isfinite(whole.values).mean() > 0.5

    for warmup_h in sorted({x.warmup_h for x in (*FEATURES, *MARKET_FEATURES)}):
        tail = compute(rows(market, len(market.time) - warmup_h * phases, len(market.time)))
        for i, feature in enumerate(FEATURES):
            if feature.warmup_h <= warmup_h:
                np.testing.assert_allclose(
                    tail.values[-1, :, i], whole.values[0, :, i], rtol=1e-6, atol=1e-9, err_msg=feature.name
                )
        for i, line in enumerate(MARKET_FEATURES):
            if line.warmup_h <= warmup_h:
                np.testing.assert_allclose(tail.market[-1, i], whole.market[0, i], rtol=1e-6, err_msg=line.name)


@pytest.mark.parametrize("stopped", [1, 50, 500, 900, 957, 1_000])
def test_the_window_law_holds_after_a_market_stops(stopped):
    """Long after the last move nothing older than the window lingers, however small the rest."""
    market = make(1_300, 3, 3600, 4, holes=False)
    close = market.close.copy()
    close[-stopped:, 1] = close[-stopped, 1]
    market = changed(market, close=close, high=close, low=close)
    tail = rows(market, 1_300 - warmup_bars(3600), 1_300)

    np.testing.assert_allclose(compute(tail).values[-1], compute(market).values[-1], rtol=1e-6, atol=1e-9)


# ---------------------------------------------------------------- bars within the hour


@quick
@given(seed=st.integers(0, 10_000), bar_s=st.sampled_from([300, 900, 1200, 1800]))
def test_full_hours_of_finer_bars_are_hourly_features_bit_for_bit(seed, bar_s):
    """A model means the same on every bar that divides the hour."""
    fine = make(150 * (3600 // bar_s) + 1, 3, bar_s, seed)
    hourly = resample(fine, 3600)
    at = np.flatnonzero(np.isin(fine.time, hourly.time))
    ours, theirs = compute(fine), compute(hourly)

    assert same_bits(ours.values[at], theirs.values)
    assert same_bits(ours.market[at], theirs.market)


# ---------------------------------------------------------------- law 9


@quick
@given(seed=st.integers(0, 10_000), data=st.data())
def test_permuted_assets_give_permuted_features(seed, data):
    """Bitwise per asset, also across the groups in which assets are computed; market means to rounding."""
    market = make(150, 20, 1800, seed)
    order = data.draw(st.permutations(range(20)))
    straight, turned = compute(market), compute(pick(market, [market.assets[i] for i in order]))

    assert same_bits(np.ascontiguousarray(straight.values[:, order]), turned.values)
    np.testing.assert_allclose(turned.market, straight.market, rtol=1e-12, atol=1e-15)


@quick
@given(seed=st.integers(0, 10_000), powers=st.lists(st.integers(-20, 20), min_size=3, max_size=3))
def test_prices_in_other_lots_give_the_same_features(seed, powers):
    """Prices times a power of two, volumes divided by it: every feature stays, to 1e-9."""
    market = make(300, 3, 1800, seed)
    lot = 2.0 ** np.array(powers)
    fields = {name: getattr(market, name) * lot for name in FIELDS[:4]} | {"volume": market.volume / lot}
    ours, theirs = compute(market), compute(changed(market, **fields))

    for name in SCALE_FREE:
        np.testing.assert_allclose(theirs.column(name), ours.column(name), rtol=1e-9, atol=1e-9, err_msg=name)


def test_a_stranger_in_the_panel_changes_nobody():
    """One more asset leaves every other asset's bits alone."""
    market = make(300, 4, 1800, 9)
    without = pick(market, [market.assets[i] for i in (0, 1, 3)])

    assert same_bits(np.ascontiguousarray(compute(market).values[:, [0, 1, 3]]), compute(without).values)


# ---------------------------------------------------------------- budget


def test_a_year_of_half_hours_is_computed_within_the_budget():
    """17,520 bars of 66 assets, all features, last rows: 3 s of one core here, twice that on a busy machine."""
    market = make(17_520, 66, 1800, 0, holes=False)
    begun = time.process_time()
    compute(market, first_row=17_500)

    assert time.process_time() - begun < 6.0
