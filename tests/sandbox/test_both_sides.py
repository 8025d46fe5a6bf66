"""The program's own Roostoo client and the sandbox, written apart from each other, understand the same protocol."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path

import pytest

from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.sandbox.faults import Fault
from evenkeel.types import IntentStatus, Order
from evenkeel.venues.limiter import Limiter
from evenkeel.venues.roostoo import Roostoo
from evenkeel.venues.roostoo_wire import Credentials, Wire
from sandbox.world import BAR, START

SHARED = Path(__file__).parents[3] / "shared" / "data"


def desk(client):
    account, clock = client.box.account, client.box.clock
    wire = Wire(
        Credentials(account.key, account.secret), Limiter(clock=clock.now), base_url=f"{client.url}/roostoo",
        clock=clock.now, sleep=clock.advance, timeout_s=5.0,
    )  # fmt: skip
    return Roostoo(wire)


def order(quantity, style="market", leg=0):
    return Order(f"o-{leg}", "rebalance", leg, "BTC", Decimal(quantity), "TARGET", style)


def test_an_account_is_understood(served):
    """Rules, quotes, a purchase, a resting order, its fill, a cancel: the client's view is the venue's exact state."""
    client = served()
    venue, now = desk(client), int(client.box.clock.now())
    rules = {rule.asset: rule for rule in venue.rules(now)}
    tick = venue.quotes(now)["BTC"]
    bought = venue.send(order("2"), now)
    resting = venue.send(order("1", "limit", 1), now, limit=Decimal(82))
    away = venue.send(order("-1", "limit", 2), now, limit=Decimal(500))
    open_before = venue.holdings(now).open_orders
    client.box.clock.set(START + 2.5 * BAR)
    canceled = venue.cancel("BTC", int(away.id), now)
    held = venue.holdings(now)
    state = client.state()["accounts"]["sandbox"]

    assert (rules["PEPE"].price_decimals, rules["BTC"].amount_decimals, rules["BTC"].tradable) == (8, 5, True)
    assert (bought.status, bought.fills[0].price, bought.fills[0].quantity) == (IntentStatus.FILLED, tick.ask, 2)
    assert (resting.status, away.status) == (IntentStatus.ACKED, IntentStatus.ACKED)
    assert set(open_before) == {resting.id, away.id}
    assert canceled.status is IntentStatus.CANCELED
    assert not canceled.fills
    assert venue.order("BTC", int(resting.id), now).fills[0].price == 82
    assert held.units == {"BTC": Decimal(3)}
    assert math.isclose(held.cash, Decimal(state["USD"]["free"]) + Decimal(state["USD"]["lock"]), abs_tol=0.01)
    assert len(venue.fills(START)) == 2


def test_a_lost_answer_is_unknown_and_found_again(served):
    """The connection breaks after acceptance: the client does not say rejected, and the order is there once."""
    client = served(Fault("reset", path="*/place_order", accepted=True))
    venue, now = desk(client), int(client.box.clock.now())

    with pytest.raises(VenueUnknownError):
        venue.send(order("2"), now)
    assert [found.quantity for found in venue.orders({"BTC"}, -1, now)] == [2]


def test_a_refusal_is_a_refusal(served):
    """Too little cash: the client says so, and nothing is placed."""
    client = served()
    venue, now = desk(client), int(client.box.clock.now())

    with pytest.raises(VenueError, match="insufficient balance"):
        venue.send(order("200"), now)
    assert venue.orders({"BTC"}, -1, now) == ()


@pytest.mark.skipif(not SHARED.exists(), reason="real answers are not committed")
def test_shapes_are_those_of_real_answers(served):
    """Keys and types of exchangeInfo and of order rows are those that were recorded."""
    client = served()
    client.place("BUY", "1.5")
    real_info = json.loads((SHARED / "roostoo_exchange_info.json").read_text())
    real_rows = json.loads((SHARED / "roostoo_query_order.json").read_text())["OrderMatched"]
    info, row = client.get("/roostoo/v3/exchangeInfo").json(), client.orders()["OrderMatched"][0]

    assert set(info) == set(real_info)
    assert set(info["TradePairs"]["BTC/USD"]) == set(real_info["TradePairs"]["BTC/USD"])
    assert list(row) == list(real_rows[0])
    assert {k: isinstance(v, str) for k, v in row.items()} == {k: isinstance(v, str) for k, v in real_rows[0].items()}
    for real in real_rows:
        if real["Status"] == "FILLED":
            product = real["Quantity"] * real["FilledAverPrice"]
            cut = [math.floor(x * 1e6) / 1e6 for x in (product, product * real["CommissionPercent"])]
            assert [real["UnitChange"], real["CommissionChargeValue"]] == cut
