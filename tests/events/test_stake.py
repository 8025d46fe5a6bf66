"""Sizes against brute force, shrinking by skill, and the caps that no stake exceeds."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenkeel.events.fair import Fair
from evenkeel.events.fees import fees
from evenkeel.events.stake import (
    BOUND,
    UNPROVEN,
    Skill,
    basket_growth,
    counts,
    growth,
    kelly,
    partition,
    shrunk,
    sides,
    skill,
)

PROBABILITY = st.floats(0.01, 0.99)


def searched(p, cost, rounds=60):
    """The shares that grow fastest, found by trying: each outcome's share up and down by ever smaller steps."""
    shares, step = np.zeros(len(p)), 0.25
    best = basket_growth(p, cost, shares)
    for _ in range(rounds):
        moved = False
        for change in product((-step, 0.0, step), repeat=len(p)):
            trial = shares + np.array(change)
            if trial.min() >= 0 and trial.sum() < 1:
                value = basket_growth(p, cost, trial)
                if value > best + 1e-15:
                    shares, best, moved = trial, value, True
        step = step if moved else step / 2
    return shares, best


@given(PROBABILITY, PROBABILITY)
def test_kelly_is_what_a_search_finds(p, cost):
    """Over 2,000 shares none grows faster than (p - c) / (1 - c); nothing is bet without an edge."""
    share = float(kelly(np.array(p), np.array(cost)))
    tried = np.linspace(0, 0.999, 2000)

    values = growth(np.array(p), np.array(cost), tried)

    assert float(growth(np.array(p), np.array(cost), np.array(share))) >= values.max() - 1e-12
    assert (share > 0) == (p > cost)
    assert share < 1


@pytest.mark.parametrize("seed", range(12))
def test_a_partition_is_staked_as_a_search_finds(seed):
    """Three outcomes that exclude each other, a rest that loses everything: the same growth to 1e-9."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(4))[:3]
    cost = np.clip(p * rng.uniform(0.6, 1.3, 3), 0.02, 0.95)

    shares = partition(p, cost)

    tried, best = searched(p, cost)
    assert basket_growth(p, cost, shares) == pytest.approx(best, abs=1e-9)
    assert shares == pytest.approx(tried, abs=1e-3)
    assert shares.sum() < 1


def test_a_partition_of_one_is_kelly():
    """One outcome alone gets the share of the single rule; outcomes without an edge get nothing."""
    p, cost = np.array([0.5]), np.array([0.4])

    assert partition(p, cost) == pytest.approx(kelly(p, cost))
    assert partition(np.array([0.3, 0.3]), np.array([0.4, 0.5])).tolist() == [0, 0]


@given(PROBABILITY, st.integers(1, 99), st.floats(10, 1e5), st.integers(0, 500), st.sampled_from([1.0, 0.01]))
def test_a_stake_never_exceeds_kelly_nor_what_is_there(p, cents, bankroll, most, step):
    """At its own cost, rounded fee included: at most a tenth of Kelly, at most what is offered, whole steps."""
    price = cents / 100

    def budget(p, cost):
        return bankroll * 0.1 * kelly(p, cost)

    one = [np.array([x]) for x in (p, price, 0.07, float(most), step)]
    count, cost = counts(*one, budget=budget)

    assert 0 <= count[0] <= most
    assert count[0] / step == pytest.approx(round(count[0] / step))
    if count[0] > 0:
        paid = count[0] * price + float(fees(count, one[1], one[2])[0])
        assert paid == pytest.approx(count[0] * cost[0])
        assert paid <= bankroll * 0.1 * float(kelly(np.array(p), cost)[0]) + 1e-6


def test_nothing_is_rounded_up_to_a_bet():
    """Ten USD and an edge of three cents: a tenth of Kelly is less than one contract, so there is none."""
    one = [np.array([x]) for x in (0.55, 0.5, 0.07, 100.0, 1.0)]

    count, _ = counts(*one, budget=lambda p, c: 10 * 0.1 * kelly(p, c))

    assert count.tolist() == [0]


def test_what_is_unknown_is_not_bet_on():
    """A NaN price, probability, fee or depth: no contracts."""
    known = (0.9, 0.5, 0.07, 100.0)
    rows = np.array([[math.nan if i == j else x for j, x in enumerate(known)] for i in range(4)] + [known])

    count, _ = counts(*rows.T, np.ones(5), budget=lambda p, c: 1000 * 0.1 * kelly(p, c))

    assert count[:4].tolist() == [0, 0, 0, 0]
    assert count[4] > 0


def test_without_proven_skill_the_market_is_believed():
    """Below 300 settled events k is 0, whatever was measured: p is the mid, and no ask is below it."""
    fair = Fair(np.array([0.9]), np.array([0.01]))

    for by in (UNPROVEN, Skill(299, 1.0, 0.01), Skill(1000, math.nan, 0.1), Skill(1000, 1.0, math.nan)):
        assert shrunk(np.array([0.5]), fair, by).p.tolist() == [0.5]
    assert shrunk(np.array([0.5]), fair, Skill(300, -0.5, 0.1)).p.tolist() == [0.5]
    assert shrunk(np.array([0.5]), fair, Skill(300, 2.0, 0.1)).p == pytest.approx([0.9])


@given(PROBABILITY, PROBABILITY, st.floats(0, 1), st.floats(0, 0.5), st.floats(0, 0.2))
def test_the_staked_probability_is_a_lower_bound_on_both_sides(market, model, k, k_error, error):
    """Between market and model, less BOUND errors; the sides sum to 1 less twice that, and lie in [0, 1]."""
    p = shrunk(np.array([market]), Fair(np.array([model]), np.array([error])), Skill(300, k, k_error))

    both = sides(p)[:, 0]

    assert min(market, model) - 1e-12 <= p.p[0] <= max(market, model) + 1e-12
    assert p.error[0] == pytest.approx(math.hypot((model - market) * k_error, k * error))
    assert both[0] <= p.p[0]
    assert both[1] <= 1 - p.p[0]
    assert both == pytest.approx(np.clip([p.p[0] - BOUND * p.error[0], 1 - p.p[0] - BOUND * p.error[0]], 0, 1))


def test_skill_is_found_where_it_is_and_its_error_is_honest():
    """Outcomes that follow 0.6 of the model's gap: k within three errors, and 80 % bounds hold in 80 % of worlds."""
    held = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        market = np.repeat(rng.uniform(0.2, 0.8, 150), 4)
        gap = np.repeat(rng.uniform(-0.15, 0.15, 150), 4)
        event = np.repeat(np.arange(150), 4)
        outcome = (np.repeat(rng.random(150), 4) < market + 0.6 * gap).astype(float)
        found = skill(market + gap, market, outcome, event)
        held.append(found.k - BOUND * found.error < 0.6)

    assert found.events == 150
    assert 0.72 < np.mean(held) < 0.88


def test_contracts_of_one_event_are_one_piece_of_evidence():
    """The same event written four times: the same k, the same error, not half of it; NaN rows are left out."""
    rng = np.random.default_rng(0)
    market, gap, event = rng.uniform(0.2, 0.8, 400), rng.uniform(-0.1, 0.1, 400), np.arange(400)
    outcome = (rng.random(400) < market).astype(float)
    once = skill(market + gap, market, outcome, event)
    four = [np.r_[np.repeat(x, 4), np.nan] for x in (market + gap, market, outcome)]

    again = skill(*four, np.r_[np.repeat(event, 4), 999])

    assert again.k == pytest.approx(once.k)
    assert again.error == pytest.approx(once.error)
    assert again.events == once.events == 400
    assert math.isnan(skill(market, market, outcome, event).error)
