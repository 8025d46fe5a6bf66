"""Kalshi as a broker: cash, positions, orders and fills of one account, asked and told in YES contracts.

Order and limit (USD of YES) in; `VenueOrder`, `Fill`, `Holdings`, `Settlement` out, as `engine.verdict` judges them.
The laws: an order leaves at most once, only for a market without doubts, on its grid, while the exchange trades; what
the venue did not say clearly is UNKNOWN. Our id travels with every order, yet it is no proof: once the first order
under it has filled, a second one may be taken. Every method may raise VenueError and VenueUnknownError.
Source: specs/kalshi.md sections 5 and 6.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from evenkeel.engine.ports import VenueOrder
from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.types import Fill, Holdings, Order
from evenkeel.units import plain
from evenkeel.venues import kalshi_account_rows as rows
from evenkeel.venues import kalshi_fields as fields
from evenkeel.venues.kalshi import Kalshi, pages
from evenkeel.venues.kalshi_account_rows import Balance, Position, Settlement
from evenkeel.venues.kalshi_open import Doors
from evenkeel.venues.kalshi_rows import Market, on_grid
from evenkeel.venues.kalshi_wire import AbsentError, Endpoint, Wire, always

BALANCE = Endpoint("GET", "/portfolio/balance", signed=True)
POSITIONS = Endpoint("GET", "/portfolio/positions", signed=True)
FILLS = Endpoint("GET", "/portfolio/fills", signed=True)
SETTLEMENTS = Endpoint("GET", "/portfolio/settlements", signed=True)
ORDERS = Endpoint("GET", "/portfolio/orders", signed=True)
ORDER = Endpoint("GET", "/portfolio/orders/{order}", signed=True, cost=2)
CREATE = Endpoint("POST", "/portfolio/events/orders", signed=True, once=True)
CANCEL = Endpoint("DELETE", "/portfolio/events/orders/{order}", signed=True, once=True, cost=2, urgent=True)
AMEND = Endpoint("POST", "/portfolio/events/orders/{order}/amend", signed=True, once=True)
DECREASE = Endpoint("POST", "/portfolio/events/orders/{order}/decrease", signed=True, once=True, urgent=True)

InForce = Literal["good_till_canceled", "immediate_or_cancel", "fill_or_kill"]
_FINEST: Final = Decimal("0.01")
_MOST: Final = Decimal(1_000_000)
_PAGE: Final = "1000"


@dataclass(frozen=True, slots=True)
class Terms:
    """How an order stands. expires  UTC s, only for good_till_canceled; None = until it is canceled.

    post_only    canceled by the venue where it would take · reduce_only  never opens or turns a position
    """

    in_force: InForce = "immediate_or_cancel"
    post_only: bool = False
    reduce_only: bool = False
    expires: int | None = None


IMMEDIATE: Final = Terms()


def in_yes(outcome: Literal["yes", "no"], count: Decimal, price: Decimal) -> tuple[Decimal, Decimal]:
    """An order for an outcome as one for YES: signed count, price. Buying NO at q is selling YES at 1 - q.

    count  signed: + buys the outcome · price  USD of the outcome
    """
    return (count, price) if outcome == "yes" else (-count, 1 - price)


class KalshiAccount:
    """One account. Safe for several threads, as its wire is."""

    def __init__(self, wire: Wire) -> None:
        self._wire, self._doors = wire, Doors(Kalshi(wire), wire.now_s)

    @property
    def again(self) -> bool:
        """False: an id that was used may be taken once more after its first order is over."""
        return False

    # ---------------------------------------------------------------- the account

    def balance(self) -> Balance:
        """Free cash, in all and per shard."""
        return self._wire.ask(BALANCE, rows.balance_of)

    def positions(self) -> tuple[Position, ...]:
        """What is held and not settled. The venue shows a fill here up to a second late."""
        given = [("count_filter", "position"), ("settlement_status", "unsettled")]
        found = pages(self._wire, POSITIONS, "market_positions", rows.position_of, given, _PAGE)
        return tuple(position for position in found if position.count)

    def holdings(self, time: int) -> Holdings:
        """Cash, contracts per market (- = NO) and the ids of open orders. Three calls; `newest` is never told."""
        cash, held = self.balance().cash, {position.ticker: position.count for position in self.positions()}
        resting = pages(self._wire, ORDERS, "orders", rows.order_of, [("status", "resting")], _PAGE)
        return Holdings(time, cash, held, tuple(told.order.id for told in resting))

    def fills(self, since: int, ticker: str = "") -> tuple[Fill, ...]:
        """What was executed from `since` (UTC s) on, oldest first, each once, ours or not."""
        return self._fills([("min_ts", str(since)), *([("ticker", ticker)] if ticker else [])])

    def settlements(self, since: int | None = None) -> tuple[Settlement, ...]:
        """How markets that were held ended, from `since` (UTC s) on, oldest first; one row per market."""
        given = [] if since is None else [("min_ts", str(since))]
        found = tuple(pages(self._wire, SETTLEMENTS, "settlements", rows.settlement_of, given, _PAGE))
        once = {row.ticker: row for row in found}
        if any(row != once[row.ticker] for row in found):
            raise VenueUnknownError("kalshi /portfolio/settlements: one market was settled in two ways")
        return tuple(sorted(once.values(), key=lambda row: (row.time, row.ticker)))

    def orders(self, tickers: Collection[str], since: int) -> tuple[VenueOrder, ...]:
        """The account's orders of these markets placed from `since` (UTC s) on, with their fills, ours or not."""
        found: list[VenueOrder] = []
        for ticker in sorted(tickers):
            given = [("ticker", ticker), ("min_ts", str(since))]
            told = tuple(pages(self._wire, ORDERS, "orders", rows.order_of, given, _PAGE))
            found += rows.joined(told, self._fills(given) if any(item.filled for item in told) else ())
        return tuple(found)

    def order(self, venue_id: str) -> VenueOrder | None:
        """One order by the venue's id, with its fills; None = the venue knows none."""
        try:
            told = self._wire.ask(ORDER, lambda r: rows.order_of(fields.child(r, "order")), order=venue_id)
        except AbsentError:
            return None
        if told.order.id != venue_id:
            raise VenueUnknownError(f"kalshi order {venue_id} was asked for, another came")
        return rows.joined([told], self._fills([("order_id", venue_id)]) if told.filled else ())[0]

    def _fills(self, given: list[tuple[str, str]]) -> tuple[Fill, ...]:
        found = {fill.id: fill for fill in pages(self._wire, FILLS, "fills", rows.fill_of, given, _PAGE)}
        return tuple(sorted(found.values(), key=lambda fill: (fill.time, fill.id)))

    # ---------------------------------------------------------------- orders

    def send(
        self,
        order: Order,
        market: Market,
        limit: Decimal,
        terms: Terms = IMMEDIATE,
        may: Callable[[], bool] = always,
    ) -> VenueOrder:
        """Place one order, once; -> the order as the venue took it: open, its fills are for `order` to tell.

        order  asset = the market's ticker, quantity signed in YES contracts · limit  USD of YES
        may    asked last, when the call's turn has come (a halt may have come while it waited)
        Refused before the socket (VenueError): a market that is not tradable, a price off its grid, a count that is
        none, an exchange that is closed or does not say that it is open.
        """
        check(order, market, limit, terms)
        self._doors.check(market)
        wanted = wire_form(order, market, limit, terms)
        at_ms = int(self._wire.now_s() * 1000)
        return self._wire.ask(CREATE, lambda r: rows.placed_of(r, wanted, at_ms), body=wanted, allowed=may)

    def cancel(self, venue_id: str) -> VenueOrder | None:
        """Take back one order; -> what became of it, which may be that it filled; None = the venue knows none."""
        with suppress(AbsentError):  # gone: filled, canceled or never there, which the order itself tells
            self._wire.ask(CANCEL, _nothing, order=venue_id)
        return self.order(venue_id)

    def amend(self, venue_id: str, order: Order, market: Market, limit: Decimal) -> VenueOrder | None:
        """Change price and size of a resting order; -> what it is now. quantity  in all, what is filled included."""
        check(order, market, limit, IMMEDIATE)
        self._doors.check(market)
        form = wire_form(order, market, limit, IMMEDIATE)
        body = {name: form[name] for name in ("ticker", "side", "price", "count", "client_order_id")}
        self._wire.ask(AMEND, _nothing, body=body, order=venue_id)
        return self.order(venue_id)

    def decrease(self, venue_id: str, to: Decimal) -> VenueOrder | None:
        """Leave `to` contracts of a resting order; -> what it is now."""
        self._wire.ask(DECREASE, _nothing, body={"reduce_to": plain(to)}, order=venue_id)
        return self.order(venue_id)


def check(order: Order, market: Market, limit: Decimal, terms: Terms) -> None:
    """Refuse what is no order at this market. Raises VenueError, naming what and the limit."""
    if order.asset != market.ticker:
        raise VenueError(f"{order.asset}: the market given is {market.ticker}")
    if not market.tradable:
        why = "; ".join(market.doubts) or f"its status is {market.status}"
        raise VenueError(f"{market.ticker} is not traded: {why}")
    finest = _FINEST if market.fractional else Decimal(1)
    if not order.quantity.is_finite() or not 0 < abs(order.quantity) <= _MOST or order.quantity % finest:
        raise VenueError(f"{market.ticker}: {order.quantity} contracts are no order: whole steps of {finest}")
    if not limit.is_finite() or not on_grid(limit, market.grid):
        steps = ", ".join(f"{part.step} from {part.start} to {part.end}" for part in market.grid)
        raise VenueError(f"{market.ticker}: a price of {limit} is not on the market's grid: {steps}")
    if terms.expires is not None and terms.in_force != "good_till_canceled":
        raise VenueError(f"{market.ticker}: only an order that is good till canceled can expire")


def wire_form(order: Order, market: Market, limit: Decimal, terms: Terms) -> Mapping[str, Any]:
    """The order's body. A market that does not tell its shard is routed by the venue."""
    form: dict[str, Any] = {
        "ticker": order.asset,
        "side": "bid" if order.quantity > 0 else "ask",
        "count": plain(abs(order.quantity)),
        "price": format(limit, "f"),
        "time_in_force": terms.in_force,
        "self_trade_prevention_type": "taker_at_cross",
        "client_order_id": order.id,
        "exchange_index": -1 if market.shard is None else market.shard,
    }
    said = {"post_only": terms.post_only, "reduce_only": terms.reduce_only}
    form |= {name: True for name, value in said.items() if value}
    return form if terms.expires is None else {**form, "expiration_time": terms.expires}


def _nothing(_reply: Any) -> None:
    """The reply is not believed; the order is asked for."""
