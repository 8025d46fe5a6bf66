"""Law 5: cash is conserved to the last digit, equity to a cent; nothing is ever negative."""

from decimal import Decimal

import planted
import pytest
import world
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.research.backtest import backtest
from evenkeel.types import Brain, SlotKind
from evenkeel.venues.sim import PaperVenue

CENT = 0.01


class Told:
    """A venue that notes what it told us."""

    def __init__(self, broker):
        self.broker, self.fills = broker, []

    def __getattr__(self, name):
        return getattr(self.broker, name)

    def send(self, order, time, may=None):
        """Take an order, or fail as planned."""
        found = self.broker.send(order, time)
        self.fills += found.fills
        return found


def deposit(broker, usd):
    """Somebody moves money in or out."""
    broker.vault.put("USD", broker.vault.cash() + usd)


def audit(seed, days, kind=PaperVenue, capital=100_000, flows=None):
    """Run slot by slot; -> (violations, fills, last memory). flows: slot number -> USD moved before it."""
    market = world.feed(seed)
    told = Told(world.venue(market, kind=kind, capital=capital))
    memory, wrong, count, last = world.memory(), [], 0, None
    for number, slot in enumerate(world.window(days)):
        flow = (flows or {}).get(number, Decimal(0))
        before = told.holdings(0)
        if flow:
            deposit(told.broker, flow)
        told.fills, plans = [], []
        memory = backtest([slot], market, told, memory, Brain(), world.RULES, on_plan=plans.append).memory
        after = told.holdings(0)
        cash = before.cash + flow - sum((f.quantity * f.price + f.fee for f in told.fills), Decimal(0))
        units = {a: before.units.get(a, Decimal(0)) for a in world.ASSETS}
        for fill in told.fills:
            units[fill.asset] += fill.quantity
        if after.cash != cash:
            wrong.append((slot.id, "cash"))
        if {a: u for a, u in units.items() if u} != after.units:
            wrong.append((slot.id, "units"))
        if after.cash < 0 or any(u < 0 for u in after.units.values()):
            wrong.append((slot.id, "negative"))
        if plans and (memory.cash != after.cash or {a: p.units for a, p in memory.positions.items()} != after.units):
            wrong.append((slot.id, "memory"))
        if plans and last is not None:
            moved = sum(float(before.units.get(a, 0)) * (p - q) for a, p, q in zip(world.ASSETS, plans[0].price, last[1], strict=True) if a in before.units)  # fmt: skip  # noqa: E501
            if abs(plans[0].equity - (last[0] + moved + float(flow))) > CENT:
                wrong.append((slot.id, "equity"))
        if plans:
            price = dict(zip(world.ASSETS, plans[0].price, strict=True))
            paid = sum(float(f.fee) + float(f.quantity) * (float(f.price) - price[f.asset]) for f in told.fills)
            last = (plans[0].equity - paid, plans[0].price)
        count += len(told.fills)
    return wrong, count, memory


@settings(max_examples=6)
@given(seed=st.integers(1, 40), capital=st.sampled_from([300, 20_000, 100_000, 5_000_000]))
def test_cash_and_equity_are_conserved(seed, capital):
    """Equity' = equity + price moves - fees - slippage, slot by slot, for small and large books."""
    wrong, fills, _ = audit(seed, 1, capital=capital)

    assert wrong == []
    assert fills > 3


@settings(max_examples=4)
@given(
    seed=st.integers(1, 40),
    flows=st.dictionaries(st.integers(2, 130), st.integers(-9_000, 60_000).map(Decimal), min_size=1, max_size=4),
)
def test_deposits_and_withdrawals_are_flows_and_no_gain(seed, flows):
    """Flows are remembered to the cent, and move neither drawdown nor daily loss."""
    flows = {k: v for k, v in flows.items() if v}
    wrong, _, memory = audit(seed, 1, flows=flows)

    assert wrong == []
    assert memory.flows == sum(flows.values(), Decimal(0))


@pytest.mark.parametrize("kind", [planted.Feeless, planted.Twice])
def test_a_venue_that_cheats_is_caught(kind):
    """One forgets the fee it told of, one fills twice."""
    wrong, fills, memory = audit(7, 0.5, kind=kind)

    assert fills > 3
    assert {what for _, what in wrong} >= {"cash"}
    assert {what for _, what in wrong} & {"memory", "equity"}
    assert memory.flows != 0 or {what for _, what in wrong} >= {"units"}


def test_slots_end_with_what_they_began_with_where_nothing_traded():
    """A risk slot without orders moves no money."""
    market = world.feed(7)
    broker = world.venue(market)
    slots = [s for s in world.window(1) if s.kind is SlotKind.RISK]

    result = backtest(slots, market, broker, world.memory(), Brain(), world.RULES)

    assert broker.holdings(0).cash == Decimal(100_000)
    assert {e for _, e in result.equity} == {100_000.0}
