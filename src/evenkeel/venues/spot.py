"""What do we hold at Binance or Coinbase, and how does an order get there? A spot account behind ccxt.

Time is an argument; quantities are signed coins, prices USD per coin (USDT and USDC count as USD). The law: `send` and
`cancel` touch the socket once, and anything but an understood refusal is VenueUnknownError. An order that has more
decimals than the exchange takes is refused here, never rounded: rounding is the planner's.
Sources: `specs/market_data.md` section 1 and 3, Binance spot REST, Coinbase Advanced Trade, ccxt 4.5.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from evenkeel.engine.ports import VenueOrder
from evenkeel.errors import ConfigError, VenueError, VenueUnknownError
from evenkeel.types import Fill, Holdings, IntentStatus, Order, Pair
from evenkeel.units import plain
from evenkeel.venues import spot_rows as rows
from evenkeel.venues.candles import Touch
from evenkeel.venues.spot_line import Missing, Pace
from evenkeel.venues.spot_rows import Listing, Row
from evenkeel.venues.spot_wire import Keys, SpotWire

_PAGE = 1000
_PROTECTION = Decimal("1.01")  # Coinbase sells for a limit at best ask and a hundredth, or not at all


class Spot:
    """A spot account, for several threads: orders one after the other, prices and balances beside them (`spot_wire`).

    exchange_id    binance or coinbase · keys  the account's
    pairs          what may be held, by asset; their `symbols` name them at the exchange
    host           address instead of the exchange's own, such as `http://127.0.0.1:8080/api/v3` for Binance
    testnet        the exchange's test network, where it has one
    timeout_s      longest that one request may take in all, s · sleep, clock  waiting and UTC s now
    pace           the call budget of everybody who asks this exchange in this account's name; None = one of its own
    """

    def __init__(
        self,
        exchange_id: str,
        keys: Keys,
        pairs: Mapping[str, Pair],
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        host: str | None = None,
        testnet: bool = False,
        timeout_s: float = 10.0,
        pace: Pace | None = None,
    ) -> None:
        self.id = exchange_id
        self._pairs = pairs
        self._wire = SpotWire(
            exchange_id, keys, host=host, testnet=testnet, timeout_s=timeout_s, sleep=sleep, clock=clock,
            pace=pace or Pace(),
        )  # fmt: skip
        self._known: dict[str, Listing] = {}
        self._paid_elsewhere: dict[str, tuple[Decimal, str]] = {}

    @property
    def again(self) -> bool:
        """False: Binance takes the id of an order that has filled for another one."""
        return False

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know: fees charged in coins, which are in no `Fill.fee` and not taken from cash."""
        sums: dict[str, Decimal] = {}
        for cost, coin in tuple(self._paid_elsewhere.values()):
            sums[coin] = sums.setdefault(coin, Decimal(0)) + cost
        return tuple(f"fees of {plain(cost)} {coin} were charged in {coin}" for coin, cost in sorted(sums.items()))

    def holdings(self, time: int, *, urgent: bool = False) -> Holdings:  # noqa: ARG002 - no read waits for an order
        """Cash in USD and units per asset, what lies in open orders included. Raises VenueError, VenueUnknownError."""
        listed = self._listings()
        balance = self._wire.reads.read("fetch_balance")
        quote = self._currency(listed)
        units = {asset: rows.amount_of(balance, one.base) * one.factor for asset, one in sorted(listed.items())}
        held = {asset: quantity for asset, quantity in units.items() if quantity}
        named = {one.symbol: one for one in listed.values()}
        open_rows = [row for row in self._wire.reads.read("fetch_open_orders") if row["symbol"] in named]
        out = tuple(_open_id(row, named[row["symbol"]]) for row in open_rows)
        cash, locked = rows.amount_of(balance, quote), rows.amount_of(balance, quote, "used")
        tied = {asset: rows.amount_of(balance, one.base, "used") * one.factor for asset, one in sorted(listed.items())}
        tied = {asset: quantity for asset, quantity in tied.items() if quantity}
        return Holdings(time, cash, held, out, locked=locked, locked_units=tied)

    def send(
        self,
        order: Order,
        time: int,  # noqa: ARG002 - a port's signature
        may: Callable[[], bool] = lambda: True,
        *,
        limit: Decimal | None = None,
    ) -> VenueOrder:
        """Place one order, once: at market, or good till cancelled at `limit` USD.

        may  asked last before the socket: a halt may have come while the exchange's rules were read
        A purchase at market is sent to Coinbase as a limit one hundredth above the best ask that ends at once, because
        that is the only way there to name its size in coins.
        Raises VenueError (understood refusal, nothing was placed), VenueUnknownError (anything else).
        """
        if not (order.quantity.is_finite() and order.quantity):
            raise VenueError(f"{order.asset}: a quantity of {order.quantity} is no order")
        one = self._listing(order.asset)
        params: dict[str, Any] = {_CLIENT_ID[self.id]: rows.client_id(order.id)}
        price = limit
        if limit is None and self.id == "coinbase" and order.quantity > 0:
            price, params["timeInForce"] = self._protection(one), "IOC"
        amount = self._exact("amount", one, abs(order.quantity) / one.factor)
        at = None if price is None else self._exact("price", one, price * one.factor)
        if not may():
            raise VenueError(f"{order.asset}: not sent, it was withdrawn meanwhile")
        kind, side = "market" if at is None else "limit", "buy" if order.quantity > 0 else "sell"
        row = self._wire.orders.once("create_order", one.symbol, kind, side, amount, at, params)
        made = self._placed(row, one, order, price)
        if made.ours != order.id:
            raise VenueUnknownError(f"{order.asset}: the answer to {order.id} names the order {made.ours or made.id!r}")
        return made

    def orders(self, assets: Collection[str], since: int, time: int) -> tuple[VenueOrder, ...]:  # noqa: ARG002
        """Orders of these assets placed at or after `since` (UTC s), and what is open, oldest first, ours or not."""
        found: list[VenueOrder] = []
        for one in (self._listing(asset) for asset in sorted(assets)):
            shown = {str(row["id"]): row for row in self._order_rows(one, since)}
            shown |= {str(row["id"]): row for row in self._wire.orders.read("fetch_open_orders", one.symbol)}
            found += self._with_fills(list(shown.values()), one)
        return tuple(sorted(found, key=lambda order: (order.placed, order.number or 0, order.id)))

    def order(self, asset: str, number: int | str, time: int) -> VenueOrder | None:  # noqa: ARG002
        """One order by its number (Coinbase: its id); None = the exchange knows none."""
        one = self._listing(asset)
        try:
            row = self._wire.orders.read("fetch_order", str(number), one.symbol)
        except Missing:
            return None
        return self._with_fills([row], one)[0]

    def cancel(self, asset: str, venue_id: int | str, time: int) -> VenueOrder | None:
        """End one open order, by one request; -> what became of it, which may be that it filled; None = unknown there.

        Raises VenueUnknownError where the request's answer is lost: the order has to be asked for.
        """
        one = self._listing(asset)
        number = str(venue_id).removeprefix(f"{one.id}-")
        try:
            if self.id == "coinbase":
                self._wire.orders.once("cancel_orders", [number], one.symbol)
            else:
                self._wire.orders.once("cancel_order", number, one.symbol)
        except VenueError as refused:
            ended = self.order(asset, number, time)
            if ended is not None and not ended.status.resolved:
                raise VenueError(f"{asset}: order {number} is open and was not cancelled ({refused})") from refused
            return ended
        return self.order(asset, number, time)

    def fills(self, since: int) -> tuple[Fill, ...]:
        """What this account executed after `since` (UTC s) in the pairs of the universe, oldest first, ours or not."""
        found = self._fills(list(self._listings().values()), (since + 1) * 1000)
        return tuple(fill for fill in found if fill.time > since)

    def rules(self, time: int) -> Mapping[str, Pair]:  # noqa: ARG002 - a port's signature
        """The pairs that can be traded now, with the exchange's own precision and least notional; asks anew."""
        self._wire.reload()
        self._known = rows.listings(self.id, self._pairs, self._wire.exchange())
        return {asset: rows.rule(one) for asset, one in self._known.items() if one.market.get("active")}

    def rulebook(self, time: int) -> Mapping[str, Pair]:
        """The same: what a service asks for."""
        return self.rules(time)

    def quotes(self, time: int) -> Mapping[str, Touch]:
        """Best bid and ask (USD per coin) of each pair that has them; `time` is when they were asked for."""
        named = {one.symbol: one for one in self._listings().values()}
        method = "fetch_bids_asks" if self.id == "binance" else "fetch_tickers"
        found = {}
        for symbol, ticker in self._wire.reads.read(method, list(named)).items():
            if symbol in named and ticker.get("bid") and ticker.get("ask"):
                factor = float(named[symbol].factor)
                touch = Touch(float(ticker["bid"]) / factor, float(ticker["ask"]) / factor, time)
                found[named[symbol].pair.asset] = touch
        return found

    def _listings(self) -> dict[str, Listing]:
        if not self._known:
            self._known = rows.listings(self.id, self._pairs, self._wire.exchange())
        return self._known

    def _listing(self, asset: str) -> Listing:
        listed = self._listings()
        if asset not in listed:
            raise VenueError(f"{asset}: not listed at {self.id}")
        return listed[asset]

    def _currency(self, listed: Mapping[str, Listing]) -> str:
        """The one currency that the pairs are paid in. Raises ConfigError."""
        quotes = sorted({one.quote for one in listed.values()})
        if len(quotes) != 1 or quotes[0] not in rows.DOLLARS:
            raise ConfigError(f"pairs at {self.id} are paid in {', '.join(quotes) or 'nothing'}: choose one dollar")
        return quotes[0]

    def _protection(self, one: Listing) -> Decimal:
        """Most that a purchase at market may cost on Coinbase, USD per coin."""
        ask = self._wire.reads.read("fetch_ticker", one.symbol).get("ask")
        if not ask:
            raise VenueUnknownError(f"{one.id} has no best ask at {self.id}: nothing was sent")
        text = self._wire.reads.once("price_to_precision", one.symbol, plain(Decimal(str(ask)) * _PROTECTION))
        return Decimal(str(text)) / one.factor

    def _exact(self, what: str, one: Listing, value: Decimal) -> str:
        """The value as text, if the exchange's precision leaves it as it is. Raises VenueError."""
        kept = self._wire.reads.once(f"{what}_to_precision", one.symbol, plain(value))
        if Decimal(str(kept)) != value:
            raise VenueError(f"{one.pair.asset}: {what} {plain(value)} has more decimals than {self.id} takes ({kept})")
        return plain(value)

    def _placed(self, row: Row, one: Listing, order: Order, price: Decimal | None) -> VenueOrder:
        """The answer to an order; Coinbase tells only its id."""
        if row.get("status") is None and row.get("id"):
            now = self._wire.now_ms()
            ours, status = rows.our_id(row.get("clientOrderId")), IntentStatus.ACKED
            return VenueOrder(str(row["id"]), ours, order.asset, order.quantity, price, status, now)
        own = {"order": row["id"], "side": row["side"]}  # which the fills in an answer leave to the order
        trades = (trade | own | {"timestamp": trade["timestamp"] or row["timestamp"]} for trade in row["trades"])
        return rows.order_of(row, one, self._noted((trade, one) for trade in trades))

    def _with_fills(self, shown: list[Row], one: Listing) -> list[VenueOrder]:
        filled = [row for row in shown if row.get("filled") and Decimal(str(row["filled"]))]
        first_ms = min((int(row["timestamp"]) for row in filled), default=0)
        fills = self._fills([one], first_ms) if filled else ()
        return [rows.order_of(row, one, fills) for row in shown]

    def _order_rows(self, one: Listing, since: int) -> list[Row]:
        since_ms = max(since, 1) * 1000
        if self.id == "coinbase":
            return list(self._wire.orders.read("fetch_orders", one.symbol, since_ms, 250, {"paginate": True}))
        return self._pages("fetch_orders", one, since_ms, "orderId")

    def _pages(self, method: str, one: Listing, since_ms: int, key: str) -> list[Row]:
        """Binance's rows from a time on, the first page by time, the others by number."""
        found = page = list[Row](self._wire.orders.read(method, one.symbol, since_ms, _PAGE))
        while len(page) == _PAGE:
            page = list(self._wire.orders.read(method, one.symbol, None, _PAGE, {key: int(page[-1]["id"]) + 1}))
            found = found + page
        return found

    def _fills(self, listed: Sequence[Listing], since_ms: int) -> tuple[Fill, ...]:
        if self.id == "coinbase":
            named = {one.symbol: one for one in listed}
            symbol = listed[0].symbol if len(listed) == 1 else None
            trades = self._wire.orders.read("fetch_my_trades", symbol, since_ms, 250, {"paginate": True})
            found = self._noted((row, named[row["symbol"]]) for row in trades if row["symbol"] in named)
        else:
            found = self._noted((row, one) for one in listed for row in self._trades(one, since_ms))
        return tuple(sorted(found, key=lambda fill: fill.time))

    def _trades(self, one: Listing, since_ms: int) -> list[Row]:
        return self._pages("fetch_my_trades", one, since_ms, "fromId")

    def _noted(self, trades: Iterable[tuple[Row, Listing]]) -> list[Fill]:
        """Fills of rows; fees that were charged in coins are kept for `notes`."""
        found = []
        for row, one in trades:
            fill, elsewhere = rows.fill_of(row, one)
            if elsewhere is not None:
                self._paid_elsewhere[fill.id] = elsewhere
            found.append(fill)
        return found


_CLIENT_ID = {"binance": "newClientOrderId", "coinbase": "client_order_id"}


def _open_id(row: Row, one: Listing) -> str:
    number = str(row["id"])
    return rows.our_id(row.get("clientOrderId")) or (f"{one.id}-{number}" if number.isdecimal() else number)
