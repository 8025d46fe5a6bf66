"""A book of one asset, taught on, is worth what the back-test of the same weights is worth."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from evenkeel.engine.replay import Replay
from evenkeel.portfolio.allocate import AllocateSettings, GrossByRegime, TierCaps
from evenkeel.portfolio.orders import BandByKind, OrderSettings
from evenkeel.portfolio.overlay import OverlaySettings
from evenkeel.research.backtest import backtest
from evenkeel.research.env import slots as books
from evenkeel.research.env.tape import tape
from evenkeel.signals.policy import wanted
from evenkeel.types import SlotKind
from laws import world

CAP = 0.97
DAYS = 10


def rules(**overlay):
    """The rebalancer's rules without what only a portfolio has."""
    whole = TierCaps(CAP, CAP, CAP, CAP)
    limits = {"trailing": 0.06, "max_loss": 0.05, "atr_multiple": 3.0, **overlay}
    return replace(
        world.RULES,
        allocate=AllocateSettings(method="direct", gross=GrossByRegime(1, 1, 1), caps=whole, cash_buffer=0.01),
        overlay=OverlaySettings(
            caps=TierCaps(1, 1, 1, 1), cluster_cap=1.0, vol_target=5.0, drawdown_floor=1.0, daily_loss=1.0, **limits
        ),
        orders=OrderSettings(band=BandByKind(0, 0, 0), cash_reserve=0.0),
        opinions=replace(world.RULES.opinions, alpha=False, policy=False, edge=False, rule=False),
    )


def run_books(signals, given, asset, budget, actions):
    """Equity after every trading slot, the weights that were wanted, and how often a stop fired."""
    market = tape(signals, given)
    only = books.slot_rules(given.pairs, given.overlay, given.orders, given.costs, cap=CAP)
    held = books.empty(1)
    everything = np.ones(1, dtype=bool)
    held.open(everything, np.array([0]), np.array([asset]), np.array([budget]))
    worth, wishes, stops = [], [], 0
    for row, action in enumerate(actions):
        held.row[:] = row
        stops += int(books.watch(market, held, only).sum())
        worth.append(float(books.equity(market, held)[0]))
        share = books.own(market, held, only).share
        wishes.append(float(wanted(share, np.array([action]))[0]) * CAP)
        books.trade(market, held, only, np.array([action]))
    return np.array(worth), np.array(wishes), stops


@pytest.mark.parametrize("seed", range(1, 9))
@pytest.mark.parametrize(("asset", "budget"), [(0, 1_000.0), (5, 10_000.0), (9, 100_000.0)])
def test_random_actions_are_worth_what_the_back_test_of_the_same_weights_is(seed, asset, budget):
    given, bar_s = rules(), 1_800
    signals = world.judged(world.Brain(), seed, DAYS, bar_s, 2.5, replace(world.SIGNALS, opinions=given.opinions))
    rng = np.random.default_rng(seed)
    count = len(signals.panel.time) - signals.first - 1
    actions = np.where(rng.random(count) < 0.5, rng.uniform(-1, 1, count), rng.choice([-1.0, 0.0, 1.0], count))
    worth, wishes, stops = run_books(signals, given, asset, budget, actions)
    shown = np.zeros((len(signals.vol), len(signals.panel.assets)))
    shown[:, asset] = [*wishes, 0.0]
    time = signals.panel.time[signals.first :]
    feed = Replay(replace(signals, wanted=shown))
    todo = list(world.slots.between(int(time[0]), int(time[-1]), world.CADENCE))
    seen = {}
    result = backtest(
        todo, feed, world.venue(feed, capital=Decimal(budget)), world.memory(), world.Brain(), given,
        on_plan=lambda plan: seen.__setitem__((plan.slot.kind is SlotKind.RISK, plan.slot.time), plan.equity),
    )  # fmt: skip
    decided = [i for i in range(len(worth)) if (False, int(time[i])) in seen]  # the rest: too little known to trade
    theirs = np.array([seen[False, int(time[i])] for i in decided])
    np.testing.assert_allclose(worth[decided], theirs, rtol=1e-9, atol=0.0)
    assert len(decided) > 0.9 * len(worth)
    assert len(result.orders) > 50
    assert stops == sum(order["stop"] is not None for order in result.orders)
