"""A venue that keeps our order ids, as Binance does: an id is taken again once its first order has filled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from evenkeel.engine.ports import VenueOrder
from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.sandbox.exchange import Listing, Resting
from evenkeel.types import Fill, Holdings, IntentStatus, Order
from evenkeel.units import plain
from faults.clockwork import Points
from faults.numbered import ME, Account
from faults.trouble import Trouble

_STATUS = {"PENDING": IntentStatus.ACKED, "FILLED": IntentStatus.FILLED, "CANCELED": IntentStatus.CANCELED}


@dataclass
class Named:
    """The engine's `Broker`, over the same ledger and the same bad wire."""

    account: Account
    points: Points
    trouble: Trouble
    left: Callable[[str, str, Decimal], None]
    again = False

    def holdings(self, time: int, *, urgent: bool = False) -> Holdings:
        """Cash and units now."""
        self._read("balance")
        wealth = self.account.wealth()
        waiting = tuple(str(order.id) for order in self._orders() if order.status == "PENDING")
        units = {coin: amount for coin, amount in sorted(wealth.items()) if coin != "USD"}
        return Holdings(time, wealth["USD"], units, waiting)

    def orders(self, assets: frozenset[str], since: int, time: int) -> tuple[VenueOrder, ...]:
        """What is shown of them."""
        self._read("query_order")
        found = (order for order in self._orders() if order.asset in assets and order.created >= since)
        return tuple(self._shown(order) for order in found)

    def order(self, asset: str, number: int | str, time: int) -> VenueOrder | None:
        """One order."""
        self._read("query_order")
        return next((self._shown(o) for o in self._orders() if str(o.id) == str(number)), None)

    def fills(self, since: int) -> tuple[Fill, ...]:
        """What was executed after `since`."""
        self._read("query_order")
        fills = [fill for order in self._orders()[::-1] for fill in self._shown(order).fills]
        return tuple(fill for fill in fills if fill.time > since)

    def cancel(self, asset: str, number: int | str, time: int) -> VenueOrder | None:
        """Take one back."""
        self._call("cancel_order", lambda: self.account.ledger.cancel(ME, self._now(), order_id=int(number)))
        return self.order(asset, number, time)

    def send(
        self, order: Order, time: int, may: Callable[[], bool] = lambda: True, *, limit: Decimal | None = None
    ) -> VenueOrder:
        """Place one order, once."""
        if not may():
            raise VenueError("not sent, no longer allowed")
        self.left(order.id, order.asset, order.quantity)
        return self._shown(self._call("place_order", lambda: self._place(order, limit), tag=order.id))

    # ---------------------------------------------------------------- inside

    def _now(self) -> float:
        return self.account.clock.now

    def _read(self, name: str) -> None:
        self._call(name, lambda: None)

    def _call(self, name: str, deed: Callable[[], Any], tag: str = "") -> Any:
        """A call over the wire: the deed happens there, or not, and we hear of it, or not."""
        clock = self.account.clock
        self.points.at(f"venue {name} request")
        how = self.trouble.of_call(name)
        clock.elapse(how.there_s)
        if how.kind == "late":
            clock.at(clock.now + how.late_s, lambda: self._quietly(deed, tag, how.hidden_s))
            clock.elapse(how.back_s)
            raise VenueUnknownError("no answer in time")
        done = None
        if not how.kind.endswith("before"):
            done = self._tagged(deed, tag, how.hidden_s)
            self.points.at(f"venue {name} answer")
        clock.elapse(how.back_s)
        if how.kind != "fine":
            raise VenueUnknownError(how.kind)
        return done

    def _quietly(self, deed: Callable[[], Any], tag: str, hidden_s: float) -> None:
        try:
            self._tagged(deed, tag, hidden_s)
        except VenueError:
            return

    def _tagged(self, deed: Callable[[], Any], tag: str, hidden_s: float) -> Any:
        ledger = self.account.ledger
        before = ledger.orders.keys() | set()
        done = deed()
        for number in ledger.orders.keys() - before:
            self.account.tags[number] = tag
            if hidden_s:
                ledger.shown_from[number] = self._now() + hidden_s
        return done

    def _place(self, order: Order, limit: Decimal | None) -> Resting:
        known = self.account.ledger.market.pair(order.asset)
        listing = Listing(order.asset, known.price_decimals, known.amount_decimals, known.min_notional)
        for fault in self.trouble.of_pairs(self._now()):
            if fault.asset == order.asset and fault.kind == "suspend":
                raise VenueError("pair is not tradable now")
        wish = {"side": "BUY" if order.quantity > 0 else "SELL", "quantity": plain(abs(order.quantity))}
        wish |= {"type": "MARKET"} if limit is None else {"type": "LIMIT", "price": plain(limit)}
        return self.account.ledger.place(ME, known.pair, listing, self._now(), wish)

    def _orders(self) -> list[Resting]:
        return self.account.ledger.of(ME, self._now())

    def _shown(self, order: Resting) -> VenueOrder:
        sign = 1 if order.side == "BUY" else -1
        name, quantity = str(order.id), sign * order.quantity
        fills: tuple[Fill, ...] = ()
        if order.status == "FILLED":
            price, time = Decimal(repr(order.fill_price)), int(order.finished)
            fills = (Fill(f"{name}-1", name, order.asset, quantity, price, order.commission, time),)
        limit = Decimal(repr(order.price)) if order.type == "LIMIT" else None
        tag, placed = self.account.tags[order.id], int(order.created * 1000)
        return VenueOrder(name, tag, order.asset, quantity, limit, _STATUS[order.status], placed, fills)
