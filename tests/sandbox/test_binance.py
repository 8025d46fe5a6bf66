"""Binance of the sandbox, on the wire."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
from decimal import Decimal
from urllib.parse import urlencode

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from evenkeel.sandbox.binance import KEY, SECRET
from evenkeel.sandbox.faults import Fault
from venues.exchanges import START, running

NOW = START + 86_400


@pytest.fixture(scope="module")
def still():
    """A market that stands still, 17 s into a bar; for tests that change nothing."""
    with running(start=NOW + 17) as exchange:
        yield exchange


@pytest.fixture
def exchange():
    with running(start=NOW) as made:
        yield made


def get(exchange, path, **words):
    answer = requests.get(f"{exchange.binance}/{path}", params=words, timeout=5)
    return answer.status_code, answer.json()


def signed(exchange, method, path, *, key=KEY, secret=SECRET, late_s=0.0, **words):
    words |= {"timestamp": int((exchange.clock.now() - late_s) * 1000)}
    text = urlencode(words)
    text += "&signature=" + hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    body = {"data": text} if method == "POST" else {"params": text}
    answer = requests.request(method, f"{exchange.binance}/{path}", **body, headers={"X-MBX-APIKEY": key}, timeout=5)
    return answer.status_code, answer.json()


def place(exchange, side="BUY", quantity="0.01", price=None, client="one", **more):
    kind = {"type": "MARKET"} if price is None else {"type": "LIMIT", "timeInForce": "GTC", "price": str(price)}
    words = {"symbol": "BTCUSDT", "side": side, "quantity": quantity, "newClientOrderId": client}
    return signed(exchange, "POST", "order", **words, **kind, **more)


def bid(exchange):
    return Decimal(repr(exchange.market.quote("BTC", exchange.clock.now())[0]))


# ---------------------------------------------------------------- public


def test_klines_ascend_and_end_with_the_open_bar(still):
    """Twelve items, prices as text; the last bar closes after now and has what was seen of it."""
    _, rows = get(still, "klines", symbol="BTCUSDT", interval="1m", limit=5)

    assert [row[0] for row in rows] == [(NOW + 60 * n) * 1000 for n in range(-4, 1)]
    assert all(len(row) == 12 and row[6] == row[0] + 59_999 for row in rows)
    assert rows[-1][6] > (NOW + 17) * 1000
    assert float(rows[-1][4]) == still.market.last("BTC", NOW + 17)
    assert all(isinstance(row[4], str) for row in rows)


@pytest.mark.parametrize(
    ("words", "first", "count"),
    [
        ({}, NOW - 499 * 60, 500),
        ({"limit": 2000}, NOW - 999 * 60, 1000),
        ({"startTime": (NOW - 600) * 1000}, NOW - 600, 11),
        ({"startTime": 0, "limit": 3}, START, 3),
        ({"startTime": (NOW - 600) * 1000, "endTime": (NOW - 480) * 1000}, NOW - 600, 3),
        ({"endTime": (NOW - 600) * 1000, "limit": 2}, NOW - 660, 2),
        ({"startTime": (NOW + 60) * 1000}, None, 0),
    ],
)
def test_ranges_of_klines_are_binances(still, words, first, count):
    _, rows = get(still, "klines", symbol="ETHUSDT", interval="1m", **words)

    assert len(rows) == count
    assert not rows or rows[0][0] == first * 1000


def test_a_page_goes_on_after_a_hole():
    """A halt of the market has no rows; a page from its beginning starts behind it."""
    with running(start=NOW, gaps=(10, 11)) as exchange:
        hole = START + 10 * 900
        _, rows = get(exchange, "klines", symbol="BTCUSDT", interval="1m", startTime=hole * 1000, limit=10)

    assert rows[0][0] == (hole + 1800) * 1000
    assert len(rows) == 10


@pytest.mark.parametrize(
    ("path", "words", "code"),
    [
        ("klines", {"symbol": "NONE", "interval": "1m"}, -1121),
        ("klines", {"symbol": "BTCUSDT", "interval": "7m"}, -1120),
        ("klines", {"symbol": "BTCUSDT"}, -1102),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": "many"}, -1100),
        ("exchangeInfo", {"symbols": '["BTCUSDT","NONE"]'}, -1121),
        ("ticker/bookTicker", {"symbol": "NONE"}, -1121),
    ],
)
def test_errors_have_binances_body(still, path, words, code):
    status, body = get(still, path, **words)

    assert (status, body["code"]) == (400, code)
    assert body["msg"]


def test_time_rules_and_prices(still):
    _, info = get(still, "exchangeInfo", symbol="BTCUSDT")
    filters = {row["filterType"]: row for row in info["symbols"][0]["filters"]}
    _, book = get(still, "ticker/bookTicker", symbol="BTCUSDT")

    assert get(still, "time")[1] == {"serverTime": (NOW + 17) * 1000}
    assert (filters["PRICE_FILTER"]["tickSize"], filters["LOT_SIZE"]["stepSize"]) == ("0.01", "0.00001")
    assert filters["NOTIONAL"]["minNotional"] == "5"
    assert (float(book["bidPrice"]), float(book["askPrice"])) == still.market.quote("BTC", NOW + 17)
    assert {row["symbol"] for row in get(still, "ticker/bookTicker")[1]} == {"BTCUSDT", "ETHUSDT"}


# ---------------------------------------------------------------- signed


@pytest.mark.parametrize(
    ("more", "code"),
    [({"key": "x"}, -2015), ({"secret": "x"}, -1022), ({"late_s": 6}, -1021), ({"late_s": -2}, -1021)],
)
def test_only_who_signs_in_time_is_let_in(still, more, code):
    status, body = signed(still, "GET", "account", **more)

    assert (status, body["code"]) == (400, code)
    assert signed(still, "GET", "account", late_s=6, recvWindow=10_000)[0] == 200


def test_wallets_move_by_fills_and_commissions_alone(exchange):
    """What is bought comes less a thousandth of itself; what is sold pays less a thousandth in USDT."""
    _, bought = place(exchange)
    _, sold = place(exchange, "SELL", "0.005", client="two")
    balances = {row["asset"]: Decimal(row["free"]) for row in signed(exchange, "GET", "account")[1]["balances"]}

    assert (bought["status"], sold["status"]) == ("FILLED", "FILLED")
    assert balances["BTC"] == Decimal("0.01") * Decimal("0.999") - Decimal("0.005")
    paid, got = (Decimal(row["cummulativeQuoteQty"]) for row in (bought, sold))
    assert balances["USDT"] == 50_000 - paid + got - Decimal(sold["fills"][0]["commission"])
    assert [row["commissionAsset"] for row in signed(exchange, "GET", "myTrades", symbol="BTCUSDT")[1]] == [
        "BTC",
        "USDT",
    ]


def test_an_id_is_refused_while_its_order_is_open_and_taken_again_after_a_fill(exchange):
    """The id is no proof that an order was placed once."""
    price = bid(exchange) - 500
    assert place(exchange, price=price)[0] == 200
    status, body = place(exchange, price=price)
    assert (status, body["code"], body["msg"]) == (400, -2010, "Duplicate order sent.")
    assert [place(exchange, client="two")[1]["status"] for _ in range(2)] == ["FILLED", "FILLED"]

    _, orders = signed(exchange, "GET", "allOrders", symbol="BTCUSDT")
    assert [row["clientOrderId"] for row in orders] == ["one", "two", "two"]
    found = signed(exchange, "GET", "order", symbol="BTCUSDT", origClientOrderId="two")[1]
    assert found["orderId"] == orders[-1]["orderId"]


def test_a_resting_order_locks_is_listed_and_is_cancelled_once(exchange):
    price = bid(exchange) - 500
    _, order = place(exchange, price=price)
    wallet = {row["asset"]: row for row in signed(exchange, "GET", "account")[1]["balances"]}
    assert Decimal(wallet["USDT"]["locked"]) == price * Decimal("0.01")
    assert [row["orderId"] for row in signed(exchange, "GET", "openOrders")[1]] == [order["orderId"]]

    words = {"symbol": "BTCUSDT", "orderId": order["orderId"]}
    assert signed(exchange, "DELETE", "order", **words)[1]["status"] == "CANCELED"
    assert signed(exchange, "DELETE", "order", **words)[1]["code"] == -2011
    assert signed(exchange, "GET", "order", symbol="BTCUSDT", orderId=99)[1]["code"] == -2013
    assert signed(exchange, "GET", "openOrders")[1] == []


def test_a_part_fills_where_the_plan_says_so(exchange):
    """A market order's rest expires, a limit's rest stays in the book and fills when the quote comes back."""
    exchange.faults.replace([Fault("partial", path="*/order", fraction=0.25)])
    ask = Decimal(repr(exchange.market.quote("BTC", NOW)[1]))
    _, market = place(exchange, quantity="0.04")
    _, limit = place(exchange, quantity="0.04", price=ask, client="two")

    assert (market["status"], market["executedQty"]) == ("EXPIRED", "0.01000000")
    assert (limit["status"], limit["executedQty"]) == ("PARTIALLY_FILLED", "0.01000000")
    assert exchange.market.quote("BTC", NOW)[1] == float(ask)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ({"quantity": "0.000015"}, -1013, "LOT_SIZE"),
        ({"quantity": "0"}, -1013, "LOT_SIZE"),
        ({"quantity": "0.00002"}, -1013, "NOTIONAL"),
        ({"price": "60000.001"}, -1013, "PRICE_FILTER"),
        ({"quantity": "9"}, -2010, "insufficient"),
        ({"side": "SELL"}, -2010, "insufficient"),
        ({"quantity": "lots"}, -1100, "quantity"),
        ({"quantity": ""}, -1102, "quantity"),
    ],
)
def test_filters_refuse(still, words, code, said):
    """Each with its code, and nothing is placed."""
    status, body = place(still, **words)

    assert (status, body["code"]) == (400, code)
    assert said in body["msg"]
    assert signed(still, "GET", "allOrders", symbol="BTCUSDT")[1] == []


def test_a_suspended_pair_says_so_and_takes_nothing(exchange):
    exchange.faults.replace([Fault("suspend", asset="BTC")])

    assert place(exchange)[1]["code"] == -1013
    statuses = {row["symbol"]: row["status"] for row in get(exchange, "exchangeInfo")[1]["symbols"]}
    assert statuses == {"BTCUSDT": "BREAK", "ETHUSDT": "TRADING"}


# ---------------------------------------------------------------- streams


def heard(socket, count):
    return [json.loads(socket.recv(timeout=5)) for _ in range(count)]


def test_a_bar_is_told_while_open_and_once_when_it_closes(exchange):
    """x=false until its end, then x=true once with the bar that REST shows, then the next bar."""
    with connect(f"{exchange.stream}/stream?streams=btcusdt@kline_1m") as socket:
        (first,) = heard(socket, 1)
        exchange.clock.advance(61)
        last, following = heard(socket, 2)

    assert (first["stream"], first["data"]["k"]["x"]) == ("btcusdt@kline_1m", False)
    bar = last["data"]["k"]
    assert (bar["x"], bar["t"], following["data"]["k"]["x"]) == (True, NOW * 1000, False)
    _, rows = get(exchange, "klines", symbol="BTCUSDT", interval="1m", startTime=NOW * 1000, limit=1)
    assert [bar[name] for name in "tohlcv"] == rows[0][:6]


def test_one_stream_comes_bare(exchange):
    with connect(f"{exchange.stream}/ws/ethusdt@kline_15m") as socket:
        (event,) = heard(socket, 1)

    assert (event["e"], event["s"], event["k"]["i"]) == ("kline", "ETHUSDT", "15m")


def test_the_plan_cuts_a_connection_with_and_without_a_word(exchange):
    """`maintenance` says serverShutdown first, `reset` just breaks off; the number of the event decides."""
    exchange.faults.replace(
        [Fault("maintenance", method="WS", first=2, count=1), Fault("reset", method="WS", first=4, count=1)]
    )
    ends = []
    for _ in range(2):
        with connect(f"{exchange.stream}/stream?streams=btcusdt@kline_1m") as socket:
            said = heard(socket, 1)
            exchange.clock.advance(2)
            said += to_the_end(socket)
        ends.append((socket.close_code, [one["data"]["e"] for one in said]))

    assert ends == [(1001, ["kline", "serverShutdown"]), (1006, ["kline"])]


def to_the_end(socket):
    said = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            said += heard(socket, 1)
    return said
