"""The order protocol: durable before the socket, sent once, never believed without proof."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest
import world

from evenkeel.engine import protocol, step
from evenkeel.engine.ports import Found
from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.types import Fill, Intent, IntentStatus, OpenSlot, Order, Slot, SlotKind, TradingState

SLOT = Slot(SlotKind.REBALANCE, world.START)
DRAFT = {"entry_atr": {}, "tables": {"equity": [{"slot": SLOT.id}]}}


class Venue:
    """A venue of scripts: what `send` does, by asset, and whether it did it before its answer was lost."""

    def __init__(self, **script):
        self.script, self.filled, self.sent, self.deaf, self.durable = script, {}, Counter(), False, None

    def send(self, order, time):
        """Take an order, or fail as planned."""
        self.sent[order.id] += 1
        assert self.durable is None or self.durable(order), "sent before it was durable"
        what = self.script.get(order.asset, "fill")
        if what == "refuse":
            raise VenueError("insufficient balance")
        if what != "lost before":
            price = Decimal(100)
            self.filled[order.id] = Fill(
                f"{order.id}-1", order.id, order.asset, order.quantity, price, Decimal(1), time
            )
        if what.startswith("lost"):
            raise VenueUnknownError("read timed out")
        return Found(IntentStatus.FILLED, (self.filled[order.id],))

    def find(self, order, time):
        """What became of an order, or silence."""
        if self.deaf:
            raise VenueUnknownError("connection refused")
        fill = self.filled.get(order.id)
        return Found(IntentStatus.FILLED, (fill,)) if fill else None


class Memo:
    """A store in a variable: every commit is kept."""

    def __init__(self, memory):
        self.memory, self.history = memory, [memory]

    def __call__(self, change):
        """Make a change and keep it."""
        self.memory = change(self.memory)
        self.history.append(self.memory)
        return self.memory


def opened(*assets, quantity="1"):
    orders = [Order(f"x-{a}-{i}", SLOT.id, i, a, Decimal(quantity), "TARGET") for i, a in enumerate(assets)]
    memory = world.memory(cash=Decimal(1_000), watermarks={"rebalance": SLOT.time})
    return Memo(replace(memory, open_slots=(OpenSlot(SLOT, SLOT.time, DRAFT, tuple(map(Intent, orders))),)))


def act(memo, venue, *, resumed=False, halted=lambda: False):
    return protocol.act(SLOT, memo.memory, venue, memo, halted, SLOT.time, resumed=resumed)


def statuses(memory):
    return [i.status.value for i in memory.open_slots[0].intents]


def test_every_leg_is_sent_once_in_order_and_each_answer_committed():
    memo, venue = opened("A", "B", "C"), Venue()
    venue.durable = lambda order: any(i.order == order for i in memo.memory.open_slots[0].intents)
    act(memo, venue)

    assert statuses(memo.memory) == ["FILLED"] * 3
    assert list(venue.sent.values()) == [1, 1, 1]
    assert [statuses(m) for m in memo.history] == [
        ["PREPARED"] * 3,
        ["FILLED", "PREPARED", "PREPARED"],
        ["FILLED", "FILLED", "PREPARED"],
        ["FILLED"] * 3,
    ]


def test_a_refusal_rejects_its_leg_and_the_slot_ends():
    memo = opened("A", "B")
    memory = step.finish(act(memo, Venue(A="refuse")), SLOT)

    assert memory.counts == {"rebalance": {"done": 1}}
    assert [(r["status"], r["note"]) for r in memory.outbox["tables"]["orders"]] == [
        ("REJECTED", "insufficient balance"),
        ("FILLED", ""),
    ]
    assert set(memory.positions) == {"B"}


@pytest.mark.parametrize("how", ["lost before", "lost after"])
def test_a_lost_answer_is_unknown_and_keeps_the_slot_open(how):
    memo, venue = opened("A", "B"), Venue(A=how)
    act(memo, venue)

    assert statuses(memo.memory) == ["UNKNOWN", "FILLED"]
    with pytest.raises(ValueError, match="unresolved"):
        step.finish(memo.memory, SLOT)


def test_resuming_binds_the_fill_and_never_sends_twice():
    memo, venue = opened("A", "B"), Venue(A="lost after")
    act(memo, venue)
    act(memo, venue, resumed=True)
    memory = step.finish(memo.memory, SLOT)

    assert venue.sent == {"x-A-0": 1, "x-B-1": 1}
    assert memory.positions["A"].units == memory.positions["B"].units == Decimal(1)
    assert memory.cash == Decimal(1_000 - 202)


def test_resuming_sends_what_the_venue_never_saw_under_the_same_id():
    memo, venue = opened("A"), Venue(A="lost before")
    act(memo, venue)
    venue.script = {}
    act(memo, venue, resumed=True)

    assert venue.sent == {"x-A-0": 2}
    assert statuses(memo.memory) == ["FILLED"]
    assert memo.memory.open_slots[0].intents[0].attempts == 2


def test_while_the_venue_is_deaf_nothing_is_sent():
    memo, venue = opened("A", "B"), Venue(A="lost before", B="lost after")
    act(memo, venue)
    venue.deaf = True
    for _ in range(3):
        act(memo, venue, resumed=True)

    assert statuses(memo.memory) == ["UNKNOWN", "UNKNOWN"]
    assert venue.sent == {"x-A-0": 1, "x-B-1": 1}


def test_after_a_crash_even_a_prepared_leg_is_asked_for_before_it_is_sent():
    """The process may have died between the socket and the commit."""
    memo, venue = opened("A", "B"), Venue()
    venue.send(memo.memory.open_slots[0].intents[0].order, SLOT.time)
    act(memo, venue, resumed=True)

    assert venue.sent == {"x-A-0": 1, "x-B-1": 1}
    assert statuses(memo.memory) == ["FILLED", "FILLED"]


def test_a_resolved_leg_is_left_alone():
    memo, venue = opened("A", "B"), Venue(B="refuse")
    act(memo, venue)
    before = memo.memory
    act(memo, venue, resumed=True)

    assert memo.memory == before
    assert venue.sent == {"x-A-0": 1, "x-B-1": 1}


@pytest.mark.parametrize(
    ("state", "quantity", "note"),
    [
        (TradingState.HALTED, "1", "TRADING_STATE_HALTED"),
        (TradingState.HALTED, "-1", "TRADING_STATE_HALTED"),
        (TradingState.REDUCING, "1", "TRADING_STATE_REDUCING"),
    ],
)
def test_the_last_check_withholds_a_leg(state, quantity, note):
    memo, venue = opened("A", quantity=quantity), Venue()
    memo(lambda m: replace(m, trading_state=state))
    act(memo, venue)
    intent = memo.memory.open_slots[0].intents[0]

    assert (intent.status, intent.note) == (IntentStatus.NOT_PLACED, note)
    assert not venue.sent


def test_reducing_lets_sales_through():
    memo, venue = opened("A", quantity="-1"), Venue()
    memo(lambda m: replace(m, trading_state=TradingState.REDUCING))
    act(memo, venue)

    assert statuses(memo.memory) == ["FILLED"]


# ---------------------------------------------------------------- flatten, as steps


def flattening(memo):
    return memo(lambda m: replace(m, flatten=True, trading_state=TradingState.REDUCING))


def test_flatten_is_not_over_because_an_older_slot_had_nothing_filled():
    """Purchases of a plan from before the command are withheld: that says nothing about what is left to sell."""
    memo = opened("A")
    flattening(memo)
    memory = step.finish(act(memo, Venue()), SLOT)

    assert memory.flatten
    assert memory.trading_state is TradingState.REDUCING


def test_flatten_waits_for_slots_that_are_still_open():
    memo = opened("A")
    flattening(memo)
    other = OpenSlot(Slot(SlotKind.RISK, SLOT.time), SLOT.time, DRAFT, ())
    memo(lambda m: replace(m, open_slots=(*m.open_slots, other)))

    assert step.finish(memo.memory, other.slot).flatten


def test_flatten_ends_in_halted_once_nothing_is_left_to_send():
    memo = opened()
    flattening(memo)
    memory = step.finish(memo.memory, SLOT)

    assert not memory.flatten
    assert memory.trading_state is TradingState.HALTED


# ---------------------------------------------------------------- steps


def test_a_busy_pair_is_not_touched_by_another_lane():
    """One unresolved intent per pair is the lock between lanes."""
    from evenkeel.decide import decide
    from evenkeel.types import Book, Brain, Holdings

    view = world.view()
    memo = opened("BTC")
    memo(lambda m: replace(m, cash=Decimal(100_000)))
    book = Book(Holdings(world.START, Decimal(100_000), {}), memo.memory)
    plan = decide(view, book, Brain(), world.RULES, Slot(SlotKind.SCORE, world.START + 1800))

    assert "BTC" not in {o.asset for o in plan.orders}
    assert {d.code for d in plan.dropped if d.asset == "BTC"} <= {"PAIR_BUSY"}


def test_a_trading_slot_without_a_new_bar_is_skipped_and_risk_is_not():
    view = world.view()
    memory = world.memory(scored=view.as_of)

    assert step.skip_reason(Slot(SlotKind.SCORE, world.START), view, memory, world.RULES) == "no_new_bar"
    assert step.skip_reason(Slot(SlotKind.RISK, world.START), view, memory, world.RULES) == ""
    dark = replace(view, fault=(view.fault * 0 + 1))
    assert step.skip_reason(SLOT, dark, world.memory(), world.RULES) == "BENCHMARK_UNAVAILABLE"
    assert step.skip_reason(Slot(SlotKind.RISK, world.START), dark, world.memory(), world.RULES) == ""
