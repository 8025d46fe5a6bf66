"""Each risk rule by its behaviour, numbers by hand."""

from dataclasses import replace

import numpy as np
import pytest
import world

from evenkeel.portfolio import overlay
from evenkeel.portfolio.allocate import TierCaps
from evenkeel.portfolio.overlay import RULES, OverlaySettings, portfolio_vol
from evenkeel.types import SlotKind, TradingState

S = OverlaySettings(trailing=0.10, max_loss=0.15)


def after(w, facts, settings=S):
    got, reasons = overlay.apply(np.asarray(w), facts, settings, RULES[facts.kind])
    return got, {(r.asset, r.rule): r.factor for r in reasons}


@pytest.mark.parametrize(
    ("low", "rules"),
    [
        (92.0, set()),
        (91.0, {"ATR_STOP"}),
        (90.0, {"ATR_STOP", "TRAILING_STOP"}),
        (84.9, {"ATR_STOP", "TRAILING_STOP", "MAX_LOSS"}),
        (np.nan, set()),
    ],
)
def test_a_stop_fires_where_the_range_touches_its_level(low, rules):
    """Levels 91 (ATR), 90 (trailing from 100) and 85 (basis 100): touching is enough, an empty range is not."""
    facts = world.facts(low=np.array([low, np.nan, np.nan]), stop=np.array([91.0, np.nan, np.nan]))
    w, why = after(facts.held, facts)

    assert {rule for asset, rule in why if asset == "BTC"} == rules
    assert w[0] == (0.0 if rules else 0.10)
    np.testing.assert_allclose(w[1:], facts.held[1:])


def test_without_exits_no_stop_fires_but_a_person_may_still_close_everything():
    off = OverlaySettings(exits=False)
    old = np.full(3, world.START - 400 * world.DAY)
    facts = world.facts(low=np.full(3, 1.0), stop=np.full(3, 91.0), opened=old, price=np.full(3, 50.0))
    w, why = after(facts.held, facts, off)
    closed, _ = after(facts.held, replace(facts, flatten=True), off)

    np.testing.assert_allclose(w, facts.held)
    assert why == {}
    assert np.isnan(np.concatenate(list(overlay.stop_levels(facts, off).values()))).all()
    assert closed.tolist() == [0.0, 0.0, 0.0]


def test_a_stop_needs_a_holding_and_a_believed_price():
    facts = world.facts(low=np.full(3, 1.0), held=np.array([0.0, 0.08, 0.04]), frozen=np.array([0, 1, 0], dtype=bool))
    w, why = after([0.1, 0.08, 0.04], facts)

    np.testing.assert_allclose(w, [0.1, 0.08, 0.0])
    assert {asset for asset, _ in why} == {"ONDO"}


def test_a_stop_leaves_its_reason_where_the_raw_weight_was_already_zero():
    """The position is held: its exit must be named, whatever the allocation wants."""
    _, why = after([0.0, 0.0, 0.0], world.facts(low=np.full(3, 89.0)))

    assert {asset for asset, rule in why if rule == "TRAILING_STOP"} == {"BTC", "UNI", "ONDO"}


def test_time_stop_closes_only_losers_only_at_rebalances():
    old = np.full(3, world.START - 46 * world.DAY)
    facts = world.facts(opened=old, price=np.array([99.0, 101.0, 99.0]), basis=np.full(3, 100.0))

    np.testing.assert_allclose(after(facts.held, facts)[0], [0.0, 0.08, 0.0])
    np.testing.assert_allclose(after(facts.held, replace(facts, kind=SlotKind.SCORE))[0], facts.held)
    np.testing.assert_allclose(after(facts.held, replace(facts, kind=SlotKind.RISK))[0], facts.held)
    np.testing.assert_allclose(after(facts.held, replace(facts, opened=old + 2 * world.DAY))[0], facts.held)


def test_cooling_assets_have_no_weight():
    w, why = after([0.1, 0.08, 0.04], world.facts(cooling=np.array([1, 0, 0], dtype=bool)))

    np.testing.assert_allclose(w, [0.0, 0.08, 0.04])
    assert why == {("BTC", "COOLDOWN"): 0.0}


def test_position_caps_clip_by_tier():
    w, why = after([0.3, 0.2, 0.1], world.facts())

    np.testing.assert_allclose(w, [0.15, 0.10, 0.05])
    assert why[("BTC", "POSITION_CAP")] == pytest.approx(0.5)


def test_group_caps_count_the_frozen_and_cut_the_others():
    """Cluster of 0.25 with 0.2 frozen: the other member keeps 0.05. Without frozen members both shrink alike."""
    settings = OverlaySettings(clusters={"pair": ("BTC", "UNI")}, caps=TierCaps(1, 1, 1, 1))
    frozen = np.array([1, 0, 0], dtype=bool)

    np.testing.assert_allclose(after([0.2, 0.2, 0.1], world.facts(frozen=frozen), settings)[0], [0.2, 0.05, 0.1])
    np.testing.assert_allclose(after([0.3, 0.2, 0.1], world.facts(), settings)[0], [0.15, 0.10, 0.1])


def test_tier_cap_scales_the_sleeve():
    facts = world.facts(tier=np.array([3, 3, 3]))
    w = overlay.tier_cap(np.array([0.05, 0.05, 0.04]), facts, S)

    assert w.sum() == pytest.approx(0.12)
    np.testing.assert_allclose(w / w[0], [1, 1, 0.8])


def test_liquidity_cap_is_a_share_of_daily_volume():
    """1 % of 5e5 is 5,000 USD of 1e5: 5 %. Unknown volume: no more than is held."""
    facts = world.facts(liquidity=np.array([5e5, np.nan, 1e9]))

    np.testing.assert_allclose(after([0.10, 0.09, 0.04], facts)[0], [0.05, 0.08, 0.04])


YEAR_H = 365.25 * 24


def test_portfolio_vol_equals_the_explicit_covariance():
    """(1 - d) w'Sw + d sum w^2 S_ii with S = mean of outer products of hourly returns, unknown returns as 0."""
    rng = np.random.default_rng(3)
    r = rng.normal(0, 0.01, (720, 3)) @ rng.normal(0, 1, (3, 3))
    r[100:110, 1] = np.nan
    known, w = np.isfinite(r), np.array([0.4, 0.3, 0.2])
    r = np.where(known, r, 0.0)
    joint = r.T @ r / len(r) * YEAR_H
    own = (r**2).sum(axis=0) / known.sum(axis=0) * YEAR_H
    expected = np.sqrt(0.8 * w @ joint @ w + 0.2 * (w**2 @ own))

    assert portfolio_vol(w, r, own, 0.2) == pytest.approx(expected, rel=1e-12)


def test_an_asset_without_returns_brings_its_own_variance():
    found = portfolio_vol(np.array([0.5, 0, 0]), np.zeros((5, 3)), np.array([0.64, 0.0, 0.0]), 0.25)

    assert found == pytest.approx(0.5 * 0.8 * 0.5)


def test_vol_target_scales_all_to_the_target_and_never_up():
    wild = np.random.default_rng(0).normal(0, 0.05, (720, 3))
    variance = (wild**2).mean(axis=0) * YEAR_H
    facts = world.facts(moves=wild, variance=variance)
    w, _ = after([0.15, 0.10, 0.05], facts)
    calm = world.facts(moves=wild / 1000, variance=variance / 1e6)

    assert portfolio_vol(w, wild, variance, S.shrinkage) == pytest.approx(S.vol_target)
    np.testing.assert_allclose(w / w[0], [1, 2 / 3, 1 / 3])
    np.testing.assert_allclose(after([0.15, 0.10, 0.05], calm)[0], [0.15, 0.10, 0.05])


def test_drawdown_scales_targets_at_trading_slots_and_only_the_news_at_risk_slots():
    facts = world.facts(drawdown_scale=0.5, drawdown_applied=0.75)
    risk = replace(facts, kind=SlotKind.RISK)

    np.testing.assert_allclose(after(facts.held, facts)[0], facts.held * 0.5)
    np.testing.assert_allclose(after(facts.held, risk)[0], facts.held * (0.5 / 0.75))
    np.testing.assert_allclose(after(facts.held, replace(risk, drawdown_applied=0.5))[0], facts.held)


def test_a_drawdown_scale_of_zero_stays_zero():
    """`drawdown_floor: 0` sells everything; what could not be sold is wanted gone at the next check too."""
    facts = replace(world.facts(drawdown_scale=0.0, drawdown_applied=0.0), kind=SlotKind.RISK)

    assert not after(facts.held, facts)[0].any()


def test_daily_loss_halves_once_and_adds_nothing_for_the_rest_of_the_day():
    facts = world.facts(daily_hit=True, daily_new=True)

    np.testing.assert_allclose(after([0.15, 0.02, 0.05], facts)[0], [0.05, 0.02, 0.02])
    np.testing.assert_allclose(after([0.15, 0.02, 0.05], replace(facts, daily_new=False))[0], [0.10, 0.02, 0.04])


@pytest.mark.parametrize(
    "changes", [{"state": TradingState.REDUCING}, {"state": TradingState.HALTED}, {"no_purchases": True}]
)
def test_reducing_halted_and_silent_opinions_add_nothing(changes):
    np.testing.assert_allclose(after([0.15, 0.02, 0.05], world.facts(**changes))[0], [0.10, 0.02, 0.04])


def test_flatten_closes_all_that_can_be_traded():
    w, why = after([0.1, 0.08, 0.04], world.facts(flatten=True, frozen=np.array([0, 1, 0], dtype=bool)))

    np.testing.assert_allclose(w, [0, 0.08, 0])
    assert set(why) == {("BTC", "FLATTEN"), ("ONDO", "FLATTEN")}
