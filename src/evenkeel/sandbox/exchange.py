"""What does Roostoo do with an order? Matching and wallets in its own arithmetic; time and prices are arguments.

Amounts are what the venue reports: a product of IEEE doubles, cut to six decimals. They move the ledger, which is exact
(Decimal); a wallet shows USD cut to cents. The law: cash and coin change by the reported amounts and by nothing else.
What nobody has written down about the venue is a field of `Rules`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final, Literal

from evenkeel.errors import VenueError
from evenkeel.sandbox.market import Market
from evenkeel.units import plain

Side = Literal["BUY", "SELL"]
FIRST_ID: Final = 3_403_171
TAKER_S: Final = 0.005
_NUMBER: Final = re.compile(r"\d{1,15}(\.\d{1,18})?")
_ZERO: Final = Decimal(0)
_UNIT: Final = "USD"


@dataclass(frozen=True, slots=True)
class Rules:
    """The venue's fees, and a switch for everything that is disputed or unknown; defaults are hard on the client.

    taker, maker   commission, fraction of the notional
    fill           a resting order fills when the price goes `through` its limit, or already on `touch`
    reference      price that has to reach it: `far` (ask for a buy, bid for a sell), `last` or `near`
    reserve_fee    a resting buy locks its commission too; false: cash may end a little below zero
    coin_named     a resting buy names the coin as CommissionCoin, although USD is charged
    strict_minimum price x quantity has to be above the minimum; false: or equal to it
    rows, most_rows  rows of query_order without a limit, and at most
    calls_a_minute   of an account, in sandbox time · count_unsigned  unsigned calls count too
    retry_after      429 says when to come back
    window_ms        how far a timestamp may be off · ticker_window  the ticker checks it too
    """

    taker: float = 0.001
    maker: float = 0.0005
    fill: Literal["through", "touch"] = "through"
    reference: Literal["far", "last", "near"] = "far"
    reserve_fee: bool = True
    coin_named: bool = True
    strict_minimum: bool = True
    rows: int = 100
    most_rows: int = 1000
    calls_a_minute: int = 30
    count_unsigned: bool = True
    retry_after: bool = False
    window_ms: int = 60_000
    ticker_window: bool = True


@dataclass(frozen=True, slots=True)
class Listing:
    """What the venue allows of a pair at this moment."""

    asset: str
    price_decimals: int
    amount_decimals: int
    min_notional: Decimal
    can_trade: bool = True


@dataclass(frozen=True, slots=True)
class Resting:
    """An order of an account, in whatever state; times UTC s, 0 = not yet; amounts 0 until filled.

    locked  USD of a buy or coin of a sell that it holds back while PENDING
    """

    id: int
    account: str
    asset: str
    pair: str
    side: Side
    type: Literal["MARKET", "LIMIT"]
    price: float
    quantity: Decimal
    created: float
    status: Literal["PENDING", "FILLED", "CANCELED"] = "PENDING"
    role: Literal["TAKER", "MAKER"] = "MAKER"
    rate: float = 0.0
    finished: float = 0.0
    fill_price: float = 0.0
    unit_change: Decimal = _ZERO
    commission: Decimal = _ZERO
    locked: Decimal = _ZERO


@dataclass(slots=True)
class Wallet:
    """Free and locked amounts, exact; a coin that was ever held keeps its row."""

    free: dict[str, Decimal] = field(default_factory=dict)
    lock: dict[str, Decimal] = field(default_factory=dict)

    def move(self, coin: str, free: Decimal, lock: Decimal = _ZERO) -> None:
        """Add to both parts of a coin."""
        self.free[coin] = self.free.get(coin, _ZERO) + free
        self.lock[coin] = self.lock.get(coin, _ZERO) + lock


def cut(value: float) -> Decimal:
    """A double cut to six decimals, as the venue reports amounts: floor(value x 1e6) / 1e6."""
    return Decimal(math.floor(value * 1e6)).scaleb(-6)


def amounts(quantity: Decimal, price: float, rate: float) -> tuple[Decimal, Decimal]:
    """UnitChange and CommissionChargeValue in USD; both are cut from the raw product of doubles."""
    product = float(quantity) * price
    return cut(product), cut(product * rate)


def shown(coin: str, amount: Decimal) -> Decimal:
    """An amount as the wallet shows it: USD cut downwards to cents, coins exactly."""
    return amount.quantize(Decimal("0.01"), rounding=ROUND_FLOOR) if coin == _UNIT else amount


class Exchange:
    """All accounts and orders of the venue. Not for several threads at once; VenueError carries the venue's words."""

    def __init__(self, market: Market, rules: Rules | None = None) -> None:
        """No accounts yet."""
        self.market = market
        self.rules = rules or Rules()
        self.assets = {market.pair(asset).pair: asset for asset in market.symbols()}
        self.wallets: dict[str, Wallet] = {}
        self.orders: dict[int, Resting] = {}
        self._waiting: set[int] = set()
        self._next = FIRST_ID
        self._settled = -math.inf

    def open(self, account: str, capital: Decimal) -> None:
        """A new account with `capital` USD."""
        self.wallets[account] = Wallet({_UNIT: capital}, {_UNIT: _ZERO})

    def listing(self, pair: str) -> Listing:
        """A pair as the market has it. Raises VenueError for one that is not listed."""
        if pair not in self.assets:
            raise VenueError("pair not found")
        known = self.market.pair(self.assets[pair])
        return Listing(known.asset, known.price_decimals, known.amount_decimals, known.min_notional)

    def settle(self, now: float) -> None:
        """Fill every resting order that the market reached since the last time, at its limit and at that moment."""
        for number in sorted(self._waiting):
            order = self.orders[number]
            at = self._reached(order, max(self._settled, order.created), now)
            if at is not None:
                self._book(_filled(order, order.price, at))
        self._settled = now

    def place(self, account: str, pair: str, listing: Listing, now: float, wish: Mapping[str, str]) -> Resting:
        """Take an order: fill it at once where it is a market order or crosses, else let it rest.

        wish  side, type, quantity and price as texts, as the client sent them

        Raises VenueError, with the venue's text, for an order that is refused.
        """
        self.settle(now)
        side, kind, quantity = _read(wish, listing)
        limit = _price(wish.get("price", ""), listing) if kind == "LIMIT" else None
        quote = self.market.quote(listing.asset, now) if listing.can_trade else None
        if quote is None:
            raise VenueError("pair is not tradable now")
        far = quote[1] if side == "BUY" else quote[0]
        self._check_value(float(quantity) * (limit or far), listing)
        order = Resting(self._next, account, listing.asset, pair, side, kind, limit or far, quantity, now)
        if limit is None or (limit >= far if side == "BUY" else limit <= far):
            return self._take(order, far)
        return self._rest(order)

    def cancel(self, account: str, now: float, *, order_id: int | None = None, pair: str | None = None) -> list[int]:
        """Cancel one order, those of a pair, or all; -> the ids, ascending; [] where none was pending."""
        self.settle(now)
        chosen = [self.orders[i] for i in sorted(self._waiting) if self.orders[i].account == account]
        chosen = [o for o in chosen if order_id in (None, o.id) and pair in (None, o.pair)]
        for order in chosen:
            wallet = self.wallets[account]
            wallet.move(_UNIT if order.side == "BUY" else order.asset, order.locked, -order.locked)
            self._keep(replace(order, status="CANCELED", finished=now, locked=_ZERO))
        return [order.id for order in chosen]

    def of(self, account: str, now: float) -> list[Resting]:
        """Every order of an account, newest first."""
        self.settle(now)
        return sorted((o for o in self.orders.values() if o.account == account), key=lambda o: -o.id)

    def state(self, now: float) -> dict[str, Any]:
        """Everything, exact: amounts as decimal strings. For checks, not part of the venue."""
        self.settle(now)
        wallets = {
            account: {
                coin: {"free": plain(wallet.free[coin]), "lock": plain(wallet.lock[coin])} for coin in wallet.free
            }
            for account, wallet in self.wallets.items()
        }
        orders = [
            {
                "id": o.id, "account": o.account, "pair": o.pair, "side": o.side, "type": o.type, "status": o.status,
                "role": o.role, "price": repr(o.price), "quantity": plain(o.quantity), "fill_price": repr(o.fill_price),
                "unit_change": plain(o.unit_change), "commission": plain(o.commission), "locked": plain(o.locked),
                "created": o.created, "finished": o.finished,
            }
            for o in self.orders.values()
        ]  # fmt: skip
        return {"accounts": wallets, "orders": orders}

    def _check_value(self, value: float, listing: Listing) -> None:
        least = float(listing.min_notional)
        if value < least or (value == least and self.rules.strict_minimum):
            raise VenueError("order value below the minimum")

    def _take(self, order: Resting, price: float) -> Resting:
        """Fill at once, or refuse."""
        rate = self.rules.taker
        kept = price if order.type == "MARKET" else order.price
        filled = _filled(replace(order, role="TAKER", rate=rate, price=kept), price, order.created + TAKER_S)
        need = filled.unit_change + filled.commission if order.side == "BUY" else order.quantity
        self._check_free(order, need)
        return self._book(filled)

    def _rest(self, order: Resting) -> Resting:
        """Lock what a fill would take, or refuse."""
        rate = self.rules.maker
        change, commission = amounts(order.quantity, order.price, rate)
        reserve = commission if self.rules.reserve_fee else _ZERO
        need = change + reserve if order.side == "BUY" else order.quantity
        self._check_free(order, need)
        self.wallets[order.account].move(_UNIT if order.side == "BUY" else order.asset, -need, need)
        return self._keep(replace(order, rate=rate, locked=need))

    def _check_free(self, order: Resting, need: Decimal) -> None:
        free = self.wallets[order.account].free.get(_UNIT if order.side == "BUY" else order.asset, _ZERO)
        if need > free:
            raise VenueError("insufficient balance")

    def _book(self, order: Resting) -> Resting:
        """Move cash and coin of a filled order; what it had locked is freed."""
        wallet = self.wallets[order.account]
        if order.side == "BUY":
            wallet.move(_UNIT, order.locked - order.unit_change - order.commission, -order.locked)
            wallet.move(order.asset, order.quantity)
        else:
            wallet.move(order.asset, order.locked - order.quantity, -order.locked)
            wallet.move(_UNIT, order.unit_change - order.commission)
        return self._keep(replace(order, locked=_ZERO))

    def _keep(self, order: Resting) -> Resting:
        if order.id == self._next:
            self._next += 1 + order.id % 5  # the ids between belong to other people
        self.orders[order.id] = order
        (self._waiting.add if order.status == "PENDING" else self._waiting.discard)(order.id)
        return order

    def _reached(self, order: Resting, since: float, until: float) -> float | None:
        """When in [since, until] the market first reached a resting order, to a millisecond; None = it did not."""
        before = since
        for turn in [since, *self.market.turns(order.asset, since, until)] if until > since else []:
            if self._reaches(order, turn):
                return self._edge(order, before, turn)
            before = turn
        return None

    def _edge(self, order: Resting, before: float, after: float) -> float:
        """The moment between one at which it is not reached and one at which it is, found by halving."""
        while after - before > 0.001:
            middle = (before + after) / 2
            before, after = (before, middle) if self._reaches(order, middle) else (middle, after)
        return after

    def _reaches(self, order: Resting, at: float) -> bool:
        quote, last = self.market.quote(order.asset, at), self.market.last(order.asset, at)
        if quote is None or last is None:
            return False
        far, near = (quote[1], quote[0]) if order.side == "BUY" else quote
        price = {"far": far, "near": near, "last": last}[self.rules.reference]
        beyond = price < order.price if order.side == "BUY" else price > order.price
        return beyond or (self.rules.fill == "touch" and price == order.price)


def _filled(order: Resting, price: float, at: float) -> Resting:
    change, commission = amounts(order.quantity, price, order.rate)
    return replace(
        order, status="FILLED", finished=at, fill_price=price, unit_change=change, commission=commission
    )  # fmt: skip


def _read(wish: Mapping[str, str], listing: Listing) -> tuple[Side, Literal["MARKET", "LIMIT"], Decimal]:
    """Side, type and quantity; refused in the venue's words where they are none."""
    side, kind, text = wish.get("side", ""), wish.get("type", ""), wish.get("quantity", "")
    if side not in ("BUY", "SELL"):
        raise VenueError("side error")
    if kind not in ("MARKET", "LIMIT"):
        raise VenueError("order type error")
    if not _NUMBER.fullmatch(text) or not Decimal(text):
        raise VenueError("quantity error")
    if _decimals(text) > listing.amount_decimals:
        raise VenueError("quantity step size error")
    return ("BUY" if side == "BUY" else "SELL"), ("LIMIT" if kind == "LIMIT" else "MARKET"), Decimal(text)


def _price(text: str, listing: Listing) -> float:
    if not _NUMBER.fullmatch(text) or not Decimal(text):
        raise VenueError("price error")
    if _decimals(text) > listing.price_decimals:
        raise VenueError("price step size error")
    return float(text)


def _decimals(text: str) -> int:
    """Decimals that count: 0.50 has one."""
    return len(text.partition(".")[2].rstrip("0"))
