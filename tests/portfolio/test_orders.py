"""Targets into orders: bands, cost gate, cash, calls, and a code for every leg that is not sent."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
import world

from evenkeel.portfolio import orders
from evenkeel.portfolio.costs import CostSettings
from evenkeel.portfolio.orders import OrderSettings, Wanted, gate
from evenkeel.types import Pair, Slot, SlotKind

PAIRS = tuple(Pair(a, f"{a}/USD", t, 2, 2, Decimal(1)) for a, t in (("BTC", 1), ("UNI", 2), ("ONDO", 3)))
SETTINGS = OrderSettings()
REBALANCE, SCORE, RISK = (Slot(kind, world.START) for kind in (SlotKind.REBALANCE, SlotKind.SCORE, SlotKind.RISK))


def wanted(target, held=(0.0, 0.0, 0.0), **changes):
    """Equity 1e5, every price 100 USD: a weight of 0.1 is 100 units."""
    held = np.array(held)
    calm = Wanted(
        assets=("BTC", "UNI", "ONDO"), target=np.array(target), held=held, base=np.array(target), expected=np.zeros(3),
        price=np.full(3, 100.0), liquidity=np.full(3, 1e9), tier=np.array([1, 2, 3]), blocked={}, exit_codes={},
        stops={}, equity=1e5, cash=Decimal(round(1e5 * (1 - held.sum()))),
        units={a: Decimal(round(w * 1000)) for a, w in zip(("BTC", "UNI", "ONDO"), held, strict=True) if w},
    )  # fmt: skip
    return replace(calm, **changes)


def planned(want, slot=REBALANCE, settings=SETTINGS, pairs=PAIRS):
    sent, dropped = orders.plan(slot, want, pairs, settings, CostSettings())
    return {o.asset: o.quantity for o in sent}, {d.asset: d.code for d in dropped}


def test_a_target_becomes_a_quantity_rounded_toward_zero():
    pairs = tuple(replace(p, amount_decimals=0) for p in PAIRS)

    assert planned(wanted([0.10559, 0.0, 0.0]), pairs=pairs) == ({"BTC": Decimal(105)}, {})
    assert planned(wanted([0.02441, 0.0, 0.0], [0.10, 0, 0]), pairs=pairs) == ({"BTC": Decimal(-75)}, {})


@pytest.mark.parametrize(("slot", "band"), [(RISK, 0.0025), (REBALANCE, 0.01), (SCORE, 0.03)])
def test_the_band_of_the_slot_keeps_small_changes(slot, band):
    inside = wanted([0.10 - band * 0.99, 0.0, 0.0], [0.10, 0, 0])
    outside = wanted([0.10 - band * 1.01, 0.0, 0.0], [0.10, 0, 0])

    assert planned(inside, slot) == ({}, {"BTC": "INSIDE_BAND"})
    assert planned(outside, slot)[0]["BTC"] < 0


def test_a_position_that_is_not_wanted_leaves_whole_but_not_for_a_score_slot_inside_its_band():
    want = wanted([0.0, 0.0, 0.0], [0.008, 0, 0])

    assert planned(want, REBALANCE) == ({"BTC": Decimal(-8)}, {})
    assert planned(want, SCORE) == ({}, {"BTC": "INSIDE_BAND"})
    assert planned(replace(want, exit_codes={"BTC": "ATR_STOP"}), SCORE) == ({"BTC": Decimal(-8)}, {})


def test_an_exit_sells_everything_that_can_be_sold():
    want = wanted([0, 0, 0], [0.05, 0, 0], units={"BTC": Decimal("50.128")}, exit_codes={"BTC": "MAX_LOSS"})

    assert planned(want, RISK) == ({"BTC": Decimal("-50.12")}, {})


@pytest.mark.parametrize("code", ["PAIR_FROZEN", "PAIR_BUSY"])
def test_a_blocked_pair_says_why_only_where_something_was_wanted(code):
    assert planned(wanted([0.1, 0, 0], blocked={"BTC": code})) == ({}, {"BTC": code})
    assert planned(wanted([0.1, 0, 0], [0.1, 0, 0], blocked={"BTC": code})) == ({}, {})


def test_dust_and_orders_below_the_minimum_have_codes():
    dust = wanted([0, 0, 0], [0.0001, 0, 0], units={"BTC": Decimal("0.009")}, exit_codes={"BTC": "ATR_STOP"})
    small = wanted([0.015, 0, 0], equity=500.0)

    assert planned(dust) == ({}, {"BTC": "DUST"})
    assert planned(small) == ({}, {"BTC": "BELOW_MIN_NOTIONAL"})
    assert planned(replace(small, equity=5_000.0))[0] == {"BTC": Decimal("0.75")}


def test_the_cost_gate_lets_the_base_pass_and_holds_the_rest():
    """What the opinion adds, 5 % of equity, costs 2 x (10 + 1 + 150 sqrt(5e3/1e9)) bps = 0.00227."""
    cost = 2 * (10e-4 + 1e-4 + 150e-4 * np.sqrt(5e3 / 1e9))
    want = wanted([0.10, 0, 0], base=np.array([0.05, 0, 0]))

    def gated(gain):
        target, cut = gate(replace(want, expected=np.array([gain / 5.0, 0, 0])), OrderSettings(), CostSettings())
        return target[0], bool(cut[0])

    assert gated(cost * 1.01) == (0.10, False)
    assert gated(cost * 0.99) == (0.05, True)
    assert gated(0.0) == (0.05, True)
    assert gated(-cost * 1.01) == (0.0, True)


def test_the_cost_gate_holds_the_base_too_where_it_loses_more_than_the_round_trip():
    """Nothing is added beyond the base: its round trip costs the fees and the spread alone, 2 x (10 + 1) bps."""
    cost = 2 * (10e-4 + 1e-4)
    want = wanted([0.10, 0, 0], [0.04, 0, 0], base=np.array([0.10, 0, 0]))

    def gated(gain):
        target, cut = gate(replace(want, expected=np.array([gain / 5.0, 0, 0])), OrderSettings(), CostSettings())
        return target[0], bool(cut[0])

    assert gated(-cost * 0.99) == (0.10, False)
    assert gated(-cost * 1.01) == (0.04, True)
    assert gated(float("nan")) == (0.10, False)


def test_the_cost_gate_never_stops_a_sale():
    want = wanted([0.05, 0, 0], [0.10, 0, 0], base=np.zeros(3), expected=np.full(3, -1.0))

    assert planned(want)[0] == {"BTC": Decimal(-50)}


def test_a_leg_that_the_gate_leaves_inside_the_band_says_so():
    want = wanted([0.10, 0, 0], [0.05, 0, 0], base=np.array([0.055, 0, 0]))

    assert planned(want) == ({}, {"BTC": "COST_EXCEEDS_EDGE"})


def test_purchases_stop_where_the_cash_ends_less_the_reserve():
    want = wanted([0.10, 0.08, 0.05], cash=Decimal(15_000))

    assert planned(want) == ({"BTC": Decimal(100)}, {"UNI": "CASH_SHORT", "ONDO": "CASH_SHORT"})


def test_sales_pay_for_purchases_and_go_first():
    want = wanted([0.0, 0.09, 0.0], [0.10, 0, 0], cash=Decimal(1_000))
    sent, dropped = orders.plan(REBALANCE, want, PAIRS, OrderSettings(), CostSettings())

    assert [(o.asset, o.leg, o.quantity > 0) for o in sent] == [("BTC", 0, False), ("UNI", 1, True)]
    assert dropped == ()


def test_the_call_budget_never_holds_an_exit():
    want = wanted([0, 0, 0.05], [0.10, 0.08, 0], exit_codes={"UNI": "ATR_STOP"})

    assert planned(want, settings=OrderSettings(max_orders=1)) == (
        {"UNI": Decimal(-80), "BTC": Decimal(-100)},
        {"ONDO": "CALL_BUDGET"},
    )


def test_the_level_of_a_stop_travels_with_its_order():
    want = wanted([0, 0, 0], [0.10, 0, 0], exit_codes={"BTC": "ATR_STOP"}, stops={"BTC": 91.25})
    order = orders.plan(RISK, want, PAIRS, OrderSettings(), CostSettings())[0][0]

    assert (order.reason, order.stop) == ("ATR_STOP", Decimal("91.25"))


def test_exits_go_first_then_sales_then_purchases_each_by_size():
    names = tuple("ABCDEF")
    pairs = tuple(Pair(a, a, 1, 2, 2, Decimal(1)) for a in names)
    held = np.array([0.05, 0.10, 0.03, 0.12, 0.0, 0.0])
    want = Wanted(
        names, np.array([0, 0, 0, 0, 0.05, 0.08]), held, np.full(6, 1.0), np.zeros(6), np.full(6, 100.0),
        np.full(6, 1e9), np.ones(6, dtype=np.int64), {}, {"A": "ATR_STOP", "C": "ATR_STOP"}, {}, 1e5, Decimal(70_000),
        {a: Decimal(round(w * 1000)) for a, w in zip(names, held, strict=True) if w},
    )  # fmt: skip
    sent, _ = orders.plan(REBALANCE, want, pairs, OrderSettings(), CostSettings())

    assert "".join(o.asset for o in sent) == "ACDBFE"
