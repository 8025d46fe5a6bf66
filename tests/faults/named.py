"""A venue that keeps our order ids and fills in parts, as Binance does; an id is taken again once its order is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from evenkeel.engine.ports import VenueOrder
from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.sandbox.exchange import Resting
from evenkeel.types import Fill, Holdings, IntentStatus, Order, Pair
from evenkeel.units import plain
from faults.account import ME, Account
from faults.clockwork import Points
from faults.trouble import Trouble

_STATUS = {"PENDING": IntentStatus.ACKED, "FILLED": IntentStatus.FILLED, "CANCELED": IntentStatus.CANCELED}


@dataclass
class Named:
    """The engine's `Broker`, over the same ledger and the same bad wire."""

    account: Account
    points: Points
    trouble: Trouble
    left: Callable[[str, str, Decimal, bool], None]
    again = False

    def holdings(self, time: int, *, urgent: bool = False) -> Holdings:
        """Cash and units now."""
        self._read("balance")
        wealth = self.account.wealth()
        waiting = tuple(str(order.id) for order in self._orders() if self.account.standing(order) == "PENDING")
        units = {coin: amount for coin, amount in sorted(wealth.items()) if coin != "USD"}
        lock = self.account.ledger.wallets[ME].lock
        tied = {coin: amount for coin, amount in sorted(lock.items()) if coin != "USD" and amount}
        return Holdings(time, wealth["USD"], units, waiting, locked=lock["USD"], locked_units=tied)

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

    def rulebook(self, time: int) -> dict[str, Pair]:
        """What can be traded now."""
        self._read("rules")
        return self._traded()

    def cancel(self, asset: str, number: int | str, time: int) -> VenueOrder | None:
        """Take one back."""
        self._call("cancel_order", lambda: self.account.cancel(int(number)))
        return self.order(asset, number, time)

    def send(
        self, order: Order, time: int, may: Callable[[], bool] = lambda: True, *, limit: Decimal | None = None
    ) -> VenueOrder:
        """Place one order, once."""
        if not may():
            raise VenueError("not sent, no longer allowed")
        self.left(order.id, order.asset, order.quantity, limit is not None)
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
        before = self.account.ledger.orders.keys() | set()
        done = deed()
        self.account.own(before, tag, hidden_s)
        return done

    def _place(self, order: Order, limit: Decimal | None) -> Resting:
        if order.asset not in self._traded():
            raise VenueError("pair is not tradable now")
        wish = {"side": "BUY" if order.quantity > 0 else "SELL", "quantity": plain(abs(order.quantity))}
        wish |= {"type": "MARKET"} if limit is None else {"type": "LIMIT", "price": plain(limit)}
        return self.account.place(order.asset, wish)

    def _traded(self) -> dict[str, Pair]:
        market, now = self.account.ledger.market, self._now()
        closed = {fault.asset for fault in self.trouble.of_pairs(now) if fault.kind == "suspend"}
        return {asset: market.pair(asset) for asset in market.symbols() if asset not in closed}

    def _orders(self) -> list[Resting]:
        later = {number for whole in self.account.wholes.values() for number in whole.parts[1:]}
        return [order for order in self.account.ledger.of(ME, self._now()) if order.id not in later]

    def _shown(self, order: Resting) -> VenueOrder:
        sign, name = 1 if order.side == "BUY" else -1, str(order.id)
        fills = tuple(self._fill(f"{name}-{n}", name, sign, part) for n, part in enumerate(self.account.filled(order)))
        limit = Decimal(repr(order.price)) if order.type == "LIMIT" else None
        status, quantity = _STATUS[self.account.standing(order)], sign * self.account.asked(order)
        tag, placed = self.account.tags[order.id], int(order.created * 1000)
        return VenueOrder(name, tag, order.asset, quantity, limit, status, placed, fills)

    def _fill(self, id_: str, order: str, sign: int, part: Resting) -> Fill:
        price = Decimal(repr(part.fill_price))
        fee = part.commission + sign * (part.unit_change - part.quantity * price)  # what its arithmetic cuts off
        return Fill(id_, order, part.asset, sign * part.quantity, price, fee, int(part.finished))
