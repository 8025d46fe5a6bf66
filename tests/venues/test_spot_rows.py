"""Rows of ccxt in our nouns: ids, factors, steps, and what is not believed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.types import IntentStatus, Pair
from evenkeel.venues import spot_rows as rows

PAIR = Pair("SATS", "SATS/USD", 2, 10, 0, Decimal(1), symbols={"binance": ("1000SATSUSDT", 1000)})
MARKET = {"precision": {"price": "0.0000001", "amount": "1"}, "limits": {"cost": {"min": "5"}}, "active": True}
LISTING = rows.Listing(PAIR, "1000SATS/USDT", "1000SATSUSDT", "1000SATS", "USDT", Decimal(1000), MARKET)
ORDER = {
    "id": "7", "clientOrderId": "ek-reb1-SATS-0", "timestamp": 1_735_776_000_123, "status": "open", "side": "sell",
    "type": "limit", "price": "0.0002", "amount": "30", "filled": "0",
}  # fmt: skip
TRADE = {
    "id": "9", "order": "7", "timestamp": 1_735_776_001_999, "side": "sell", "amount": "10", "price": "0.0002",
    "fees": [{"cost": "0.000002", "currency": "USDT"}],
}  # fmt: skip


@given(st.from_regex(r"[A-Za-z0-9._:/-]{1,33}", fullmatch=True))
def test_an_id_that_travels_comes_back(order_id):
    """Within what Binance takes, and no stranger's id is read as ours."""
    client = rows.client_id(order_id)

    assert len(client) <= 36
    assert rows.our_id(client) == order_id
    assert rows.our_id(f"web_{order_id}") == ""
    assert rows.our_id(None) == ""


@pytest.mark.parametrize("order_id", ["", "reb1-币-0", "a b", "x" * 34])
def test_an_id_that_cannot_travel_is_refused_before_anything_is_sent(order_id):
    with pytest.raises(VenueError, match="cannot travel"):
        rows.client_id(order_id)


@given(st.integers(-4, 12), st.sampled_from([1, 2, 4, 5, 8]))
def test_decimals_never_allow_what_the_step_forbids(exponent, head):
    """Every value with so many decimals is a multiple of the step, and one decimal more would not be."""
    step = Decimal(head).scaleb(-exponent)
    found = rows.decimals(step)

    assert Decimal(1).scaleb(-found) % step == 0
    assert Decimal(1).scaleb(-found - 1) % step != 0


def test_a_thousand_coins_in_one_are_told_apart_once():
    """Quantities and prices are per coin, to the last digit; the precision too."""
    fill, elsewhere = rows.fill_of(TRADE, LISTING)
    order = rows.order_of(ORDER | {"filled": "10"}, LISTING, [fill])
    rule = rows.rule(LISTING)

    assert (order.quantity, order.limit) == (Decimal(-30_000), Decimal("0.0000002"))
    assert (fill.quantity, fill.price, fill.fee, fill.time) == (
        Decimal(-10_000), Decimal("0.0000002"), Decimal("0.000002"), 1_735_776_001,
    )  # fmt: skip
    assert (order.id, order.number, order.ours, order.fills) == ("1000SATSUSDT-7", 7, "reb1-SATS-0", (fill,))
    assert elsewhere is None
    assert (rule.price_decimals, rule.amount_decimals, rule.min_notional) == (10, -3, Decimal(5))


def test_a_fee_in_coins_stands_beside_the_fill():
    fill, elsewhere = rows.fill_of(TRADE | {"fees": [{"cost": "0.001", "currency": "BNB"}]}, LISTING)

    assert fill.fee == 0
    assert elsewhere == (Decimal("0.001"), "BNB")


@pytest.mark.parametrize(
    ("status", "known"),
    [
        ("open", IntentStatus.ACKED), ("CANCEL_QUEUED", IntentStatus.ACKED), ("canceled", IntentStatus.CANCELED),
        ("expired", IntentStatus.CANCELED), ("rejected", IntentStatus.REJECTED),
    ],
)  # fmt: skip
def test_states_are_ours(status, known):
    assert rows.order_of(ORDER | {"status": status}, LISTING).status is known


@pytest.mark.parametrize(
    "change",
    [
        {"status": "sleeping"}, {"status": None}, {"id": None}, {"side": None}, {"amount": None}, {"amount": "many"},
        {"amount": "NaN"}, {"timestamp": None}, {"filled": None}, {"price": None}, {"filled": "1"},
    ],
    ids=str,
)  # fmt: skip
def test_a_row_that_does_not_say_what_is_needed_is_unknown(change):
    """Never a default; nor a filled part without its fills."""
    with pytest.raises(VenueUnknownError):
        rows.order_of(ORDER | change, LISTING)


@pytest.mark.parametrize(
    "change", [{"price": None}, {"amount": ""}, {"order": None}, {"side": "none"}, {"timestamp": None}], ids=str
)
def test_a_fill_that_does_not_say_what_is_needed_is_unknown(change):
    with pytest.raises(VenueUnknownError):
        rows.fill_of(TRADE | change, LISTING)


def test_what_the_exchange_has_no_least_notional_for_keeps_ours():
    market = MARKET | {"limits": {"cost": {"min": None}}}

    assert rows.rule(replace(LISTING, market=market)).min_notional == PAIR.min_notional
