"""The Coinbase broker: real ccxt over HTTP against answers in the shapes of Advanced Trade, made here by hand."""

from __future__ import annotations

import base64
import json
from decimal import Decimal

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from evenkeel.errors import ConfigError, VenueError, VenueUnknownError
from evenkeel.sandbox.wire import serving
from evenkeel.types import IntentStatus, Order
from evenkeel.venues.spot import Spot
from evenkeel.venues.spot_line import Pace
from evenkeel.venues.spot_wire import Keys
from venues.exchanges import PAIRS

NOW = 1_735_776_000
STAMP = "2025-01-02T00:00:00.123456Z"
UUID = "52cfe5e2-0b29-4c19-a245-a6a773de5030"
SECRET = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    .decode()
)
KEYS = Keys("organizations/one/apiKeys/two", SECRET)


def product(name, price):
    base, quote = name.split("-")
    return {
        "product_id": name, "price": price, "base_currency_id": base, "quote_currency_id": quote,
        "product_type": "SPOT", "base_increment": "0.00000001", "quote_increment": "0.01", "price_increment": "0.01",
        "alias_to": [],
        "base_min_size": "0.00000001", "base_max_size": "3400", "quote_min_size": "1", "quote_max_size": "150000000",
        "status": "online", "trading_disabled": False, "is_disabled": False, "cancel_only": False, "view_only": False,
    }  # fmt: skip


def account(coin, free, hold="0"):
    amounts = {"available_balance": {"value": free, "currency": coin}, "hold": {"value": hold, "currency": coin}}
    return {
        "uuid": coin,
        "name": f"{coin} Wallet",
        "currency": coin,
        "active": True,
        "type": "ACCOUNT_TYPE_CRYPTO",
    } | amounts


def listed(number, client, status, configuration, *, side="BUY", filled="0", value="0"):
    return {
        "order_id": number, "product_id": "BTC-USD", "side": side, "client_order_id": client, "status": status,
        "order_configuration": configuration, "created_time": STAMP, "filled_size": filled, "filled_value": value,
        "average_filled_price": "50000" if filled != "0" else "0", "total_fees": "0", "product_type": "SPOT",
        "order_type": "LIMIT" if "limit" in next(iter(configuration)) else "MARKET", "number_of_fills": "1",
    }  # fmt: skip


class Coinbase:
    """What is sent to it, and what it answers by path."""

    def __init__(self):
        self.sent, self.heads = [], []
        self.answers = {
            "GET /v2/time": {"data": {"iso": "", "epoch": NOW}},
            "GET brokerage/market/products": {"products": [product("BTC-USD", "50000"), product("ETH-USD", "2500")]},
            "GET brokerage/transaction_summary": {"fee_tier": {"taker_fee_rate": "0.006", "maker_fee_rate": "0.004"}},
            "GET brokerage/market/products/BTC-USD/ticker": {
                "trades": [],
                "best_bid": "49990.00",
                "best_ask": "50010.00",
            },
            "GET brokerage/accounts": {"accounts": [account("USD", "900.5", "99.5"), account("BTC", "0.4", "0.1")]},
            "GET brokerage/orders/historical/batch": {"orders": [], "has_next": False, "cursor": ""},
            "GET brokerage/orders/historical/fills": {"fills": [], "cursor": ""},
        }

    def app(self):
        """The server."""
        app = FastAPI()

        async def answer(request: Request, rest: str):
            path = (
                f"{request.method} {rest.removeprefix('api/v3/')}" if "api/v3" in rest else f"{request.method} /{rest}"
            )
            body = await request.body()
            if request.query_params.get("product_type") == "FUTURE":
                return JSONResponse({"products": []})
            if request.method == "POST":
                self.sent.append((path, json.loads(body)))
                self.heads.append(request.headers.get("authorization", ""))
            found = self.answers.get(path, (404, {"error": "NOT_FOUND", "message": path}))
            found = found(request.query_params) if callable(found) else found
            status, document = found if isinstance(found, tuple) else (200, found)
            made = PlainTextResponse if isinstance(document, str) else JSONResponse
            return made(document, status_code=status)

        app.add_api_route("/{rest:path}", answer, methods=["GET", "POST"])
        return app


@pytest.fixture
def coinbase():
    made = Coinbase()
    with serving(made.app()) as url:
        made.url = url
        yield made


def spot(coinbase):
    idle = {"sleep": lambda _: None, "clock": lambda: float(NOW), "pace": Pace(sleep=lambda _: None)}
    return Spot("coinbase", KEYS, PAIRS, host=coinbase.url, **idle)


def order(quantity):
    return Order(f"reb{NOW:x}-BTC-0", "rebalance", 0, "BTC", Decimal(quantity), "TARGET")


def accept(coinbase):
    row = {"order_id": UUID, "product_id": "BTC-USD", "side": "BUY", "client_order_id": f"ek-{order('1').id}"}
    coinbase.answers["POST brokerage/orders"] = {"success": True, "order_id": UUID, "success_response": row}


@pytest.mark.parametrize(
    ("quantity", "limit", "configuration"),
    [
        ("0.012", "49000.5", {"limit_limit_gtc": {"base_size": "0.012", "limit_price": "49000.5", "post_only": False}}),
        ("-0.012", None, {"market_market_ioc": {"base_size": "0.012"}}),
        ("0.012", None, {"sor_limit_ioc": {"base_size": "0.012", "limit_price": "50510.1"}}),
    ],
    ids=["limit", "sale", "purchase"],
)
def test_sizes_are_always_in_coins(coinbase, quantity, limit, configuration):
    """A purchase at market is a limit just above the best ask that ends at once; the id is ours, the key signs."""
    accept(coinbase)
    venue = spot(coinbase)
    made = venue.send(order(quantity), NOW, limit=None if limit is None else Decimal(limit))

    ((path, sent),) = coinbase.sent
    assert path == "POST brokerage/orders"
    assert sent["order_configuration"] == configuration
    assert (sent["product_id"], sent["side"]) == ("BTC-USD", "BUY" if Decimal(quantity) > 0 else "SELL")
    assert sent["client_order_id"] == f"ek-{order(quantity).id}"
    assert (made.id, made.ours, made.status, made.number) == (UUID, order(quantity).id, IntentStatus.ACKED, None)
    claims = json.loads(base64.urlsafe_b64decode(coinbase.heads[0].split(".")[1] + "=="))
    assert claims["sub"] == KEYS.key


def test_decimals_that_coinbase_does_not_take_are_refused_here(coinbase):
    venue = spot(coinbase)
    with pytest.raises(VenueError, match="more decimals"):
        venue.send(order("0.123456789"), NOW)
    with pytest.raises(VenueError, match="more decimals"):
        venue.send(order("0.1"), NOW, limit=Decimal("50000.001"))

    assert coinbase.sent == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"success": False, "error_response": {"error": "INSUFFICIENT_FUND", "message": "Insufficient"}}, VenueError),
        ({"success": False, "error_response": {"error": "INVALID_LIMIT_PRICE", "message": "price"}}, VenueError),
        ((401, "Unauthorized\n"), VenueError),
        ((400, {"error": "INVALID_ARGUMENT", "message": "product_id"}), VenueError),
        ({"success": False, "error_response": {"error": "UNKNOWN_FAILURE_REASON", "message": "?"}}, VenueUnknownError),
        ({"success": False}, VenueUnknownError),
        ({"success": True, "success_response": {}}, VenueUnknownError),
        ((403, "<html>denied</html>"), VenueUnknownError),
        ((429, {"error": "resource_exhausted", "message": "slow"}), VenueUnknownError),
        ((500, {"error": "INTERNAL", "message": "oops"}), VenueUnknownError),
        ("<html>hello</html>", VenueUnknownError),
    ],
)
def test_only_what_is_understood_is_a_refusal(coinbase, answer, error):
    """Everything else leaves it open what happened, and nothing is sent twice."""
    coinbase.answers["POST brokerage/orders"] = answer
    venue = spot(coinbase)
    with pytest.raises(error):
        venue.send(order("-0.01"), NOW)

    assert len(coinbase.sent) == 1


def test_holdings_count_what_open_orders_hold(coinbase):
    rest = {"limit_limit_gtc": {"base_size": "0.1", "limit_price": "60000", "post_only": False}}
    coinbase.answers["GET brokerage/orders/historical/batch"] = {
        "orders": [listed(UUID, "ek-ours", "OPEN", rest, side="SELL")], "has_next": False, "cursor": "",
    }  # fmt: skip
    held = spot(coinbase).holdings(NOW)

    assert (held.cash, held.locked, held.units) == (Decimal(1000), Decimal("99.5"), {"BTC": Decimal("0.5")})
    assert held.open_orders == ("ours",)


def test_orders_and_fills_are_read_back(coinbase):
    """States, limits and strangers as they are; fees are dollars."""
    fill = {
        "entry_id": "a", "trade_id": "cdc39e45", "order_id": UUID, "trade_time": STAMP, "trade_type": "FILL",
        "price": "50000", "size": "0.004", "commission": "1.2", "product_id": "BTC-USD", "side": "BUY",
        "size_in_quote": False, "sequence_timestamp": STAMP, "liquidity_indicator": "TAKER",
    }  # fmt: skip
    ioc = {"sor_limit_ioc": {"base_size": "0.01", "limit_price": "50510.1"}}
    rows = [
        listed(UUID, f"ek-{order('1').id}", "CANCELLED", ioc, filled="0.004", value="200"),
        listed(
            "other", "18eb9947", "OPEN", {"limit_limit_gtc": {"base_size": "1", "limit_price": "9", "post_only": False}}
        ),
    ]
    coinbase.answers["GET brokerage/orders/historical/batch"] = {"orders": rows, "has_next": False, "cursor": ""}
    coinbase.answers["GET brokerage/orders/historical/fills"] = {"fills": [fill], "cursor": ""}
    venue = spot(coinbase)
    by_id = {one.id: one for one in venue.orders(["BTC"], NOW - 60, NOW)}

    ours, other = by_id[UUID], by_id["other"]
    assert (ours.ours, ours.status, ours.limit) == (order("1").id, IntentStatus.CANCELED, Decimal("50510.1"))
    assert [(f.quantity, f.price, f.fee, f.order_id) for f in ours.fills] == [
        (Decimal("0.004"), Decimal(50_000), Decimal("1.2"), UUID)
    ]
    assert (other.ours, other.status, other.quantity) == ("", IntentStatus.ACKED, Decimal(1))
    assert venue.fills(NOW - 60) == ours.fills
    assert venue.notes == ()


def test_pages_are_followed_to_the_last(coinbase):
    """Orders, fills and accounts, each row once."""
    rest = {"limit_limit_gtc": {"base_size": "0.1", "limit_price": "60000", "post_only": False}}
    pages = {
        "": {"orders": [listed("a", "ek-a", "OPEN", rest)], "has_next": True, "cursor": "two"},
        "two": {"orders": [listed("b", "ek-b", "CANCELLED", rest)], "has_next": False, "cursor": ""},
    }
    accounts = {
        "": {"accounts": [account("USD", "5")], "has_next": True, "cursor": "two"},
        "two": {"accounts": [account("ETH", "2")], "has_next": False, "cursor": ""},
    }
    coinbase.answers["GET brokerage/orders/historical/batch"] = lambda asked: pages[asked.get("cursor", "")]
    coinbase.answers["GET brokerage/accounts"] = lambda asked: accounts[asked.get("cursor", "")]
    venue = spot(coinbase)

    assert sorted(one.ours for one in venue.orders(["BTC"], NOW - 60, NOW)) == ["a", "b"]
    assert venue.holdings(NOW).units == {"ETH": Decimal(2)}


def test_an_order_filled_further_than_its_fills_tell_is_not_believed(coinbase):
    ioc = {"sor_limit_ioc": {"base_size": "0.01", "limit_price": "50510.1"}}
    rows = [listed(UUID, "ek-x", "FILLED", ioc, filled="0.01", value="500")]
    coinbase.answers["GET brokerage/orders/historical/batch"] = {"orders": rows, "has_next": False, "cursor": ""}
    with pytest.raises(VenueUnknownError, match="ask again"):
        spot(coinbase).orders(["BTC"], NOW - 60, NOW)


@pytest.mark.parametrize(
    ("reason", "status", "error"),
    [
        ("", "CANCELLED", None),
        ("UNKNOWN_CANCEL_ORDER", "FILLED", None),
        ("COMMANDER_REJECTED_CANCEL_ORDER", "OPEN", VenueError),
        ("UNKNOWN_CANCEL_FAILURE_REASON", "OPEN", VenueUnknownError),
    ],
)
def test_a_cancel_names_the_order_and_tells_how_it_ended(coinbase, reason, status, error):
    row = {"success": not reason, "failure_reason": reason or "UNKNOWN_CANCEL_FAILURE_REASON", "order_id": UUID}
    coinbase.answers["POST brokerage/orders/batch_cancel"] = {"results": [row]}
    rest = {"limit_limit_gtc": {"base_size": "0.1", "limit_price": "60000", "post_only": False}}
    coinbase.answers[f"GET brokerage/orders/historical/{UUID}"] = {"order": listed(UUID, "ek-x", status, rest)}
    venue = spot(coinbase)
    if error is None:
        assert venue.cancel("BTC", UUID, NOW).status.value[:4] == status[:4]
    else:
        with pytest.raises(error):
            venue.cancel("BTC", UUID, NOW)

    assert coinbase.sent == [("POST brokerage/orders/batch_cancel", {"order_ids": [UUID]})]


def test_an_order_that_coinbase_does_not_know_is_none(coinbase):
    assert spot(coinbase).order("BTC", "nobodys", NOW) is None


def test_rules_are_coinbases_own(coinbase):
    rules = spot(coinbase).rules(NOW)

    assert {asset: (p.price_decimals, p.amount_decimals, p.min_notional) for asset, p in rules.items()} == {
        "BTC": (2, 8, Decimal(1)), "ETH": (2, 8, Decimal(1)),
    }  # fmt: skip


def test_coinbase_has_no_test_network():
    with pytest.raises(ConfigError, match="no test network"):
        Spot("coinbase", KEYS, PAIRS, testnet=True, sleep=lambda _: None, clock=lambda: float(NOW))
