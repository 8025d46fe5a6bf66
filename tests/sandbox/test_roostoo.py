from __future__ import annotations

from urllib.parse import urlencode

import pytest
import requests

from evenkeel.sandbox import roostoo
from evenkeel.sandbox.exchange import Rules
from sandbox.world import BAR, START

PUBLISHED = "S1XP1e3UZj6A7H5fATj0jNhqPxxdSJYdInClVN65XAbvqqMKjVHjA7PZj4W12oep"  # of the public documentation
ROW = [
    "Pair", "OrderID", "Status", "Role", "ServerTimeUsage", "CreateTimestamp", "FinishTimestamp", "Side", "Type",
    "StopType", "Price", "Quantity", "FilledQuantity", "FilledAverPrice", "CoinChange", "UnitChange",
    "CommissionCoin", "CommissionChargeValue", "CommissionPercent", "OrderWalletType", "OrderSource",
]  # fmt: skip


def test_signatures_are_those_of_the_documentation():
    """Sorted keys, raw values, HMAC-SHA256 in lowercase hex."""
    params = {"type": "MARKET", "pair": "BNB/USD", "side": "BUY", "quantity": "2000", "timestamp": "1580774512000"}

    assert roostoo.signature(PUBLISHED, params) == "20b7fd5550b67b3bf0c1684ed0f04885261db8fdabd38611e9e6af23c19b7fff"


def test_a_key_pair_is_the_seeds():
    """64 characters each; the same seed gives the same, another one another."""
    first, again, other = roostoo.account("sandbox", 7), roostoo.account("sandbox", 7), roostoo.account("sandbox", 8)

    assert first == again
    assert len({first.key, first.secret, other.key, other.secret}) == 4
    assert {len(first.key), len(first.secret)} == {64}


def test_public_calls_need_no_signature(served):
    """Time in ms, pairs with their precision and without Success, quotes of all pairs in one call."""
    client = served()
    now_ms = int(client.box.clock.now() * 1000)
    info = client.get("/roostoo/v3/exchangeInfo").json()
    ticker = client.get("/roostoo/v3/ticker", timestamp=now_ms).json()
    one = client.get("/roostoo/v3/ticker", timestamp=now_ms, pair="BTC/USD").json()

    assert client.get("/roostoo/v3/serverTime").json() == {"ServerTime": now_ms}
    assert set(info) == {"IsRunning", "InitialWallet", "TradePairs"}
    assert info["TradePairs"]["PEPE/USD"]["PricePrecision"] == 8
    assert set(ticker["Data"]) == {"BTC/USD", "PEPE/USD"}
    assert ticker["Data"]["BTC/USD"] == one["Data"]["BTC/USD"]
    assert one["Data"]["BTC/USD"]["MaxBid"] < one["Data"]["BTC/USD"]["MinAsk"]
    assert set(one["Data"]["BTC/USD"]) == {
        "MaxBid", "MinAsk", "LastPrice", "Change", "CoinTradeValue", "UnitTradeValue",
    }  # fmt: skip


def test_the_ticker_needs_a_timestamp_and_a_pair_that_is_listed(served):
    """Both refusals come with 200 and Success false."""
    client = served()
    answers = [client.get("/roostoo/v3/ticker"), client.get("/roostoo/v3/ticker", timestamp=1, pair="BTC/USD")]
    answers.append(client.get("/roostoo/v3/ticker", timestamp=int(client.box.clock.now() * 1000), pair="X/USD"))

    assert {answer.status_code for answer in answers} == {200}
    assert [answer.json()["Success"] for answer in answers] == [False, False, False]


def test_a_fresh_account_has_one_row(served):
    """USD alone; a coin row stays with zeros after everything was sold."""
    client = served()
    fresh = client.wallet()
    client.place("BUY", "1")
    client.place("SELL", "1")

    assert fresh == {"USD": {"Free": 1000, "Lock": 0, "PendingOrders": 0, "ShortCollateral": 0}}
    assert client.wallet()["BTC"] == {"Free": 0, "Lock": 0, "PendingOrders": 0, "ShortCollateral": 0}


@pytest.mark.parametrize("encoded", [True, False])
def test_a_slash_may_travel_encoded_or_raw(served, encoded):
    """What is signed is the raw value in both cases."""
    client = served()
    sent = {"pair": "BTC/USD", "quantity": "1", "side": "BUY", "type": "MARKET"}
    sent["timestamp"] = str(int(client.box.clock.now() * 1000))
    body = urlencode(sent, safe="" if encoded else "/")
    headers = {**client.headers(sent), "Content-Type": "application/x-www-form-urlencoded"}

    answer = requests.post(f"{client.url}/roostoo/v3/place_order", data=body, headers=headers, timeout=10)
    assert answer.json()["Success"] is True


def test_what_is_not_signed_rightly_is_refused(served):
    """Unknown key 401; a wrong signature, an undocumented signed parameter and JSON are refused; nothing is placed."""
    client = served()
    url = f"{client.url}/roostoo/v3/place_order"
    sent = {"pair": "BTC/USD", "quantity": "1", "side": "BUY", "type": "MARKET"}
    sent["timestamp"] = str(int(client.box.clock.now() * 1000))
    headers = client.headers(sent)
    extra = {**sent, "note": "x"}

    assert requests.post(url, data=sent, headers={**headers, "RST-API-KEY": "x"}, timeout=10).status_code == 401
    for answer in (
        requests.post(url, data=sent, headers={**headers, "MSG-SIGNATURE": "0" * 64}, timeout=10),
        requests.post(url, data={**sent, "quantity": "2"}, headers=headers, timeout=10),
        requests.post(url, data=extra, headers=client.headers(extra), timeout=10),
        requests.post(url, json=sent, headers=headers, timeout=10),
    ):
        assert answer.json()["Success"] is False
    assert client.state()["orders"] == []


@pytest.mark.parametrize(("off_s", "accepted"), [(-60, True), (60, True), (-60.1, False), (60.1, False)])
def test_a_timestamp_may_be_a_minute_off(served, off_s, accepted):
    """Exactly 60 s are accepted, before and after."""
    client = served()

    assert client.signed("GET", "balance", at=client.box.clock.now() + off_s).json()["Success"] is accepted


def test_thirty_calls_a_minute_are_answered(served):
    """The next one is 429, unsigned calls count, and a minute later there is room again."""
    client = served()
    codes = [client.signed("GET", "balance").status_code for _ in range(20)]
    codes += [client.get("/roostoo/v3/serverTime").status_code for _ in range(11)]
    refused = client.signed("POST", "cancel_order").status_code
    client.box.clock.advance(60)

    assert codes == [200] * 30 + [429]
    assert refused == 429
    assert client.signed("GET", "balance").status_code == 200


def test_the_limit_may_leave_unsigned_calls_out_and_say_when_to_come_back(served):
    """Two switches."""
    client = served(rules=Rules(calls_a_minute=2, count_unsigned=False, retry_after=True))
    public = [client.get("/roostoo/v3/serverTime").status_code for _ in range(5)]
    signed = [client.signed("GET", "balance") for _ in range(3)]

    assert public == [200] * 5
    assert [answer.status_code for answer in signed] == [200, 200, 429]
    assert signed[-1].headers["Retry-After"] == "60"


def test_an_order_is_answered_raw_and_listed_cut(served):
    """The reply has the products of doubles, query_order six decimals; keys and order are those of real rows."""
    client = served()
    detail = client.place("BUY", "0.51307")["OrderDetail"]
    row = client.orders(order_id=detail["OrderID"])["OrderMatched"][0]

    assert list(row) == list(detail) == ROW
    assert detail["UnitChange"] == detail["Quantity"] * detail["Price"]
    assert detail["CommissionChargeValue"] == detail["UnitChange"] * 0.001
    assert row["UnitChange"] < detail["UnitChange"]
    assert row["UnitChange"] == pytest.approx(detail["UnitChange"], abs=1e-6)
    assert (row["Status"], row["Role"], row["CommissionPercent"]) == ("FILLED", "TAKER", 0.001)
    assert row["FinishTimestamp"] - row["CreateTimestamp"] == 5


def test_orders_that_never_filled_report_their_quantity_as_filled(served):
    """PENDING and CANCELED rows of query_order do, with zeros elsewhere; the reply of a resting order has 0."""
    client = served()
    detail = client.place("BUY", "1", "90")["OrderDetail"]
    pending = client.orders()["OrderMatched"][0]
    client.signed("POST", "cancel_order", order_id=detail["OrderID"])
    canceled = client.orders()["OrderMatched"][0]

    assert (detail["Status"], detail["FilledQuantity"]) == ("PENDING", 0)
    for row, status in ((pending, "PENDING"), (canceled, "CANCELED")):
        assert (row["Status"], row["FilledQuantity"]) == (status, row["Quantity"])
        assert {row[k] for k in ("FilledAverPrice", "CoinChange", "UnitChange", "CommissionChargeValue")} == {0}
    assert (pending["FinishTimestamp"], canceled["FinishTimestamp"]) == (0, int(client.box.clock.now() * 1000))


def test_a_resting_buy_may_name_the_coin_and_charges_dollars(served):
    """CommissionCoin is BTC by default, USD by the switch; the wallet pays USD in both cases."""
    named, plain = served(), served(rules=Rules(coin_named=False))
    coins, dollars = set(), set()
    for client in (named, plain):
        client.place("BUY", "1", "82")
        client.box.clock.set(START + 2 * BAR)
        coins.add(client.orders()["OrderMatched"][0]["CommissionCoin"])
        dollars.add(client.state()["accounts"]["sandbox"]["USD"]["free"])
        assert client.wallet()["BTC"]["Free"] == 1

    assert coins == {"BTC", "USD"}
    assert dollars == {"917.959"}


def test_empty_results_are_no_success(served):
    """Three endpoints answer 200 with Success false and their known texts."""
    client = served()
    count = client.signed("GET", "pending_count").json()

    assert count == {
        "Success": False, "ErrMsg": "no pending order under this account", "TotalPending": 0, "OrderPairs": {},
    }  # fmt: skip
    assert client.orders() == {"Success": False, "ErrMsg": "no order matched"}
    assert client.signed("POST", "cancel_order", order_id=1).json() == {
        "Success": False, "ErrMsg": "no order canceled",
    }  # fmt: skip


def test_pending_orders_are_counted_and_cancelled_by_pair(served):
    """One id, one pair, or all; both at once is refused."""
    client = served()
    for price in ("90", "91"):
        client.place("BUY", "1", price)
    pepe = client.place("BUY", "1000000", "0.00000900", pair="PEPE/USD")["OrderDetail"]["OrderID"]
    count = client.signed("GET", "pending_count").json()

    assert (count["TotalPending"], count["OrderPairs"]) == (3, {"BTC/USD": 2, "PEPE/USD": 1})
    assert client.signed("POST", "cancel_order", order_id=pepe, pair="BTC/USD").json()["Success"] is False
    assert len(client.signed("POST", "cancel_order", pair="BTC/USD").json()["CanceledList"]) == 2
    assert client.signed("POST", "cancel_order").json()["CanceledList"] == [pepe]


def test_orders_are_listed_newest_first_in_pages(served):
    """limit, offset, pair and pending_only; order_id excludes them."""
    client = served()
    ids = [client.place("BUY", "0.1")["OrderDetail"]["OrderID"] for _ in range(3)]
    ids.append(client.place("BUY", "1", "90")["OrderDetail"]["OrderID"])

    def listed(**params):
        return [row["OrderID"] for row in client.orders(**params)["OrderMatched"]]

    assert listed() == ids[::-1]
    assert listed(limit=2, offset=1) == ids[2:0:-1]
    assert listed(pending_only="TRUE") == ids[3:]
    assert client.orders(pair="PEPE/USD")["ErrMsg"] == "no order matched"
    assert client.orders(order_id=ids[0], pair="BTC/USD")["Success"] is False


def test_a_gap_in_the_market_takes_no_order(served):
    """After the last bar there is no quote: the ticker leaves the pair out and orders are refused."""
    client = served()
    client.box.clock.set(START + 4 * BAR)
    now_ms = int(client.box.clock.now() * 1000)

    assert client.get("/roostoo/v3/ticker", timestamp=now_ms).json()["Data"] == {}
    assert client.place("BUY", "1")["Success"] is False


def test_the_controls_move_the_clock_and_are_never_struck(served):
    """Set, advance, pace; a wrong word is refused with a sentence and changes nothing."""
    client = served()
    start = client.get("/sandbox/clock").json()["now"]
    client.put("/sandbox/faults", [{"kind": "maintenance"}])

    assert client.put("/sandbox/clock", {"advance": 30}).json() == {"now": start + 30, "speed": 0}
    assert client.put("/sandbox/clock", {"now": "2025-01-01T00:20:00"}).json()["now"] == START + 1200
    assert client.put("/sandbox/clock", {"speed": 0}).json()["now"] == START + 1200
    for wrong in ({}, {"later": 1}, {"now": 1, "advance": 1}, {"speed": -1}, {"advance": "soon"}, {"now": "soon"}, 5):
        assert client.put("/sandbox/clock", wrong).status_code == 400
    assert client.put("/sandbox/faults", [{"kind": "boom"}]).json()["error"].startswith("fault 1: kind 'boom'")
    assert client.get("/sandbox/clock").json()["now"] == START + 1200
    assert client.get("/sandbox/faults").json()["faults"][0]["kind"] == "maintenance"
    assert client.get("/roostoo/v3/serverTime").status_code == 503


def test_a_taken_port_is_refused_in_a_sentence(served):
    """No traceback, and what to do."""
    from evenkeel.errors import UsageError

    client = served()
    port = int(client.url.rpartition(":")[2])

    with pytest.raises(UsageError, match=f"port {port} .* choose another"), client.box.serve(port=port):
        pass
