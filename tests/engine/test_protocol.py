"""The order protocol: durable before the socket, sent once, never believed without proof."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest
import world

from evenkeel.engine import protocol, step
from evenkeel.engine.ports import VenueOrder
from evenkeel.engine.verdict import ProofSettings
from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.types import Fill, Holdings, Intent, IntentStatus, OpenSlot, Order, Slot, SlotKind, Trace, TradingState

SLOT = Slot(SlotKind.REBALANCE, world.START)
DRAFT = {"entry_atr": {}, "tables": {"equity": [{"slot": SLOT.id}]}}


class Venue:
    """A venue of scripts: what `send` does, by asset, and whether it did it before its answer was lost.

    named  whether it keeps our id; one that does not numbers its orders · slow  looks until an order is shown
    """

    def __init__(self, *, named=True, slow=0, **script):
        self.script, self.placed, self.sent = script, [], Counter()
        self.again, self.slow, self.deaf, self.durable = named, slow, False, None
        self.units = Counter()

    def send(self, order, time, may=None):
        """Take an order, or fail as planned."""
        self.sent[order.id] += 1
        assert self.durable is None or self.durable(order), "sent before it was durable"
        what = self.script.get(order.asset, "fill")
        if what == "refuse":
            raise VenueError("insufficient balance")
        if what != "lost before":
            self.place(order.asset, order.quantity, time, order.id if self.again else "")
        if what.startswith("lost"):
            raise VenueUnknownError("read timed out")
        return self.placed[-1]

    def place(self, asset, quantity, time, ours=""):
        """An order of the account, filled at once."""
        number = 100 + len(self.placed)
        fill = Fill(f"{number}-1", str(number), asset, quantity, Decimal(100), Decimal(1), int(time))
        own = None if self.again else number
        shown = VenueOrder(
            str(number), ours, asset, quantity, None, IntentStatus.FILLED, int(time) * 1000, (fill,), own
        )
        self.placed.append(shown)
        self.units[asset] += quantity

    def holdings(self, time, *, urgent=False):
        """The account now."""
        newest = None if self.again else 99 + len(self.placed)
        return Holdings(int(time), Decimal(1_000), {a: Decimal(q) for a, q in self.units.items() if q}, newest=newest)

    def orders(self, assets, since, time):
        """What it shows of them."""
        if self.deaf:
            raise VenueUnknownError("connection refused")
        self.slow -= 1
        newer = [o for o in self.placed if (o.placed > since * 1000 if self.again else int(o.id) > since)]
        return () if self.slow >= 0 else tuple(o for o in newer if o.asset in assets)


class Memo:
    """A store in a variable: every commit is kept."""

    def __init__(self, memory):
        self.memory, self.history = memory, [memory]

    def __call__(self, change):
        """Make a change and keep it."""
        self.memory = change(self.memory)
        self.history.append(self.memory)
        return self.memory


def opened(*assets, quantity="1", highest=None):
    orders = [Order(f"x-{a}-{i}", SLOT.id, i, a, Decimal(quantity), "TARGET") for i, a in enumerate(assets)]
    trace = Trace(highest, Decimal(0))
    memory = world.memory(cash=Decimal(1_000), watermarks={"rebalance": SLOT.time})
    return Memo(
        replace(memory, open_slots=(OpenSlot(SLOT, SLOT.time, DRAFT, tuple(Intent(o, trace=trace) for o in orders)),))
    )


def act(memo, venue, *, resumed=False, halted=lambda: False, later=0, **words):
    return protocol.act(
        SLOT, memo.memory, venue, memo, halted, lambda: float(SLOT.time + later), resumed=resumed, **words
    )


def statuses(memory):
    return [i.status.value for i in memory.open_slots[0].intents]


def test_every_leg_is_sent_once_in_order_and_each_answer_committed():
    memo, venue = opened("A", "B", "C"), Venue()
    venue.durable = lambda order: ("SENT", order) in [(i.status, i.order) for i in memo.memory.open_slots[0].intents]
    act(memo, venue)

    assert statuses(memo.memory) == ["FILLED"] * 3
    assert list(venue.sent.values()) == [1, 1, 1]
    assert [statuses(m) for m in memo.history] == [
        ["PREPARED"] * 3,
        ["SENT", "PREPARED", "PREPARED"],
        ["FILLED", "SENT", "PREPARED"],
        ["FILLED", "FILLED", "SENT"],
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


def crashed(memo, venue, *, at):
    """The process dies when leg `at` is at the socket: after the venue took it, before its answer was committed."""
    memo(lambda m: m)
    act(memo, venue)
    died = next(m for m in memo.history if statuses(m)[at] == "SENT")
    return Memo(died)


def test_after_a_crash_a_leg_that_was_at_the_socket_is_asked_for_and_the_next_ones_are_sent():
    """The process may have died between the socket and the commit; legs still PREPARED never left."""
    venue = Venue()
    memo = crashed(opened("A", "B", "C"), venue, at=1)
    venue.placed.pop()
    venue.sent.clear()
    act(memo, venue, resumed=True)

    assert venue.sent == {"x-C-2": 1}
    assert statuses(memo.memory) == ["FILLED"] * 3


# ---------------------------------------------------------------- a venue without our ids


def unnamed(**script):
    """A venue that numbers orders and keeps no id of ours, and a leg of A that is about to go there."""
    venue = Venue(named=False, **script)
    venue.place("Z", Decimal(1), SLOT.time - 60)
    return opened("A", highest=100), venue


HALF_A_MINUTE = ProofSettings(silence_s=30)


def looks(memo, venue, *at):
    for later in at:
        act(memo, venue, resumed=True, later=later, proof=HALF_A_MINUTE)
    return statuses(memo.memory)[0]


def test_o3_o4_an_order_whose_answer_was_lost_is_found_by_its_fingerprint():
    memo, venue = unnamed(A="lost after")
    act(memo, venue)

    assert looks(memo, venue, 10) == "FILLED"
    intent = memo.memory.open_slots[0].intents[0]
    assert intent.trace.venue == "101"
    assert [f.order_id for f in intent.fills] == ["x-A-0"]
    assert venue.sent == {"x-A-0": 1}


def test_o2_what_three_looks_over_thirty_seconds_do_not_show_is_sent_again_once():
    memo, venue = unnamed(A="lost before")
    act(memo, venue)

    assert looks(memo, venue, 10, 25) == "UNKNOWN"
    assert venue.sent == {"x-A-0": 1}
    venue.script = {}
    assert looks(memo, venue, 40) == "FILLED"
    assert venue.sent == {"x-A-0": 2}
    assert memo.memory.open_slots[0].intents[0].attempts == 2


def test_three_looks_in_a_hurry_prove_nothing():
    memo, venue = unnamed(A="lost before")
    act(memo, venue)

    assert looks(memo, venue, 1, 2, 3, 4, 5) == "UNKNOWN"
    assert venue.sent == {"x-A-0": 1}


def test_an_order_that_the_venue_shows_late_is_bound_and_not_sent_again():
    memo, venue = unnamed(A="lost after")
    venue.slow = 2
    act(memo, venue)

    assert looks(memo, venue, 10, 20) == "UNKNOWN"
    assert looks(memo, venue, 40) == "FILLED"
    assert venue.sent == {"x-A-0": 1}


def test_an_expired_plan_is_not_sent_again_though_it_was_never_placed():
    memo, venue = unnamed(A="lost before")
    act(memo, venue)
    looks(memo, venue, 10, 25)
    act(memo, venue, resumed=True, later=40, expired=True, proof=HALF_A_MINUTE)
    intent = memo.memory.open_slots[0].intents[0]

    assert (intent.status, intent.note) == (IntentStatus.NOT_PLACED, "PLAN_EXPIRED")
    assert venue.sent == {"x-A-0": 1}


def test_o16_two_orders_alike_quarantine_the_pair_and_the_slot_ends():
    memo, venue = unnamed(A="lost after")
    act(memo, venue)
    venue.place("A", Decimal(1), SLOT.time + 1)

    assert looks(memo, venue, 10) == "UNKNOWN"
    assert memo.memory.quarantined == {"A": "AMBIGUOUS: SEVERAL_ORDERS (101, 102)"}
    memory = step.finish(memo.memory, SLOT)
    assert [r["status"] for r in memory.outbox["tables"]["orders"]] == ["UNKNOWN"]
    assert venue.sent == {"x-A-0": 1}


def test_o21_another_quantity_than_was_sent_is_booked_and_the_pair_quarantined():
    memo, venue = unnamed()
    venue.send = lambda order, time, may: venue.place(order.asset, order.quantity * 2, time) or venue.placed[-1]
    act(memo, venue)

    assert memo.memory.quarantined == {"A": "QUANTITY_DIFFERS"}
    assert step.finish(memo.memory, SLOT).positions["A"].units == Decimal(2)


def test_units_that_changed_without_an_order_to_be_seen_are_for_a_person():
    memo, venue = unnamed(A="lost before")
    act(memo, venue)
    venue.units["A"] += 1

    assert looks(memo, venue, 10, 25, 40) == "UNKNOWN"
    assert memo.memory.quarantined == {"A": "AMBIGUOUS: UNITS_CHANGED"}
    assert venue.sent == {"x-A-0": 1}


def test_fewer_looks_suffice_only_where_they_are_declared():
    memo, venue = unnamed(A="lost before")
    act(memo, venue)
    venue.script = {}
    quick = ProofSettings(polls=2, silence_s=1)
    act(memo, venue, resumed=True, later=1, proof=quick)
    act(memo, venue, resumed=True, later=3, proof=quick)

    assert statuses(memo.memory) == ["FILLED"]


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


@pytest.mark.parametrize("over", [IntentStatus.CANCELED, IntentStatus.FILLED, IntentStatus.NOT_PLACED])
@pytest.mark.parametrize("older", [IntentStatus.ACKED, IntentStatus.UNKNOWN, IntentStatus.SENT])
def test_an_order_that_is_over_is_not_reopened_by_a_look_that_began_before(over, older):
    """The simulation's seed 902668: an exit took the slice back while the other lane's look of 50 s was under way."""
    slot = Slot(SlotKind.REBALANCE, world.START)
    order = Order("a", slot.id, 0, "UNI", Decimal(-1), "TARGET")
    opened = OpenSlot(slot, world.START, {"entry_atr": {}}, (Intent(order, over, 1),))
    memory = world.memory(open_slots=(opened,))

    assert protocol.noted(memory, slot, [Intent(order, older, 1)]) == memory
    again = protocol.noted(memory, slot, [Intent(order, IntentStatus.FILLED, 2)])
    assert again.open_slots[0].intents[0].status is IntentStatus.FILLED
