"""Accounting after fills and after what the venue says, by hand."""

import math
from dataclasses import replace
from decimal import Decimal

import pytest
import world

from evenkeel.portfolio.book import PEAK_DAYS, add_fill, agree, apply_carry, mark_days, peak, reconcile, settle
from evenkeel.types import Carry, DayMark, Fill, Holdings, Position, Regime

T = world.START


def fill(quantity, price, fee="0", asset="BTC", time=T):
    return Fill("f", "o", asset, Decimal(quantity), Decimal(price), Decimal(fee), time)


def remembered(**changes):
    held = {"BTC": Position(Decimal(2), Decimal(100), T - 1, 120.0, 90.0)}
    return world.memory(
        cash=Decimal(1_000), positions=held, days=(DayMark(T - T % 86_400, 1_150.0, 1_240.0),), **changes
    )


def test_a_purchase_opens_with_the_fee_in_its_basis_and_its_stop_below():
    position = add_fill(None, fill("2", "100", "1"), 8.0)

    assert position == Position(Decimal(2), Decimal("100.5"), T, 100.0, 92.0)


def test_a_second_purchase_averages_the_basis_and_keeps_marks_and_stop():
    first = Position(Decimal(2), Decimal(100), T, 130.0, 92.0)
    more = add_fill(first, fill("2", "110", "2"), 5.0)

    assert more == replace(first, units=Decimal(4), basis=Decimal("105.5"))


def test_a_sale_keeps_the_basis_and_the_last_one_leaves_nothing():
    first = Position(Decimal(2), Decimal(100), T, 130.0, 92.0)

    assert add_fill(first, fill("-0.5", "90"), 5.0) == replace(first, units=Decimal("1.5"))
    assert add_fill(first, fill("-2", "90"), 5.0) is None
    assert add_fill(replace(first, basis=None), fill("1", "90"), 5.0).basis is None


def test_settling_moves_cash_fees_and_turnover():
    after = settle(remembered(), [fill("1", "100", "0.1"), fill("-3", "110", "0.33")], {})

    assert after.cash == Decimal(1_000) - Decimal("100.1") + Decimal("329.67")
    assert after.fees == Decimal("0.43")
    assert after.turnover == Decimal(430)
    assert after.positions == {}


def test_settling_without_cash_is_refused():
    with pytest.raises(ValueError, match="reconcile"):
        settle(world.memory(), [fill("1", "1")], {})


def test_s3_the_first_look_adopts_the_account_with_stops_from_the_present_price():
    """Basis unknown; each coin is told, and when it was: purchases wait for that."""
    holdings = Holdings(T, Decimal(500), {"ETH": Decimal(3), "UNI": Decimal(7)})
    memory, differences = reconcile(world.memory(), holdings, {"ETH": 50.0}, entry_atr={"ETH": 4.0})

    assert memory.positions["ETH"] == Position(Decimal(3), None, T, 50.0, 46.0)
    assert math.isnan(memory.positions["UNI"].stop)
    assert [(d.asset, d.code, d.remembered, d.venue) for d in differences] == [
        ("ETH", "COLD_START", Decimal(0), Decimal(3)),
        ("UNI", "COLD_START", Decimal(0), Decimal(7)),
    ]
    assert (memory.cash, memory.flows, memory.cold) == (Decimal(500), 0, T)


def test_s3_an_account_in_cash_has_nothing_to_be_cold_about():
    memory, differences = reconcile(world.memory(), Holdings(T, Decimal(500), {}), {})

    assert (memory.cash, memory.cold, differences) == (Decimal(500), 0, ())


def test_a_deposit_is_a_flow_and_moves_neither_drawdown_nor_the_days_loss():
    before = remembered()
    memory, differences = reconcile(before, Holdings(T, Decimal(1_600), {"BTC": Decimal(2)}), {"BTC": 100.0})

    assert [(d.asset, d.code) for d in differences] == [("USD", "EXTERNAL_FLOW")]
    assert memory.flows == Decimal(600)
    assert memory.days == (replace(before.days[0], open=1_750.0, high=1_840.0),)
    assert memory.positions == before.positions


def cut_to_cents(cash):
    """An account that shows its cash cut to cents."""
    return Holdings(T, Decimal(cash), {"BTC": Decimal(2)}, cut=Decimal("0.01"))


def test_cash_that_may_be_what_is_shown_cut_stays_as_it_is_remembered():
    before = replace(remembered(), cash=Decimal("1000.0099"))

    assert agree(before, cut_to_cents("1000.00"))
    assert reconcile(before, cut_to_cents("1000.00"), {"BTC": 100.0}) == (before, ())


@pytest.mark.parametrize(("shown", "flow"), [("1000.01", "0.0001"), ("999.99", "-0.0199")])
def test_less_than_a_cut_cent_is_counted_and_no_deposit(shown, flow):
    """Only what is wider than the cut is told and moves the day's marks."""
    before = replace(remembered(), cash=Decimal("1000.0099"))
    memory, differences = reconcile(before, cut_to_cents(shown), {"BTC": 100.0})

    assert (memory.cash, memory.flows) == (Decimal(shown), Decimal(flow))
    assert bool(differences) is (abs(Decimal(flow)) >= Decimal("0.01"))
    assert (memory.days == before.days) is not bool(differences)


def test_units_that_came_from_elsewhere_have_no_basis_and_are_no_gain():
    before = remembered()
    memory, differences = reconcile(
        before, Holdings(T, Decimal(1_000), {"BTC": Decimal(5), "ETH": Decimal(1)}), {"BTC": 100.0, "ETH": 50.0}
    )

    assert [(d.asset, d.code, d.remembered, d.venue) for d in differences] == [
        ("BTC", "RECON_ADOPTED", Decimal(2), Decimal(5)),
        ("ETH", "RECON_ADOPTED", Decimal(0), Decimal(1)),
    ]
    assert memory.positions["BTC"] == replace(before.positions["BTC"], units=Decimal(5), basis=None)
    assert memory.positions["ETH"].basis is None
    assert memory.days[0].high == 1_240.0 + 350.0


def test_reconciling_twice_is_reconciling_once():
    holdings = Holdings(T, Decimal(1_600), {"BTC": Decimal(5), "ETH": Decimal(1)})
    once, _ = reconcile(remembered(), holdings, {"BTC": 100.0, "ETH": 50.0})

    assert reconcile(once, holdings, {"BTC": 100.0, "ETH": 50.0}) == (once, ())


def test_unresolved_pairs_and_cash_are_left_alone():
    memory, differences = reconcile(remembered(), Holdings(T, Decimal(1), {}), {}, frozenset({"BTC"}))

    assert (memory, differences) == (remembered(), ())


@pytest.mark.parametrize("price", [{}, {"ETH": float("nan")}])
def test_a_holding_without_a_price_poisons_no_day_mark(price):
    before = remembered()
    memory, _ = reconcile(
        before, Holdings(T, Decimal(1_000), {"BTC": Decimal(2), "ETH": Decimal(1)}), {"BTC": 100.0, **price}
    )

    assert memory.days == before.days


def test_day_marks_keep_todays_opening_and_high_and_ninety_days():
    days = ()
    for hour in range(24 * 100):
        days = mark_days(days, T + 3600 * hour, 100.0 + (hour % 24) - (50 if hour >= 24 * 95 else 0))

    assert len(days) == PEAK_DAYS
    assert days[-1] == DayMark(T + 99 * 86_400, 50.0, 73.0)
    assert peak(days) == 123.0


def test_the_peak_forgets_what_is_older_than_ninety_days():
    days = mark_days((), T, 1_000.0)
    for day in range(1, PEAK_DAYS + 1):
        days = mark_days(days, T + 86_400 * day, 10.0)

    assert peak(days) == 10.0


def test_a_mark_is_raised_only_where_a_position_is():
    carry = Carry(0, T, T, Regime(), (), 1.0, 0, 0, {"BTC": 125.0, "GONE": 9.0}, {"ETH": T + 1}, {})
    memory = apply_carry(remembered(), carry)

    assert memory.positions["BTC"].high == 125.0
    assert set(memory.positions) == {"BTC"}
    assert memory.cooldowns == {"ETH": T + 1}
