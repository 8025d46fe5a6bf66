"""How does Roostoo speak? Its v3 endpoints over HTTP: signatures, time window, call limit, and the shape of answers.

A refusal is HTTP 200 with `Success: false` and the venue's text, an empty result too; an unknown key is 401, the call
limit 429. Texts that nobody has published are our own: no client may rely on them. Short positions (v6) are not here.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from fastapi import APIRouter, Request, Response

from evenkeel.errors import VenueError
from evenkeel.sandbox.clock import Clock
from evenkeel.sandbox.exchange import Exchange, Listing, Resting, shown
from evenkeel.sandbox.faults import shift, struck

MINUTE_S: Final = 60.0
DOCUMENTED: Final[Mapping[str, tuple[str, ...]]] = {
    "ticker": ("pair", "timestamp"),
    "balance": ("timestamp",),
    "pending_count": ("timestamp",),
    "place_order": ("pair", "price", "quantity", "side", "timestamp", "type"),
    "query_order": ("limit", "offset", "order_id", "pair", "pending_only", "timestamp"),
    "cancel_order": ("order_id", "pair", "timestamp"),
}
"""The parameters that are signed; any other is ignored, so that a signature over it does not fit."""
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Account:
    """A key pair, both of 64 characters, and the account that it opens."""

    name: str
    key: str
    secret: str


def account(name: str, seed: int) -> Account:
    """The key pair of a name in the sandbox of a seed: always the same."""
    key, secret = (hashlib.sha256(f"{seed}|{name}|{part}".encode()).hexdigest() for part in ("key", "secret"))
    return Account(name, key, secret)


def signature(secret: str, params: Mapping[str, str]) -> str:
    """Lowercase hex of HMAC-SHA256 over `k=v` joined by `&`, keys ascending, values as they are."""
    message = "&".join(f"{key}={params[key]}" for key in sorted(params))
    return hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()


class Limiter:
    """At most `limit` calls of a name in any 60 s."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._calls: dict[str, deque[float]] = {}

    def wait(self, name: str, now: float) -> float:
        """Count a call and give 0, or give the seconds until one is allowed and count nothing."""
        calls = self._calls.setdefault(name, deque())
        while calls and not now - MINUTE_S < calls[0] <= now:
            calls.popleft()
        if len(calls) >= self._limit:
            return calls[0] + MINUTE_S - now
        calls.append(now)
        return 0.0


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in: who (empty for public ones), when, when by the venue's own clock, what was sent."""

    account: str
    now: float
    told: float
    params: Mapping[str, str]
    scope: Mapping[str, Any]


class Refused(Exception):  # noqa: N818 - not a failure of ours
    """A request that is answered with something else than the endpoint's own shape."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class Desk:
    """Lets requests in: key, signature, time window, call limit."""

    def __init__(self, exchange: Exchange, accounts: Mapping[str, Account], clock: Clock) -> None:
        """`accounts` by key; unsigned calls count for the key that they carry, else for the first account."""
        self.exchange = exchange
        self._accounts = accounts
        self._clock = clock
        self._limiter = Limiter(exchange.rules.calls_a_minute)

    async def public(self, request: Request, *, timed: bool = False) -> Call:
        """A call that needs no signature; `timed` = it needs a timestamp. Raises Refused."""
        known = self._accounts.get(request.headers.get("rst-api-key", "")) or next(iter(self._accounts.values()))
        if self.exchange.rules.count_unsigned:
            self._limit(known.name)
        call = Call("", *self._times(request), dict(parse_qsl(request.url.query)), request.scope)
        if timed:
            self._check_time(call, window=self.exchange.rules.ticker_window)
        return call

    async def signed(self, request: Request, endpoint: str) -> Call:
        """A call of an account. Raises Refused."""
        known = self._accounts.get(request.headers.get("rst-api-key", ""))
        if known is None:
            raise Refused(Response("unknown or inactive api key", 401, media_type="text/plain"))
        self._limit(known.name)
        sent = await _sent(request)
        params = {key: value for key, value in sent.items() if key in DOCUMENTED[endpoint]}
        call = Call(known.name, *self._times(request), params, request.scope)
        self._check_time(call, window=True)
        given = request.headers.get("msg-signature", "")
        if not hmac.compare_digest(given.encode(), signature(known.secret, params).encode()):
            raise Refused(refusal("signature mismatch"))
        return call

    def _times(self, request: Request) -> tuple[float, float]:
        now = self._clock.now()
        return now, now + shift(request.scope)

    def _limit(self, name: str) -> None:
        wait = self._limiter.wait(name, self._clock.now())
        if wait > 0:
            later = {"Retry-After": f"{wait:.0f}"} if self.exchange.rules.retry_after else None
            raise Refused(Response("too many requests", 429, headers=later, media_type="text/plain"))

    def _check_time(self, call: Call, *, window: bool) -> None:
        text = call.params.get("timestamp", "")
        if not text.isdecimal():
            raise Refused(refusal("timestamp missing or malformed"))
        if window and abs(call.told * 1000 - int(text)) > self.exchange.rules.window_ms:
            raise Refused(refusal("timestamp out of window"))


def routes(desk: Desk) -> APIRouter:
    """The v3 endpoints."""
    router = APIRouter(prefix="/v3")

    def get(name: str, answer: Callable[[Exchange, Call], Any]) -> None:
        router.add_api_route(f"/{name}", _endpoint(desk, name, answer), methods=["GET"])

    def post(name: str, answer: Callable[[Exchange, Call], Any]) -> None:
        router.add_api_route(f"/{name}", _endpoint(desk, name, answer), methods=["POST"])

    get("serverTime", lambda _, call: {"ServerTime": int(call.told * 1000)})
    get("exchangeInfo", exchange_info)
    get("ticker", ticker)
    get("balance", balance)
    get("pending_count", pending_count)
    post("place_order", place_order)
    post("query_order", query_order)
    post("cancel_order", cancel_order)
    return router


def _endpoint(desk: Desk, name: str, answer: Callable[[Exchange, Call], Any]) -> Any:
    async def endpoint(request: Request) -> Response:
        try:
            if name in DOCUMENTED and name != "ticker":
                call = await desk.signed(request, name)
            else:
                call = await desk.public(request, timed=name == "ticker")
            return reply(answer(desk.exchange, call))
        except VenueError as error:
            return refusal(str(error))
        except Refused as refused:
            return refused.response

    return endpoint


async def _sent(request: Request) -> dict[str, str]:
    """Query of a GET, form of a POST; a body in any other format says nothing."""
    if request.method == "GET":
        return dict(parse_qsl(request.url.query, keep_blank_values=True))
    if not request.headers.get("content-type", "").startswith(_FORM):
        return {}
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))


# ---------------------------------------------------------------- endpoints


def exchange_info(exchange: Exchange, call: Call) -> dict[str, Any]:
    """What can be traded, and how finely."""
    pairs = {}
    for pair in exchange.assets:
        now = listing(exchange, pair, call)
        pairs[pair] = {
            "Coin": now.asset, "CoinFullName": now.asset, "Unit": "USD", "UnitFullName": "US Dollar",
            "CanTrade": now.can_trade, "PricePrecision": now.price_decimals, "AmountPrecision": now.amount_decimals,
            "MiniOrder": number(float(now.min_notional)), "AssetType": exchange.market.pair(now.asset).kind,
        }  # fmt: skip
    return {"IsRunning": True, "InitialWallet": {"USD": 50000}, "TradePairs": pairs}


def listing(exchange: Exchange, pair: str, call: Call) -> Listing:
    """What the venue allows of a pair in this call. Raises VenueError for one that is not listed."""
    known = exchange.listing(pair)
    other = struck(call.scope, "precision", known.asset)
    if other is not None:
        known = replace(
            known,
            price_decimals=known.price_decimals if other.price_decimals is None else other.price_decimals,
            amount_decimals=known.amount_decimals if other.amount_decimals is None else other.amount_decimals,
        )
    return replace(known, can_trade=struck(call.scope, "suspend", known.asset) is None)


def ticker(exchange: Exchange, call: Call) -> dict[str, Any]:
    """Quotes of one pair or of all; a pair without a market now is left out."""
    wanted = [call.params["pair"]] if "pair" in call.params else [*exchange.assets]
    rows = {pair: _quoted(exchange, exchange.listing(pair).asset, call.now) for pair in wanted}
    data = {pair: row for pair, row in rows.items() if row is not None}
    return {"Success": True, "ErrMsg": "", "ServerTime": int(call.told * 1000), "Data": data}


def _quoted(exchange: Exchange, asset: str, now: float) -> dict[str, Any] | None:
    quote, last = exchange.market.quote(asset, now), exchange.market.last(asset, now)
    if quote is None or last is None:
        return None
    day = exchange.market.day(asset, now)
    return {
        "MaxBid": number(quote[0]), "MinAsk": number(quote[1]), "LastPrice": number(last),
        "Change": round(day.change, 4), "CoinTradeValue": number(day.volume), "UnitTradeValue": number(day.value),
    }  # fmt: skip


def balance(exchange: Exchange, call: Call) -> dict[str, Any]:
    """The wallet; USD cut to cents."""
    exchange.settle(call.now)
    wallet = exchange.wallets[call.account]
    rows = {}
    for coin, free in wallet.free.items():
        lock = number(shown(coin, wallet.lock[coin]))
        rows[coin] = {"Free": number(shown(coin, free)), "Lock": lock, "PendingOrders": lock, "ShortCollateral": 0}
    return {"Success": True, "ErrMsg": "", "SpotWallet": rows, "MarginWallet": {}}


def pending_count(exchange: Exchange, call: Call) -> dict[str, Any]:
    """Resting orders by pair; none is `Success: false` and no error."""
    waiting = [order.pair for order in exchange.of(call.account, call.now) if order.status == "PENDING"]
    pairs = {pair: waiting.count(pair) for pair in sorted(set(waiting))}
    text = "" if waiting else "no pending order under this account"
    return {"Success": bool(waiting), "ErrMsg": text, "TotalPending": len(waiting), "OrderPairs": pairs}


def place_order(exchange: Exchange, call: Call) -> dict[str, Any]:
    """An order; the answer has the raw products of doubles, and 0 filled while it rests."""
    pair = call.params.get("pair", "")
    order = exchange.place(call.account, pair, listing(exchange, pair, call), call.now, call.params)
    row = order_row(order, exchange)
    product = float(order.quantity) * order.fill_price
    raw = {"UnitChange": number(product), "CommissionChargeValue": number(product * order.rate)}
    row |= raw if order.status == "FILLED" else {"FilledQuantity": 0}
    return {"Success": True, "ErrMsg": "", "OrderDetail": row}


def query_order(exchange: Exchange, call: Call) -> dict[str, Any]:
    """Orders, newest first; none is `Success: false` and no error."""
    params, rules = call.params, exchange.rules
    rows = exchange.of(call.account, call.now)
    if "order_id" in params:
        if set(params) != {"order_id", "timestamp"}:
            raise VenueError("order_id excludes every other parameter")
        rows = [order for order in rows if order.id == _whole(params["order_id"], "order_id")]
    if "pair" in params:
        rows = [order for order in rows if order.pair == params["pair"]]
    if params.get("pending_only") == "TRUE":
        rows = [order for order in rows if order.status == "PENDING"]
    first = _whole(params.get("offset", "0"), "offset")
    count = min(_whole(params.get("limit", str(rules.rows)), "limit"), rules.most_rows)
    rows = rows[first : first + count]
    if not rows:
        raise VenueError("no order matched")
    return {"Success": True, "ErrMsg": "", "OrderMatched": [order_row(order, exchange) for order in rows]}


def cancel_order(exchange: Exchange, call: Call) -> dict[str, Any]:
    """Cancel one, those of a pair, or all; none is `Success: false` and no error."""
    number_, pair = call.params.get("order_id"), call.params.get("pair")
    if number_ is not None and pair is not None:
        raise VenueError("order_id and pair exclude each other")
    wanted = None if number_ is None else _whole(number_, "order_id")
    if struck(call.scope, "lost_cancel"):
        waiting = [order for order in exchange.of(call.account, call.now) if order.status == "PENDING"]
        done = sorted(o.id for o in waiting if wanted in (None, o.id) and pair in (None, o.pair))
    else:
        done = exchange.cancel(call.account, call.now, order_id=wanted, pair=pair)
    if not done:
        raise VenueError("no order canceled")
    return {"Success": True, "ErrMsg": "", "CanceledList": done}


def order_row(order: Resting, exchange: Exchange) -> dict[str, Any]:
    """An order as query_order shows it: PENDING and CANCELED rows have FilledQuantity == Quantity."""
    filled, quantity = order.status == "FILLED", number(order.quantity)
    named = exchange.rules.coin_named and order.role == "MAKER" and order.side == "BUY"
    return {
        "Pair": order.pair, "OrderID": order.id, "Status": order.status, "Role": order.role, "ServerTimeUsage": 0.005,
        "CreateTimestamp": int(order.created * 1000), "FinishTimestamp": int(order.finished * 1000),
        "Side": order.side, "Type": order.type, "StopType": "GTC", "Price": number(order.price), "Quantity": quantity,
        "FilledQuantity": quantity, "FilledAverPrice": number(order.fill_price),
        "CoinChange": quantity if filled else 0, "UnitChange": number(order.unit_change),
        "CommissionCoin": order.asset if named else "USD", "CommissionChargeValue": number(order.commission),
        "CommissionPercent": order.rate, "OrderWalletType": "SPOT", "OrderSource": "PUBLIC_API",
    }  # fmt: skip


def number(value: float | Decimal) -> float | int:
    """A JSON number; whole ones without a decimal point, as the venue writes them."""
    as_float = float(value)
    return int(as_float) if as_float.is_integer() and abs(as_float) < 2.0**53 else as_float


def reply(document: Mapping[str, Any]) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(document), media_type="application/json")


def refusal(text: str) -> Response:
    """A failure in the venue's way: HTTP 200 and a text."""
    return reply({"Success": False, "ErrMsg": text})


def _whole(text: str, name: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise VenueError(f"{name} error")
    return int(text)
