"""Law 4: no rule of the overlay ever enlarges a weight, and risk slots only reduce."""

from dataclasses import replace

import numpy as np
import planted
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.portfolio import overlay
from evenkeel.portfolio.overlay import RULES, Facts, OverlaySettings
from evenkeel.types import SlotKind, TradingState

ASSETS = ("BTC", "ETH", "DOGE", "PEPE", "WIF", "LINK", "UNI", "ONDO")
EVERY_RULE = dict((*overlay.EXITS, overlay.TIME_STOP, *overlay.LIMITS, *overlay.STATES))


@st.composite
def facts(draw, kind=None):
    """Anything that a market and a memory may say, unknowns included."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = len(ASSETS)

    def some(low, high, unknown=0.2):
        x = rng.uniform(low, high, n)
        x[rng.random(n) < unknown] = np.nan
        return x

    held = np.where(rng.random(n) < 0.5, rng.dirichlet(np.ones(n)), 0.0)
    applied = draw(st.sampled_from([1.0, 0.875, 0.5, 0.25]))
    hit = draw(st.booleans())
    price = some(50, 150, 0.0)
    return Facts(
        kind=kind or draw(st.sampled_from(list(SlotKind))),
        time=10**9,
        assets=ASSETS,
        tier=rng.integers(1, 4, n),
        held=held,
        price=price,
        low=some(40, 150),
        vol=some(0.1, 3.0),
        liquidity=some(0, 1e8),
        moves=rng.normal(0, draw(st.sampled_from([0.0, 0.01, 0.1])), (50, n)),
        variance=some(0, 9, 0.0),
        equity=draw(st.sampled_from([100.0, 1e5, 1e9])),
        basis=some(50, 150),
        opened=rng.integers(10**9 - 90 * 86_400, 10**9, n),
        high=some(50, 200),
        stop=some(30, 150),
        cooling=rng.random(n) < 0.2,
        frozen=rng.random(n) < 0.2,
        drawdown_scale=min(applied, draw(st.sampled_from([1.0, 0.875, 0.5, 0.25])))
        if kind is SlotKind.RISK
        else draw(st.sampled_from([1.0, 0.875, 0.5, 0.25])),
        drawdown_applied=applied,
        daily_hit=hit,
        daily_new=hit and draw(st.booleans()),
        no_purchases=draw(st.booleans()),
        state=draw(st.sampled_from(list(TradingState))),
        flatten=draw(st.booleans()),
    )


def weights(seed):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(ASSETS)) < 0.6, rng.dirichlet(np.ones(len(ASSETS))), 0.0)


@settings(max_examples=150)
@given(facts=facts(), seed=st.integers(0, 2**32), name=st.sampled_from(sorted(EVERY_RULE)))
def test_no_rule_enlarges_a_weight(facts, seed, name):
    """Each rule alone, on random weights: never larger, never of the other sign."""
    w = weights(seed)
    after = EVERY_RULE[name](w, facts, OverlaySettings())

    assert np.isfinite(after).all()
    assert (after <= w + 1e-15).all()
    assert (after >= 0).all()


@settings(max_examples=150)
@given(facts=facts(), seed=st.integers(0, 2**32))
def test_the_whole_overlay_enlarges_nothing_and_says_why(facts, seed):
    """Folded: bounded by the raw weight, and whoever changed has a reason."""
    raw = weights(seed)
    after, reasons = overlay.apply(raw, facts, OverlaySettings(), RULES[facts.kind])

    assert (after <= raw + 1e-15).all()
    assert (after >= 0).all()
    changed = {ASSETS[i] for i in np.flatnonzero(raw - after > 1e-9)}
    assert changed <= {r.asset for r in reasons}
    assert all(0.0 <= r.factor < 1.0 for r in reasons)


@settings(max_examples=100)
@given(facts=facts(kind=SlotKind.RISK))
def test_a_risk_slot_only_reduces(facts):
    """Raw weights of a risk slot are what is held."""
    after, _ = overlay.apply(facts.held, facts, OverlaySettings(), RULES[SlotKind.RISK])

    assert (after <= facts.held + 1e-15).all()


@settings(max_examples=100)
@given(facts=facts(), seed=st.integers(0, 2**32), state=st.sampled_from([TradingState.REDUCING, TradingState.HALTED]))
def test_reducing_and_halted_never_add(facts, seed, state):
    after, _ = overlay.apply(weights(seed), replace(facts, state=state), OverlaySettings(), RULES[facts.kind])

    assert (after <= facts.held + 1e-15).all()


@settings(max_examples=60)
@given(facts=facts(), seed=st.integers(0, 2**32))
def test_caps_hold_for_everybody_who_can_be_traded(facts, seed):
    """Position, cluster and sleeve caps after the fold; a frozen position counts in its group and is not cut."""
    s = OverlaySettings()
    w, _ = overlay.apply(weights(seed), facts, s, RULES[SlotKind.REBALANCE])
    meme = np.isin(ASSETS, s.clusters["meme"])
    sleeve = facts.tier == 3

    assert (w <= s.caps.of(facts.tier) + 1e-12).all()
    for group, cap in ((meme, s.cluster_cap), (sleeve, s.caps.tier3_sleeve)):
        room = max(0.0, cap - w[group & facts.frozen].sum())
        assert w[group & ~facts.frozen].sum() <= room + 1e-9


@pytest.mark.parametrize("plant", [planted.enlarging, planted.turning_short])
@pytest.mark.parametrize("kind", list(SlotKind))
def test_a_rule_that_enlarges_is_caught_while_it_runs(plant, kind):
    """The fold itself refuses: a bug, never a market condition."""
    n = len(ASSETS)
    calm = Facts(
        kind, 10**9, ASSETS, np.ones(n, dtype=np.int64), np.full(n, 0.1), np.ones(n), np.full(n, np.nan), np.ones(n),
        np.full(n, 1e9), np.zeros((1, n)), np.zeros(n), 1e5, np.ones(n), np.full(n, 10**9), np.ones(n),
        np.full(n, np.nan), np.zeros(n, dtype=bool), np.zeros(n, dtype=bool), 1.0, 1.0, False, False, False,
        TradingState.ACTIVE, False,
    )  # fmt: skip

    overlay.apply(calm.held, calm, OverlaySettings(), RULES[kind])
    with pytest.raises(ValueError, match="PLANTED enlarged"):
        overlay.apply(calm.held, calm, OverlaySettings(), (*RULES[kind], ("PLANTED", plant)))
