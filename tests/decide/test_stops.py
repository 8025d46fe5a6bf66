"""The tape: when a stop triggers, what it fills at, and what a slot may take for new evidence."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
import world

from evenkeel.decide import decide
from evenkeel.engine import slots, step
from evenkeel.portfolio.overlay import OverlaySettings
from evenkeel.research.backtest import backtest
from evenkeel.types import Book, Brain, Holdings, Position, Slot, SlotKind

T = world.START + 7 * 3600
BAR = 1800
RULES = replace(world.RULES, overlay=OverlaySettings(trailing=0.10, max_loss=0.15))
BTC = world.ASSETS.index("BTC")


def shown(low, high, at=T, seen=None):
    """A view in which BTC is at 100 and ranged from low to high since the last look."""
    view = world.view(at)
    n = len(world.ASSETS)
    price, lows, highs = view.price.copy(), np.full(n, np.nan), np.full(n, np.nan)
    price[BTC], lows[BTC], highs[BTC] = 100.0, low, high
    fault = np.zeros(n, dtype=np.int8)
    return replace(view, price=price, low=lows, high=highs, fault=fault, seen=seen or view.seen)


def book(high=100.0, stop=float("nan"), basis="100", evidence=T - BAR, **changes):
    """A tenth of the book in BTC."""
    memory = world.memory(
        cash=Decimal(90_000), positions={"BTC": Position(Decimal(100), Decimal(basis), T - world.DAY, high, stop)},
        evidence=evidence, **changes,
    )  # fmt: skip
    return Book(Holdings(T, Decimal(90_000), {"BTC": Decimal(100)}), memory)


def stops(view, held, kind=SlotKind.RISK, rules=RULES, at=T):
    plan = decide(view, held, Brain(), rules, Slot(kind, at))
    return plan, [(o.asset, o.reason, o.stop) for o in plan.orders if o.stop is not None]


def test_the_range_is_held_against_the_level_before_the_bar_and_the_mark_is_raised_after():
    """High 120 and low 95 in one bar: 95 is above 90, the level as it stood; the next bar's level is 108."""
    plan, fired = stops(shown(95.0, 120.0), book(high=100.0))

    assert fired == []
    assert plan.carry.highs == {"BTC": 120.0}
    _, fired = stops(shown(107.0, 109.0, T), book(high=120.0))
    assert fired == [("BTC", "TRAILING_STOP", Decimal("108.0"))]


def test_marks_never_go_down():
    plan, _ = stops(shown(95.0, 99.0), book(high=100.0))

    assert plan.carry.highs == {}


def test_a_slot_inside_the_bar_brings_no_new_evidence():
    """Its view may still carry the old range: what was seen up to `evidence` is used up."""
    inside = Slot(SlotKind.RISK, T + 900)
    view = replace(shown(50.0, 200.0), time=T + 900)
    plan, fired = stops(view, book(evidence=view.seen), at=inside.time)

    assert fired == []
    assert plan.carry.highs == {}
    assert plan.carry.evidence == view.seen


def test_the_feed_shows_an_empty_range_inside_the_bar_and_the_whole_bar_at_its_close():
    feed = world.feed()
    inside, close = feed.view(T + 900, T), feed.view(T + BAR, T)
    row = int(np.searchsorted(world.panel().time, T + BAR))
    good = close.fault == 0

    assert inside.as_of == T
    assert np.isnan(inside.low).all()
    np.testing.assert_array_equal(inside.age[inside.fault == 0], 900.0)
    np.testing.assert_array_equal(close.low[good], world.panel().low[row][good])


def test_a_range_over_several_bars_is_their_lowest_and_highest():
    feed = world.feed()
    row = int(np.searchsorted(world.panel().time, T))
    view = feed.view(T, T - 4 * BAR)
    low = np.fmin.reduce(world.signals().low[row - 3 : row + 1], axis=0)

    np.testing.assert_array_equal(view.low, low)


def test_the_trading_slot_at_the_same_instant_does_not_trigger_again():
    """The risk slot has consumed the evidence; its cool-down keeps the asset out."""
    view, held = shown(89.0, 100.0), book()
    memory = replace(held.memory, days=())
    prepared = step.prepare(memory, Slot(SlotKind.RISK, T), view, held.holdings, Brain(), RULES)
    assert [i.order.reason for i in prepared.memory.open_slots[0].intents] == ["TRAILING_STOP"]
    sold = replace(prepared.memory, open_slots=(), positions={}, cash=Decimal(99_000))

    plan = decide(view, Book(Holdings(T, Decimal(99_000), {}), sold), Brain(), RULES, Slot(SlotKind.REBALANCE, T))

    assert not [o for o in plan.orders if o.asset == "BTC"]
    assert plan.target[BTC] == 0.0
    assert plan.carry.cooldowns["BTC"] == T + world.DAY
    unsold = replace(prepared.memory, open_slots=())
    again = decide(view, Book(held.holdings, unsold), Brain(), RULES, Slot(SlotKind.REBALANCE, T))
    assert [o.reason for o in again.orders if o.asset == "BTC"] == ["TARGET"]


def test_the_cool_down_ends():
    cooling = book(cooldowns={"BTC": T + 1})
    over = book(cooldowns={"BTC": T})

    assert decide(shown(99, 101), cooling, Brain(), RULES, Slot(SlotKind.REBALANCE, T)).target[BTC] == 0.0
    assert "BTC" not in decide(shown(99, 101), over, Brain(), RULES, Slot(SlotKind.REBALANCE, T)).carry.cooldowns


@pytest.mark.parametrize(
    ("stop", "basis", "low", "expected"),
    [
        (95.0, "100", 94.0, ("ATR_STOP", Decimal("95.0"))),
        (95.0, "100", 80.0, ("ATR_STOP", Decimal("95.0"))),
        (50.0, "100", 80.0, ("TRAILING_STOP", Decimal("90.0"))),
        (50.0, "110", 80.0, ("MAX_LOSS", Decimal("93.5"))),
    ],
)
def test_of_several_stops_the_highest_is_the_one_that_was_met_first(stop, basis, low, expected):
    _, fired = stops(shown(low, 100.0), book(stop=stop, basis=basis))

    assert fired == [("BTC", *expected)]


class Tape:
    """One market whose next price is known."""

    def __init__(self, price):
        self._price = price

    def price(self, asset, time):
        """The next price; no entry = no market."""
        return self._price, 1e12


@pytest.mark.parametrize(("following", "expected"), [(97.0, 90.0), (90.0, 90.0), (85.0, 85.0)])
def test_a_stop_fills_at_the_worse_of_its_level_and_the_next_price(following, expected):
    """Less spread, impact and fee: 1 bp of half spread and next to no impact here."""
    _, fired = stops(shown(89.0, 100.0), book())
    order = decide(shown(89.0, 100.0), book(), Brain(), RULES, Slot(SlotKind.RISK, T)).orders[0]
    venue = world.venue(Tape(following), capital=90_000)
    venue.vault.put("BTC", Decimal(100))

    fill = venue.send(order, T).fills[0]

    assert fired
    assert float(fill.price) == pytest.approx(expected * (1 - 1e-4 - 150e-4 * (100 * expected / 1e12) ** 0.5), abs=0.01)
    assert float(fill.price) < expected


def test_every_stop_of_a_run_obeys_the_tape_rule():
    """In whole runs: the bar before each stop touched its level, and the fill is no better than level or next open."""
    for seed in (7, 8, 9):
        market, panel = world.feed(seed), world.panel(seed)
        venue = world.venue(market)
        result = backtest(world.window(3), market, venue, world.memory(), Brain(), world.RULES)
        fired = [row for row in result.orders if row["stop"] is not None and row["status"] == "FILLED"]
        fills = {fill.order_id: fill for fill in venue.fills(0)}
        assert len(fired) > 10
        for row in fired:
            i, t = panel.assets.index(row["asset"]), int(np.searchsorted(panel.time, row["time"]))
            level, fill = float(row["stop"]), fills[row["id"]]
            assert row["kind"] == "risk"
            assert panel.low[t, i] <= level
            assert float(fill.price) < min(level, panel.open[t + 1, i])
            assert row["time"] % BAR == 0


# ---------------------------------------------------------------- frozen, unknown, drawdown, day


def test_a_frozen_holding_keeps_its_weight_and_its_leg_is_dropped():
    view = shown(50.0, 100.0)
    fault = view.fault.copy()
    fault[BTC] = 1
    plan = decide(replace(view, fault=fault), book(), Brain(), RULES, Slot(SlotKind.REBALANCE, T))

    assert plan.raw[BTC] == plan.held[BTC] > 0
    assert not [o for o in plan.orders if o.asset == "BTC"]
    busy = decide(replace(view, fault=fault), book(flatten=True), Brain(), RULES, Slot(SlotKind.REBALANCE, T))
    assert not [o for o in busy.orders if o.asset == "BTC"]


@pytest.mark.parametrize("unknown", ["vol", "ready"])
def test_a_holding_that_is_unknown_for_a_moment_is_neither_sold_nor_unprotected(unknown):
    """One missing bar leaves the trailing hour, and so volatility, unknown: no reason to leave, but stops still act."""
    view = shown(99.0, 101.0)
    value = getattr(view, unknown).copy()
    value[BTC] = np.nan if unknown == "vol" else False
    calm = decide(replace(view, **{unknown: value}), book(), Brain(), RULES, Slot(SlotKind.REBALANCE, T))
    low = view.low.copy()
    low[BTC] = 80.0
    wild = decide(replace(view, low=low, **{unknown: value}), book(), Brain(), RULES, Slot(SlotKind.REBALANCE, T))

    assert calm.raw[BTC] > 0
    assert not [o for o in calm.orders if o.asset == "BTC" and o.quantity <= -100]
    assert [o.reason for o in wild.orders if o.asset == "BTC"] == ["TRAILING_STOP"]


def scales(falls, kinds=None, settings=RULES.overlay):
    """The drawdown scale after each slot of a path of falls."""
    from evenkeel.portfolio.marks import _scale

    applied, out = 1.0, []
    for i, fall in enumerate(falls):
        risk = kinds is not None and kinds[i] == "r"
        applied = _scale(applied, fall, settings, may_rise=not risk)
        out.append(applied)
    return out


def test_drawdown_scales_in_steps_of_an_eighth():
    """1 at 10 %, the floor of 1/4 at 30 % of fall less the floor's part, in eighths rounded down."""
    assert scales([0.0, 0.10]) == [1.0, 1.0]
    assert scales([0.11]) == [0.875]
    assert scales([0.125]) == [0.875]
    assert scales([0.126]) == [0.75]
    assert scales([0.20]) == [0.5]
    assert scales([0.25]) == scales([0.30]) == scales([0.9]) == [0.25]


def test_a_fall_that_trembles_around_a_step_does_not_oscillate():
    """At 10 % and at 12.5 %: one step down, and it stays until the fall is smaller by a hundredth."""
    assert scales([0.099, 0.101] * 5) == [1.0] + [0.875] * 9
    assert scales([0.124, 0.126] * 5) == [0.875] + [0.75] * 9
    assert scales([0.101, 0.089]) == [0.875, 1.0]
    assert scales([0.101, 0.0]) == [0.875, 1.0]


def test_risk_slots_never_raise_the_scale():
    """They do not buy: a step undone there would be cut a second time."""
    assert scales([0.15, 0.0, 0.15, 0.0], "rrrr") == [0.75] * 4
    assert scales([0.15, 0.0, 0.0], "rrt") == [0.75, 0.75, 1.0]


def test_a_drawdown_cuts_once_however_many_risk_slots_see_it():
    """Half a book in BTC falls with nothing else changed: the factor is applied by the first slot alone."""
    market, memory = world.feed(), world.memory()
    venue = world.venue(market)
    memory = backtest(world.window(0.01), market, venue, memory, Brain(), world.RULES).memory
    before = sum(p.units for p in memory.positions.values())
    memory = replace(memory, days=(replace(memory.days[0], high=memory.days[0].high * 1.15),))
    risks = [s for s in slots.between(world.START + 900, world.START + 2700, world.CADENCE) if s.kind is SlotKind.RISK]
    calm = replace(world.RULES, overlay=replace(world.RULES.overlay, trailing=0.9, max_loss=0.9, atr_multiple=90.0))

    after = backtest(risks[:1], market, venue, memory, Brain(), calm)
    later = backtest(risks[1:], market, venue, after.memory, Brain(), calm)

    assert before > sum(p.units for p in after.memory.positions.values())
    assert {o["reason"] for o in after.orders} == {"TARGET"}
    assert later.orders == []
    assert later.memory.drawdown_scale == after.memory.drawdown_scale < 1.0


def test_the_daily_loss_cuts_once_a_utc_day_and_begins_anew_at_midnight():
    view = shown(float("nan"), float("nan"))
    day = T - T % world.DAY
    hit = book(days=(world.DayMark(day, 110_000.0, 110_000.0),))
    first = decide(view, hit, Brain(), RULES, Slot(SlotKind.RISK, T))
    again = decide(view, Book(hit.holdings, replace(hit.memory, loss_day=day)), Brain(), RULES, Slot(SlotKind.RISK, T))
    tomorrow = replace(hit.memory, loss_day=day - world.DAY, days=(world.DayMark(day, 100_000.0, 100_000.0),))
    fresh = decide(view, Book(hit.holdings, tomorrow), Brain(), RULES, Slot(SlotKind.RISK, T))

    assert [(o.asset, o.quantity) for o in first.orders] == [("BTC", Decimal(-50))]
    assert first.carry.loss_day == day
    assert again.orders == fresh.orders == ()
    rebalance = decide(
        view, Book(hit.holdings, replace(hit.memory, loss_day=day)), Brain(), RULES, Slot(SlotKind.REBALANCE, T)
    )
    assert not [o for o in rebalance.orders if o.quantity > 0]


def test_equity_of_a_holding_without_any_price_is_an_error():
    view = shown(99.0, 101.0)
    price = view.price.copy()
    price[BTC] = np.nan

    with pytest.raises(ValueError, match="no price was ever seen for held BTC"):
        decide(replace(view, price=price), book(), Brain(), RULES, Slot(SlotKind.RISK, T))
