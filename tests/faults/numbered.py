"""A venue that numbers orders and keeps no id of ours: Roostoo's client against the sandbox's Roostoo, without sockets.

Everything of the client is real (signing, limiter, retries of reads, understanding); everything of the venue is the
sandbox's own arithmetic. Between them stands a wire that loses answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlparse

import orjson

from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.sandbox import roostoo as sandbox
from evenkeel.sandbox.exchange import Exchange, Listing, Resting
from evenkeel.venues.limiter import Limiter
from evenkeel.venues.one_request import Answer, Request
from evenkeel.venues.roostoo import Roostoo
from evenkeel.venues.roostoo_wire import Credentials, Wire
from faults.clockwork import Clockwork, Points
from faults.history import Trade
from faults.stage import Market
from faults.trouble import Trouble

ME = "me"
URL = "http://venue.invalid"
_NEWEST = 400
_ANSWERS: dict[str, Callable[[Exchange, sandbox.Call], dict[str, Any]]] = {
    "serverTime": lambda _, call: {"ServerTime": int(call.told * 1000)},
    "exchangeInfo": sandbox.exchange_info,
    "ticker": sandbox.ticker,
    "balance": sandbox.balance,
    "pending_count": sandbox.pending_count,
    "place_order": sandbox.place_order,
    "query_order": sandbox.query_order,
    "cancel_order": sandbox.cancel_order,
}


class Ledger(Exchange):
    """The sandbox's exchange; an order may be hidden from lists for a while, and lists end after the newest 400."""

    def __init__(self, market: Market) -> None:
        super().__init__(market)  # type: ignore[arg-type] - asks no more of a market
        self.shown_from: dict[int, float] = {}
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


@dataclass
class Account:
    """The truth at the venue: its ledger, whose every order is, and cash that came from outside."""

    clock: Clockwork
    ledger: Ledger
    tags: dict[int, str] = field(default_factory=dict)

    def trades(self) -> tuple[Trade, ...]:
        """Every order and what it moved."""
        return tuple(self._trade(order) for order in self.ledger.orders.values())

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
        known = self.ledger.market.pair(asset)
        wish = {"side": "BUY" if quantity > 0 else "SELL", "quantity": format(abs(quantity), "f"),
                "type": "MARKET" if limit is None else "LIMIT"}  # fmt: skip
        wish |= {} if limit is None else {"price": format(limit, "f")}
        listing = Listing(asset, known.price_decimals, known.amount_decimals, known.min_notional)
        try:
            made = self.ledger.place(ME, known.pair, listing, self.clock.now, wish)
        except VenueError:
            return None
        self.tags[made.id] = ""
        return made.id

    def _trade(self, order: Resting) -> Trade:
        sign = 1 if order.side == "BUY" else -1
        filled = order.status == "FILLED"
        units = sign * order.quantity if filled else Decimal(0)
        cash = -sign * order.unit_change - order.commission if filled else Decimal(0)
        return Trade(str(order.id), self.tags[order.id], order.asset, sign * order.quantity, units, cash)


def account(clock: Clockwork, market: Market, capital: Decimal) -> Account:
    """A new one."""
    ledger = Ledger(market)
    ledger.open(ME, capital)
    return Account(clock, ledger)


@dataclass
class Cable:
    """Carries a request to the account and the answer back, or not.

    tag    whose order is on its way, as only the simulation knows
    left   told when a request to place leaves
    """

    account: Account
    points: Points
    trouble: Trouble
    left: Callable[[str, str, Decimal], None]
    tag: str = ""

    def carry(self, _connect: object, request: Request, _limit_s: float) -> Answer:
        """In the place of a socket."""
        name = urlparse(request.url).path.rpartition("/")[2]
        text = request.form.decode() if request.form else urlparse(request.url).query
        params, tag = dict(parse_qsl(text)), self.tag
        if name == "place_order":
            sign = 1 if params["side"] == "BUY" else -1
            self.left(tag, params["pair"].removesuffix("/USD"), sign * Decimal(params["quantity"]))
        self.points.at(f"venue {name} request")
        how = self.trouble.of_call(name)
        self._elapse(how.there_s)
        if how.kind == "late":
            self._at_last(how.late_s, lambda: self._asked(name, params, request.headers, tag, how.hidden_s))
            self._elapse(how.back_s)
            raise VenueUnknownError("no answer in time")
        answer = None
        if not how.kind.endswith("before"):
            answer = self._asked(name, params, request.headers, tag, how.hidden_s)
            self.points.at(f"venue {name} answer")
        self._elapse(how.back_s)
        return _spoiled(how.kind, answer)

    def _elapse(self, seconds: float) -> None:
        self.account.clock.elapse(seconds)

    def _at_last(self, seconds: float, deed: Callable[[], object]) -> None:
        clock = self.account.clock
        clock.at(clock.now + seconds, lambda: deed() and None)

    def _asked(self, name: str, params: dict[str, str], headers: Any, tag: str, hidden_s: float) -> Answer:
        """What the venue makes of a request when it arrives."""
        now, ledger = self.account.clock.now, self.account.ledger
        refusal = _refusal(name, params, headers, now)
        if refusal:
            return _said({"Success": False, "ErrMsg": refusal})
        scope = {"state": {"struck": self.trouble.of_pairs(now)}}
        before = ledger.orders.keys() | set()
        try:
            document = _ANSWERS[name](ledger, sandbox.Call(ME, now, now, params, scope))
        except VenueError as error:
            document = {"Success": False, "ErrMsg": str(error)}
        for number in ledger.orders.keys() - before:
            self.account.tags[number] = tag
            if hidden_s:
                ledger.shown_from[number] = now + hidden_s
        return _said(document)


KEYS = sandbox.account(ME, 0)


def _refusal(name: str, params: dict[str, str], headers: Any, now: float) -> str:
    """The desk's checks: time stamp and signature."""
    if name in ("serverTime", "exchangeInfo"):
        return ""
    if abs(now * 1000 - int(params["timestamp"])) > 60_000:
        return "timestamp out of window"
    signed = {key: value for key, value in params.items() if key in sandbox.DOCUMENTED[name]}
    fits = name == "ticker" or headers["MSG-SIGNATURE"] == sandbox.signature(KEYS.secret, signed)
    return "" if fits else "signature mismatch"


def _said(document: dict[str, Any]) -> Answer:
    return Answer(200, orjson.dumps(document), None)


def _spoiled(kind: str, answer: Answer | None) -> Answer:
    """What reaches us."""
    word = kind.partition(" ")[0]
    if word == "lost":
        raise VenueUnknownError("the connection was reset")
    if word == "error":
        return Answer(502, b"<html>bad gateway</html>", None)
    if word == "page":
        return Answer(200, b"<html>come back later</html>", None)
    if word == "busy":
        return Answer(429, b"too many requests", 5.0)
    assert answer is not None, kind
    return answer


class Numbered(Roostoo):
    """The real client; `send` tells the cable whose order is coming."""

    def __init__(self, cable: Cable) -> None:
        clock = cable.account.clock
        limiter = Limiter(25, clock=lambda: clock.now, wait=lambda _, wait_s: clock.skip(wait_s))
        keys = Credentials(KEYS.key, KEYS.secret)
        super().__init__(
            Wire(keys, limiter, base_url=URL, clock=clock.wall, sleep=clock.elapse, carry=cable.carry)
        )  # fmt: skip
        self._cable = cable

    def send(self, order: Any, time: int, *args: Any, **named: Any) -> Any:
        """As the real one."""
        before, self._cable.tag = self._cable.tag, order.id
        try:
            return super().send(order, time, *args, **named)
        finally:
            self._cable.tag = before
