"""What does a Binance spot account do with an order? Matching, wallet and refusals as functions of the sandbox's time.

A market order fills at once at bid or ask; a limit that crosses too; any other rests until the quote reaches it. The
commission is taken from what is received. A client order id is refused while an order of that id is open and taken
again afterwards: it proves nothing. The law: wallet totals change by fills and commissions alone.
Source: Binance spot REST, order and filter rules (`specs/market_data.md`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from evenkeel.sandbox.market import Market
from evenkeel.types import Pair
from evenkeel.units import floor_to

QUOTE = "USDT"
OPEN = frozenset({"NEW", "PARTIALLY_FILLED"})
_ZERO = Decimal(0)


class Refusal(Exception):  # noqa: N818 - an answer of the exchange
    """HTTP 400 with Binance's code and words."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


@dataclass(frozen=True, slots=True)
class Product:
    """A listed pair: the exchange's symbol and coin, our asset, coins per quoted unit, precision."""

    symbol: str
    base: str
    asset: str
    factor: int
    pair: Pair

    @property
    def tick(self) -> Decimal:
        """Least step of a price, USDT."""
        return Decimal(1).scaleb(-self.pair.price_decimals) * self.factor

    @property
    def lot(self) -> Decimal:
        """Least step of a quantity."""
        return Decimal(1).scaleb(-self.pair.amount_decimals)


@dataclass(slots=True)
class Trade:
    """A fill; commission in `coin`."""

    id: int
    order: int
    symbol: str
    buy: bool
    price: Decimal
    quantity: Decimal
    commission: Decimal
    coin: str
    time: int
    maker: bool


@dataclass(slots=True)
class Order:
    """An order; `price` None = market. Times in UTC ms."""

    id: int
    client: str
    symbol: str
    buy: bool
    quantity: Decimal
    price: Decimal | None
    time: int
    force: str = "GTC"
    status: str = "NEW"
    updated: int = 0
    trades: list[Trade] = field(default_factory=list)

    @property
    def filled(self) -> Decimal:
        """Coins filled."""
        return sum((trade.quantity for trade in self.trades), _ZERO)

    @property
    def paid(self) -> Decimal:
        """USDT that changed hands."""
        return sum((trade.quantity * trade.price for trade in self.trades), _ZERO)


def products(market: Market) -> dict[str, Product]:
    """What is listed, by the exchange's symbol."""
    found = {}
    for asset in market.symbols():
        pair = market.pair(asset)
        symbol, factor = pair.symbols.get("binance", (f"{asset}{QUOTE}", 1))
        found[symbol] = Product(symbol, symbol.removesuffix(QUOTE), asset, factor, pair)
    return found


class Account:
    """One account. `partial` is a fault: the share of the next order that fills at once."""

    def __init__(self, market: Market, *, cash: Decimal, fee: Decimal, start: float) -> None:
        """`cash` USDT to begin with, `fee` as a share of what is received, `start` UTC s."""
        self.products: Mapping[str, Product] = products(market)
        self.total: dict[str, Decimal] = {QUOTE: cash}
        self.orders: dict[int, Order] = {}
        self.partial: Decimal | None = None
        self._market, self._fee, self._seen, self._trades = market, fee, start, 0

    def trades(self) -> list[Trade]:
        """All fills, oldest first."""
        return sorted((t for order in self.orders.values() for t in order.trades), key=lambda trade: trade.id)

    def locked(self, coin: str) -> Decimal:
        """Units that open orders hold."""
        held = _ZERO
        for order in self.orders.values():
            rest = order.quantity - order.filled
            if order.status in OPEN and order.buy and coin == QUOTE:
                held += rest * (order.price or _ZERO)
            elif order.status in OPEN and not order.buy and coin == self.products[order.symbol].base:
                held += rest
        return held

    def place(self, order: Order, now: float) -> Order:
        """Take an order and fill what can be filled. Raises Refusal."""
        self.settle(now)
        product = self.products[order.symbol]
        quote = self._quote(product, now)
        if quote is None:
            raise Refusal(-1013, "Market is closed.")
        self._check(order, product, quote[1] if order.buy else quote[0])
        self.orders[order.id] = order
        share, self.partial = self.partial, None
        crossing = order.price is None or (order.price >= quote[1] if order.buy else order.price <= quote[0])
        if crossing:
            wanted = order.quantity if share is None else floor_to(order.quantity * share, product.pair.amount_decimals)
            self._fill(order, product, wanted, quote[1] if order.buy else quote[0], now, maker=False)
        if order.status in OPEN and (order.price is None or order.force == "IOC"):
            order.status = "EXPIRED"
        return order

    def cancel(self, order: Order, now: float) -> Order:
        """End an open order. Raises Refusal for one that is not open (any more)."""
        self.settle(now)
        if order.status not in OPEN:
            raise Refusal(-2011, "Unknown order sent.")
        order.status, order.updated = "CANCELED", int(now * 1000)
        return order

    def settle(self, now: float) -> None:
        """Fill resting orders that the quote has reached since the last look, at their limit."""
        since, self._seen = self._seen, max(now, self._seen)
        for order in self.orders.values():
            if order.status not in OPEN or order.price is None or now <= since:
                continue
            product = self.products[order.symbol]
            for at in self._market.turns(product.asset, max(since, order.time / 1000), now):
                quote = self._quote(product, at)
                if quote and (quote[1] <= order.price if order.buy else quote[0] >= order.price):
                    self._fill(order, product, order.quantity - order.filled, order.price, at, maker=True)
                    break

    def _quote(self, product: Product, now: float) -> tuple[Decimal, Decimal] | None:
        quote = self._market.quote(product.asset, now)
        if quote is None:
            return None
        bid, ask = (Decimal(repr(side)) * product.factor for side in quote)
        return bid, ask

    def _check(self, order: Order, product: Product, reference: Decimal) -> None:
        if order.quantity <= 0 or order.quantity % product.lot:
            raise Refusal(-1013, "Filter failure: LOT_SIZE")
        if order.price is not None and (order.price <= 0 or order.price % product.tick):
            raise Refusal(-1013, "Filter failure: PRICE_FILTER")
        price = reference if order.price is None else order.price
        if order.quantity * price < product.pair.min_notional:
            raise Refusal(-1013, "Filter failure: NOTIONAL")
        if any(other.client == order.client and other.status in OPEN for other in self.orders.values()):
            raise Refusal(-2010, "Duplicate order sent.")
        coin, needed = (QUOTE, order.quantity * price) if order.buy else (product.base, order.quantity)
        if self.total.get(coin, _ZERO) - self.locked(coin) < needed:
            raise Refusal(-2010, "Account has insufficient balance for requested action.")

    def _fill(
        self, order: Order, product: Product, quantity: Decimal, price: Decimal, at: float, *, maker: bool
    ) -> None:
        if quantity <= 0:
            return
        coin = product.base if order.buy else QUOTE
        received = quantity if order.buy else quantity * price
        commission = floor_to(received * self._fee, 8)
        spent = (QUOTE, quantity * price) if order.buy else (product.base, quantity)
        self.total[spent[0]] = self.total.get(spent[0], _ZERO) - spent[1]
        self.total[coin] = self.total.get(coin, _ZERO) + received - commission
        self._trades += 1
        order.trades.append(
            Trade(
                self._trades,
                order.id,
                order.symbol,
                order.buy,
                price,
                quantity,
                commission,
                coin,
                int(at * 1000),
                maker,
            )
        )
        order.updated = int(at * 1000)
        order.status = "FILLED" if order.filled == order.quantity else "PARTIALLY_FILLED"
