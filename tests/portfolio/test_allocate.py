"""Which assets are held and how much of each, against slow plain twins."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.portfolio.allocate import (
    AllocateSettings,
    TierCaps,
    attraction,
    choose,
    direct_weights,
    ground,
    hold,
    ranking,
    spread,
    water_fill,
)

ALL = np.ones(6, dtype=bool)
NONE = ~ALL
NAMES = tuple("ABCDEF")
S = AllocateSettings()


def poured(budget, a, cap, sleeve, sleeve_cap, drops=20_000):
    """Fill drop by drop: each drop goes to the free in proportion to a; the sleeve is one more vessel."""
    w, rest = np.zeros(len(a)), budget
    for _ in range(drops):
        open_ = (a > 0) & (w < cap - 1e-12)
        if sleeve_cap - w[sleeve].sum() <= 1e-12:
            open_ &= ~sleeve
        if rest <= 1e-12 or not open_.any():
            break
        share = np.where(open_, a, 0.0) / a[open_].sum()
        room = np.where(open_, (cap - w) / np.where(share > 0, share, 1.0), np.inf)
        inside = share[sleeve].sum()
        group = (sleeve_cap - w[sleeve].sum()) / inside if inside > 0 else np.inf
        step = min(rest, float(room.min()), float(group))
        w, rest = w + share * step, rest - step
    return w


@settings(max_examples=100)
@given(seed=st.integers(0, 2**32), budget=st.floats(0.01, 1.2), sleeve_cap=st.floats(0.0, 0.5))
def test_water_fill_equals_filling_drop_by_drop(seed, budget, sleeve_cap):
    """Same total and caps; the same weights wherever the sleeve does not bind, the same sums where it does."""
    rng = np.random.default_rng(seed)
    a, cap = rng.lognormal(0, 1, 8) * (rng.random(8) < 0.8), rng.uniform(0.01, 0.4, 8)
    sleeve = rng.random(8) < 0.4
    w, slow = water_fill(budget, a, cap, sleeve, sleeve_cap), poured(budget, a, cap, sleeve, sleeve_cap)

    assert (w <= cap + 1e-12).all()
    assert (w[a == 0] == 0).all()
    assert w.sum() <= budget + 1e-12
    assert w[sleeve].sum() <= sleeve_cap + 1e-12
    assert w.sum() == pytest.approx(slow.sum(), abs=1e-9)
    np.testing.assert_allclose(w, slow, atol=1e-9)


def test_water_fill_by_hand():
    """0.6 over 3:2:1 under caps of 0.2: the first is capped, 0.4 over 2:1 caps the second, 0.2 is left."""
    nobody = np.zeros(3, dtype=bool)
    a, cap = np.array([3.0, 2.0, 1.0]), np.full(3, 0.2)

    np.testing.assert_allclose(water_fill(0.6, a, cap, nobody, 0.0), [0.2, 0.2, 0.2])
    np.testing.assert_allclose(water_fill(0.3, a, cap, nobody, 0.0), [0.15, 0.1, 0.05])
    np.testing.assert_allclose(water_fill(9.0, a, cap, nobody, 0.0), [0.2, 0.2, 0.2])
    np.testing.assert_allclose(water_fill(-0.1, a, cap, nobody, 0.0), 0.0)


def test_what_the_sleeve_cannot_take_goes_to_the_others():
    """0.4 over four equals, two of them in a sleeve of 0.1: 0.05 each inside, 0.15 each outside."""
    sleeve = np.array([True, True, False, False])

    np.testing.assert_allclose(water_fill(0.4, np.ones(4), np.full(4, 0.2), sleeve, 0.1), [0.05, 0.05, 0.15, 0.15])


def test_a_held_asset_stays_within_the_margin_and_leaves_beyond_it():
    """K 2, margin 1: the third of the ranking stays if held, the fourth goes."""
    score = np.array([6.0, 5.0, 4.0, 3.0, 2.0, 1.0])

    def names(*held):
        chosen = choose(ranking(score, np.ones(6), NAMES, ALL), [name in held for name in NAMES], 2, 1)
        return "".join(NAMES[i] for i in sorted(chosen))

    assert names() == "AB"
    assert names("C") == "AC"
    assert names("D") == "AB"
    assert names("A", "B", "C") == "ABC"


def test_ties_break_by_liquidity_then_by_symbol_and_the_ineligible_do_not_rank():
    eligible = np.array([1, 1, 1, 0, 1, 1], dtype=bool)
    deep = np.array([1.0, 1, 1, 1, 5, np.nan])

    assert ranking(np.array([0.0, 0.1, -0.1, 9.0, 0.0, 0.0]), deep, NAMES, eligible) == [1, 4, 0, 5, 2]
    assert ranking(np.zeros(6), np.ones(6), tuple("FEDCBA"), ALL) == [5, 4, 3, 2, 1, 0]


def raw_weights(score, vol, liquidity, names, tier, eligible, held, frozen, regime, settings):
    """Allocation in one step."""
    on = ground(vol, tier, eligible, held, frozen, regime, settings)
    return spread(on, hold(on, score, liquidity, names, settings), score, settings)[0]


def test_attraction_by_hand():
    """exp(clip(s / 0.05, -2, 2)) / max(vol, floor)."""
    score, vol = np.array([0.05, 1.0, -1.0, 0.0, 0.0]), np.array([0.5, 1.0, 1.0, 0.5, 0.01])
    on = ground(np.append(vol, np.nan), np.ones(6, dtype=np.int64), ALL, np.zeros(6), NONE, "trend", S)

    np.testing.assert_allclose(attraction(score, on.safe[:5], 1.0), [np.e / 0.5, np.e**2, np.e**-2, 2.0, 10.0])
    assert not on.free[5]


def test_frozen_assets_keep_their_weight_out_of_gross_sleeve_and_places():
    """A frozen tier 3 at 8 % leaves 4 % of the sleeve, one place less and 8 % less to spend."""
    tier = np.array([3, 3, 1, 1, 2, 2])
    held = np.array([0.08, 0.0, 0.2, 0.0, 0.0, 0.0])
    frozen = np.array([1, 0, 0, 0, 0, 0], dtype=bool)
    s = AllocateSettings()
    w = raw_weights(np.zeros(6), np.full(6, 0.5), np.full(6, 1e9), NAMES, tier, ~frozen, held, frozen, "trend", s)

    assert w[0] == 0.08
    assert w[1] <= 0.04 + 1e-12
    assert w.sum() <= s.gross.trend - s.cash_buffer + 1e-12
    assert (w[2:4] <= 0.15 + 1e-12).all()
    assert (w[4:] <= 0.10 + 1e-12).all()


def test_an_asset_that_is_frozen_beyond_the_budget_leaves_the_others_nothing():
    frozen = np.array([1, 0, 0, 0, 0, 0], dtype=bool)
    held = np.where(frozen, 0.9, 0.02)
    w = raw_weights(
        np.zeros(6), np.full(6, 0.5), np.full(6, 1e9), NAMES, np.ones(6, dtype=np.int64), ~frozen, held, frozen, "down",
        AllocateSettings(),
    )  # fmt: skip

    np.testing.assert_allclose(w, [0.9, 0, 0, 0, 0, 0])


def test_weights_wanted_are_clipped_to_the_caps_then_scaled_into_the_budget():
    """Caps 0.15, 0.10, 0.05: the sleeve's 0.05 x 3 is scaled to 0.12, and all of it to gross less buffer."""
    tier = np.array([1, 2, 3, 3, 3, 1])
    nothing = np.zeros(6)
    modest = direct_weights(np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.02]), tier, ALL, nothing, NONE, "trend", S)
    most = direct_weights(np.ones(6), np.ones(6, dtype=np.int64), ALL, nothing, NONE, "down", S)

    np.testing.assert_allclose(modest, [0.15, 0.10, 0.04, 0.04, 0.04, 0.02])
    np.testing.assert_allclose(most, (S.gross.down - S.cash_buffer) / 6)


def test_no_wish_and_frozen_keep_what_is_held_out_of_the_budget_and_the_ineligible_get_nothing():
    """0.2 is kept without a wish and 0.3 is frozen: 0.45 is left of 0.95 for the one that wants more than that."""
    wide = replace(S, caps=TierCaps(1.0, 1.0, 1.0, 1.0))
    wanted = np.array([np.nan, 0.1, 0.9, 0.9, 0.0, np.nan])
    held = np.array([0.2, 0.3, 0.0, 0.1, 0.1, 0.0])
    frozen = np.array([0, 1, 0, 0, 0, 0], dtype=bool)
    eligible = np.array([1, 1, 1, 0, 1, 1], dtype=bool)
    w = direct_weights(wanted, np.ones(6, dtype=np.int64), eligible, held, frozen, "trend", wide)

    np.testing.assert_allclose(w, [0.2, 0.3, 0.45, 0.0, 0.0, 0.0])


@settings(max_examples=100)
@given(seed=st.integers(0, 2**32))
def test_weights_wanted_never_exceed_caps_wishes_or_budget(seed):
    """Whatever is free; what is kept is kept to the bit."""
    rng = np.random.default_rng(seed)
    tier = rng.integers(1, 4, 6)
    wanted = np.where(rng.random(6) < 0.2, np.nan, rng.uniform(0, 0.4, 6))
    held, frozen, eligible = rng.uniform(0, 0.1, 6), rng.random(6) < 0.2, rng.random(6) < 0.8
    w = direct_weights(wanted, tier, eligible, held, frozen, "trend", S)
    kept = frozen | np.isnan(wanted)
    free = ~kept

    assert (w[kept] == held[kept]).all()
    assert (w[free] <= np.minimum(wanted, S.caps.of(tier))[free]).all()
    assert (w[free & ~eligible] == 0).all()
    assert w[tier == 3].sum() <= max(S.caps.tier3_sleeve, held[kept & (tier == 3)].sum()) + 1e-12
    assert w.sum() <= max(S.gross.trend - S.cash_buffer, held[kept].sum()) + 1e-12
