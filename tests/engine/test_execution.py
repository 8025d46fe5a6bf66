"""Orders over time, from commit to commit: never over-filled, sales first, only confirmed cash, nothing sleeps."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
import world

from evenkeel.engine import execution, parents, protocol, step
from evenkeel.engine.parents import Desk
from evenkeel.engine.ports import Touch, VenueOrder
from evenkeel.engine.verdict import ProofSettings
from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.portfolio.costs import CostSettings
from evenkeel.portfolio.schedule import Schedule, ScheduleSettings, scheduled
from evenkeel.store.codec import from_json, to_json
from evenkeel.types import (
    Fill,
    Holdings,
    Intent,
    IntentStatus,
    Memory,
    OpenSlot,
    Order,
    Pair,
    Slot,
    SlotKind,
    TradingState,
)

START = world.START
SLOT = Slot(SlotKind.REBALANCE, START)
PAIRS = {asset: Pair(asset, f"{asset}/USD", 1, 2, 2, Decimal(1)) for asset in ("A", "B", "C")}
TWAP = ScheduleSettings("twap", over_s=600, slices=6)
LIMIT = ScheduleSettings("limit", over_s=600, maker_s=60)
SEVEN = np.array([8.0, 1.0, 1.0] + [0.0] * 21)


class Quoted:
    """A market that quotes 99.99 and 100.01 for all, and one profile of volume."""

    def __init__(self) -> None:
        self.profiles = {asset: np.full(24, np.nan) for asset in PAIRS}

    def touch(self, asset):
        """The touch."""
        return Touch(99.99, 100.01, 1e9) if asset in PAIRS else None

    def profile(self, asset):
        """The profile."""
        return self.profiles[asset]


class Exchange:
    """Fills market orders at 100 less a fee of 0.1 %; limit orders rest. `script` answers by order id, once."""

    again = False

    def __init__(self, cash="10000", **units):
        self.cash, self.units = Decimal(cash), Counter({a: Decimal(u) for a, u in units.items()})
        self.book, self.script, self.calls, self.sent = {}, {}, Counter(), []

    def holdings(self, time, *, urgent=False):
        """The account."""
        self.calls["holdings"] += 1
        held = {asset: units for asset, units in self.units.items() if units}
        return Holdings(int(time), self.cash, held, newest=99 + len(self.book))

    def send(self, order, time, may=None, *, limit=None):
        """Fill or rest, as scripted."""
        self.sent.append((order.id, order.quantity, limit))
        word = self.script.pop(order.id, "")
        if word == "refuse":
            raise VenueError("no")
        if word == "lost before":
            raise VenueUnknownError("timed out")
        number = str(100 + len(self.book))
        status = IntentStatus.ACKED
        self.book[number] = VenueOrder(
            number, "", order.asset, order.quantity, limit, status, time * 1000, (), int(number)
        )
        if limit is None:
            self.execute(number, order.quantity, time)
        if word == "lost after":
            raise VenueUnknownError("timed out")
        return self.book[number]

    def execute(self, number, quantity, time, price="100"):
        """A fill of a resting order, partial or whole."""
        found, price = self.book[number], Decimal(price)
        fee = abs(quantity) * price / 1000
        assert self.cash >= quantity * price + fee, "negative cash"
        assert self.units[found.asset] + quantity >= 0, "short"
        self.cash -= quantity * price + fee
        self.units[found.asset] += quantity
        fills = (
            *found.fills,
            Fill(f"{number}-{len(found.fills)}", number, found.asset, quantity, price, fee, int(time)),
        )
        whole = sum(f.quantity for f in fills) == found.quantity
        status = IntentStatus.FILLED if whole else found.status
        self.book[number] = replace(found, fills=fills, status=status)

    def orders(self, assets, since, time):
        """Newer ones of these assets."""
        self.calls["orders"] += 1
        return tuple(o for o in self.book.values() if o.asset in assets and o.number > since)

    def cancel(self, asset, venue_id, time, /):
        """End what rests."""
        self.calls["cancel"] += 1
        found = self.book[venue_id]
        if self.script.pop(f"cancel {venue_id}", "") == "fills first":
            self.execute(venue_id, found.quantity - sum((f.quantity for f in found.fills), Decimal(0)), time)
        found = self.book[venue_id]
        if not found.status.resolved:
            self.book[venue_id] = replace(found, status=IntentStatus.CANCELED)
        return self.book[venue_id]


class Desked:
    """One slot with orders over time, from commit to commit, under a clock that the test moves."""

    def __init__(self, venue, settings, *orders, market=None, limited=()):
        self.venue, self.now, self.halt = venue, START, False
        self.market = market or Quoted()
        self.desk = Desk(settings, PAIRS, CostSettings(), self.market)
        holdings, memory = venue.holdings(START), world.memory(watermarks={"rebalance": START})
        positions = {a: world_position(u) for a, u in holdings.units.items()}
        self.memory = replace(memory, cash=holdings.cash, positions=positions)
        made = [Order(f"reb{START:x}-{a}-{i}", SLOT.id, i, a, Decimal(q), "TARGET") for i, (a, q) in enumerate(orders)]
        rows = {}
        for order in made:
            styled, cross = (
                (settings, True) if order.asset not in limited else (replace(settings, style="limit"), False)
            )
            profile = self.market.profile(order.asset) if styled.style == "vwap" else None
            rows[order.id] = to_json(
                scheduled(order, START, PAIRS[order.asset], Decimal(100), styled, profile, cross=cross)
            )
        draft = {
            "entry_atr": {}, "cash": str(holdings.cash), "schedules": rows,
            "tables": {"plans": [{"slot": SLOT.id, "plan": {}}], "equity": [{"slot": SLOT.id}]},
        }  # fmt: skip
        self.memory = replace(self.memory, open_slots=(OpenSlot(SLOT, START, draft, ()),))

    def commit(self, change):
        """A store; it survives being read back."""
        self.memory = from_json(Memory, to_json(change(self.memory)))
        return self.memory

    def at(self, later):
        """What the lane does at a time: ask, cancel, send."""
        self.now = START + later
        if self.over() or not parents.due(self.memory.open_slots[0], self.memory, self.now, halted=self.halt):
            out = protocol.unanswered(self.memory)
            if not out:
                return self
        clock = lambda: float(self.now)  # noqa: E731 - as the service passes it
        proof = ProofSettings(polls=2, silence_s=1)
        memory = protocol.act(
            SLOT, self.memory, self.venue, self.commit, lambda: self.halt, clock, resumed=True, proof=proof
        )
        execution.advance(SLOT, memory, self.venue, self.commit, lambda: self.halt, clock, self.desk, proof=proof)
        return self

    def through(self, seconds, every=10):
        """Every ten seconds."""
        for later in range(0, seconds + 1, every):
            self.at(later)
        return self

    def over(self):
        """Whether the slot can end."""
        found = self.memory.open_slots[0]
        return step.answered(found, self.memory) and parents.over(found, self.memory, self.now, halted=self.halt)

    def told(self):
        """Schedules beside executions, by asset."""
        rows = parents.told(self.memory.open_slots[0], self.memory, self.now, halted=self.halt)
        return {row["asset"]: row for row in rows}

    def intents(self):
        """Children."""
        return self.memory.open_slots[0].intents

    def finished(self):
        """Memory after the slot."""
        return step.finish(parents.recorded(self.memory, SLOT, self.now, halted=self.halt), SLOT)


def world_position(units):
    from evenkeel.types import Position

    return Position(units, Decimal(100), START - 1, 100.0)


def bought(row):
    return sum(Decimal(part["executed"]) for part in row["slices"])


def test_must_show_7_twap_is_executed_as_scheduled():
    run = Desked(Exchange(), TWAP, ("A", "6")).through(620)
    row = run.told()["A"]

    assert [(p["target"], p["executed"]) for p in row["slices"]] == [("1", "1")] * 6
    assert [i.fills[0].time - START for i in run.intents()] == [0, 100, 200, 300, 400, 500]
    assert (row["left"], row["reason"], run.over()) == ("0", "FILLED", True)


def test_must_show_7_vwap_slices_follow_the_assets_own_volume():
    """Eight tenths of the day's volume are traded in its first hour."""
    market = Quoted()
    market.profiles["A"] = SEVEN
    over = replace(TWAP, style="vwap", over_s=10_800, slices=3)
    run = Desked(Exchange(), over, ("A", "10"), ("B", "10"), market=market).through(11_000, 600)

    assert [p["executed"] for p in run.told()["A"]["slices"]] == ["8", "1", "1"]
    assert run.told()["B"]["note"] == "VWAP_WITHOUT_PROFILE"
    assert bought(run.told()["B"]) == 10


def test_o18_a_failed_slice_is_spread_over_those_left_and_never_over_filled():
    venue = Exchange()
    venue.script = {f"reb{START:x}-A-0.1": "refuse"}
    run = Desked(venue, TWAP, ("A", "6")).through(620)
    got = [Decimal(p["executed"]) for p in run.told()["A"]["slices"]]

    assert got == [1, 0, Decimal("1.25"), Decimal("1.25"), Decimal("1.25"), Decimal("1.25")]
    assert venue.units["A"] == 6


@pytest.mark.parametrize("how", ["lost before", "lost after"])
def test_o4_a_slice_whose_answer_is_lost_is_asked_for_before_the_next(how):
    venue = Exchange()
    venue.script = {f"reb{START:x}-A-0.0": how}
    run = Desked(venue, TWAP, ("A", "6")).through(620)

    assert venue.units["A"] == 6
    assert run.told()["A"]["left"] == "0"


def test_o9_a_partly_filled_limit_order_is_cancelled_and_the_rest_crosses():
    venue = Exchange()
    run = Desked(venue, LIMIT, ("A", "6")).at(0)
    venue.execute("100", Decimal(2), START + 30)
    run.at(30).at(50)
    before = list(venue.sent)
    run.at(60)

    assert before == [(f"reb{START:x}-A-0.0", 6, Decimal("99.99"))]
    assert venue.sent[1:] == [(f"reb{START:x}-A-0.1", 4, None)]
    assert [i.status.value for i in run.intents()] == ["CANCELED", "FILLED"]
    assert venue.units["A"] == 6
    assert venue.calls["orders"] == 1  # resting orders are not asked for again and again


def test_o10_a_cancel_that_races_with_the_fill_is_a_fill():
    venue = Exchange()
    run = Desked(venue, LIMIT, ("A", "6")).at(0)
    venue.script = {"cancel 100": "fills first"}
    run.at(60)

    assert [i.status.value for i in run.intents()] == ["FILLED"]
    assert len(venue.sent) == 1
    assert run.over()


def test_o13_purchases_are_cut_to_confirmed_cash():
    """The sale is refused: 1,000 USD pay for less than 10 units, fee and slippage set aside."""
    venue = Exchange(cash="1000", A="20")
    venue.script = {f"reb{START:x}-A-0.0": "refuse"}
    run = Desked(venue, ScheduleSettings("market"), ("A", "-20"), ("B", "25")).through(30)
    sent = [quantity for _, quantity, _ in venue.sent]

    assert sent[0] == -20
    assert Decimal("9.8") < sent[1] < Decimal(10)
    assert venue.cash >= 0
    assert (run.over(), run.told()["B"]["reason"]) == (True, "SLICES_SPENT")


def test_sales_pay_for_purchases_of_the_same_slice():
    venue = Exchange(cash="10", A="20")
    run = Desked(venue, TWAP, ("A", "-20"), ("B", "19")).through(620)

    assert venue.units["A"] == 0
    assert Decimal(18) < venue.units["B"] <= 19
    assert venue.cash >= 0
    assert run.over()


def test_a_purchase_waits_for_a_sale_that_rests():
    venue = Exchange(cash="10", A="20")
    run = Desked(venue, LIMIT, ("A", "-20"), ("B", "19"))
    run.through(50)
    waiting = len(venue.sent)
    run.at(60)

    assert waiting == 1
    assert [(name[-3:], limit) for name, _, limit in venue.sent[1:]] == [("0.1", None), ("1.1", None)]
    assert venue.units["B"] == 19


def test_o19_a_halt_cancels_what_rests_and_sends_nothing_more():
    venue = Exchange()
    run = Desked(venue, LIMIT, ("A", "6")).at(0)
    venue.execute("100", Decimal(2), START + 5)
    run.halt = True
    run.at(10).at(60).at(300)

    assert [i.status.value for i in run.intents()] == ["CANCELED"]
    assert len(venue.sent) == 1
    assert run.over()
    assert run.finished().positions["A"].units == 2


def test_reducing_takes_back_purchases_and_lets_sales_go_on():
    venue = Exchange(A="6")
    run = Desked(venue, LIMIT, ("A", "-6"), ("B", "6")).at(0)
    run.commit(lambda m: replace(m, trading_state=TradingState.REDUCING))
    run.at(10).at(60)

    assert (venue.units["A"], venue.units["B"]) == (0, 0)
    assert run.told()["B"]["reason"] == "TRADING_STATE_REDUCING"
    assert run.over()


def test_o11_a_pair_whose_fills_were_bad_rests_and_never_crosses():
    venue = Exchange()
    run = Desked(venue, ScheduleSettings("market", over_s=600), ("A", "6"), limited={"A"}).through(610)

    assert venue.sent == [(f"reb{START:x}-A-0.0", 6, Decimal("99.99"))]
    assert (run.told()["A"]["reason"], run.told()["A"]["left"]) == ("DEADLINE", "6")
    assert run.over()


def test_a_stop_has_its_pair_freed_from_what_rests():
    venue = Exchange(A="6")
    run = Desked(venue, LIMIT, ("A", "-3"), ("B", "3")).at(0)
    execution.withdraw(frozenset({"A"}), run.memory, venue, run.commit, lambda: float(run.now))
    free = run.memory.busy()
    run.at(60)

    assert free == ("B",)
    assert [name[-3:] for name, _, _ in venue.sent] == ["0.0", "1.0", "1.1"]


@pytest.mark.parametrize("status", [IntentStatus.PREPARED, IntentStatus.SENT, IntentStatus.UNKNOWN, IntentStatus.ACKED])
def test_a_child_waits_while_a_stop_of_its_pair_is_under_way(status):
    """Between two children the risk lane sends its own order: one unresolved leg a pair; the others go on."""
    desk = Desked(Exchange(A="60", B="60"), TWAP, ("A", "-12"), ("B", "-12")).at(0)
    risk = Slot(SlotKind.RISK, START + 60)
    exit_ = Intent(Order(f"ris{START + 60:x}-A-0", risk.id, 0, "A", Decimal(-58), "STOP"), status)
    desk.memory = replace(desk.memory, open_slots=(*desk.memory.open_slots, OpenSlot(risk, START, {}, (exit_,))))
    desk.through(250)
    busy = Counter(id_.split("-")[1] for id_, *_ in desk.venue.sent)
    gone = OpenSlot(risk, START, {}, (replace(exit_, status=IntentStatus.REJECTED),))
    desk.memory = replace(desk.memory, open_slots=(desk.memory.open_slots[0], gone))
    desk.at(310)

    assert busy == {"A": 1, "B": 3}
    assert Counter(id_.split("-")[1] for id_, *_ in desk.venue.sent) == {"A": 2, "B": 4}


def test_children_that_are_over_are_in_the_books_before_the_slot_is():
    """Between two slices the pair is free and a position known: its stops are watched."""
    run = Desked(Exchange(), TWAP, ("A", "6")).at(0).at(100)

    assert run.memory.busy() == ()
    assert run.memory.positions["A"].units == 2
    assert run.memory.cash == run.venue.cash
    done = run.through(620).finished()
    assert done.positions["A"].units == 6
    assert done.cash == run.venue.cash


def test_the_journal_has_every_schedule_beside_what_was_executed():
    run = Desked(Exchange(), TWAP, ("A", "6")).through(620)
    tables = run.finished().outbox["tables"]

    assert [row["style"] for row in tables["orders"]] == ["market"] * 6
    shown = tables["plans"][0]["plan"]["schedules"][0]
    assert (shown["quantity"], shown["left"], shown["reason"], len(shown["slices"])) == ("6", "0", "FILLED", 6)


@pytest.mark.parametrize("seed", range(25))
def test_whatever_the_venue_does_cash_and_parents_are_never_exceeded(seed):
    """Refusals, lost answers, partial fills, deaths between commits: the venue itself asserts cash and units."""
    rng = np.random.default_rng(seed)
    venue = Exchange(cash=str(rng.integers(100, 3000)), A="20")
    words = ["", "refuse", "lost before", "lost after"]
    for leg, asset in enumerate("ABC"):
        for number in range(6):
            venue.script[f"reb{START:x}-{asset}-{leg}.{number}"] = words[rng.integers(0, 4)]
    run = Desked(venue, TWAP if seed % 2 else LIMIT, ("A", "-20"), ("B", "12"), ("C", "9"))
    for later in range(0, 700, 10):
        for number, found in venue.book.items():
            if not found.status.resolved and rng.random() < 0.2:
                part = (found.quantity / 2).quantize(Decimal("0.01"))
                fits = venue.cash > found.quantity * 101
                if fits and abs(part + sum(f.quantity for f in found.fills)) <= abs(found.quantity):
                    venue.execute(number, part, START + later)
        run.at(later)

    assert run.over()
    assert venue.units["A"] >= 0
    assert venue.units["B"] <= 12
    assert venue.units["C"] <= 9
    done = run.finished()
    assert done.cash == venue.cash
    assert {a: p.units for a, p in done.positions.items()} == {a: u for a, u in venue.units.items() if u}


def test_a_schedule_survives_being_written():
    made = scheduled(Order("x-A-0", "s", 0, "A", Decimal(6), "TARGET"), START, PAIRS["A"], Decimal(100), TWAP)

    assert from_json(Schedule, to_json(made)) == made
    assert Intent(made.parent) == from_json(Intent, to_json(Intent(made.parent)))
