"""The truth at a simulated venue: its ledger, whose every order is, cash from outside, and a crowd that trades with us.

Arithmetic and wallets are the sandbox's own. The crowd takes what rests at our limit some time later, or just before
our cancel arrives; where the venue knows parts, it fills an order in several of them, or never to the end.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from evenkeel.errors import VenueError
from evenkeel.sandbox.exchange import Exchange, Listing, Resting
from evenkeel.units import floor_to, plain
from faults.clockwork import Clockwork
from faults.history import Trade
from faults.stage import Market

ME = "me"
_NEWEST = 400
_FAR = 0.005
_SPARE = Decimal("1.01")
"""What an order that comes in parts may cost at most, of its worth now: the last part has to be paid, too."""


class Book:
    """The market as the venue's own book has it: while it is `thin`, whoever crosses it gets a price that is far."""

    def __init__(self, market: Any) -> None:
        self._market, self.thin = market, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._market, name)

    def quote(self, asset: str, now: float) -> tuple[float, float] | None:
        """Bid and ask."""
        found: tuple[float, float] | None = self._market.quote(asset, now)
        if found is None or not self.thin:
            return found
        decimals = self._market.pair(asset).price_decimals
        return round(found[0] * (1 - _FAR), decimals), round(found[1] * (1 + _FAR), decimals)


class Ledger(Exchange):
    """The sandbox's exchange; an order may be hidden from lists for a while, and lists end after the newest 400.

    taken  numbers of resting orders that somebody trades with at their limit, wherever the market is
    """

    def __init__(self, market: Market) -> None:
        self.book = Book(market)
        super().__init__(self.book)  # type: ignore[arg-type] - asks no more of a market
        self.shown_from: dict[int, float] = {}
        self.taken: set[int] = set()
        self._mine: list[int] = []

    def of(self, account: str, now: float) -> list[Resting]:
        """Every order that is shown by now, newest first."""
        self.settle(now)
        for number in [n for n, at in self.shown_from.items() if at <= now]:
            del self.shown_from[number]
        return [self.orders[n] for n in self._mine[: -_NEWEST - 1 : -1] if n not in self.shown_from]

    def _keep(self, order: Resting) -> Resting:
        if order.id not in self.orders:
            self._mine.append(order.id)
        return super()._keep(order)

    def _reaches(self, order: Resting, at: float) -> bool:
        return order.id in self.taken or super()._reaches(order, at)


@dataclass
class Whole:
    """An order that is filled in parts.

    asked  units in all · parts  orders of the ledger, its own first · to_come  units of those to follow
    """

    asked: Decimal
    parts: list[int]
    to_come: list[Decimal]


@dataclass
class Account:
    """The truth.

    tags    whose every order is: the id of our intent, `` = a person's
    crowd   share of resting orders that somebody trades with · parts  share of orders that are filled in parts
    """

    clock: Clockwork
    ledger: Ledger
    dice: random.Random
    crowd: float = 0.0
    parts: float = 0.0
    tags: dict[int, str] = field(default_factory=dict)
    wholes: dict[int, Whole] = field(default_factory=dict)
    raced: int = 0

    def trades(self) -> tuple[Trade, ...]:
        """Every order and what it moved; parts are not orders of their own."""
        later = self._later_parts()
        return tuple(self._trade(order) for order in self.ledger.orders.values() if order.id not in later)

    def wealth(self) -> dict[str, Decimal]:
        """Cash and units, free and locked, exact."""
        wallet = self.ledger.wallets[ME]
        both = {coin: free + wallet.lock.get(coin, Decimal(0)) for coin, free in wallet.free.items()}
        return {coin: amount for coin, amount in both.items() if amount or coin == "USD"}

    def move(self, cash: Decimal) -> bool:
        """A deposit, or a withdrawal of what is free."""
        wallet = self.ledger.wallets[ME]
        fits = wallet.free["USD"] + cash >= 0
        if fits:
            wallet.move("USD", cash)
        return fits

    def by_hand(self, asset: str, quantity: Decimal, limit: Decimal | None = None) -> int | None:
        """A person's order; its number, None where the venue refused it."""
        wish = {"side": "BUY" if quantity > 0 else "SELL", "quantity": format(abs(quantity), "f"),
                "type": "MARKET" if limit is None else "LIMIT"}  # fmt: skip
        wish |= {} if limit is None else {"price": format(limit, "f")}
        try:
            made = self.ledger.place(ME, *self._listed(asset), self.clock.now, wish)
        except VenueError:
            return None
        self.tags[made.id] = ""
        return made.id

    def own(self, before: set[int], tag: str, hidden_s: float) -> None:
        """Orders that are in the ledger and were not `before` are a tag's; the crowd and the lists meet them."""
        now = self.clock.now
        for number in sorted(self.ledger.orders.keys() - before):
            self.tags[number] = tag
            if hidden_s:
                self.ledger.shown_from[number] = now + hidden_s
            if self.ledger.orders[number].status == "PENDING" and self.dice.random() < self.crowd:
                self.clock.at(now + self.dice.uniform(1, 400), lambda n=number: self._taken(n, 0.0))  # type: ignore[misc]

    def shown(self, assets: frozenset[str]) -> tuple[str, ...]:
        """Numbers of our orders of these assets that are in lists now."""
        ledger, now = self.ledger, self.clock.now
        hidden = {number for number, at in ledger.shown_from.items() if at > now} | self._later_parts()
        mine = (ledger.orders[number] for number in ledger._mine[-_NEWEST:] if number not in hidden)
        return tuple(str(order.id) for order in mine if order.asset in assets and self.tags[order.id])

    def _later_parts(self) -> set[int]:
        return {number for whole in self.wholes.values() for number in whole.parts[1:]}

    # ---------------------------------------------------------------- in parts

    def place(self, asset: str, wish: Mapping[str, str]) -> Resting:
        """Take an order as a venue does that fills in parts; -> its first. Raises VenueError."""
        listed, sizes = self._listed(asset), self._sizes(asset, wish)
        resting = wish["type"] == "LIMIT"
        sent = sizes if resting else sizes[:1]
        made = [self.ledger.place(ME, *listed, self.clock.now, {**wish, "quantity": plain(size)}) for size in sent]
        if len(sizes) > 1:
            goes_on = not resting and self.dice.random() < 0.5  # else the rest of it has expired
            whole = Whole(sum(sizes, Decimal(0)), [order.id for order in made], sizes[1:] if goes_on else [])
            self.wholes[made[0].id] = whole
            self._later(whole, asset, wish)
        return made[0]

    def cancel(self, number: int) -> None:
        """Take back what is open of an order; somebody may just have come before it."""
        self.race(number)
        whole = self.wholes.get(number, Whole(Decimal(0), [number], []))
        whole.to_come.clear()
        for part in whole.parts:
            self.ledger.cancel(ME, self.clock.now, order_id=part)

    def race(self, number: int) -> None:
        """A cancel arrives: some of the order, or all of it, may have been traded a moment ago."""
        for part in self.wholes[number].parts if number in self.wholes else [number]:
            if self.ledger.orders[part].status == "PENDING" and self.dice.random() < self.crowd / 2:
                self._taken(part, 0.001)
                self.raced += 1

    def filled(self, order: Resting) -> list[Resting]:
        """What has been filled of an order, oldest first."""
        parts = self.wholes[order.id].parts if order.id in self.wholes else [order.id]
        return [self.ledger.orders[part] for part in parts if self.ledger.orders[part].status == "FILLED"]

    def asked(self, order: Resting) -> Decimal:
        """What was asked for, unsigned."""
        return self.wholes[order.id].asked if order.id in self.wholes else order.quantity

    def standing(self, order: Resting) -> str:
        """PENDING, FILLED or CANCELED."""
        whole = self.wholes.get(order.id)
        if whole is None:
            return order.status
        if whole.to_come or any(self.ledger.orders[part].status == "PENDING" for part in whole.parts):
            return "PENDING"
        return "FILLED" if sum(part.quantity for part in self.filled(order)) == whole.asked else "CANCELED"

    def _taken(self, number: int, ago_s: float) -> None:
        """Somebody trades with an order that rests, so long ago."""
        self.ledger.settle(max(self.ledger._settled, self.clock.now - ago_s))
        self.ledger.taken.add(number)

    def _sizes(self, asset: str, wish: Mapping[str, str]) -> list[Decimal]:
        """The parts of an order, one for most; only what can be paid as a whole is taken in parts."""
        quantity, known = Decimal(wish["quantity"]), self.ledger.market.pair(asset)
        if self.dice.random() >= self.parts:
            return [quantity]
        price = Decimal(repr(self.ledger.market.last(asset, self.clock.now) or 0.0))
        free = self.ledger.wallets[ME].free
        payable = quantity * price * _SPARE <= free["USD"] if wish["side"] == "BUY" else quantity <= free.get(asset, 0)
        first = floor_to(quantity * Decimal(repr(self.dice.uniform(0.1, 0.9))), known.amount_decimals)
        second = floor_to((quantity - first) * Decimal(repr(self.dice.uniform(0.1, 0.9))), known.amount_decimals)
        sizes = [first, second, quantity - first - second]
        large = min(sizes) * price > 2 * known.min_notional
        return sizes if large and payable else [quantity]

    def _later(self, whole: Whole, asset: str, wish: Mapping[str, str]) -> None:
        """The next part of an order at market, after a while."""
        if whole.to_come:
            self.clock.at(self.clock.now + self.dice.uniform(1, 60), lambda: self._next(whole, asset, wish))

    def _next(self, whole: Whole, asset: str, wish: Mapping[str, str]) -> None:
        if not whole.to_come:
            return
        form = {**wish, "quantity": plain(whole.to_come.pop(0))}
        try:
            made = self.ledger.place(ME, *self._listed(asset), self.clock.now, form)
        except VenueError:  # nobody is there to trade with any more
            whole.to_come.clear()
            return
        self.tags[made.id] = self.tags[whole.parts[0]]
        whole.parts.append(made.id)
        self._later(whole, asset, wish)

    def _listed(self, asset: str) -> tuple[str, Listing]:
        known = self.ledger.market.pair(asset)
        return known.pair, Listing(asset, known.price_decimals, known.amount_decimals, known.min_notional)

    def _trade(self, order: Resting) -> Trade:
        sign, filled = 1 if order.side == "BUY" else -1, self.filled(order)
        units = sign * sum((part.quantity for part in filled), Decimal(0))
        cash = -sum((sign * part.unit_change + part.commission for part in filled), Decimal(0))
        tag, asked = self.tags[order.id], sign * self.asked(order)
        return Trade(str(order.id), tag, order.asset, asked, units, cash, len(filled))


def account(clock: Clockwork, market: Market, capital: Decimal, dice: random.Random, **crowd: float) -> Account:
    """A new one."""
    ledger = Ledger(market)
    ledger.open(ME, capital)
    return Account(clock, ledger, dice, **crowd)
