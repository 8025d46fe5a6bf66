"""Does evenkeel speak Binance spot? The public and the signed REST of one account, over the sandbox's market and clock.

Klines with the bar that is still open, its limits and error bodies; orders with filters, client order ids and partial
fills. `binance_account` matches, `binance_stream` pushes candles. The law: a signed request changes the account only if
key, signature and time are right. Source: Binance spot REST and its error codes (`specs/market_data.md` section 1).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, WebSocket
from fastapi.responses import JSONResponse

from evenkeel.sandbox import binance_stream as stream
from evenkeel.sandbox.binance_account import OPEN, Account, Order, Product, Refusal, Trade
from evenkeel.sandbox.clock import Clock
from evenkeel.sandbox.faults import Faults, shift, struck
from evenkeel.sandbox.market import Bar, Market
from evenkeel.units import plain, seconds

KEY, SECRET = "sandbox-key", "sandbox-secret"
"""Of the one account; nothing that is worth anything."""
INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")
MOST_BARS = 1000
_WINDOW_MS = 5_000
_ROWS = 1000
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: its parameters, the time (UTC s) and the faults that strike it, by the ASGI scope."""

    words: Mapping[str, str]
    now: float
    scope: Mapping[str, Any]

    def need(self, name: str) -> str:
        """A parameter that must be there. Raises Refusal."""
        if not self.words.get(name):
            raise Refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return self.words[name]

    def number(self, name: str) -> Decimal:
        """A positive decimal that must be there. Raises Refusal."""
        try:
            return Decimal(self.need(name))
        except InvalidOperation:
            raise Refusal(-1100, f"Illegal characters found in parameter '{name}'.") from None

    def whole(self, name: str, otherwise: int) -> int:
        """A whole number, or another where it was not sent. Raises Refusal."""
        try:
            return int(self.words[name]) if name in self.words else otherwise
        except ValueError:
            raise Refusal(-1100, f"Illegal characters found in parameter '{name}'.") from None


def routes(
    market: Market,
    clock: Clock,
    faults: Faults,
    *,
    cash: Decimal = Decimal(50_000),
    fee: Decimal = Decimal("0.001"),
    key: str = KEY,
    secret: str = SECRET,
) -> APIRouter:
    """`/api/v3/...` and the streams `/ws/...`, `/stream`. `cash` USDT to begin with, `fee` of what is received."""
    desk = Desk(market, Account(market, cash=cash, fee=fee, start=clock.now()))
    router = APIRouter()
    for path, method, call in desk.public():
        router.add_api_route(f"/api/v3/{path}", _endpoint(call, clock, None), methods=[method])
    for path, method, call in desk.signed():
        router.add_api_route(f"/api/v3/{path}", _endpoint(call, clock, (key, secret)), methods=[method])

    async def combined(socket: WebSocket) -> None:
        names = socket.query_params.get("streams", "").split("/")
        await stream.push(socket, names, desk.account.products, market, clock, faults)

    async def single(socket: WebSocket, name: str) -> None:
        await stream.push(socket, [name], desk.account.products, market, clock, faults, bare=True)

    router.add_api_websocket_route("/stream", combined)
    router.add_api_websocket_route("/ws/{name}", single)
    return router


Call = Callable[[Ask], Any]
Route = tuple[str, str, Call]


def _endpoint(call: Call, clock: Clock, keys: tuple[str, str] | None) -> Callable[[Request], Awaitable[JSONResponse]]:
    """One request on the event loop's own thread: nothing happens between two lines of a call."""

    async def answer(request: Request) -> JSONResponse:
        text = "&".join(part for part in (request.url.query, (await request.body()).decode()) if part)
        ask = Ask(dict(parse_qsl(text, keep_blank_values=True)), clock.now() + shift(request.scope), request.scope)
        try:
            if keys is not None:
                _verify(ask, text, request.headers.get("x-mbx-apikey", ""), keys)
            return JSONResponse(call(ask))
        except Refusal as refusal:
            return JSONResponse({"code": refusal.code, "msg": refusal.text}, status_code=400)

    return answer


def _verify(ask: Ask, text: str, key: str, keys: tuple[str, str]) -> None:
    message, _, signature = text.rpartition("&signature=")
    if key != keys[0]:
        raise Refusal(-2015, "Invalid API-key, IP, or permissions for action.")
    if not hmac.compare_digest(hmac.new(keys[1].encode(), message.encode(), hashlib.sha256).hexdigest(), signature):
        raise Refusal(-1022, "Signature for this request is not valid.")
    late_ms = ask.now * 1000 - int(ask.number("timestamp"))
    if late_ms > ask.whole("recvWindow", _WINDOW_MS) or late_ms < -1000:
        raise Refusal(-1021, "Timestamp for this request is outside of the recvWindow.")


class Desk:
    """What each path answers, as functions of `Ask`."""

    def __init__(self, market: Market, account: Account) -> None:
        self.account = account
        self._market = market
        self._next = 1

    def public(self) -> tuple[Route, ...]:
        """Paths that want no key."""
        return (
            ("ping", "GET", lambda _: {}),
            ("time", "GET", lambda ask: {"serverTime": int(ask.now * 1000)}),
            ("exchangeInfo", "GET", self.info),
            ("klines", "GET", self.klines),
            ("ticker/bookTicker", "GET", self.book),
        )

    def signed(self) -> tuple[Route, ...]:
        """Paths of the account."""
        return (
            ("account", "GET", self.wallet),
            ("order", "POST", self.place),
            ("order", "GET", lambda ask: order_row(self._known(ask, -2013, "Order does not exist."))),
            ("order", "DELETE", self.cancel),
            ("openOrders", "GET", partial(self.list_orders, only_open=True)),
            ("allOrders", "GET", self.list_orders),
            ("myTrades", "GET", self.trades),
        )

    def info(self, ask: Ask) -> dict[str, Any]:
        """Rules of all symbols, or of `symbol` or `symbols`."""
        rows = [self._symbol(product, ask) for product in self._chosen(ask)]
        now_ms = int(ask.now * 1000)
        return {"timezone": "UTC", "serverTime": now_ms, "rateLimits": [], "exchangeFilters": [], "symbols": rows}

    def klines(self, ask: Ask) -> list[list[Any]]:
        """Bars, ascending, the one that is still open as the last."""
        product = self._product(ask)
        if ask.need("interval") not in INTERVALS:
            raise Refusal(-1120, "Invalid interval.")
        step = seconds(ask.words["interval"])
        limit = min(ask.whole("limit", 500), MOST_BARS)
        end = ask.whole("endTime", int(ask.now * 1000)) / 1000
        if "startTime" not in ask.words:
            newest = min(end, ask.now) // step * step
            found = self._market.bars(product.asset, step, newest - (limit - 1) * step, end + 1e-3, ask.now)
        else:
            found = self._from(product, step, (ask.whole("startTime", 0) / 1000, end), limit, ask.now)
        return [kline(bar, step, product.factor) for bar in found]

    def book(self, ask: Ask) -> Any:
        """Best bid and ask of all symbols, of `symbols`, or of one `symbol`."""
        rows = []
        for product in self._chosen(ask):
            quote = self._market.quote(product.asset, ask.now)
            if quote is not None:
                bid, offer = (f"{side * product.factor:.8f}" for side in quote)
                row = {"symbol": product.symbol, "bidPrice": bid, "bidQty": "1.0", "askPrice": offer, "askQty": "1.0"}
                rows.append(row)
        return rows[0] if "symbol" in ask.words and rows else rows

    def wallet(self, ask: Ask) -> dict[str, Any]:
        """Balances that are not zero."""
        self.account.settle(ask.now)
        rows = []
        for coin, total in sorted(self.account.total.items()):
            locked = self.account.locked(coin)
            if total:
                rows.append({"asset": coin, "free": _eight(total - locked), "locked": _eight(locked)})
        return {"canTrade": True, "accountType": "SPOT", "updateTime": int(ask.now * 1000), "balances": rows}

    def place(self, ask: Ask) -> dict[str, Any]:
        """A new order, with its fills."""
        product = self._product(ask)
        side, kind = ask.need("side"), ask.need("type")
        if side not in {"BUY", "SELL"} or kind not in {"MARKET", "LIMIT"}:
            raise Refusal(-1116, "Invalid orderType.")
        quantity = ask.number("quantity")
        price = ask.number("price") if kind == "LIMIT" else None
        force = ask.need("timeInForce") if kind == "LIMIT" else "GTC"
        if struck(ask.scope, "suspend", product.asset):
            raise Refusal(-1013, "Market is closed.")
        fault = struck(ask.scope, "partial", product.asset)
        self.account.partial = None if fault is None else Decimal(repr(fault.fraction))
        number, now_ms = self._next, int(ask.now * 1000)
        client = ask.words.get("newClientOrderId") or f"sandbox{number}"
        order = Order(number, client, product.symbol, side == "BUY", quantity, price, now_ms, force, updated=now_ms)
        self.account.place(order, ask.now)
        self._next += 1
        fills = [_fill_row(trade) for trade in order.trades]
        return order_row(order) | {"transactTime": now_ms, "fills": fills}

    def cancel(self, ask: Ask) -> dict[str, Any]:
        """The order as it ended."""
        order = self._known(ask, -2011, "Unknown order sent.")
        if struck(ask.scope, "lost_cancel"):
            return order_row(order) | {"status": "CANCELED"}
        return order_row(self.account.cancel(order, ask.now))

    def list_orders(self, ask: Ask, *, only_open: bool = False) -> list[dict[str, Any]]:
        """Orders of a symbol from `startTime` or `orderId` on, or the newest; or open ones, of all if none is named."""
        self.account.settle(ask.now)
        symbol = ask.words.get("symbol") if only_open else self._product(ask).symbol
        first_ms, first = ask.whole("startTime", 0), ask.whole("orderId", 0)
        found = [
            order_row(order)
            for order in self.account.orders.values()
            if symbol in {None, order.symbol} and order.time >= first_ms and order.id >= first
            and (order.status in OPEN or not only_open)
        ]  # fmt: skip
        limit = min(ask.whole("limit", 500), _ROWS)
        return found if only_open else found[:limit] if first_ms or first else found[-limit:]

    def trades(self, ask: Ask) -> list[dict[str, Any]]:
        """Fills of a symbol, from `startTime` or `fromId` on, or of one `orderId`."""
        self.account.settle(ask.now)
        symbol, order = self._product(ask).symbol, ask.whole("orderId", 0)
        first_ms, first = ask.whole("startTime", 0), ask.whole("fromId", 0)
        found = [
            trade_row(trade)
            for trade in self.account.trades()
            if trade.symbol == symbol and trade.time >= first_ms and trade.id >= first and order in {0, trade.order}
        ]
        limit = min(ask.whole("limit", 500), _ROWS)
        return found[:limit] if first_ms or first else found[-limit:]

    def _from(self, product: Product, step: int, span: tuple[float, float], limit: int, now: float) -> list[Bar]:
        """The first `limit` bars that open in the span, however many are missing before them."""
        cursor, end = max(span[0], self._market.begin - step), min(span[1] + 1e-3, now + 1e-3, self._market.end)
        found: list[Bar] = []
        while cursor < end and len(found) < limit:
            upto = min(cursor + limit * step, end)
            found += self._market.bars(product.asset, step, cursor, upto, now)
            cursor = upto
        return found[:limit]

    def _product(self, ask: Ask) -> Product:
        found = self.account.products.get(ask.need("symbol"))
        if found is None:
            raise Refusal(-1121, "Invalid symbol.")
        return found

    def _chosen(self, ask: Ask) -> list[Product]:
        names = [ask.words["symbol"]] if "symbol" in ask.words else json.loads(ask.words.get("symbols", "null"))
        if names is not None and any(name not in self.account.products for name in names):
            raise Refusal(-1121, "Invalid symbol.")
        return [self.account.products[name] for name in names or self.account.products]

    def _known(self, ask: Ask, code: int, text: str) -> Order:
        """The order that is asked for, the newest of a client id. Raises Refusal."""
        self.account.settle(ask.now)
        product, number = self._product(ask), ask.whole("orderId", 0)
        client = ask.words.get("origClientOrderId")
        for order in reversed(self.account.orders.values()):
            if order.symbol == product.symbol and (order.id == number or (client and order.client == client)):
                return order
        raise Refusal(code, text)

    def _symbol(self, product: Product, ask: Ask) -> dict[str, Any]:
        tick, lot = plain(product.tick), plain(product.lot)
        status = "BREAK" if struck(ask.scope, "suspend", product.asset) else "TRADING"
        least = plain(product.pair.min_notional)
        return {
            "symbol": product.symbol, "status": status, "baseAsset": product.base, "baseAssetPrecision": 8,
            "quoteAsset": "USDT", "quotePrecision": 8, "quoteAssetPrecision": 8, "orderTypes": ["LIMIT", "MARKET"],
            "isSpotTradingAllowed": True, "isMarginTradingAllowed": False, "permissions": [],
            "permissionSets": [["SPOT"]],
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "10000000", "tickSize": tick},
                {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000000000", "stepSize": lot},
                {"filterType": "NOTIONAL", "minNotional": least, "applyMinToMarket": True, "maxNotional": "9000000",
                 "applyMaxToMarket": False, "avgPriceMins": 5},
            ],
        }  # fmt: skip


def kline(bar: Bar, step: int, factor: int) -> list[Any]:
    """The twelve items of a bar."""
    prices = [f"{price * factor:.8f}" for price in (bar.open, bar.high, bar.low, bar.close)]
    volume, value = bar.volume / factor, bar.volume * bar.close
    return [bar.time * 1000, *prices, f"{volume:.8f}", (bar.time + step) * 1000 - 1, f"{value:.8f}", 1, "0", "0", "0"]


def order_row(order: Order) -> dict[str, Any]:
    """An order as allOrders lists it."""
    return {
        "symbol": order.symbol, "orderId": order.id, "orderListId": -1, "clientOrderId": order.client,
        "price": _eight(order.price or _ZERO), "origQty": _eight(order.quantity), "executedQty": _eight(order.filled),
        "cummulativeQuoteQty": _eight(order.paid), "status": order.status, "timeInForce": order.force,
        "type": "MARKET" if order.price is None else "LIMIT", "side": "BUY" if order.buy else "SELL",
        "time": order.time, "updateTime": order.updated, "isWorking": True,
    }  # fmt: skip


def trade_row(trade: Trade) -> dict[str, Any]:
    """A fill as myTrades lists it."""
    return {
        "symbol": trade.symbol, "id": trade.id, "orderId": trade.order, "price": _eight(trade.price),
        "qty": _eight(trade.quantity), "quoteQty": _eight(trade.quantity * trade.price),
        "commission": _eight(trade.commission), "commissionAsset": trade.coin, "time": trade.time,
        "isBuyer": trade.buy, "isMaker": trade.maker, "isBestMatch": True,
    }  # fmt: skip


def _fill_row(trade: Trade) -> dict[str, Any]:
    return {
        "price": _eight(trade.price), "qty": _eight(trade.quantity), "commission": _eight(trade.commission),
        "commissionAsset": trade.coin, "tradeId": trade.id,
    }  # fmt: skip


def _eight(value: Decimal) -> str:
    return f"{value:.8f}"
