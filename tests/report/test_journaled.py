"""The journal of a run says what its back-test says, as far as a journal can."""

from __future__ import annotations

import math
import threading
from dataclasses import replace

import pytest
import world

from evenkeel.journal import recent
from evenkeel.research.report import Collector, Rows
from evenkeel.service import loop
from evenkeel.types import SlotKind

TIERS = {pair.asset: pair.tier for pair in world.PAIRS}
DAYS = 3


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """What a service left in its journal."""
    home = tmp_path_factory.mktemp("served")
    market = world.feed(days=DAYS)
    with world.service(home, market, lambda path: world.venue(market, path)) as runner:
        loop.replay(runner, world.START, world.START + DAYS * world.DAY, world.CADENCE, stop=threading.Event())
    tables = ("equity", "fills", "targets", "plans")
    return Rows(**{t: recent(home / "state" / "journal.db", t, limit=10**6) for t in tables}, capital=100_000.0)


@pytest.fixture(scope="module")
def back_test():
    """A back-test of the same days, watched up to its last full decision, and all its fills and plans."""
    plans, broker = [], world.venue(world.feed(days=DAYS))
    world.backtested(DAYS, broker=broker, on_plan=plans.append)
    last = max(i for i, plan in enumerate(plans) if plan.slot.kind is not SlotKind.RISK)
    collector = Collector()
    for plan in plans[: last + 1]:
        collector.on_plan(plan)
    return collector, broker.fills(0), plans


def test_the_curve_and_the_labels_are_the_back_tests(rows, back_test):
    _, _, plans = back_test

    assert rows.curve[0].tolist() == [plan.slot.time for plan in plans]
    assert rows.curve[1].tolist() == [plan.equity for plan in plans]
    assert rows.regimes.label == tuple(plan.carry.regime.label for plan in plans)
    assert rows.spoke == {"rule"}


def test_gross_and_costs_are_the_back_tests(rows, back_test):
    """Two ways to the same sums: units times prices, and weights times moves."""
    collector, fills, _ = back_test
    ours, theirs = rows.costs(), collector.costs(fills, 100_000)

    assert ours.fees > 0
    for name in ("gross", "fees", "slippage"):
        assert math.isclose(getattr(ours, name), getattr(theirs, name), abs_tol=0.01)


def test_contributions_are_the_back_tests_without_opinions(rows, back_test):
    collector, _, _ = back_test
    ours, theirs = rows.contributions(TIERS), collector.contributions(TIERS)

    assert ours.opinion is None
    assert {a: v for a, v in ours.asset.items() if abs(v) > 0.01}.keys() <= theirs.asset.keys()
    assert all(math.isclose(ours.asset.get(a, 0.0), usd, abs_tol=0.01) for a, usd in theirs.asset.items())
    assert all(math.isclose(ours.tier[t], usd, abs_tol=0.01) for t, usd in theirs.tier.items())


def test_traded_is_every_fill(rows, back_test):
    wanted = sum(abs(float(fill.quantity * fill.price)) for fill in back_test[1])

    assert math.isclose(rows.traded().usd.sum(), wanted, rel_tol=1e-9)


def test_a_journal_with_gaps_has_no_costs(rows):
    """One that was begun anew, or lost the prices of a decision: nothing instead of a wrong sum."""
    late = replace(rows, equity=rows.equity[50:])
    blind = replace(rows, targets=[row for row in rows.targets if row["slot"] != rows.fills[0]["slot"]])

    for broken in (late, blind):
        assert broken.costs() is None
        assert broken.contributions(TIERS) is None
