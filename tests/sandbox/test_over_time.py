"""Orders over time through the real Roostoo client over HTTP: the sandbox's exact account is what we believe."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from evenkeel.engine import execution, parents, protocol, step
from evenkeel.engine.parents import Desk
from evenkeel.engine.ports import Touch
from evenkeel.engine.verdict import ProofSettings
from evenkeel.portfolio.costs import CostSettings
from evenkeel.portfolio.schedule import ScheduleSettings, scheduled
from evenkeel.sandbox.faults import Fault
from evenkeel.store.codec import from_json, to_json
from evenkeel.types import Identity, Memory, OpenSlot, Order, Slot, SlotKind
from sandbox.test_both_sides import desk as client_of
from sandbox.world import PAIRS, START

SLOT = Slot(SlotKind.REBALANCE, START)
PROOF = ProofSettings(polls=2, silence_s=5)


class Quotes:
    """The venue's own ticker."""

    def __init__(self, venue):
        self.venue = venue

    def touch(self, asset):
        """Its best bid and ask."""
        tick = self.venue.quotes(0)[asset]
        return Touch(float(tick.bid), float(tick.ask), 1e9)

    def profile(self, _asset):
        """Unknown."""
        return np.full(24, np.nan)


class Lane:
    """One purchase of BTC over time in an open slot, driven under the sandbox's clock."""

    def __init__(self, client, settings, quantity):
        self.clock, self.venue = client.box.clock, client_of(client)
        holdings, now = self.venue.holdings(START), int(self.clock.now())
        self.desk = Desk(settings, PAIRS, CostSettings(), Quotes(self.venue))
        order = Order(f"reb{START:x}-BTC-0", SLOT.id, 0, "BTC", Decimal(quantity), "TARGET")
        plan = scheduled(order, now, PAIRS["BTC"], Decimal(100), settings)
        tables = {"plans": [{"slot": SLOT.id, "plan": {}}], "equity": [{"slot": SLOT.id}]}
        draft = {
            "entry_atr": {}, "cash": str(holdings.cash), "tables": tables, "schedules": {order.id: to_json(plan)},
        }  # fmt: skip
        memory = Memory(Identity("roostoo", "a", "real", ""), 0, cash=holdings.cash, watermarks={"rebalance": START})
        self.memory = replace(memory, open_slots=(OpenSlot(SLOT, START, draft, ()),))

    def commit(self, change):
        """A store that is read back."""
        self.memory = from_json(Memory, to_json(change(self.memory)))
        return self.memory

    def through(self, seconds):
        """Every quarter of a minute until all is over."""
        end = self.clock.now() + seconds
        while not self.over() and self.clock.now() < end:
            memory = protocol.act(
                SLOT, self.memory, self.venue, self.commit, bool, self.clock.now, resumed=True, proof=PROOF
            )
            execution.advance(SLOT, memory, self.venue, self.commit, bool, self.clock.now, self.desk, proof=PROOF)
            self.clock.advance(15)  # four calls a look: the limiter, whose clock stands, must never wait
        return self

    def over(self):
        """Whether the slot can end."""
        found = self.memory.open_slots[0]
        return step.answered(found, self.memory) and parents.over(
            found, self.memory, int(self.clock.now()), halted=False
        )


@pytest.mark.parametrize(
    ("settings", "faults"),
    [
        (ScheduleSettings("market"), ()),
        (ScheduleSettings("limit", over_s=300, maker_s=30), ()),
        (ScheduleSettings("twap", over_s=300, slices=3), ()),
        (
            ScheduleSettings("twap", over_s=300, slices=3),
            (Fault("reset", path="*/place_order", count=1, accepted=True),),
        ),
        (
            ScheduleSettings("twap", over_s=300, slices=3),
            (Fault("reset", path="*/place_order", count=1, accepted=False),),
        ),
    ],
    ids=["market", "limit", "twap", "answer lost after", "answer lost before"],
)
def test_an_order_over_time_fills_once_and_the_books_agree(served, settings, faults):
    client = served(*faults)
    lane = Lane(client, settings, "3").through(400)
    done = step.finish(lane.memory, SLOT)
    state = client.state()["accounts"]["sandbox"]

    assert lane.over()
    assert done.positions["BTC"].units == Decimal(3) == Decimal(state["BTC"]["free"])
    assert Decimal(state["USD"]["lock"]) == 0
    assert abs(done.cash - Decimal(state["USD"]["free"])) < Decimal("0.01")
    assert not lane.venue.holdings(START).open_orders
