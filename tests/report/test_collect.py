"""What a run was made of adds up to what it earned, to the cent."""

from __future__ import annotations

import math

import pytest
import world

from evenkeel.research.report import Collector

TIERS = {pair.asset: pair.tier for pair in world.PAIRS}


@pytest.fixture(scope="module")
def run():
    """A real back-test of three days, watched."""
    collector, broker = Collector(), world.venue(world.feed())
    result = world.backtested(broker=broker, on_plan=collector.on_plan)
    return collector, result, broker.fills(0)


def test_the_curve_is_the_back_tests(run):
    collector, result, _ = run

    assert list(zip(*(column.tolist() for column in collector.curve), strict=True)) == result.equity
    assert len(collector.regimes.label) == len(result.equity)


def test_gross_less_costs_is_what_was_kept(run):
    collector, result, fills = run
    costs = collector.costs(fills, 100_000)

    assert len(fills) > 5
    assert math.isclose(costs.gross - costs.fees - costs.slippage, result.equity[-1][1] - 100_000, abs_tol=1e-6)
    assert costs.fees > 0


def test_slippage_is_the_distance_to_the_fills(run):
    """Counted the other way: each fill against the price at which it was decided."""
    collector, result, fills = run
    prices = {}

    def note(plan):
        prices.setdefault(plan.slot.time, dict(zip(plan.assets, plan.price.tolist(), strict=True)))

    world.backtested(on_plan=note)
    last = result.equity[-1][0]
    slow = sum(float(f.quantity) * (float(f.price) - prices[f.time][f.asset]) for f in fills if f.time < last)

    assert math.isclose(collector.costs(fills, 100_000).slippage, slow, abs_tol=0.01)


def test_three_cuts_of_one_sum(run):
    collector, _, fills = run
    cut, gross = collector.contributions(TIERS), collector.costs(fills, 100_000).gross

    for names in (cut.tier, cut.asset, cut.opinion):
        assert math.isclose(sum(names.values()), gross, abs_tol=1e-6)
    assert "base (inverse vol)" in cut.opinion
    assert "rule" in cut.opinion


def test_traded_is_every_fill(run):
    collector, _, fills = run
    wanted = sum(abs(float(fill.quantity * fill.price)) for fill in fills)

    assert math.isclose(collector.traded(fills).usd.sum(), wanted, rel_tol=1e-9)


def test_nothing_seen_is_nothing_said():
    collector = Collector()

    assert collector.costs((), 100.0).gross == 0
    assert collector.costs((), 100.0).slippage == 0
    assert len(collector.traded(()).days) == 0
    assert collector.contributions(TIERS).asset == {}
