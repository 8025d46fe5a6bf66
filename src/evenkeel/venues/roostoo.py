"""Roostoo as a broker and as a source of prices: a spot account in USD, asked and told in our words.

Assets, signed Decimal quantities and UTC s in; `Holdings`, `VenueOrder`, `Fill`, `Rule` and `Tick` out. The laws: an
order leaves at most once and only if it is legal; what the venue did not say clearly is UNKNOWN, never a default.
Every method may raise VenueError (refused in words, or not sent at all) and VenueUnknownError (anything else).
Source: specs/roostoo.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal

from evenkeel.engine.ports import VenueOrder
from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.types import Fill, Holdings, Order
from evenkeel.units import plain
from evenkeel.venues import roostoo_rows as rows
from evenkeel.venues.limiter import Priority
from evenkeel.venues.roostoo_rows import Row, Rule, Tick
from evenkeel.venues.roostoo_wire import (
    BALANCE,
    CANCEL_ORDER,
    EXCHANGE_INFO,
    PENDING_COUNT,
    PLACE_ORDER,
    QUERY_ORDER,
    TICKER,
    Params,
    Wire,
    always,
)

PAGE = 100
"""Rows asked for at once: what the venue documents as its own choice."""
LONGEST_REST_S = 7 * 86_400
"""How long before a fill its order may have been placed, for `fills`."""
CLOCK_LIMIT_S = 20.0
"""A clock that is off by more buys nothing: slots, bars and stops would be judged at the wrong time."""
_DIGITS = 13
_WRONG_STEP = "quantity step size error"


class Roostoo:
    """One account. Safe for several threads, as its wire is."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._rules: Mapping[str, Rule] = {}
        self._last: Mapping[str, Decimal] = {}
        self._notes: dict[str, str] = {}

    @property
    def again(self) -> bool:
        """False: the venue keeps no id of ours, so an order sent twice is two orders."""
        return False

    @property
    def waited(self) -> float:
        """Seconds for which the calling thread has waited for its turns under our call budget so far."""
        return self._wire.waited

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of rows that were read, each once, with the last order that showed it."""
        return tuple(f"order {order}: {note}" for note, order in self._notes.items())

    # ---------------------------------------------------------------- the account

    def holdings(self, time: int, *, urgent: bool = False) -> Holdings:
        """Cash and units, free and locked, the ids of open orders and the newest order's number. Three calls.

        urgent  a stop waits for it: before purchases, and of the calls that are kept for exits
        """
        priority = Priority.STOP if urgent else Priority.RECONCILE
        cash, locked, cut, units, tied = self._wire.ask(BALANCE, rows.balances, priority=priority)
        pending = self._spot({"pending_only": "TRUE"}, priority)
        out = tuple(order.id for order in pending)
        return Holdings(time, cash, units, out, self.highest(time, priority), cut, locked, tied)

    def pending(self, time: int) -> dict[str, int]:  # noqa: ARG002 - as of now, like every method
        """How many orders are open, per asset that has any."""
        return self._wire.ask(PENDING_COUNT, rows.pending_counts, priority=Priority.RECONCILE)

    def orders(self, assets: Collection[str], since: int, time: int) -> tuple[VenueOrder, ...]:  # noqa: ARG002
        """The account's orders of these assets with a number above `since` (-1 = all), newest first, ours or not."""
        one = {"pair": f"{next(iter(assets))}/USD"} if len(assets) == 1 else {}
        found = self._spot(one, Priority.RECONCILE, lambda page: any(rows.number(row) <= since for row in page))
        return tuple(order for order in found if order.asset in assets and int(order.id) > since)

    def order(self, asset: str, number: int, time: int) -> VenueOrder | None:  # noqa: ARG002
        """One order by the venue's number; None = the venue knows none."""
        return self._order(asset, number, Priority.RECONCILE)

    def fills(self, since: int) -> tuple[Fill, ...]:
        """What was executed after `since` (UTC s), oldest first, ours or not.

        Orders that had rested for more than `LONGEST_REST_S` before `since` are not looked for.
        """
        oldest = (since - LONGEST_REST_S) * 1000
        found = self._rows(
            {}, Priority.RECONCILE, lambda page: any(rows.whole(row, "CreateTimestamp") < oldest for row in page)
        )
        late = [row for row in found if not rows.is_short(row) and rows.whole(row, "FinishTimestamp") > since * 1000]
        fills = [fill for order in self._read(late) for fill in order.fills]
        return tuple(sorted(fills, key=lambda fill: (fill.time, int(fill.order_id))))

    def highest(self, time: int, priority: Priority = Priority.RECONCILE) -> int:  # noqa: ARG002
        """The highest order number of the account; -1 = it never had an order."""
        found = self._wire.ask(QUERY_ORDER, rows.matched, {"limit": "1"}, priority=priority)
        return max((rows.number(row) for row in found), default=-1)

    # ---------------------------------------------------------------- orders

    def send(
        self,
        order: Order,
        time: int,  # noqa: ARG002
        may: Callable[[], bool] = always,
        *,
        limit: Decimal | None = None,
    ) -> VenueOrder:
        """Place one order, once; -> the order as the venue took it, with its fill if there is one.

        limit  USD per unit; None = market order
        may    asked last, when the limiter has let the order through (a halt may have come while it waited)
        Refused here, before the socket (VenueError): unknown pair, too many decimals, not above the pair's minimum,
        a purchase while our clock is off by more than `CLOCK_LIMIT_S`.
        """
        check_sense(order, limit)
        priority = Priority.EXIT if order.quantity < 0 else Priority.RECONCILE
        rule = self._ready(order, priority)
        check_rule(order, limit, rule, self._last.get(order.asset))
        wanted = wire_form(order, limit, rule)
        try:
            return self._wire.ask(
                PLACE_ORDER, lambda reply: self._placed(reply, wanted), wanted, priority=priority, allowed=may
            )
        except VenueError as error:
            if _WRONG_STEP in str(error).lower():
                self._rules = {}
            raise

    def cancel(self, asset: str, venue_id: int | str, time: int) -> VenueOrder | None:  # noqa: ARG002
        """Take back one order; -> what became of it, which may be that it filled; None = the venue knows none."""
        number = int(venue_id)
        if number <= 0:
            raise VenueError(f"{asset}: {number} is no order number, nothing was canceled")
        self._wire.ask(CANCEL_ORDER, _nothing, {"order_id": str(number)}, priority=Priority.EXIT)
        return self._order(asset, number, Priority.EXIT)

    # ---------------------------------------------------------------- the market

    def rules(self, time: int) -> tuple[Rule, ...]:  # noqa: ARG002
        """What the venue allows now, per pair against USD; orders are checked by it from now on."""
        return self._fresh_rules(Priority.PRICE)

    def rulebook(self, time: int) -> Mapping[str, Rule]:
        """What can be traded now and how finely, by asset."""
        return {rule.asset: rule for rule in self.rules(time) if rule.tradable}

    def quotes(self, time: int, priority: Priority = Priority.PRICE) -> dict[str, Tick]:  # noqa: ARG002
        """Best bid and ask of every pair that has them, by asset, in one call.

        priority  STOP when a stop waits for it
        """
        ticks = self._wire.ask(TICKER, rows.ticks_of, priority=priority)
        self._last = {asset: tick.last for asset, tick in ticks.items()}
        return ticks

    def offset_s(self) -> float:
        """The venue's clock less ours, s."""
        return self._wire.offset_s()

    # ---------------------------------------------------------------- inside

    def _ready(self, order: Order, priority: Priority) -> Rule:
        """The pair's rule, and a clock that is good enough to buy. Raises VenueError only: nothing was sent."""
        try:
            rules = self._rules or {rule.asset: rule for rule in self._fresh_rules(priority)}
            off_s = self._wire.offset_s(priority)
        except VenueUnknownError as error:
            raise VenueError(f"{order.asset}: not sent, as the venue does not answer ({error})") from None
        if order.quantity > 0 and abs(off_s) > CLOCK_LIMIT_S:
            raise VenueError(
                f"{order.asset}: not sent, our clock is off by {off_s:+.1f} s, limit {CLOCK_LIMIT_S:.0f} s: "
                "set the computer's clock"
            )
        if order.asset not in rules:
            raise VenueError(f"{order.asset}: the venue has no such pair")
        return rules[order.asset]

    def _fresh_rules(self, priority: Priority) -> tuple[Rule, ...]:
        found = self._wire.ask(EXCHANGE_INFO, rows.rules_of, priority=priority)
        self._rules = {rule.asset: rule for rule in found}
        return found

    def _placed(self, reply: Row, wanted: Params) -> VenueOrder:
        """The order in the reply to placing. It may differ in quantity, which the caller has to see, in no more."""
        row = rows.child(reply, "OrderDetail")
        if any(rows.text(row, theirs) != wanted[ours] for theirs, ours in _SAME.items()):
            raise VenueUnknownError("the reply is about another order")
        return self._read([row])[0]

    def _order(self, asset: str, number: int, priority: Priority) -> VenueOrder | None:
        found = self._wire.ask(QUERY_ORDER, rows.matched, {"order_id": str(number)}, priority=priority)
        if not found:
            return None
        order = self._read(found)[0]
        if (len(found), order.asset, order.id) != (1, asset, str(number)):
            raise VenueUnknownError(f"roostoo query_order: {asset} {number} was asked for, another order came")
        return order

    def _spot(
        self, asked: Params, priority: Priority, enough: Callable[[Sequence[Row]], bool] = lambda _page: False
    ) -> tuple[VenueOrder, ...]:
        return self._read(row for row in self._rows(asked, priority, enough) if not rows.is_short(row))

    def _rows(self, asked: Params, priority: Priority, enough: Callable[[Sequence[Row]], bool]) -> tuple[Row, ...]:
        """Rows newest first, page after page, until a page is enough or not full.

        Each page begins with the last row of the one before. It has to be there: rows that arrive meanwhile move it
        back, but a page without it would leave a hole.
        """
        seen: dict[int, Row] = {}
        while True:
            window = {"limit": str(PAGE)} | ({"offset": str(len(seen) - 1)} if seen else {})
            page = self._wire.ask(QUERY_ORDER, rows.matched, {**asked, **window}, priority=priority)
            fresh = {rows.number(row): row for row in page}
            if seen and (not seen.keys() & fresh.keys() or (len(page) >= PAGE and not fresh.keys() - seen.keys())):
                raise VenueUnknownError("roostoo query_order: the pages do not join")
            seen |= fresh
            if len(page) < PAGE or enough(page):
                return tuple(seen[number] for number in sorted(seen, reverse=True))

    def _read(self, found: Iterable[Row]) -> tuple[VenueOrder, ...]:
        told = [rows.order_of(row) for row in found]
        self._notes |= {item.note: item.order.id for item in told if item.note}
        return tuple(item.order for item in told)


_SAME = {"Pair": "pair", "Side": "side", "Type": "type"}


def check_sense(order: Order, limit: Decimal | None) -> None:
    """Refuse what is no order at any venue: no quantity, a price that is none, a limit order without a limit.

    limit  USD per unit, None = market. Raises VenueError.
    """
    for name, value in (("quantity", order.quantity), ("price", limit)):
        if value is not None and not (value.is_finite() and value and value.adjusted() < _DIGITS):
            raise VenueError(f"{order.asset}: a {name} of {value} is no order")
    if (order.style == "limit") != (limit is not None):
        raise VenueError(f"{order.asset}: style {order.style} with limit {limit}: a limit order needs one, others none")
    if limit is not None and limit < 0:
        raise VenueError(f"{order.asset}: a price of {limit} is no order")


def check_rule(order: Order, limit: Decimal | None, rule: Rule, last: Decimal | None) -> None:
    """Refuse what this venue would refuse: too many decimals, too small.

    limit  USD per unit, None = market · last  last price seen, USD per unit; None = unknown, then a market order's
    worth is not judged
    Raises VenueError.
    """
    amounts = [("quantity", order.quantity, rule.amount_decimals)]
    for name, value, most in [*amounts, *([("price", limit, rule.price_decimals)] if limit else [])]:
        if len(plain(value).partition(".")[2]) > most:
            raise VenueError(f"{order.asset}: {name} {plain(value)} has more than {most} decimals")
    price = limit or last
    if price is not None and abs(order.quantity) * price <= rule.min_notional:
        worth = plain(abs(order.quantity) * price)
        raise VenueError(f"{order.asset}: notional {worth} USD is not above {plain(rule.min_notional)}")


def wire_form(order: Order, limit: Decimal | None, rule: Rule) -> dict[str, str]:
    """The order's parameters: the sign becomes a side, numbers plain text without exponent."""
    form = {
        "pair": rule.pair,
        "side": "BUY" if order.quantity > 0 else "SELL",
        "type": "MARKET" if limit is None else "LIMIT",
        "quantity": plain(abs(order.quantity)),
    }
    return form if limit is None else {**form, "price": plain(limit)}


def _nothing(_reply: Row) -> None:
    """The reply to canceling is not believed; the order is asked for."""
